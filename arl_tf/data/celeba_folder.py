"""Reads the index files of a folder in CelebA's layout, and refuses what it can't trust.

DIR/img_align_celeba/      the images, any size, JPEG, PNG, BMP, GIF or WebP
DIR/list_attr_celeba.txt   line 1: number of rows; line 2: attribute names; then a row an image:
                           name, -1 or 1 for each attribute
DIR/identity_CelebA.txt    optional: a row an image: name, identity number

Or as Kaggle's copy has it: DIR/img_align_celeba/img_align_celeba/, DIR/list_attr_celeba.csv (a
header, commas) and DIR/identity_CelebA.csv. Labels may be 0 or 1 instead of -1 or 1.
"""

import dataclasses
import pathlib
import re

import numpy as np
from absl import logging

from arl_tf.data import folder_contents
from arl_tf.data.index_files import (
    Row,
    delimiter_of,
    named_row,
    read_lines,
    refuse_duplicates,
    refuse_outside,
    table_rows,
)

IMAGE_FOLDER = "img_align_celeba"
ATTRIBUTE_FILE = "list_attr_celeba.txt"
IDENTITY_FILE = "identity_CelebA.txt"
# A line 'name number'; before the blank there is no delimiter of a table.
OWN_IDENTITY = re.compile(r".*[^,;\s]\s+-?[0-9]+")
# What programs make of CelebA's labels when they write a table.
SAME_LABELS = {
    "1.0": "1",
    "+1": "1",
    "true": "1",
    "-1.0": "-1",
    "0.0": "0",
    "false": "0",
}


@dataclasses.dataclass(frozen=True)
class FolderIndex:
    """What the index files say.

    Attributes:
        files: image file names, in the order of the attribute file.
        attribute_names: A names.
        attributes: uint8 [N, A] in {0, 1}.
        identities: int64 [N], or None where the folder has no identity file.
        image_folder: where the images are.
        attribute_file: where the labels were read.
    """

    files: tuple[str, ...]
    attribute_names: tuple[str, ...]
    attributes: np.ndarray
    identities: np.ndarray | None
    image_folder: pathlib.Path
    attribute_file: pathlib.Path


def read_folder_index(folder: pathlib.Path) -> FolderIndex:
    """Reads attributes and identities of a CelebA-layout folder.

    Raises:
        ValueError: a missing folder or file, an empty folder, an identity file in another place, a
            row that is missing, doubled or malformed, or a label outside {-1, 1}; the message names
            the file and the line.
    """
    image_folder = find_images(folder)
    attribute_path = index_path(folder, ATTRIBUTE_FILE)
    files, names, attributes = read_attributes(attribute_path)
    identity_path = index_path(folder, IDENTITY_FILE)
    stray = [] if identity_path.exists() else folder_contents.near_files(identity_path)
    if stray:
        raise ValueError(
            f"{stray[0]} would not be read, and photos of one person could be in two parts of the"
            f" data: move it to {identity_path}, or out of {folder}."
        )
    identities = read_identities(identity_path, files) if identity_path.exists() else None
    return FolderIndex(files, names, attributes, identities, image_folder, attribute_path)


def find_images(folder: pathlib.Path) -> pathlib.Path:
    """DIR/img_align_celeba, or the folder of the same name alone in it, as Kaggle's archive has it.

    Raises:
        ValueError: there is no such folder, or it is empty; the message says what there is.
    """
    image_folder = folder / IMAGE_FOLDER
    if not image_folder.is_dir():
        raise ValueError(
            f"No folder {image_folder}: --data_dir must hold {IMAGE_FOLDER}/ and {ATTRIBUTE_FILE}"
            f" (or .csv). {folder_contents.elsewhere(folder, IMAGE_FOLDER)}"
        )
    inside = folder_contents.visible(image_folder)
    if not inside:
        raise ValueError(
            f"{image_folder} is empty: expected the images that {ATTRIBUTE_FILE} names."
        )
    if inside == [IMAGE_FOLDER] and (image_folder / IMAGE_FOLDER).is_dir():
        logging.info("The images are read from %s", image_folder / IMAGE_FOLDER)
        return image_folder / IMAGE_FOLDER
    return image_folder


