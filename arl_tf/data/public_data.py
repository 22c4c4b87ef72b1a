"""X2 from another data set: an adversary who has other people's photos, from elsewhere."""

import dataclasses
import pathlib

import numpy as np

from arl_tf.config.settings import Config
from arl_tf.data import image_sets, splits
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits


def load_parts(
    config: Config, images: ImageSet, cache_dir: pathlib.Path
) -> tuple[ImageSet, Splits]:
    """The parts of a data set, with X2's training part from --public_dataset where it is given.

    Args:
        config: sizes, seed, the other data set.
        images: the data set of --dataset.
        cache_dir: of prepared images.

    Returns:
        The images, the other data set's behind them, and the rows of every part.

    Raises:
        ValueError: data that can't be split, or can't be read.
    """
    parts = splits.split_by_identity(images.identities, config)
    if not config.public_dataset:
        return images, parts
    other = load_other(config, cache_dir)
    chosen = np.random.default_rng([config.seed, 3]).permutation(len(other.images))
    chosen = np.sort(chosen[: len(parts.public_train)])
    public = len(images.images) + np.arange(len(chosen))
    return joined(images, other, chosen), dataclasses.replace(parts, public_train=public)


def load_other(config: Config, cache_dir: pathlib.Path) -> ImageSet:
    """The data set of --public_dataset, prepared as the other is; all of its attributes."""
    other = dataclasses.replace(
        config,
        dataset=config.public_dataset,
        data_dir=config.public_data_dir,
        public_dataset="",
        public_data_dir="",
        task_attributes="",
        private_images=0,
        public_images=0,
    )
    return image_sets.load_images(other, cache_dir)


def joined(images: ImageSet, other: ImageSet, rows: np.ndarray) -> ImageSet:
    """Both data sets' images as one; `rows` are those of the other.

    The task's labels of public images are not read by anybody, so those that the other data set
    lacks stand as 0; probes do read the labels of other attributes, which therefore must be there.

    Raises:
        ValueError: an attribute that is not in the task, and that the other data set lacks.
    """
    known = dict(zip(other.attribute_names, other.attributes[rows].T, strict=True))
    missing = [name for name in images.other_attribute_names if name not in known]
    if missing:
        raise ValueError(
            f"--public_dataset has no labels of {', '.join(missing)}, which the audit's probes"
            " would learn from it; use all attributes as the task (no --task_attributes), or"
            " another data set."
        )
    unknown = np.zeros(len(rows), np.uint8)

    def labels(names: tuple[str, ...]) -> np.ndarray:
        columns = [known.get(name, unknown) for name in names]
        return np.stack(columns, axis=1) if columns else np.zeros((len(rows), 0), np.uint8)

    others = images.other_attributes
    return dataclasses.replace(
        images,
        images=np.concatenate([images.images, other.images[rows]]),
        attributes=np.concatenate([images.attributes, labels(images.attribute_names)]),
        # Numbers of people of both data sets may be the same by chance.
        identities=np.concatenate(
            [images.identities, other.identities[rows] + images.identities.max() + 1]
        ),
        names=images.names + tuple(f"public/{other.names[row]}" for row in rows),
        bad_images=images.bad_images + other.bad_images,
        other_attributes=None
        if others is None
        else np.concatenate([others, labels(images.other_attribute_names)]),
    )
