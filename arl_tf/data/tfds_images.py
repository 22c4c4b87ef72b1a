"""Images of a tensorflow-datasets builder, with their attributes and identities."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.config.checks import TFDS_PREFIX
from arl_tf.data.image_cache import Chunk, Source

# (number, a function that gives a file's bytes) and the image size -> prepared images in order.
Decoder = Callable[[Iterable[tuple[int, Callable[[], bytes]]], int], Iterator[Chunk]]
LABEL_BATCH = 256


def tfds_source(settings: Any, decoded: Decoder) -> Source:
    """A tensorflow-datasets builder: `image` (8 bits), `attributes` (a dictionary of booleans).

    All its splits are taken, in their order. Where it has a feature `identity`, an integer or a
    dictionary of one, people are told apart by it.

    Args:
        settings: an `image_sets.DataSettings`, which module can't be imported here.
        decoded: the way from numbered files to preprocessed images.

    Raises:
        ValueError: the builder is unknown, not prepared, or has other features.
    """
    import tensorflow_datasets as tfds  # Slow to import, and needed here alone.

    name = settings.dataset.removeprefix(TFDS_PREFIX)
    try:
        builder = tfds.builder(name, data_dir=settings.data_dir or None)
    # ImportError: names such as huggingface:NAME ask for packages that are not required here.
    except (tfds.core.registered.DatasetNotFoundError, ValueError, ImportError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"--dataset={settings.dataset}: tensorflow-datasets has no such builder ({first_line});"
            " expected a name such as tfds:celeb_a."
        ) from None
    check_features(settings.dataset, dict(builder.info.features.items()))
    if settings.tfds_download:
        builder.download_and_prepare()
    try:
        encoded = builder.as_dataset(split="all", decoders={"image": tfds.decode.SkipDecoding()})
    except (AssertionError, ValueError) as error:
        raise ValueError(
            f"--dataset={settings.dataset} is not prepared in {builder.data_path}"
            f" ({type(error).__name__}); add --tfds_download to let tensorflow-datasets fetch it,"
            " or name its folder with --data_dir."
        ) from None
    return tfds_rows(
        settings.dataset, settings.image_size, builder.info.full_name, encoded, decoded
    )


def check_features(dataset: str, features: Mapping[str, Any]) -> None:
    """Raises ValueError when a builder's features are not an 8-bit image with attributes."""
    image, attributes = features.get("image"), features.get("attributes")
    if getattr(image, "np_dtype", None) != np.uint8 or not hasattr(attributes, "keys"):
        raise ValueError(
            f"--dataset={dataset} must have the features 'image' (8 bits) and 'attributes' (a"
            f" dictionary of booleans); it has {', '.join(features)}."
        )


def tfds_rows(
    dataset: str, image_size: int, full_name: str, encoded: tf.data.Dataset, decoded: Decoder
) -> Source:
    """Reads the labels of a builder's examples once, and gives their images as a Source.

    Args:
        dataset: as --dataset names it.
        image_size: side of the prepared images, pixels.
        full_name: name, configuration and version of the builder.
        encoded: its examples in a fixed order, with `image` not yet decoded.
        decoded: the way from numbered files to preprocessed images.
    """
    attribute_names = tuple(sorted(encoded.element_spec["attributes"]))
    has_identity = "identity" in encoded.element_spec

    def labels(example):
        attributes = [tf.cast(example["attributes"][name], tf.int64) for name in attribute_names]
        identity = tf.nest.flatten(example["identity"])[0] if has_identity else 0
        return tf.stack(attributes), tf.cast(identity, tf.int64)

    batches = list(encoded.map(labels).batch(LABEL_BATCH).as_numpy_iterator())
    attributes, identities = (np.concatenate(column) for column in zip(*batches, strict=True))
    if np.any((attributes != 0) & (attributes != 1)):
        raise ValueError(
            f"--dataset={dataset}: attributes must be 0 or 1, got {attributes.min()} to"
            f" {attributes.max()}."
        )

    def read() -> Iterator[Chunk]:
        files = encoded.map(lambda example: example["image"]).as_numpy_iterator()
        # `file` is bound now: the next one takes its name before this one is read.
        images = ((number, lambda file=file: file) for number, file in enumerate(files))
        return decoded(images, image_size)

    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", full_name)
    label_hash = hashlib.sha256(attributes.tobytes() + identities.tobytes()).hexdigest()
    return Source(
        fingerprint=f"{full_name} {len(attributes)} {label_hash}",
        names=tuple(f"{stem}_{row:06d}" for row in range(len(attributes))),
        attribute_names=attribute_names,
        attributes=attributes.astype(np.uint8),
        identities=identities if has_identity else None,
        read=read,
    )
