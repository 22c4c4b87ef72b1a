"""Data sets as arrays of prepared images: drawn faces, folders, an .npz file, or tfds.

Every image is decoded, made square and resized once, by `preprocess`, into a file of raw uint8 rows
that is mapped into memory: training, audit and calibration read the same bytes, and no epoch
decodes a JPEG again.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.config.checks import comma_separated
from arl_tf.config.data_checks import OWN, TFDS_PREFIX
from arl_tf.data import bad_images, celeba_folder
from arl_tf.data.faces import generation
from arl_tf.data.image_cache import Chunk, Source, file_stamp, prepared
from arl_tf.data.labelled import arrays, folder
from arl_tf.data.labelled.labels import listed
from arl_tf.data.pictures import reader
from arl_tf.data.preprocessing import DEVICE, cache_version, preprocessing
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.data.tfds_images import tfds_source

CHUNK = 256
# Images that are looked at, and what one of their levels reaches in a usable data set.
LOOKED_AT, LEAST_BRIGHT = 1000, 16
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
    task_kind: str
    label_columns: str
    group_column: str
    fit: str
    identity_measures: str


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Prepared images with what is known of them.

    Attributes:
        images: uint8 [N, S, S, 3], RGB; memory-mapped, read-only.
        attributes: [N, A], the task's labels: uint8 in {0, 1}, one-hot where an image has one
            class; float32 for REGRESSION.
        identities: int64 [N], of people, or of other groups; where the source knows none, every
            image is its own.
        attribute_names: A names: attributes, classes in order, or targets.
        names: N names of images, for splits.json and messages.
        bad_images: names of images that could not be used and were skipped.
        bad_reasons: why not, of each.
        turned_images: how many were turned as EXIF says.
        identities_known: whether the identities come from the source.
        other_attributes: uint8 [N, K] in {0, 1}, known but not in the task.
        other_attribute_names: K names.
        task_kind: one of TASK_KINDS: what `attributes` are.
        has_faces: whether networks judge identity: the images are of faces, or the user says so.
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
    has_faces: bool = True


def to_float(image: tf.Tensor) -> tf.Tensor:
    """uint8 in 0..255 to float32 in [0, 1]; any shape."""
    return tf.cast(image, tf.float32) / 255.0


def load_images(settings: DataSettings, cache_dir: pathlib.Path) -> ImageSet:
    """Opens the data set that the settings name; prepares its images into `cache_dir` on first use.

    Raises:
        ValueError: the source is missing, malformed, or has more bad images than --max_bad_images.
    """
    source = open_source(settings)
    ready = prepared(source, settings.image_size, cache_version(settings.fit), cache_dir)
    rows, num_rows = ready.rows, len(source.names)
    bad_rows = np.setdiff1d(np.arange(num_rows), rows).tolist()
    bad = tuple(source.names[row] for row in bad_rows)
    reasons = tuple(ready.refused.get(row, "unreadable") for row in bad_rows)
    bad_images.report(bad, reasons, num_rows, settings.max_bad_images)
    refuse_dark(ready.images, settings)
    if ready.turned:
        logging.info(
            "%d of %d images lay on their side or mirrored in their files and were set upright, as"
            " their EXIF orientation says",
            ready.turned,
            num_rows,
        )
    if source.identities is None:
        logging.warning("No identities are known: every image counts as a person of its own")
    everything = dataclasses.replace(
        labels_of(source, rows, settings.identity_measures),
        images=ready.images,
        bad_images=bad,
        bad_reasons=reasons,
        turned_images=ready.turned,
    )
    return choose_task(everything, settings.task_attributes)


def refuse_dark(images: np.ndarray, settings: DataSettings) -> None:
    """Raises ValueError where prepared images uint8 [N, S, S, 3] are all nearly black.

    Pictures of 12 bits in files of 16 become so, and masks whose levels are numbers of classes.
    """
    some = images[:: max(1, len(images) // LOOKED_AT)]
    if len(some) and some.max() < LEAST_BRIGHT:
        raise ValueError(
            f"The images of --dataset={settings.dataset} {settings.data_dir} are nearly black: of"
            f" {len(some)} the highest level is {some.max()}, of 255. Of 16 bits the upper 8 are"
            " read: scale pictures of 12 bits times 16, and masks to levels of 0 to 255."
        )


def labels_of(source: Source, rows: np.ndarray, identity_measures: str) -> ImageSet:
    """What a source knows of some rows int64 [n], without pixels: images uint8 [n, 0, 0, 3].

    `identity_measures` is "on", "off" or, as the source says, "auto".
    """
    known, others = source.identities, source.other_attributes
    identities = np.arange(len(source.names)) if known is None else known
    return ImageSet(
        images=np.empty((len(rows), 0, 0, 3), np.uint8),
        attributes=source.attributes[rows],
        identities=identities[rows],
        attribute_names=source.attribute_names,
        names=tuple(source.names[row] for row in rows),
        bad_images=(),
        identities_known=known is not None,
        other_attributes=None if others is None else others[rows],
        other_attribute_names=source.other_attribute_names,
        task_kind=source.task_kind,
        has_faces=source.has_faces if identity_measures == "auto" else identity_measures == "on",
    )


def open_source(settings: DataSettings) -> Source:
    """Labels and names of the data set that the settings name; no picture is read yet.

    Raises:
        ValueError: the source is missing or malformed, or lacks an attribute of the task.
    """
    prefix = TFDS_PREFIX if settings.dataset.startswith(TFDS_PREFIX) else settings.dataset
    source = SOURCES[prefix](settings)
    if settings.dataset in OWN:
        logging.info("The task is %s: %s", source.task_kind, listed(source.attribute_names))
    if source.task_kind == MULTI_LABEL:
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
    names, others = images.attribute_names, images.other_attributes
    others = np.zeros((len(images.names), 0), np.uint8) if others is None else others
    if images.task_kind != MULTI_LABEL:
        if task_attributes:
            raise ValueError(
                f"--task_attributes={task_attributes} chooses among yes-or-no attributes; this"
                f" task is {images.task_kind}. --label_columns chooses columns of a table."
            )
        return dataclasses.replace(images, other_attributes=others)
    in_task = np.isin(names, task_names(names, task_attributes))
    left_out = tuple(np.array(names)[~in_task].tolist())
    return dataclasses.replace(
        images,
        attributes=images.attributes[:, in_task],
        attribute_names=tuple(np.array(names)[in_task].tolist()),
        other_attributes=np.concatenate([images.attributes[:, ~in_task], others], axis=1),
        other_attribute_names=(*left_out, *images.other_attribute_names),
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
            f"--task_attributes names {', '.join(unknown)}, which the data set does not have; it"
            f" has {', '.join(names)}."
        )
    if left_out and set(left_out) == set(names):
        raise ValueError(f"--task_attributes={task_attributes} leaves the task no attribute.")
    return tuple(n for n in names if (n not in left_out if left_out else not named or n in named))


def procedural_source(settings: DataSettings) -> Source:
    """Faces drawn by `faces.generation`; nothing is read from disk."""
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


def celeba_source(settings: DataSettings) -> Source:
    """A folder in CelebA's layout."""
    root = pathlib.Path(settings.data_dir)
    index = celeba_folder.read_folder_index(root)
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
    stamps = [str(root.resolve()), *map(file_stamp, paths)]
    return Source(
        fingerprint=hashlib.sha256("\n".join(stamps).encode()).hexdigest(),
        names=index.files,
        attribute_names=index.attribute_names,
        attributes=index.attributes,
        identities=index.identities,
        read=lambda: reader.as_listed(
            file_reader(settings)([str(path) for path in paths]), index.files, set(missing)
        ),
    )


def file_reader(settings: DataSettings) -> folder.ReadFiles:
    """Paths of files -> their images, decoded and prepared, in order; rows are positions."""
    preprocess = preprocessing(settings.image_size, settings.fit)
    return functools.partial(reader.read_files, preprocess=preprocess)


def own_folder_source(settings: DataSettings) -> Source:
    """Class folders, or a folder with a metadata.csv."""
    return folder.folder_source(settings, file_reader(settings))


def arrays_source(settings: DataSettings) -> Source:
    """An .npz file of images and labels."""
    preprocess = preprocessing(settings.image_size, settings.fit)

    def prepare(image):
        with tf.device(DEVICE):
            return preprocess(tf.constant(image)).numpy()

    return arrays.arrays_source(settings, prepare)


def builder_source(settings: DataSettings) -> Source:
    """A tensorflow-datasets builder."""
    preprocess = preprocessing(settings.image_size, settings.fit)
    return tfds_source(settings, functools.partial(reader.read_pictures, preprocess=preprocess))


SOURCES = {
    "faces": procedural_source,
    "celeba": celeba_source,
    "folder": own_folder_source,
    "numpy": arrays_source,
    TFDS_PREFIX: builder_source,
}
