"""Data sets as arrays of prepared images: procedural faces, a CelebA-layout folder, or tfds.

Every image is decoded, cropped and resized once, by `preprocess`, into a file of raw uint8 rows
that is mapped into memory: training, audit and calibration read the same bytes, and no epoch
decodes a JPEG again.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.config.checks import TFDS_PREFIX, comma_separated
from arl_tf.data import bad_images, celeba_folder
from arl_tf.data.faces import generation
from arl_tf.data.image_cache import Chunk, Source, prepared
from arl_tf.data.pictures import reader
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.data.tfds_images import tfds_source

# Part of the cache key: raise it when `decode_image` or `preprocess` changes what it returns.
PREPROCESS_VERSION = 2
CHUNK = 256
LABEL_SIZE = 16
# Before the name of an attribute that the task leaves out.
LEFT_OUT = "-"


@dataclasses.dataclass(frozen=True)
class DataSettings:
    """Which images there are, and how they are prepared; settings of `Config` by name."""

    dataset: str
    data_dir: str
    tfds_download: bool
    image_size: int
    seed: int
    num_faces: int
    images_per_identity: int
    task_attributes: str
    max_bad_images: float


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Prepared images with what is known of them.

    Attributes:
        images: uint8 [N, S, S, 3], RGB; memory-mapped, read-only.
        attributes: uint8 [N, A] in {0, 1}.
        identities: int64 [N]; where the source knows none, every image is its own.
        attribute_names: A names.
        names: N names of images, for splits.json and messages.
        bad_images: names of images that could not be used and were skipped.
        bad_reasons: why not, of each.
        turned_images: how many were turned as EXIF says.
        identities_known: whether the identities come from the source.
        other_attributes: uint8 [N, K] in {0, 1}, known but not in the task.
        other_attribute_names: K names.
        task_kind: one of task_kinds.TASK_KINDS, what `attributes` are.
    """

    images: np.ndarray
    attributes: np.ndarray
    identities: np.ndarray
    attribute_names: tuple[str, ...]
    names: tuple[str, ...]
    bad_images: tuple[str, ...]
    identities_known: bool
    other_attributes: np.ndarray | None = None
    other_attribute_names: tuple[str, ...] = ()
    bad_reasons: tuple[str, ...] = ()
    turned_images: int = 0
    task_kind: str = MULTI_LABEL


