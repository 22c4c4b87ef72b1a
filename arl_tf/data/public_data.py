"""X2 from another data set: an adversary who has other people's photos, from elsewhere."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from arl_tf.data import splits
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits, SplitSettings


def split_parts(
    images: ImageSet,
    other: ImageSet | None,
    settings: SplitSettings,
    task_flags: Sequence[str] = (),
) -> tuple[ImageSet, Splits]:
    """The parts of a data set, with X2's training part from another data set where there is one.

    Args:
        images: the data set of --dataset.
        other: that of --public_dataset, or None.
        settings: sizes and seed.
        task_flags: names of the flags that left attributes outside the task, for messages.

    Returns:
        The images, the other data set's behind them, and the rows of every part.

    Raises:
        ValueError: data that can't be split.
    """
    parts = splits.split_by_identity(images.identities, settings)
    if other is None:
        return images, parts
    chosen = np.random.default_rng([settings.seed, 3]).permutation(len(other.images))
    chosen = np.sort(chosen[: len(parts.public_train)])
    public = len(images.images) + np.arange(len(chosen))
    return joined(images, other, chosen, task_flags), dataclasses.replace(
        parts, public_train=public
    )


def joined(
    images: ImageSet, other: ImageSet, rows: np.ndarray, task_flags: Sequence[str] = ()
) -> ImageSet:
    """Both data sets' images as one; `rows` int [n] are those of the other.

    The task's labels of public images are not read by anybody, so those that the other data set
    lacks stand as 0; probes do read the labels of other attributes, which therefore must be there.

    Args:
        images: the data set of --dataset.
        other: that of --public_dataset; its task need not be that of `images`.
        rows: of the other one's images.
        task_flags: as `split_parts` takes them.

    Raises:
        ValueError: an attribute that is not in the task, and that the other data set lacks.
    """
    known = known_labels(other, rows)
    missing = [name for name in images.other_attribute_names if name not in known]
    if missing:
        flags = " and ".join(f"--{name}" for name in task_flags)
        raise ValueError(
            f"--public_dataset has no labels of {', '.join(missing)}, which the audit's probes"
            " would learn from it; use all attributes as the task"
            f"{f' (no {flags})' if flags else ''}, or another data set."
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
        bad_reasons=images.bad_reasons + other.bad_reasons,
        turned_images=images.turned_images + other.turned_images,
        other_attributes=None
        if others is None
        else np.concatenate([others, labels(images.other_attribute_names)]),
    )


def known_labels(other: ImageSet, rows: np.ndarray) -> dict[str, np.ndarray]:
    """Attribute -> labels [n] of rows int [n]: of the data set's task, and outside of it."""
    known = dict(zip(other.attribute_names, other.attributes[rows].T, strict=True))
    if other.other_attributes is not None:
        outside = other.other_attributes[rows].T
        known |= dict(zip(other.other_attribute_names, outside, strict=True))
    return known
