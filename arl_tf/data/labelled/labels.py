"""Labels as users write them, brought to numbers [N, K]: which kind of task they are for.

What can mean one thing only is read. What could mean two things is refused, and the message says
what to type.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from absl import logging

from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL

AUTO = "auto"
# What means (no, yes); a column keeps to one of these pairs.
YES_OR_NO = (("0", "1"), ("-1", "1"), ("0.0", "1.0"), ("false", "true"), ("no", "yes"))
FEWEST_IMAGES = 2
NAMED = 5
MOST_DIGITS = 100
# A number with a decimal point or comma, or with signs between its digits.
FRACTION = re.compile(r"[+-]?\d+(?:[.,'_]\d+)+(?:[eE][+-]?\d+)?")
# What tables write where a value is missing.
NO_VALUE = ("nan", "inf", "-inf", "na", "n/a", "null", "none", "-", "?")

# A row's number -> where it stands, such as "metadata.csv, line 3".
Where = Callable[[int], str]


@dataclasses.dataclass(frozen=True)
class Labels:
    """Labels of a data set.

    Attributes:
        kind: one of TASK_KINDS.
        names: K names: attributes, classes in order, or targets.
        values: [N, K]: uint8 in {0, 1}, one-hot for SINGLE_LABEL; float32 for REGRESSION.
    """

    kind: str
    names: tuple[str, ...]
    values: np.ndarray


def of_columns(columns: Mapping[str, Sequence[str]], kind: str, where: Where) -> Labels:
    """Labels from the columns of a table.

    Args:
        columns: name -> N texts.
        kind: one of TASK_KINDS, or AUTO: what the columns show.
        where: a row stands.

    Raises:
        ValueError: the columns are not of that kind, or could be of two.
    """
    kind = kind_of(columns) if kind == AUTO else kind
    if kind == SINGLE_LABEL:
        return of_classes(only_column(columns))
    read = yes_or_no if kind == MULTI_LABEL else numbers
    wanted = "0 or 1 (or -1 or 1, false or true, no or yes)" if kind == MULTI_LABEL else "a number"
    values = []
    for name, texts in columns.items():
        found = read(texts)
        if found is None:
            row = first_strange(texts, read)
            raise ValueError(
                f"{where(row)}: the column {name} holds {texts[row]!r}; --task_kind={kind} expects"
                f" {wanted} in every row. --label_columns chooses the columns."
            )
        values.append(found)
    return Labels(kind, tuple(columns), np.stack(values, axis=1))


def kind_of(columns: Mapping[str, Sequence[str]]) -> str:
    """The kind of task that columns are for; ValueError where they could be for two."""
    if all(yes_or_no(texts) is not None for texts in columns.values()):
        return MULTI_LABEL
    read = {name: numbers(texts) for name, texts in columns.items()}
    if len(columns) > 1:
        words = [name for name, found in read.items() if found is None]
        if words:
            raise ValueError(
                f"The columns {', '.join(columns)} hold labels of more than one kind"
                f" ({', '.join(words)}: no numbers). Choose those of one kind with --label_columns;"
                " classes stand in a single column."
            )
        return REGRESSION
    ((name, found),) = read.items()
    if found is None:
        refuse_half_numbers(name, columns[name])
        return SINGLE_LABEL
    if (found == np.round(found)).all():
        raise ValueError(
            f"The column {name} holds whole numbers, which may be classes or amounts: say"
            f" --task_kind={SINGLE_LABEL} or --task_kind={REGRESSION}."
        )
    return REGRESSION


def refuse_half_numbers(name: str, texts: Sequence[str]) -> None:
    """Raises ValueError for a column that may be classes, or amounts that can't all be read."""
    fractions = [text for text in texts if FRACTION.fullmatch(text)]
    amounts = [text for text in texts if text.lower() not in NO_VALUE]
    if fractions or (amounts and len(amounts) < len(texts) and numbers(amounts) is not None):
        row = first_strange(texts, numbers)
        raise ValueError(
            f"The column {name} holds {texts[row]!r}: a class, or an amount that can't be read."
            " Amounts have a point and no other sign among their digits, and stand in every row;"
            f" classes need --task_kind={SINGLE_LABEL}."
        )


