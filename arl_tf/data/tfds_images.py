"""Images of a tensorflow-datasets builder, with their attributes and identities."""

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.config.data_checks import TFDS_PREFIX
from arl_tf.data.image_cache import Chunk, Source
from arl_tf.data.labelled.labels import Labels, of_classes
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.utils import run_files

# (number, a function that gives a file's bytes) -> prepared images in order.
Decoder = Callable[[Iterable[tuple[int, Callable[[], bytes]]]], Iterator[Chunk]]
LABEL_BATCH = 256


def tfds_source(settings: Any, decoded: Decoder) -> Source:
    """A tensorflow-datasets builder: `image` (8 bits) and `attributes` (a dictionary of booleans).

    Or, instead of attributes, `label`: a class. All its splits are taken, in their order. Where it
    has a feature `identity`, an integer or a dictionary of one, people are told apart by it.

    Args:
        settings: an `image_sets.DataSettings`, which module can't be imported here.
        decoded: the way from numbered files to preprocessed images.

    Raises:
        ValueError: the builder is unknown, not prepared, or has other features.
    """
    import tensorflow_datasets as tfds  # Slow to import, and needed here alone.

    builder = builder_of(settings.dataset, settings.data_dir)
    features = features_of(builder)
    check_features(settings.dataset, features)
    if settings.tfds_download:
        download(builder, settings.dataset)
    try:
        encoded = builder.as_dataset(split="all", decoders={"image": tfds.decode.SkipDecoding()})
    except (AssertionError, ValueError) as error:
        raise ValueError(
            f"--dataset={settings.dataset} is not prepared in {builder.data_path}"
            f" ({type(error).__name__}); add --tfds_download to let tensorflow-datasets fetch it,"
            " or name its folder with --data_dir."
        ) from None
    return tfds_rows(
        settings.dataset, builder.info.full_name, encoded, decoded, class_names(features)
    )


def builder_of(dataset: str, data_dir: str) -> Any:
    """The tensorflow-datasets builder that --dataset=tfds:NAME names; ValueError for none."""
    import tensorflow_datasets as tfds

    try:
        return tfds.builder(dataset.removeprefix(TFDS_PREFIX), data_dir=data_dir or None)
    # ImportError: names such as huggingface:NAME ask for packages that are not required here.
    except (tfds.core.registered.DatasetNotFoundError, ValueError, ImportError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"--dataset={dataset}: tensorflow-datasets has no such builder ({first_line});"
            " expected a name such as tfds:celeb_a."
        ) from None


def is_of_classes(dataset: str, data_dir: str) -> bool:
    """Whether a builder's labels are classes, by its description alone: no data are read."""
    return bool(class_names(features_of(builder_of(dataset, data_dir))))


def features_of(builder: Any) -> dict[str, Any]:
    """A builder's features by name; empty where its examples are no dictionaries."""
    features = builder.info.features
    return dict(features.items()) if hasattr(features, "items") else {}


def download(builder: Any, dataset: str) -> None:
    """Fetches and prepares a builder's files; ValueError where that fails."""
    try:
        builder.download_and_prepare()
    # Builders are anybody's code, and raise anything, an AssertionError for files to fetch by hand.
    except Exception as error:
        raise ValueError(
            f"--dataset={dataset} can't be downloaded or prepared: {run_files.one_line(error)}"
        ) from error


def check_features(dataset: str, features: Mapping[str, Any]) -> None:
    """Raises ValueError when a builder's features are no 8-bit image with attributes or a class."""
    image, attributes = features.get("image"), features.get("attributes")
    is_image = getattr(image, "np_dtype", None) == np.uint8
    if not is_image or not (hasattr(attributes, "keys") or class_names(features)):
        raise ValueError(
            f"--dataset={dataset} must have the features 'image' (8 bits) and 'attributes' (a"
            " dictionary of booleans) or 'label' (a class); it has"
            f" {', '.join(features) or 'none'}."
        )


def class_names(features: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of a builder with a label, by number; empty where it has attributes or none."""
    if hasattr(features.get("attributes"), "keys"):
        return ()
    label = features.get("label")
    # A list of labels knows the names of its members, too.
    is_one = getattr(label, "shape", None) == ()
    return tuple(getattr(label, "names", None) or ()) if is_one else ()


def tfds_rows(
    dataset: str,
    full_name: str,
    encoded: tf.data.Dataset,
    decoded: Decoder,
    classes: tuple[str, ...] = (),
) -> Source:
    """Reads the labels of a builder's examples once, and gives their images as a Source.

    Args:
        dataset: as --dataset names it.
        full_name: name, configuration and version of the builder.
        encoded: its examples in a fixed order, with `image` not yet decoded.
        decoded: the way from numbered files to preprocessed images.
        classes: names of the classes, by number; empty: the builder has attributes.
    """
    attribute_names = () if classes else tuple(sorted(encoded.element_spec["attributes"]))
    has_identity = "identity" in encoded.element_spec

    def labels(example):
        values = [example["attributes"][name] for name in attribute_names] or [example["label"]]
        identity = tf.nest.flatten(example["identity"])[0] if has_identity else 0
        return tf.stack([tf.cast(each, tf.int64) for each in values]), tf.cast(identity, tf.int64)

    batches = list(encoded.map(labels).batch(LABEL_BATCH).as_numpy_iterator())
    values, identities = (np.concatenate(column) for column in zip(*batches, strict=True))
    found = (
        classes_of(dataset, classes, values)
        if classes
        else yes_or_no(dataset, attribute_names, values)
    )

    def read() -> Iterator[Chunk]:
        files = encoded.map(lambda example: example["image"]).as_numpy_iterator()
        # `file` is bound now: the next one takes its name before this one is read.
        return decoded((number, lambda file=file: file) for number, file in enumerate(files))

    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", full_name)
    label_hash = hashlib.sha256(values.tobytes() + identities.tobytes()).hexdigest()
    return Source(
        fingerprint=f"{full_name} {len(values)} {label_hash}",
        names=tuple(f"{stem}_{row:06d}" for row in range(len(values))),
        attribute_names=found.names,
        attributes=found.values,
        identities=identities if has_identity else None,
        read=read,
        task_kind=found.kind,
        has_faces=not classes,
    )


def classes_of(dataset: str, classes: tuple[str, ...], values: np.ndarray) -> Labels:
    """One-hot labels of class numbers int64 [N, 1], columns in the order of the sorted names.

    Raises:
        ValueError: an image without a label (some builders say -1), or what `of_classes` refuses.
    """
    unlabelled = np.count_nonzero((values < 0) | (values >= len(classes)))
    if unlabelled:
        raise ValueError(
            f"--dataset={dataset}: {unlabelled} of {len(values)} images have no label; expected one"
            f" of the {len(classes)} classes for each."
        )
    names = np.array(classes)
    return of_classes(names[values[:, 0]].tolist(), classes)


def yes_or_no(dataset: str, names: tuple[str, ...], values: np.ndarray) -> Labels:
    """Attributes int64 [N, A]; ValueError where they are not 0 or 1."""
    if np.any((values != 0) & (values != 1)):
        raise ValueError(
            f"--dataset={dataset}: attributes must be 0 or 1, got {values.min()} to {values.max()}."
        )
    return Labels(MULTI_LABEL, names, values.astype(np.uint8))
