"""Images of a tensorflow-datasets builder, with their attributes and identities."""

import hashlib
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.config.data_checks import TFDS_PREFIX
from arl_tf.data.image_cache import Chunk, Source, file_stamp
from arl_tf.data.labelled.labels import Labels, numbered, of_classes
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.utils import run_files

# (number, a function that gives a file's bytes) -> prepared images in order.
Decoder = Callable[[Iterable[tuple[int, Callable[[], bytes]]]], Iterator[Chunk]]
LABEL_BATCH = 256


def tfds_source(settings: Any, decoded: Decoder) -> Source:
    """A tensorflow-datasets builder: `image` (8 bits) and `attributes` (a dictionary of booleans).

    Or, instead of attributes, `label`: a class. All its splits are taken, in their order. Where it
    has a feature `identity`, an integer or a text or a dictionary of one, people are told apart by
    it.

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
    return tfds_rows(settings.dataset, builder.info, encoded, decoded, class_names(features))


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
    if not class_names(features):
        check_attributes(dataset, attributes.get_tensor_spec())
    if "identity" in features:
        check_identity(dataset, features["identity"].get_tensor_spec())


def check_attributes(dataset: str, spec: Any) -> None:
    """Raises ValueError where attributes are not one boolean or number each.

    `spec` is the structure of `tf.TensorSpec`s that the feature `attributes` has.
    """
    strange = [
        f"{name} ({described(each)})"
        for name, each in spec.items()
        if not (is_scalar(each) and (each.dtype.is_bool or is_number(each)))
    ]
    if strange or not spec:
        raise ValueError(
            f"--dataset={dataset}: the feature 'attributes' must be a dictionary of booleans, or of"
            f" numbers that are 0 or 1; it has {', '.join(strange) or 'none'}."
        )


def check_identity(dataset: str, spec: Any) -> None:
    """Raises ValueError where an identity is not one integer or text; `spec` as above."""
    leaves = tf.nest.flatten(spec)
    is_one = len(leaves) == 1 and is_scalar(leaves[0])
    if not is_one or not (leaves[0].dtype.is_integer or leaves[0].dtype == tf.string):
        raise ValueError(
            f"--dataset={dataset}: the feature 'identity' tells people apart, and must be one"
            f" integer or text, or a dictionary of one; it is {described(spec)}."
        )


def is_scalar(spec: Any) -> bool:
    """Whether a feature's spec is of one value."""
    return isinstance(spec, tf.TensorSpec) and spec.shape.rank == 0


def is_number(spec: tf.TensorSpec) -> bool:
    """Whether a spec is of an integer or a fraction."""
    return spec.dtype.is_integer or spec.dtype.is_floating


def described(spec: Any) -> str:
    """A feature's spec in words: 'a (int64), b (string of shape (2,))'."""
    if isinstance(spec, Mapping):
        named = ", ".join(f"{name} ({described(each)})" for name, each in spec.items())
        return named or "an empty dictionary"
    if not isinstance(spec, tf.TensorSpec):
        return type(spec).__name__
    return spec.dtype.name + ("" if spec.shape.rank == 0 else f" of shape {spec.shape}")


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
    info: Any,
    encoded: tf.data.Dataset,
    decoded: Decoder,
    classes: tuple[str, ...] = (),
) -> Source:
    """Reads the labels of a builder's examples once, and gives their images as a Source.

    Args:
        dataset: as --dataset names it.
        info: the builder's `tfds.core.DatasetInfo`.
        encoded: its examples in a fixed order, with `image` not yet decoded.
        decoded: the way from numbered files to preprocessed images.
        classes: names of the classes, by number; empty: the builder has attributes.
    """
    attribute_names = () if classes else tuple(sorted(encoded.element_spec["attributes"]))
    has_identity = "identity" in encoded.element_spec

    def labels(example):
        values = [example["attributes"][name] for name in attribute_names] or [example["label"]]
        # A cast to integers would make .9 a 0.
        kind = tf.float64 if any(each.dtype.is_floating for each in values) else tf.int64
        (identity,) = tf.nest.flatten(example["identity"]) if has_identity else (0,)
        return tf.stack([tf.cast(each, kind) for each in values]), identity

    batches = list(encoded.map(labels).batch(LABEL_BATCH).as_numpy_iterator())
    values, people = (np.concatenate(column) for column in zip(*batches, strict=True))
    identities = numbered_people(dataset, people)
    found = (
        classes_of(dataset, classes, values)
        if classes
        else yes_or_no(dataset, attribute_names, values)
    )

    def read() -> Iterator[Chunk]:
        files = encoded.map(lambda example: example["image"]).as_numpy_iterator()
        # `file` is bound now: the next one takes its name before this one is read.
        return decoded((number, lambda file=file: file) for number, file in enumerate(files))

    stem = re.sub(r"[^A-Za-z0-9_.-]+", "_", info.full_name)
    label_hash = hashlib.sha256(values.tobytes() + identities.tobytes()).hexdigest()
    return Source(
        fingerprint=f"{tfds_fingerprint(info)} {len(values)} {label_hash}",
        names=tuple(f"{stem}_{row:06d}" for row in range(len(values))),
        attribute_names=found.names,
        attributes=found.values,
        identities=identities if has_identity else None,
        read=read,
        task_kind=found.kind,
        has_faces=not classes,
    )


def tfds_fingerprint(info: Any) -> str:
    """Changes when a set is prepared anew: of its version, its splits and their files."""
    lines = [info.full_name]
    for split, found in sorted(info.splits.items()):
        lines.append(f"{split} {list(found.shard_lengths)} {found.num_bytes}")
        lines += [file_stamp(pathlib.Path(path)) for path in found.filepaths]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def numbered_people(dataset: str, people: np.ndarray) -> np.ndarray:
    """Who is on each image, int64 [N], of integers [N] or texts [N] of bytes.

    Raises:
        ValueError: a text is empty: it would be a person, too.
    """
    if people.dtype.kind in "iu":
        return people.astype(np.int64)
    texts = [text.decode(errors="surrogateescape") for text in people.tolist()]
    if "" in texts:
        raise ValueError(
            f"--dataset={dataset}: the identity of image {texts.index('')} is empty; every image"
            " needs its own, or photos of one person could be in two parts of the data."
        )
    return numbered(texts, f"The identities of {dataset}")


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
    """Attributes int64 or float64 [N, A]; ValueError where they are not 0 or 1."""
    strange = np.argwhere((values != 0) & (values != 1))
    if len(strange):
        row, column = strange[0]
        raise ValueError(
            f"--dataset={dataset}: attributes must be 0 or 1, got {values[row, column]:g} for"
            f" {names[column]} of image {row}."
        )
    return Labels(MULTI_LABEL, names, values.astype(np.uint8))
