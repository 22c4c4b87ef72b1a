"""The arrays that `arl_tf.audit` is given: whether they fit together, and their data set."""

import numpy as np

from arl_tf.data.image_sets import ImageSet
from arl_tf.data.labelled.labels import as_float32
from arl_tf.data.splits import Splits
from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL, TASK_KINDS

LABEL_WORDS = {
    MULTI_LABEL: "0 or 1",
    SINGLE_LABEL: "0 or 1, with one 1 a row,",
    REGRESSION: "finite numbers within float32's range",
}
# Of the public people, whose images stop and choose attackers.
HELD_OUT_SHARE = 0.1
FEWEST_PUBLIC, FEWEST_TARGET = 40, 8


def image_set(
    public: np.ndarray,
    target: np.ndarray,
    public_identities: np.ndarray | None,
    target_identities: np.ndarray | None,
    labels: np.ndarray,
    seed: int,
) -> tuple[ImageSet, Splits]:
    """Both sets of images as one, with their parts: X2 public, T target.

    Args:
        public: uint8 [P, S, S, 3].
        target: uint8 [T, S, S, 3].
        public_identities: int [P], or None.
        target_identities: int [T], or None.
        labels: [P + T, A] of `joined_labels`.
        seed: of the held-out part of X2.

    Raises:
        ValueError: images or identities that do not fit together.
    """
    check_pictures(public, target)
    identities, known = joined_identities(
        public_identities, target_identities, len(public), len(target)
    )
    numbers = range(labels.shape[1])
    images = ImageSet(
        images=np.concatenate([public, target]),
        attributes=labels,
        identities=identities,
        attribute_names=tuple(f"attribute_{number}" for number in numbers),
        names=tuple(
            [f"public_{row:06d}" for row in range(len(public))]
            + [f"target_{row:06d}" for row in range(len(target))]
        ),
        bad_images=(),
        identities_known=known,
    )
    return images, parts_of(identities, len(public), seed)


def check_pictures(public: np.ndarray, target: np.ndarray) -> None:
    """Raises ValueError for images that an audit can't take; both must be uint8 [N, S, S, 3]."""
    for name, given, fewest in (
        ("public", public, FEWEST_PUBLIC),
        ("target", target, FEWEST_TARGET),
    ):
        shape, dtype = np.shape(given), getattr(given, "dtype", type(given).__name__)
        if dtype != np.uint8 or len(shape) != 4 or shape[3] != 3 or shape[1] != shape[2]:
            raise ValueError(
                f"{name} must be square images uint8 [N, S, S, 3], got {dtype} {list(shape)}."
            )
        if shape[1] % 32:
            raise ValueError(
                f"{name} images must have a side that is a multiple of 32, got {shape[1]} pixels:"
                f" give them at {max(32, round(shape[1] / 32) * 32)} and resize them inside"
                " `encode`."
            )
        if shape[0] < fewest:
            raise ValueError(f"{name} has {shape[0]} images; an audit needs at least {fewest}.")
    if public.shape[1:] != target.shape[1:]:
        raise ValueError(
            f"public and target differ in size: {list(public.shape[1:])} and"
            f" {list(target.shape[1:])}."
        )


def joined_identities(
    public: np.ndarray | None, target: np.ndarray | None, num_public: int, num_target: int
) -> tuple[np.ndarray, bool]:
    """Identities int64 [P + T] and whether they are known; unknown images are people of their own.

    `public` is int [P] and `target` int [T], the same number being the same person; None: unknown.

    Raises:
        ValueError: a wrong length, or people who are in both sets.
    """
    for name, given, count in (("public", public, num_public), ("target", target, num_target)):
        if given is not None and np.shape(given) != (count,):
            raise ValueError(
                f"{name}_identities must be [{count}], one for each image; got"
                f" {list(np.shape(given))}."
            )
    if public is not None and target is not None:
        both = np.intersect1d(public, target)
        if both.size:
            raise ValueError(
                f"{both.size} people are both public and target, such as {both[0]!r}: attackers"
                " would have trained on people under attack."
            )
        numbers = np.unique(np.concatenate([public, target]), return_inverse=True)[1]
        return numbers.astype(np.int64), True
    people = [
        np.arange(count) if given is None else np.unique(given, return_inverse=True)[1]
        for given, count in ((public, num_public), (target, num_target))
    ]
    return np.concatenate([people[0], people[1] + people[0].max() + 1]).astype(np.int64), (
        public is not None or target is not None
    )


def joined_labels(
    public: np.ndarray | None,
    target: np.ndarray | None,
    num_public: int,
    num_target: int,
    task_kind: str = MULTI_LABEL,
) -> np.ndarray:
    """Labels [P + T, A], uint8 or of a regression float32; A is 0 without labels.

    `public` is [P, A] and `target` [T, A], or both None.

    Raises:
        ValueError: labels of one set alone, of a wrong shape or not of their kind; an unknown kind.
    """
    if task_kind not in TASK_KINDS:
        raise ValueError(f"task_kind must be one of {', '.join(TASK_KINDS)}; got {task_kind!r}.")
    if public is None and target is None:
        return np.zeros((num_public + num_target, 0), np.uint8)
    if public is None or target is None:
        raise ValueError("Give both public_labels and target_labels, or none of them.")
    for name, given, count in (("public", public, num_public), ("target", target, num_target)):
        given = np.asarray(given)
        if given.ndim != 2 or len(given) != count or not is_of_kind(given, task_kind):
            raise ValueError(
                f"{name}_labels must be {LABEL_WORDS[task_kind]} [{count}, A], got {given.dtype}"
                f" {list(given.shape)}"
                f"{'; for one attribute use labels[:, None]' if given.ndim == 1 else ''}."
            )
    widths = [np.asarray(given).shape[1] for given in (public, target)]
    if widths[0] != widths[1]:
        raise ValueError(
            "public_labels and target_labels must be of the same attributes, got"
            f" {widths[0]} and {widths[1]} columns."
        )
    dtype = np.float32 if task_kind == REGRESSION else np.uint8
    return np.concatenate([public, target]).astype(dtype)


def is_of_kind(labels: np.ndarray, task_kind: str) -> bool:
    """Whether labels [N, A] are of this kind of task."""
    if task_kind == REGRESSION:
        return labels.dtype.kind in "fiu" and as_float32(labels) is not None
    is_binary = bool(np.isin(labels, (0, 1)).all())
    return is_binary and (task_kind == MULTI_LABEL or bool((labels.sum(axis=1) == 1).all()))


def parts_of(identities: np.ndarray, num_public: int, seed: int) -> Splits:
    """X2 with a held-out part by people, and T; X1 is X2, since a task head is fitted on it.

    `identities` is int64 [P + T], the `num_public` public ones first; ValueError for one person.
    """
    people = np.unique(identities[:num_public])
    order = np.random.default_rng(seed).permutation(people)
    held = np.isin(identities[:num_public], order[: max(1, round(HELD_OUT_SHARE * len(people)))])
    train, validation = np.flatnonzero(~held), np.flatnonzero(held)
    if not train.size:
        raise ValueError(
            f"public shows {len(people)} people; attackers need at least 2, to learn from some and"
            " to be checked on others."
        )
    target = np.arange(num_public, len(identities))
    return Splits(train, validation, train, validation, target)
