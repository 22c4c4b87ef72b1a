"""Labels that stand in an array: texts, numbers, zeros and ones, or one-hot rows."""

from collections.abc import Callable, Mapping

import numpy as np

from arl_tf.data.labelled.labels import (
    AUTO,
    CLASSES_OR_AMOUNTS,
    Labels,
    as_float32,
    checked,
    composed,
    is_one_each,
    listed,
    of_classes,
    refuse_mixed_answers,
    refuse_no_value,
    refuse_one_each,
)
from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL

# Beyond, floats have no room for every whole number.
LARGEST_CLASS = 2**53


def of_array(labels: np.ndarray, names: tuple[str, ...] | None, kind: str, where: str) -> Labels:
    """Labels from an array.

    Args:
        labels: [N] or [N, 1] classes (texts, or whole numbers) or targets; [N, K] of 0 and 1, or
            targets.
        names: K names of attributes, classes or targets; None: numbers stand for them.
        kind: one of TASK_KINDS, or AUTO: what the array shows.
        where: the array stands.

    Raises:
        ValueError: the array is not of that kind or could be of two, or the names do not go with
            it.
    """
    if labels.ndim not in (1, 2) or not labels.size or labels.dtype.kind not in "biufU":
        raise ValueError(
            f"{where}: labels is {labels.dtype} {list(labels.shape)}; expected texts or numbers"
            " [N] or [N, K]."
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"{where}: labels holds NaN or infinite values.")
    # A single column of them may be classes or amounts as well.
    if is_signs(labels) and (kind == MULTI_LABEL or (kind == AUTO and labels.ndim == 2)):
        labels = (labels > 0).astype(np.uint8)
    if kind == AUTO:
        kind = kind_of_array(labels, where)
        if labels.dtype.kind == "U":
            texts = labels.reshape(-1).tolist()
            refuse_no_value("labels", texts, lambda row: f"{where}, image {row}")
            refuse_mixed_answers("labels", texts)
    found = READERS[kind](labels, names and tuple(composed(names)), where)
    if len(set(found.names)) != len(found.names):
        raise ValueError(f"{where}: names must differ, got {listed(list(found.names))}.")
    return found


def is_signs(labels: np.ndarray) -> bool:
    """Whether labels [N] or [N, K] are -1 and 1, as CelebA writes no and yes."""
    return labels.dtype.kind in "if" and bool((np.abs(labels) == 1).all() and (labels < 0).any())


def kind_of_array(labels: np.ndarray, where: str) -> str:
    """The kind of task that an array of labels [N] or [N, K] is for; ValueError for two kinds."""
    is_column = labels.ndim == 1 or labels.shape[1] == 1
    if labels.dtype.kind == "U":
        if not is_column:
            raise ValueError(f"{where}: labels is text [N, K]; expected classes [N], or numbers.")
        return SINGLE_LABEL
    if labels.ndim == 2 and np.isin(labels, (0, 1)).all():
        if is_one_each(labels):
            refuse_one_each(f"{where}: in every row of labels {list(labels.shape)} one is 1")
        return MULTI_LABEL
    if labels.ndim == 1 and labels.dtype.kind != "f":
        return SINGLE_LABEL
    if (labels == np.round(labels)).all():
        shape = f"{labels.dtype} {list(labels.shape)}"
        raise ValueError(f"{where}: labels {shape} holds whole numbers, {CLASSES_OR_AMOUNTS}")
    return REGRESSION


def attributes_of(labels: np.ndarray, names: tuple[str, ...] | None, where: str) -> Labels:
    """0 or 1 for each attribute, of labels [N] or [N, K]; ValueError for other labels."""
    values = labels.reshape(len(labels), -1)
    if labels.dtype.kind == "U" or not np.isin(values, (0, 1)).all():
        raise ValueError(f"{where}: labels must be 0 or 1 for --task_kind={MULTI_LABEL}.")
    named = fitting(names, values, "attribute", where)
    return checked(Labels(MULTI_LABEL, named, values.astype(np.uint8)))


def targets_of(labels: np.ndarray, names: tuple[str, ...] | None, where: str) -> Labels:
    """A number for each target, of labels [N] or [N, K]; ValueError for text or beyond float32."""
    values = labels.reshape(len(labels), -1)
    if labels.dtype.kind == "U":
        raise ValueError(f"{where}: labels must be numbers for --task_kind={REGRESSION}, got text.")
    numbers = as_float32(values)
    if numbers is None:
        raise ValueError(f"{where}: labels holds numbers beyond those of float32.")
    return checked(Labels(REGRESSION, fitting(names, values, "target", where), numbers))


def classes_of(labels: np.ndarray, names: tuple[str, ...] | None, where: str) -> Labels:
    """A class for each image: its text, its number, or the place of the 1 in its row.

    Labels are [N], [N, 1] or one-hot [N, K]. ValueError for others, and for classes that have no
    name.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2:
        if labels.dtype.kind == "U" or not np.isin(labels, (0, 1)).all() or not is_one_each(labels):
            raise ValueError(
                f"{where}: labels [N, K] must hold one 1 a row for --task_kind={SINGLE_LABEL}."
            )
        labels = labels.argmax(axis=1)
    if labels.dtype.kind == "U":
        texts = composed(labels.tolist())
        unknown = sorted(set(texts) - set(names or texts))
        if unknown:
            raise ValueError(f"{where}: names lacks the classes {listed(unknown)}.")
        return of_classes(texts, names)
    numbers = whole_numbers(labels, where)
    if names is None:
        return of_classes([str(number) for number in numbers])
    if numbers.min() < 0 or numbers.max() >= len(names):
        raise ValueError(
            f"{where}: labels are {numbers.min()} to {numbers.max()}, but names has"
            f" {len(names)}; expected 0 to {len(names) - 1}."
        )
    return of_classes([names[number] for number in numbers], names)


def whole_numbers(labels: np.ndarray, where: str) -> np.ndarray:
    """Numbers of classes, int64 [N]; ValueError for fractions, and numbers that are none."""
    as_floats = labels.astype(np.float64)
    if (as_floats != np.round(as_floats)).any():
        raise ValueError(f"{where}: classes are whole numbers or texts, got {labels.dtype}.")
    if np.abs(as_floats).max() >= LARGEST_CLASS:
        raise ValueError(
            f"{where}: labels are {as_floats.min():g} to {as_floats.max():g}; numbers of classes"
            " must be below 2**53. Write the classes as texts."
        )
    return labels.astype(np.int64)


def fitting(
    names: tuple[str, ...] | None, values: np.ndarray, word: str, where: str
) -> tuple[str, ...]:
    """K names for values [N, K]; ValueError where there is another number of them."""
    count = values.shape[1]
    if names is None:
        return tuple(f"{word}_{number}" for number in range(count))
    if len(names) != count:
        raise ValueError(f"{where}: names has {len(names)} entries, labels {count} columns.")
    return names


READERS: Mapping[str, Callable[[np.ndarray, tuple[str, ...] | None, str], Labels]] = {
    MULTI_LABEL: attributes_of,
    SINGLE_LABEL: classes_of,
    REGRESSION: targets_of,
}
