"""metadata.csv: a row an image with its file, its labels and the group that it belongs to."""

import dataclasses
import pathlib
import re
from collections.abc import Sequence

import numpy as np
from absl import logging

from arl_tf.data.index_files import (
    Row,
    delimiter_of,
    read_lines,
    refuse_duplicates,
    refuse_outside,
    table_rows,
)
from arl_tf.data.labelled import labels
from arl_tf.data.labelled.labels import Labels

TABLE = "metadata.csv"
FILE_COLUMN, GROUP_COLUMN = "file_name", "group"
# Names that columns of groups have.
LIKELY_GROUP = re.compile(
    r"(?:.*_)?(?:patient|subject|person|identity|individual|participant|room|scene|session|video)"
    r"(?:s|_?id|_?number|_?name)?",
    re.IGNORECASE,
)


@dataclasses.dataclass(frozen=True)
class Listing:
    """The images of a folder with what is known of them.

    Attributes:
        files: N paths below the folder, with "/".
        labels: of the task.
        groups: int64 [N], the same number is the same person, patient, room; None: not known.
        others: uint8 [N, M] in {0, 1}, known but not the task's; None without.
        other_names: M names.
    """

    files: tuple[str, ...]
    labels: Labels
    groups: np.ndarray | None
    others: np.ndarray | None = None
    other_names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        path: of its file.
        columns: names of the columns.
        rows: each with its line's number and a text for each column.
    """

    path: pathlib.Path
    columns: tuple[str, ...]
    rows: list[Row]

    def column(self, name: str, flag: str) -> list[str]:
        """The texts of a column; ValueError that names the flag where there is none."""
        if name not in self.columns:
            raise ValueError(
                f"{flag} names the column {name!r}, which {self.path} lacks; it has"
                f" {', '.join(self.columns)}."
            )
        place = self.columns.index(name)
        return [row.values[place] for row in self.rows]

    def where(self, row: int) -> str:
        """Where a row stands."""
        return f"{self.path}, line {self.rows[row].number}"


def read(
    folder: pathlib.Path, label_columns: Sequence[str], group_column: str, kind: str
) -> Listing:
    """Files, labels and groups of DIR/metadata.csv.

    Args:
        folder: DIR.
        label_columns: the task's; empty: all that hold neither files nor groups.
        group_column: whose texts tell groups apart; empty: "group", where there is such a column.
        kind: one of TASK_KINDS, or "auto".

    Raises:
        ValueError: a table that is malformed, lacks a column, names a file twice or one outside the
            folder, or has labels that `labels.of_columns` refuses.
    """
    table = read_table(folder / TABLE)
    files = table.column(FILE_COLUMN, "The layout")
    check_files(table, files)
    group = group_column or (GROUP_COLUMN if GROUP_COLUMN in table.columns else "")
    rest = [name for name in table.columns if name not in (FILE_COLUMN, group)]
    if not group:
        hint_at_groups(table, [name for name in rest if name not in label_columns])
    wanted = list(label_columns) or rest
    if not wanted:
        raise ValueError(f"{table.path} has no column of labels beside {', '.join(table.columns)}.")
    if group in wanted:
        raise ValueError(
            f"--label_columns and --group_column both name {group}: no group is in two parts of the"
            " data, so no label would be. Name another column of one of them."
        )
    columns = {name: table.column(name, "--label_columns") for name in wanted}
    check_filled(table, columns)
    read_labels = labels.of_columns(columns, kind, table.where)
    others = {name: table.column(name, "") for name in rest if name not in wanted}
    known = {name: labels.yes_or_no(texts) for name, texts in others.items()}
    unknown = [name for name, values in known.items() if values is None]
    if unknown:
        logging.info(
            "%s: the columns %s are not read: they hold other values than yes and no",
            table.path,
            ", ".join(f"{name} ({strange(others[name])!r})" for name in unknown),
        )
    known = {name: values for name, values in known.items() if values is not None}
    return Listing(
        files=tuple(name.replace("\\", "/") for name in files),
        labels=read_labels,
        groups=groups_of(table, group) if group else None,
        others=np.stack(list(known.values()), axis=1) if known else None,
        other_names=tuple(known),
    )


def read_table(path: pathlib.Path) -> Table:
    """The rows of a table whose first line names the columns; ValueError where it is none."""
    lines = read_lines(path)
    if len(lines) < 2:
        raise ValueError(f"{path} has {len(lines)} lines with text; expected a header and rows.")
    delimiter = delimiter_of(lines[0][1]) or ("\t" if "\t" in lines[0][1] else ",")
    header, *rows = table_rows(path, lines, delimiter)
    names = tuple(header.values)
    if "" in names or len(set(names)) != len(names):
        remedy = " pandas leaves the numbers of rows out by to_csv(index=False)."
        raise ValueError(
            f"{path}, line {header.number}: expected distinct names of columns, got"
            f" {', '.join(names)[:80]!r}.{'' if names[0] else remedy}"
        )
    for row in rows:
        if len(row.values) != len(names):
            raise ValueError(
                f"{path}, line {row.number}: expected {len(names)} values, as the header has, got"
                f" {len(row.values)}."
            )
    return Table(path, names, rows)


def hint_at_groups(table: Table, names: Sequence[str]) -> None:
    """Logs which column may say who or what is on the images, where none is named."""
    likely = [name for name in names if LIKELY_GROUP.fullmatch(name)]
    if likely:
        logging.warning(
            "%s has the column %s, and no groups are named: images of one group may be in two parts"
            " of the data. --group_column=%s keeps them together",
            table.path,
            likely[0],
            likely[0],
        )


def check_files(table: Table, files: Sequence[str]) -> None:
    """Raises ValueError for a file that is named twice, not at all, or outside the folder."""
    names = [name.replace("\\", "/") for name in files]
    for row, name in zip(table.rows, names, strict=True):
        refuse_outside(table.path, row.number, name, table.path.parent)
    paths = [pathlib.PurePosixPath(name) for name in names]
    refuse_duplicates(
        table.path, ((row.number, str(path)) for row, path in zip(table.rows, paths, strict=True))
    )


def check_filled(table: Table, columns: dict[str, list[str]]) -> None:
    """Raises ValueError for an image without a label."""
    for name, texts in columns.items():
        if "" in texts:
            raise ValueError(
                f"{table.where(texts.index(''))}: the column {name} is empty; every image needs a"
                " label. Leave the row out, or choose other columns with --label_columns."
            )


def groups_of(table: Table, name: str) -> np.ndarray:
    """The group of each image, int64 [N]; ValueError for an image without one."""
    texts = table.column(name, "--group_column")
    if "" in texts:
        raise ValueError(
            f"{table.where(texts.index(''))}: the column {name} is empty; every image needs its"
            " group, or photos of one group could be in two parts of the data."
        )
    labels.refuse_one_group(f"the column {name}", texts, table.where)
    return labels.numbered(texts, f"The groups of {table.path}")


def strange(texts: Sequence[str]) -> str:
    """The first of a column's cells that is neither yes nor no; the first of all where all are."""
    return next((text for text in texts if labels.yes_or_no([text]) is None), texts[0])
