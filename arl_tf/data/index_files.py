"""Rows of an index file: CelebA's own layout, or a table with commas as Kaggle's copy has it.

What the file holds decides, not its ending. A byte order mark, Windows line ends, tabs, blank
lines and names with blanks in them are read as meant.
"""

import csv
import pathlib
import re
from collections.abc import Iterable
from typing import NamedTuple

from arl_tf.data import folder_contents
from arl_tf.utils import run_files

NUMBER = re.compile(r"-?[0-9]+")
SEPARATOR = re.compile(r"sep=[,;\t|]?", re.I)
QUOTED = re.compile(r'"[^"]*"')
# What is no blank for Python, but can't be seen: left by editors, browsers and spreadsheets.
UNSEEN = "\ufeff\u200b\u200e\u200f\u2060"
FILE_NAME = re.compile(r".*\.[A-Za-z]{3,4}")


class Row(NamedTuple):
    """A line with text: its number from 1, blank lines included, and its values."""

    number: int
    values: list[str]


def read_lines(path: pathlib.Path) -> list[tuple[int, str]]:
    """The (line number, line) of every line with text; ValueError where the file is not readable.

    Numbers count from 1, blank lines included, as editors do.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(
            f"No file {path}: --data_dir must be a folder in CelebA's layout."
            f" {folder_contents.nearest(path)}"
        ) from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; expected a text file.") from None
    except UnicodeDecodeError:
        raise ValueError(
            f"{path} is not a text file in UTF-8. Save it in the encoding UTF-8."
        ) from None
    if text.startswith(run_files.POINTER.decode()):
        raise run_files.refusal(path, run_files.flaw(path), "Fetch the data set's index files.")
    # Not splitlines: it would also split at rarer separators that editors don't count.
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    # A note for spreadsheets, such as sep=;
    return lines[1:] if lines and SEPARATOR.fullmatch(lines[0][1].strip()) else lines


def delimiter_of(line: str) -> str | None:
    """What parts the columns of a table whose first line this is; None: it is no such table."""
    bare = QUOTED.sub("", line)
    if set(",;") & set(bare):
        return max(",;", key=bare.count)
    # Before a number, a tab may as well stand between the values of CelebA's own layout.
    return "\t" if "\t" in bare.strip() and not bare.strip()[-1].isdigit() else None


def table_rows(path: pathlib.Path, lines: list[tuple[int, str]], delimiter: str) -> list[Row]:
    """The cells of a table's lines, without quotes and blanks around them.

    What programs add is left out: a column that numbers the rows and has no name, and an empty last
    column.

    Raises:
        ValueError: quotes that do not close.
    """
    rows = []
    for number, line in lines:
        try:
            (cells,) = csv.reader([line], delimiter=delimiter, strict=True, skipinitialspace=True)
        except csv.Error as error:
            raise ValueError(f"{path}, line {number}: {error}, in {line[:80]!r}.") from None
        found = [cell.strip().strip(UNSEEN).strip() for cell in cells]
        # Spreadsheets write rows of nothing but delimiters below a table.
        if any(found):
            rows.append(Row(number, found))
    return without_added_columns(rows)


def without_added_columns(rows: list[Row]) -> list[Row]:
    """Rows without an empty last column, and without a first one that numbers them and no more."""
    if len(rows) < 2:
        return rows
    if all(row.values[-1] == "" for row in rows):
        rows = [Row(row.number, row.values[:-1]) for row in rows]
    header, *others = rows
    firsts = [row.values[0] for row in others]
    is_index = any(firsts == [str(start + at) for at in range(len(firsts))] for start in (0, 1))
    if len(header.values) > 1 and header.values[0] == "" and is_index:
        return [Row(row.number, row.values[1:]) for row in rows]
    return rows


def named_row(number: int, line: str, num_values: int) -> Row:
    """A line 'name value ...' of CelebA's own layout, of which the name may have blanks in it.

    Where the name's end or the first value show that a value is missing or too many, the line is
    split at every blank: whoever counts the values then finds the right number of them.
    """
    row = line.strip().rsplit(maxsplit=num_values)
    too_many = re.fullmatch(r".*\s-?[0-9]+", row[0])
    too_few = [at for at, value in enumerate(row[1:], 1) if FILE_NAME.fullmatch(value)]
    if too_few:
        name_end = too_few[-1] + 1
        return Row(number, [" ".join(row[:name_end]), *row[name_end:]])
    if too_many:
        words = line.split()
        values = len(words)
        while values > 1 and NUMBER.fullmatch(words[values - 1]):
            values -= 1
        return Row(number, [" ".join(words[:values]), *words[values:]])
    return Row(number, row)


def refuse_outside(path: pathlib.Path, number: int, name: str, folder: pathlib.Path) -> None:
    """Raises ValueError for an image's name that is none, or leads out of the images' folder."""
    parts = pathlib.PurePosixPath(name)
    if not name or "\0" in name or parts.is_absolute() or ".." in parts.parts:
        raise ValueError(
            f"{path}, line {number}: a file name must be a path below {folder}, got {name!r}."
        )


def refuse_duplicates(path: pathlib.Path, names: Iterable[tuple[int, str]]) -> None:
    """Raises ValueError when a name stands on two lines: its labels would be ambiguous."""
    first_line: dict[str, int] = {}
    for number, name in names:
        if name in first_line:
            raise ValueError(
                f"{path}, line {number}: {name} stands on line {first_line[name]} already; an image"
                " may have one row only."
            )
        first_line[name] = number