def composed(texts: Sequence[str]) -> list[str]:
    """Texts whose letters with accents are one sign each (NFC): as they look, so they compare."""
    return [unicodedata.normalize("NFC", text) for text in texts]


def warn_of_case(what: str, texts: Sequence[str]) -> None:
    """Logs names that differ by upper and lower case alone: the same one, most likely."""
    seen: dict[str, str] = {}
    for text in sorted(set(texts)):
        other = seen.setdefault(text.casefold(), text)
        if other != text:
            logging.warning(
                "%s '%s' and '%s' differ by letter case alone and count as two", what, other, text
            )


def only_column(columns: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """The texts of the one column; ValueError for several."""
    if len(columns) != 1:
        raise ValueError(
            f"--task_kind={SINGLE_LABEL} reads one column of classes, got {', '.join(columns)};"
            " name it with --label_columns."
        )
    return next(iter(columns.values()))


def of_classes(classes: Sequence[str], names: Sequence[str] | None = None) -> Labels:
    """One-hot labels from a class for each image.

    Args:
        classes: N texts, none empty.
        names: K names of the classes, in any order; None: those that stand there.

    Raises:
        ValueError: fewer than two classes, a class with a single image, or an image without one.
    """
    classes, names = composed(classes), names and composed(names)
    found, counts = np.unique(np.asarray(classes, dtype=str), return_counts=True)
    if "" in found:
        raise ValueError(f"{counts[0]} of {len(classes)} images have no class.")
    few = [name for name, count in zip(found, counts, strict=True) if count < FEWEST_IMAGES]
    if few:
        raise ValueError(
            f"{listed(few)}: a class with one image can't be in two parts of the data; each class"
            f" needs at least {FEWEST_IMAGES} images. Add images, or leave the class out."
        )
    if len(found) < 2:
        raise ValueError(f"All images are of the class {found[0]}; a task needs two or more.")
    warn_of_case("The classes", found.tolist())
    ordered = sorted(names or found.tolist(), key=natural)
    place = {name: number for number, name in enumerate(ordered)}
    columns = np.array([place[name] for name in np.asarray(classes, dtype=str)])
    values = np.zeros((len(columns), len(ordered)), np.uint8)
    values[np.arange(len(columns)), columns] = 1
    return Labels(SINGLE_LABEL, tuple(ordered), values)


def natural(name: str) -> tuple[int, int, str]:
    """A key that sorts whole numbers by their size, and before other names."""
    # Python reads no numbers of thousands of digits.
    is_number = name.isdecimal() and len(name) <= MOST_DIGITS
    return (0, int(name), name) if is_number else (1, 0, name)


def yes_or_no(texts: Sequence[str]) -> np.ndarray | None:
    """uint8 [N] in {0, 1} of a column of one of YES_OR_NO; None where it is none."""
    lower = [text.lower() for text in texts]
    for no, yes in YES_OR_NO:
        if set(lower) <= {no, yes}:
            return np.array([text == yes for text in lower], np.uint8)
    return None


def numbers(texts: Sequence[str]) -> np.ndarray | None:
    """float32 [N] of a column of numbers that float32 can hold; None where it is none."""
    try:
        values = np.array([float(text) for text in texts], np.float64)
    except ValueError:
        return None
    # Python reads 1_0 as 10.
    if any("_" in text for text in texts):
        return None
    return as_float32(values)


def as_float32(values: np.ndarray) -> np.ndarray | None:
    """Numbers of any shape as float32; None where one is NaN, infinite or beyond its range."""
    with np.errstate(over="ignore"):
        single = values.astype(np.float32)
    return single if np.isfinite(single).all() else None


def first_strange(texts: Sequence[str], read: Callable[[Sequence[str]], object]) -> int:
    """The first row that can't be read, or that does not go with the rows before it."""
    low, high = 0, len(texts)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if read(texts[:middle]) is None else (middle, high)
    return low


def of_array(labels: np.ndarray, names: tuple[str, ...] | None, kind: str, where: str) -> Labels:
    """Labels from an array.

    Args:
        labels: [N] classes (texts, or whole numbers) or targets (floats); [N, K] of 0 and 1, or
            targets.
        names: K names of attributes, classes or targets; None: numbers stand for them.
        kind: one of TASK_KINDS, or AUTO: what the array shows.
        where: the array stands.

    Raises:
        ValueError: the array is not of that kind, or the names do not go with it.
    """
    if labels.ndim not in (1, 2) or not labels.size or labels.dtype.kind not in "biufU":
        raise ValueError(
            f"{where}: labels is {labels.dtype} {list(labels.shape)}; expected texts or numbers"
            " [N] or [N, K]."
        )
    if labels.dtype.kind == "f" and not np.isfinite(labels).all():
        raise ValueError(f"{where}: labels holds NaN or infinite values.")
    kind = kind_of_array(labels, where) if kind == AUTO else kind
    found = READERS[kind](labels, names, where)
    if len(set(found.names)) != len(found.names):
        raise ValueError(f"{where}: names must differ, got {listed(list(found.names))}.")
    return found


def kind_of_array(labels: np.ndarray, where: str) -> str:
    """The kind of task that an array of labels [N] or [N, K] is for; ValueError for text [N, K]."""
    if labels.ndim == 1:
        return REGRESSION if labels.dtype.kind == "f" else SINGLE_LABEL
    if labels.dtype.kind == "U":
        raise ValueError(f"{where}: labels is text [N, K]; expected classes [N], or numbers.")
    return MULTI_LABEL if np.isin(labels, (0, 1)).all() else REGRESSION


def attributes_of(labels: np.ndarray, names: tuple[str, ...] | None, where: str) -> Labels:
    """0 or 1 for each attribute, of labels [N] or [N, K]; ValueError for other labels."""
    values = labels.reshape(len(labels), -1)
    if labels.dtype.kind == "U" or not np.isin(values, (0, 1)).all():
        raise ValueError(f"{where}: labels must be 0 or 1 for --task_kind={MULTI_LABEL}.")
    return Labels(MULTI_LABEL, fitting(names, values, "attribute", where), values.astype(np.uint8))


def targets_of(labels: np.ndarray, names: tuple[str, ...] | None, where: str) -> Labels:
    """A number for each target, of labels [N] or [N, K]; ValueError for text or beyond float32."""
    values = labels.reshape(len(labels), -1)
    if labels.dtype.kind == "U":
        raise ValueError(f"{where}: labels must be numbers for --task_kind={REGRESSION}, got text.")
    numbers = as_float32(values)
    if numbers is None:
        raise ValueError(f"{where}: labels holds numbers beyond those of float32.")
    return Labels(REGRESSION, fitting(names, values, "target", where), numbers)


def classes_of(labels: np.ndarray, names: tuple[str, ...] | None, where: str) -> Labels:
    """A class for each image: its text, its number, or the place of the 1 in its row.

    Labels are [N], or one-hot [N, K]. ValueError for others, and for classes that have no name.
    """
    numbered = labels
    if labels.ndim == 2:
        if labels.dtype.kind == "U" or not (np.isin(labels, (0, 1)).all() and one_each(labels)):
            raise ValueError(
                f"{where}: labels [N, K] must hold one 1 a row for --task_kind={SINGLE_LABEL}."
            )
        numbered = labels.argmax(axis=1)
    if labels.dtype.kind == "U":
        texts = labels.tolist()
        unknown = sorted(set(texts) - set(names or texts))
        if unknown:
            raise ValueError(f"{where}: names lacks the classes {listed(unknown)}.")
        return of_classes(texts, names)
    if (numbered != np.round(numbered)).any():
        raise ValueError(f"{where}: classes are whole numbers or texts, got {labels.dtype}.")
    numbered = numbered.astype(np.int64)
    if names is None:
        return of_classes([str(number) for number in numbered])
    if numbered.min() < 0 or numbered.max() >= len(names):
        raise ValueError(
            f"{where}: labels are {numbered.min()} to {numbered.max()}, but names has"
            f" {len(names)}; expected 0 to {len(names) - 1}."
        )
    return of_classes([names[number] for number in numbered], names)


def one_each(labels: np.ndarray) -> bool:
    """Whether every row of zeros and ones [N, K] has one 1."""
    return bool((labels.sum(axis=1) == 1).all())


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


def listed(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


READERS: Mapping[str, Callable[[np.ndarray, tuple[str, ...] | None, str], Labels]] = {
    MULTI_LABEL: attributes_of,
    SINGLE_LABEL: classes_of,
    REGRESSION: targets_of,
}
