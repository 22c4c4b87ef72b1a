"""Data sets as arrays of prepared images: procedural faces, a CelebA-layout folder, or TensorFlow Datasets.

Every image is decoded, cropped and resized once, by `preprocess`, into a file of raw uint8 rows that is mapped
into memory: training, audit and calibration read the same bytes, and no epoch decodes a JPEG again.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf import celeba, faces
from arl_tf.config import TFDS_PREFIX, Config

# Part of the cache key: raise it when `preprocess` changes what it returns.
PREPROCESS_VERSION = 1
CHUNK = 256


@dataclasses.dataclass(frozen=True)
class ImageSet:
    """Prepared images with what is known of them.

    Attributes:
        images: uint8 [N, S, S, 3], RGB; memory-mapped, read-only.
        attributes: uint8 [N, A] in {0, 1}.
        identities: int64 [N]; where the source knows none, every image is its own.
        attribute_names: A names.
        names: N names of images, for splits.json and messages.
        bad_images: names of images that could not be read and were skipped.
        identities_known: whether the identities come from the source.
    """

    images: np.ndarray
    attributes: np.ndarray
    identities: np.ndarray
    attribute_names: tuple[str, ...]
    names: tuple[str, ...]
    bad_images: tuple[str, ...]
    identities_known: bool


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set before its images are prepared: the rows, and a way to read their images in order.

    `read` yields (row numbers, images uint8 [n, S, S, 3]) and leaves out the rows it can't read.
    """

    fingerprint: str
    names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    attributes: np.ndarray
    identities: np.ndarray | None
    read: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