def preprocess(image: tf.Tensor, image_size: int) -> tf.Tensor:
    """The one way from a picture to what the networks see.

    Takes the largest square in the centre, resizes it bilinearly with antialiasing, and rounds.

    Args:
        image: uint8 [h, w, 3], RGB.
        image_size: side of the result, pixels.

    Returns:
        uint8 [image_size, image_size, 3].
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    square = tf.image.crop_to_bounding_box(
        image, (height - side) // 2, (width - side) // 2, side, side
    )
    resized = tf.image.resize(square, (image_size, image_size), method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def to_float(image: tf.Tensor) -> tf.Tensor:
    """uint8 in 0..255 to float32 in [0, 1]; any shape."""
    return tf.cast(image, tf.float32) / 255.0


def load_images(settings: DataSettings, cache_dir: pathlib.Path) -> ImageSet:
    """Opens the data set that the settings name; prepares its images into `cache_dir` on first use.

    Raises:
        ValueError: the source is missing, malformed, or has more bad images than --max_bad_images.
    """
    source = open_source(settings)
    ready = prepared(source, settings.image_size, PREPROCESS_VERSION, cache_dir)
    rows, num_rows = ready.rows, len(source.names)
    bad_rows = np.setdiff1d(np.arange(num_rows), rows).tolist()
    bad = tuple(source.names[row] for row in bad_rows)
    reasons = tuple(ready.refused.get(row, "unreadable") for row in bad_rows)
    bad_images.report(bad, reasons, num_rows, settings.max_bad_images)
    if ready.turned:
        logging.info(
            "%d of %d images lay on their side or mirrored in their files and were set upright, as"
            " their EXIF orientation says",
            ready.turned,
            num_rows,
        )
    if source.identities is None:
        logging.warning("No identities are known: every image counts as a person of its own")
    identities = np.arange(num_rows) if source.identities is None else source.identities
    everything = ImageSet(
        images=ready.images,
        attributes=source.attributes[rows],
        identities=identities[rows],
        attribute_names=source.attribute_names,
        names=tuple(source.names[row] for row in rows),
        bad_images=bad,
        identities_known=source.identities is not None,
        bad_reasons=reasons,
        turned_images=ready.turned,
    )
    return choose_task(everything, settings.task_attributes)


def open_source(settings: DataSettings) -> Source:
    """Labels and names of the data set that the settings name; no picture is read yet.

    Raises:
        ValueError: the source is missing or malformed, or lacks an attribute of the task.
    """
    prefix = TFDS_PREFIX if settings.dataset.startswith(TFDS_PREFIX) else settings.dataset
    source = SOURCES[prefix](settings)
    task_names(source.attribute_names, settings.task_attributes)
    return source


def choose_task(images: ImageSet, task_attributes: str) -> ImageSet:
    """Parts the task's attributes from the others; without a choice all are the task's.

    Args:
        images: a data set whose attributes are not parted yet.
        task_attributes: as `task_names` takes them.

    Raises:
        ValueError: as `task_names`.
    """
    names = images.attribute_names
    in_task = np.isin(names, task_names(names, task_attributes))
    return dataclasses.replace(
        images,
        attributes=images.attributes[:, in_task],
        attribute_names=tuple(np.array(names)[in_task].tolist()),
        other_attributes=images.attributes[:, ~in_task],
        other_attribute_names=tuple(np.array(names)[~in_task].tolist()),
    )


def task_names(names: tuple[str, ...], task_attributes: str) -> tuple[str, ...]:
    """Which of a data set's attributes are the task's.

    Args:
        names: of all attributes.
        task_attributes: names, comma-separated; with a minus before each, all but these; empty:
            all.

    Raises:
        ValueError: the data set lacks an attribute that is named, some have a minus and others
            none, or none is left.
    """
    named = comma_separated(task_attributes)
    left_out = [name.removeprefix(LEFT_OUT) for name in named if name.startswith(LEFT_OUT)]
    if left_out and len(left_out) < len(named):
        raise ValueError(
            f"--task_attributes={task_attributes} names some attributes with a minus and others"
            " without; name those of the task, or with a minus each those that it leaves out."
        )
    unknown = [name for name in left_out or named if name not in names]
    if unknown:
        raise ValueError(
            f"--task_attributes names {', '.join(unknown)}, which the data set has not; it has"
            f" {', '.join(names)}."
        )
    if left_out and set(left_out) == set(names):
        raise ValueError(f"--task_attributes={task_attributes} leaves the task no attribute.")
    return tuple(n for n in names if (n not in left_out if left_out else not named or n in named))


def procedural_source(settings: DataSettings) -> Source:
    """Faces drawn by faces.py; nothing is read from disk."""
    draw = functools.partial(
        generation.generate_faces,
        seed=settings.seed,
        images_per_identity=settings.images_per_identity,
    )

    def read() -> Iterator[Chunk]:
        for start in range(0, settings.num_faces, CHUNK):
            count = min(CHUNK, settings.num_faces - start)
            batch = draw(count, settings.image_size, first_image=start)
            yield Chunk(np.arange(start, start + count), batch.images)

    # Labels do not depend on the size of the picture, so they are read off small ones; those also
    # tell the cache when the drawing itself has changed.
    small = draw(settings.num_faces, LABEL_SIZE)
    drawing = hashlib.sha256(small.images.tobytes())
    drawing.update(draw(1, settings.image_size).images.tobytes())
    return Source(
        fingerprint=f"faces {drawing.hexdigest()}",
        names=tuple(f"face_{number:06d}" for number in range(settings.num_faces)),
        attribute_names=generation.ATTRIBUTE_NAMES,
        attributes=small.attributes,
        identities=small.identities,
        read=read,
    )


def folder_source(settings: DataSettings) -> Source:
    """A folder in CelebA's layout."""
    folder = pathlib.Path(settings.data_dir)
    index = celeba_folder.read_folder_index(folder)
    image_folder = index.image_folder
    paths = [image_folder / name for name in index.files]
    missing = [name for name, path in zip(index.files, paths, strict=True) if not path.exists()]
    bad_images.report_missing(missing, len(paths), image_folder, settings.max_bad_images)
    extra = len(set(os.listdir(image_folder)) - set(index.files))
    if extra:
        logging.warning(
            "%d files of %s have no row in %s and are not used",
            extra,
            image_folder,
            index.attribute_file.name,
        )
    stamps = [str(folder.resolve()), *map(file_stamp, paths)]
    return Source(
        fingerprint=hashlib.sha256("\n".join(stamps).encode()).hexdigest(),
        names=index.files,
        attribute_names=index.attribute_names,
        attributes=index.attributes,
        identities=index.identities,
        read=lambda: read_files([str(path) for path in paths], settings.image_size),
    )


def file_stamp(path: pathlib.Path) -> str:
    """A line that changes when the file does, without reading it."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return f"{path.name} missing"
    return f"{path.name} {stat.st_size} {stat.st_mtime_ns}"


def read_files(paths: list[str], image_size: int) -> Iterator[Chunk]:
    """Decodes and preprocesses image files in order; rows are positions in `paths`."""
    return reader.read_files(paths, preprocessing(image_size))


def decoded(
    pictures: Iterable[tuple[int, Callable[[], bytes]]], image_size: int
) -> Iterator[Chunk]:
    """Decodes and preprocesses (number, a function that gives a file's bytes) in order."""
    return reader.read_pictures(pictures, preprocessing(image_size))


@functools.cache
def preprocessing(image_size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """`preprocess` for one size; the same function for the same size."""
    return functools.partial(preprocess, image_size=image_size)


SOURCES = {
    "faces": procedural_source,
    "celeba": folder_source,
    TFDS_PREFIX: functools.partial(tfds_source, decoded=decoded),
}
