"""Labels as users write them, brought to numbers [N, K]: which kind of task they are for.

What can mean one thing only is read. What could mean two things is refused, and the message says
what to type.
"""

import dataclasses
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

import numpy as np
from absl import logging

from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL

AUTO = "auto"
# What means (no, yes); a column keeps to one of these pairs.
YES_OR_NO = (("0", "1"), ("-1", "1"), ("0.0", "1.0"), ("false", "true"), ("no", "yes"), ("n", "y"))
FEWEST_IMAGES = 2
NAMED = 5
MOST_DIGITS = 100
# float32 holds all whole numbers of so many digits.
EXACT_DIGITS = 7
# A number with a decimal point or comma, or with signs between its digits.
FRACTION = re.compile(r"[+-]?\d+(?:[.,'_]\d+)+(?:[eE][+-]?\d+)?")
CLASSES_OR_AMOUNTS = (
    f"which may be classes or amounts: say --task_kind={SINGLE_LABEL} or --task_kind={REGRESSION}."
)
# Categories of Unicode that break a line, or that no text may hold.
UNSHOWN = ("Cc", "Cs", "Zl", "Zp")
# What tables write where a value is missing.
NO_VALUE = (
    *("nan", "inf", "-inf", "na", "n/a", "null", "nil", "none", "-", "?", "missing"),
    *("<na>", "#n/a", "#na", "nat", "#value!", "#ref!", "undefined"),
)
# And where a group is not known; a class may well be called so.
NO_GROUP = (*NO_VALUE, "unknown", "-1", "-1.0")

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
    if kind == AUTO:
        kind = kind_of(columns)
        if kind == SINGLE_LABEL:
            for name, texts in columns.items():
                refuse_no_value(name, texts, where)
                refuse_mixed_answers(name, texts)
    if kind == SINGLE_LABEL:
        return of_classes(class_of_each(columns))
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
    return checked(Labels(kind, tuple(composed(list(columns))), np.stack(values, axis=1)))


def kind_of(columns: Mapping[str, Sequence[str]]) -> str:
    """The kind of task that columns are for; ValueError where they could be for two."""
    answers = [yes_or_no(texts) for texts in columns.values()]
    if all(found is not None for found in answers):
        if is_one_each(np.stack(answers, axis=1)):
            refuse_one_each(f"In every row one of the columns {listed(list(columns))} says yes")
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
        whole = [name for name, found in read.items() if (found == np.round(found)).all()]
        if whole:
            raise ValueError(
                f"The columns {listed(whole)} hold whole numbers, which may be classes or amounts."
                f" Are all of {listed(list(columns))} amounts, say --task_kind={REGRESSION}; else"
                " choose the columns of one task with --label_columns."
            )
        return REGRESSION
    ((name, found),) = read.items()
    if found is None:
        refuse_half_numbers(name, columns[name])
        return SINGLE_LABEL
    if (found == np.round(found)).all():
        raise ValueError(f"The column {name} holds whole numbers, {CLASSES_OR_AMOUNTS}")
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


def no_value_row(texts: Sequence[str], words: Sequence[str] = NO_VALUE) -> int | None:
    """The first row that holds one of the words for a missing value; None without one."""
    return next((row for row, text in enumerate(texts) if text.strip().lower() in words), None)


def refuse_no_value(name: str, texts: Sequence[str], where: Where) -> None:
    """Raises ValueError for a column of classes, one of which may be a missing value."""
    row = no_value_row(texts)
    if row is None:
        return
    others = [text for text in texts if text.strip().lower() not in NO_VALUE]
    expected = "expected yes or no" if yes_or_no(others) is not None else "a class, or no value"
    raise ValueError(
        f"{where(row)}: the column {name} holds {texts[row]!r}: {expected}. Leave out the rows"
        f" without a value; if it is a class, say --task_kind={SINGLE_LABEL}."
    )


def refuse_one_group(name: str, texts: Sequence[str], where: Where) -> None:
    """Raises ValueError for groups, one of which may be all images without a value."""
    row = no_value_row(texts, NO_GROUP)
    if row is not None:
        raise ValueError(
            f"{where(row)}: {name} holds {texts[row]!r}, as where a value is missing: all such"
            " images would be one group. Give each a group of its own."
        )