def decode_image(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG, PNG, BMP or GIF (its first frame).

    Greyscale is repeated to three channels, alpha is dropped, 16 bits are scaled to 8, CMYK is converted.

    Args:
        image_bytes: string scalar.

    Returns:
        uint8 [h, w, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no complete image.
    """
    image = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    return tf.ensure_shape(image, (None, None, 3))


def preprocess(image: tf.Tensor, image_size: int) -> tf.Tensor:
    """The one way from a picture to what the networks see: centre square, antialiased bilinear resize, rounding.

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


def load_images(config: Config, cache_dir: pathlib.Path) -> ImageSet:
    """Opens the data set that the config names, preparing its images into `cache_dir` on first use.

    Raises:
        ValueError: the source is missing, malformed, or has more bad images than --max_bad_images.
    """
    prefix = TFDS_PREFIX if config.dataset.startswith(TFDS_PREFIX) else config.dataset
    source = SOURCES[prefix](config)
    images, rows = prepared(source, config.image_size, cache_dir)
    bad = tuple(
        source.names[row] for row in sorted(set(range(len(source.names))) - set(rows.tolist()))
    )
    report_bad_images(bad, len(source.names), config.max_bad_images)
    identities = np.arange(len(source.names)) if source.identities is None else source.identities
    return ImageSet(
        images=images,
        attributes=source.attributes[rows],
        identities=identities[rows],
        attribute_names=source.attribute_names,
        names=tuple(source.names[row] for row in rows),
        bad_images=bad,
        identities_known=source.identities is not None,
    )


def report_bad_images(bad: tuple[str, ...], total: int, allowed_share: float) -> None:
    """Logs the skipped images; raises ValueError when they are more than the allowed share."""
    if not bad:
        return
    named = ", ".join(bad[:5]) + (", ..." if len(bad) > 5 else "")
    if len(bad) > allowed_share * total:
        raise ValueError(
            f"{len(bad)} of {total} images can't be read, more than --max_bad_images={allowed_share:g} allows:"
            f" {named}. Repair or remove them and their rows, or raise --max_bad_images."
        )
    logging.warning("Skipped %d of %d images that can't be read: %s", len(bad), total, named)


def prepared(
    source: Source, image_size: int, cache_dir: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
    """Returns (images uint8 [n, S, S, 3] mapped from the cache, row numbers int64 [n] of the source)."""
    key_text = f"{source.fingerprint} {image_size} {PREPROCESS_VERSION}"
    stem = cache_dir / f"images_{hashlib.sha256(key_text.encode()).hexdigest()[:16]}"
    index_path, pixel_path = stem.with_suffix(".json"), stem.with_suffix(".u8")
    if not index_path.exists():
        cache_dir.mkdir(parents=True, exist_ok=True)
        logging.info(
            "Preparing %d images of %d x %d pixels in %s",
            len(source.names),
            image_size,
            image_size,
            cache_dir,
        )
        unfinished = pixel_path.with_suffix(f".{os.getpid()}.tmp")
        rows = write_pixels(source, unfinished)
        # The index appears last: pixels without it count as not there.
        unfinished.replace(pixel_path)
        index_tmp = index_path.with_suffix(f".{os.getpid()}.tmp")
        index_tmp.write_text(json.dumps({"rows": rows}))
        index_tmp.replace(index_path)
    rows = np.array(json.loads(index_path.read_text())["rows"], np.int64)
    if not rows.size:
        raise ValueError(
            f"None of the {len(source.names)} images can be read; the first is {source.names[0]}."
        )
    return np.memmap(pixel_path, np.uint8, "r", shape=(len(rows), image_size, image_size, 3)), rows


def write_pixels(source: Source, path: pathlib.Path) -> list[int]:
    """Writes every readable image's pixels to `path`, one after the other, and returns their row numbers."""
    rows: list[int] = []
    try:
        with path.open("wb") as file:
            for numbers, images in source.read():
                file.write(np.ascontiguousarray(images).tobytes())
                rows.extend(int(number) for number in numbers)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return rows


def procedural_source(config: Config) -> Source:
    """Faces drawn by faces.py; nothing is read from disk."""

    def draw(start: int, count: int) -> faces.FaceBatch:
        return faces.generate_faces(
            count,
            config.image_size,
            seed=config.seed,
            images_per_identity=config.images_per_identity,
            first_image=start,
        )

    starts = range(0, config.num_faces, CHUNK)
    counts = [min(CHUNK, config.num_faces - start) for start in starts]
    # Labels need no large picture; images depend on (seed, number) alone, so drawing them small first is cheap.
    labels = faces.generate_faces(
        config.num_faces, 16, seed=config.seed, images_per_identity=config.images_per_identity
    )

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start, count in zip(starts, counts, strict=True):
            yield np.arange(start, start + count), draw(start, count).images

    sample = draw(0, 1).images.tobytes()
    fingerprint = f"faces {config.seed} {config.num_faces} {config.images_per_identity} {hashlib.sha256(sample).hexdigest()}"
    return Source(
        fingerprint=fingerprint,
        names=tuple(f"face_{number:06d}" for number in range(config.num_faces)),
        attribute_names=faces.ATTRIBUTE_NAMES,
        attributes=labels.attributes,
        identities=labels.identities,
        read=read,
    )


def folder_source(config: Config) -> Source:
    """A folder in CelebA's layout, read by a plain tf.data pipeline."""
    folder = pathlib.Path(config.data_dir)
    index = celeba.read_folder_index(folder)
    image_folder = folder / celeba.IMAGE_FOLDER
    stamps = []
    for name in index.files:
        path = image_folder / name
        stat = path.stat() if path.is_file() else None
        stamps.append(f"{name} {stat.st_size} {stat.st_mtime_ns}" if stat else f"{name} missing")
    extra = len(set(os.listdir(image_folder)) - set(index.files))
    if extra:
        logging.warning(
            "%d files of %s have no row in %s and are not used",
            extra,
            image_folder,
            celeba.ATTRIBUTE_FILE,
        )
    if index.identities is None:
        logging.warning("No %s: every image counts as a person of its own", celeba.IDENTITY_FILE)
    return Source(
        fingerprint=hashlib.sha256(
            "\n".join([str(folder.resolve()), *stamps]).encode()
        ).hexdigest(),
        names=index.files,
        attribute_names=index.attribute_names,
        attributes=index.attributes,
        identities=index.identities,
        read=lambda: read_files(
            [str(image_folder / name) for name in index.files], config.image_size
        ),
    )


def read_files(paths: list[str], image_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Decodes and preprocesses image files in order; files that can't be read are left out.

    Yields:
        (positions int64 [n] in `paths`, images uint8 [n, image_size, image_size, 3])
    """

    def read_one(number, path):
        return number, preprocess(decode_image(tf.io.read_file(path)), image_size)

    dataset = tf.data.Dataset.from_tensor_slices((np.arange(len(paths)), np.array(paths)))
    dataset = dataset.map(read_one, num_parallel_calls=os.cpu_count() or 1, deterministic=True)
    dataset = dataset.ignore_errors(log_warning=False).batch(CHUNK)
    yield from dataset.as_numpy_iterator()


def tfds_source(config: Config) -> Source:
    """A tensorflow-datasets builder whose examples have `image` and a dictionary of boolean `attributes`."""
    import tensorflow_datasets as tfds  # Slow to import, and needed here alone.

    name = config.dataset.removeprefix(TFDS_PREFIX)
    try:
        builder = tfds.builder(name, data_dir=config.data_dir or None)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"--dataset={config.dataset}: tensorflow-datasets has no such builder ({first_line})."
        ) from None
    if "image" not in builder.info.features or not hasattr(
        builder.info.features.get("attributes"), "keys"
    ):
        raise ValueError(
            f"--dataset={config.dataset} must have the features 'image' and 'attributes' (a dictionary of booleans);"
            f" it has {', '.join(builder.info.features)}."
        )
    if config.tfds_download:
        builder.download_and_prepare()
    names = tuple(sorted(builder.info.features["attributes"].keys()))
    return tfds_rows(config, builder, names)


def tfds_rows(config: Config, builder, attribute_names: tuple[str, ...]) -> Source:
    """Reads a builder's labels once, and gives its images as a Source; all its splits, in their order."""

    def examples() -> tf.data.Dataset:
        parts = [
            builder.as_dataset(split=split, shuffle_files=False)
            for split in sorted(builder.info.splits)
        ]
        whole = parts[0]
        for part in parts[1:]:
            whole = whole.concatenate(part)
        return whole

    def label_row(example):
        return tf.stack(
            [tf.cast(example["attributes"][name], tf.uint8) for name in attribute_names]
        )

    try:
        attributes = np.concatenate(
            list(examples().map(label_row).batch(CHUNK).as_numpy_iterator())
        )
    except (AssertionError, OSError, tf.errors.OpError) as error:
        raise ValueError(
            f"--dataset={config.dataset} is not prepared in {builder.data_dir} ({type(error).__name__});"
            " add --tfds_download to let tensorflow-datasets fetch it, or name its folder with --data_dir."
        ) from None

    def read() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        images = examples().map(lambda example: preprocess(example["image"], config.image_size))
        start = 0
        for batch in images.batch(CHUNK).as_numpy_iterator():
            yield np.arange(start, start + len(batch)), batch
            start += len(batch)

    label_hash = hashlib.sha256(attributes.tobytes()).hexdigest()
    return Source(
        fingerprint=f"{builder.info.full_name} {len(attributes)} {label_hash}",
        names=tuple(
            f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', builder.info.full_name)}_{row:06d}"
            for row in range(len(attributes))
        ),
        attribute_names=attribute_names,
        attributes=attributes,
        identities=None,
        read=read,
    )


SOURCES = {"faces": procedural_source, "celeba": folder_source, TFDS_PREFIX: tfds_source}