def index_path(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The index file of that name, or with the ending .csv where only that is there."""
    text, table = folder / name, (folder / name).with_suffix(".csv")
    return table if table.is_file() and not text.exists() else text


def read_attributes(path: pathlib.Path) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Returns (file names, attribute names, uint8 [N, A] in {0, 1}) of an attribute file.

    Raises:
        ValueError: the file is missing or malformed.
    """
    lines = read_lines(path)
    delimiter = delimiter_of(lines[0][1]) if lines else None
    names, rows = attribute_table(path, lines, delimiter) if delimiter else own_rows(path, lines)
    for row in rows:
        check_labels(path, row)
        refuse_outside(path, row.number, row.values[0], path.parent / IMAGE_FOLDER)
    refuse_mixed_labels(path, rows)
    refuse_duplicates(path, ((row.number, row.values[0]) for row in rows))
    files = tuple(row.values[0] for row in rows)
    labels = np.array([row.values[1:] for row in rows]) == "1"
    return files, names, labels.astype(np.uint8)


def own_rows(path: pathlib.Path, lines: list[tuple[int, str]]) -> tuple[tuple[str, ...], list[Row]]:
    """(attribute names, rows) of CelebA's own layout."""
    if len(lines) < 3:
        raise ValueError(
            f"{path} has {len(lines)} lines with text; expected a count, the attribute names and a"
            " row an image."
        )
    announced, names = read_header(path, lines[:2])
    rows = [named_row(number, line, len(names)) for number, line in lines[2:]]
    for row in rows:
        check_count(path, row, names)
    if announced != len(rows):
        raise ValueError(
            f"{path}, line {lines[0][0]} announces {announced} images, but {len(rows)} rows follow:"
            f" rows are {'missing' if len(rows) < announced else 'too many, or the count is old'}."
        )
    return names, rows


def attribute_table(
    path: pathlib.Path, lines: list[tuple[int, str]], delimiter: str
) -> tuple[tuple[str, ...], list[Row]]:
    """(attribute names, rows) of a table whose first line names the columns."""
    header, *rows = table_rows(path, lines, delimiter)
    names = tuple(header.values[1:])
    if not rows:
        raise ValueError(f"{path} has a header and no rows; expected a row an image.")
    if names and set(names) <= {"1", "-1", "0"}:
        raise ValueError(
            f"{path}, line {header.number}: expected the names of the columns, got an image's row:"
            f" {delimiter.join(header.values)[:80]!r}."
        )
    if "" in names or len(set(names)) != len(names):
        raise ValueError(
            f"{path}, line {header.number}: expected distinct attribute names, got"
            f" {delimiter.join(header.values)[:80]!r}."
        )
    for row in rows:
        check_count(path, row, names)
    return names, [with_plain_labels(row) for row in rows]


def read_header(path: pathlib.Path, lines: list[tuple[int, str]]) -> tuple[int, tuple[str, ...]]:
    """Returns (announced number of images, attribute names) from the first two lines."""
    (count_number, count), (names_number, header) = lines
    # 18 digits: Python itself refuses numbers of thousands, without naming the file.
    if not re.fullmatch(r"[0-9]{1,18}", count.strip()):
        raise ValueError(
            f"{path}, line {count_number}: expected the number of images, got {count[:40]!r}."
        )
    names = tuple(header.split())
    if len(set(names)) != len(names):
        raise ValueError(
            f"{path}, line {names_number}: expected distinct attribute names, got {header[:80]!r}."
        )
    return int(count), names


def check_count(path: pathlib.Path, row: Row, names: tuple[str, ...]) -> None:
    """Raises ValueError when a row is not a file name with a label for each attribute name."""
    name, labels = row.values[0], row.values[1:]
    if len(labels) != len(names):
        raise ValueError(
            f"{path}, line {row.number} ({name}): expected {len(names)} labels, got {len(labels)}."
        )


def with_plain_labels(row: Row) -> Row:
    """A row whose labels are written as CelebA writes them, where they mean the same."""
    name, *labels = row.values
    return Row(row.number, [name, *(SAME_LABELS.get(label.lower(), label) for label in labels)])


def check_labels(path: pathlib.Path, row: Row) -> None:
    """Raises ValueError for a label that is not -1, 0 or 1, and for a row without a name."""
    name, labels = row.values[0], row.values[1:]
    if not name:
        raise ValueError(f"{path}, line {row.number}: expected a file name first, got nothing.")
    strange = [label for label in labels if label not in ("1", "-1", "0")]
    if strange:
        raise ValueError(
            f"{path}, line {row.number} ({name}): labels must be -1 or 1 (or all of them 0 or 1),"
            f" got {strange[0]!r}."
        )


def refuse_mixed_labels(path: pathlib.Path, rows: list[Row]) -> None:
    """Raises ValueError where -1 and 0 both stand: one of them would not mean 'no'."""
    first = {label: row for row in reversed(rows) for label in row.values[1:]}
    if {"-1", "0"} <= set(first):
        raise ValueError(
            f"{path}: line {first['-1'].number} has a label -1 and line {first['0'].number} a label"
            " 0; labels must be -1 or 1 in the whole file, or 0 or 1."
        )


def read_identities(path: pathlib.Path, files: tuple[str, ...]) -> np.ndarray:
    """Returns int64 [N], the identity of each of `files`; rows of other files are left out.

    Raises:
        ValueError: the file is malformed, or has no row for one of `files`.
    """
    rows = identity_rows(path)
    for row in rows:
        # 18 digits always fit an int64.
        if len(row.values) != 2 or not re.fullmatch(r"-?[0-9]{1,18}", row.values[1]):
            raise ValueError(
                f"{path}, line {row.number}: expected 'name number', got"
                f" {' '.join(row.values)[:80]!r}."
            )
    refuse_duplicates(path, ((row.number, row.values[0]) for row in rows))
    identity_of = {name: int(identity) for _, (name, identity) in rows}
    missing = [name for name in files if name not in identity_of]
    if missing:
        instead = folder_contents.other_names(missing, list(identity_of))
        raise ValueError(
            f"{path} has no row for {len(missing)} images, the first is {missing[0]}. {instead}"
        )
    return np.array([identity_of[name] for name in files], np.int64)


def identity_rows(path: pathlib.Path) -> list[Row]:
    """The rows of an identity file, without a header that it may have."""
    lines = read_lines(path)
    delimiter = delimiter_of(lines[0][1]) if lines else None
    # A name may have commas in it: what ends with a blank and a number has no other delimiter.
    if not delimiter or all(OWN_IDENTITY.fullmatch(line.strip()) for _, line in lines):
        return [named_row(number, line, 1) for number, line in lines]
    rows = table_rows(path, lines, delimiter)
    has_header = not re.search("[0-9]", rows[0].values[-1])
    return rows[1:] if has_header else rows