def refuse_mixed_answers(name: str, texts: Sequence[str]) -> None:
    """Raises ValueError for yes and no in several forms, which would be as many classes."""
    found = {text.lower() for text in texts}
    if found <= {answer for pair in YES_OR_NO for answer in pair}:
        raise ValueError(
            f"The column {name} holds yes and no in several forms ({listed(sorted(found))}): keep"
            f" to one of them, or say --task_kind={SINGLE_LABEL}."
        )


def composed(texts: Sequence[str]) -> list[str]:
    """Texts whose letters with accents are one sign each (NFC): as they look, so they compare."""
    return [unicodedata.normalize("NFC", text) for text in texts]


def warn_of_case(what: str, texts: Sequence[str]) -> None:
    """Logs names that differ by letter case or blanks alone: the same one, most likely."""
    seen: dict[str, str] = {}
    for text in sorted(set(texts)):
        other = seen.setdefault(" ".join(text.casefold().split()), text)
        if other != text:
            logging.warning(
                "%s '%s' and '%s' differ by letter case or blanks alone and count as two",
                what,
                other,
                text,
            )


def warn_of_numbers(what: str, texts: Sequence[str]) -> None:
    """Logs one number that is written in two ways, such as 1 and 1.0."""
    seen: dict[float, str] = {}
    for text in sorted(set(texts)):
        # Beyond, different whole numbers are the same float.
        if FRACTION.fullmatch(text) or (text.isdecimal() and len(text) <= EXACT_DIGITS):
            value = numbers([text])
            other = text if value is None else seen.setdefault(float(value[0]), text)
            if other != text:
                words = "%s '%s' and '%s' are one number and count as two"
                logging.warning(words, what, other, text)


def numbered(names: Sequence[str], what: str) -> np.ndarray:
    """Names of groups as numbers, int64 [N]; names that look the same have the same number.

    Args:
        names: N texts.
        what: they are, for a warning.
    """
    names = composed(names)
    warn_of_case(what, names)
    warn_of_numbers(what, names)
    return np.unique(np.asarray(names, dtype=str), return_inverse=True)[1].astype(np.int64)


def class_of_each(columns: Mapping[str, Sequence[str]]) -> Sequence[str]:
    """Each row's class: the text of the one column, or which of several columns says yes.

    Raises:
        ValueError: several columns, of which not just one in every row says yes.
    """
    if len(columns) == 1:
        return next(iter(columns.values()))
    answers = [yes_or_no(texts) for texts in columns.values()]
    if any(found is None for found in answers) or not is_one_each(np.stack(answers, axis=1)):
        raise ValueError(
            f"--task_kind={SINGLE_LABEL} reads one column of classes, got {', '.join(columns)};"
            " name it with --label_columns."
        )
    names = list(columns)
    return [names[place] for place in np.stack(answers, axis=1).argmax(axis=1)]


def is_one_each(values: np.ndarray) -> bool:
    """Whether every row of zeros and ones [N, K] has just one 1, and there are columns for it."""
    return values.shape[1] > 1 and bool((values.sum(axis=1) == 1).all())


def refuse_one_each(found: str) -> NoReturn:
    """Raises ValueError for what may be one-hot classes, or attributes."""
    raise ValueError(
        f"{found}, which may be classes or attributes: say --task_kind={SINGLE_LABEL} or"
        f" --task_kind={MULTI_LABEL}."
    )


def checked(found: Labels) -> Labels:
    """The labels themselves.

    Raises:
        ValueError: a name that can't be shown in a line, or labels that are all the same.
    """
    for name in found.names:
        if any(unicodedata.category(sign) in UNSHOWN for sign in name):
            raise ValueError(
                f"The name {name!a} of a {found.kind} label holds a line break or another sign that"
                " can't be shown; rename it."
            )
    if (found.values == found.values[:1]).all():
        shown = ", ".join(f"{value:g}" for value in found.values[0][:NAMED])
        raise ValueError(
            f"All images have the same labels ({listed(list(found.names))}: {shown}); a task needs"
            " two or more."
        )
    return found


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
    return checked(Labels(SINGLE_LABEL, tuple(ordered), values))


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


def listed(names: Sequence[str]) -> str:
    """The first names, and the number of the others."""
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")
