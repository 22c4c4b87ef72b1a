"""Reads the index files of a folder in CelebA's layout, and refuses what it can't trust.

DIR/img_align_celeba/      the images, any size, JPEG or PNG
DIR/list_attr_celeba.txt   line 1: number of rows; line 2: attribute names; then a row an image:
                           name, -1 or 1 for each attribute
DIR/identity_CelebA.txt    optional: a row an image: name, identity number

Blank lines are skipped; a name has no blanks in it.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterable

import numpy as np

from arl_tf.utils import run_files

IMAGE_FOLDER = "img_align_celeba"
ATTRIBUTE_FILE = "list_attr_celeba.txt"
IDENTITY_FILE = "identity_CelebA.txt"


@dataclasses.dataclass(frozen=True)
class FolderIndex:
    """What the index files say.

    Attributes:
        files: image file names, in the order of the attribute file.
        attribute_names: A names.
        attributes: uint8 [N, A] in {0, 1}.
        identities: int64 [N], or None where the folder has no identity file.
    """

    files: tuple[str, ...]
    attribute_names: tuple[str, ...]
    attributes: np.ndarray
    identities: np.ndarray | None


def read_folder_index(folder: pathlib.Path) -> FolderIndex:
    """Reads attributes and identities of a CelebA-layout folder.

    Raises:
        ValueError: a missing folder or file, an empty folder, a row that is missing, doubled or
            malformed, or a label outside {-1, 1}; the message names the file and the line.
    """
    image_folder = folder / IMAGE_FOLDER
    if not image_folder.is_dir():
        raise ValueError(
            f"No folder {image_folder}: --data_dir must hold {IMAGE_FOLDER}/ and {ATTRIBUTE_FILE}."
        )
    if next(image_folder.iterdir(), None) is None:
        raise ValueError(
            f"{image_folder} is empty: expected the images that {ATTRIBUTE_FILE} names."
        )
    files, names, attributes = read_attributes(folder / ATTRIBUTE_FILE)
    identity_path = folder / IDENTITY_FILE
    identities = read_identities(identity_path, files) if identity_path.exists() else None
    return FolderIndex(files, names, attributes, identities)


def read_attributes(path: pathlib.Path) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Returns (file names, attribute names, uint8 [N, A] in {0, 1}) of an attribute file.

    Raises:
        ValueError: the file is missing or malformed.
    """
    lines = read_lines(path)
    if len(lines) < 3:
        raise ValueError(
            f"{path} has {len(lines)} lines with text; expected a count, the attribute names and a"
            " row an image."
        )
    announced, names = read_header(path, lines[:2])
    rows = [(number, line.split()) for number, line in lines[2:]]
    for number, row in rows:
        check_labels(path, number, row, names)
    if announced != len(rows):
        raise ValueError(
            f"{path}, line {lines[0][0]} announces {announced} images, but {len(rows)} rows follow:"
            f" rows are {'missing' if len(rows) < announced else 'too many, or the count is old'}."
        )
    files = tuple(row[0] for _, row in rows)
    refuse_duplicates(path, ((number, row[0]) for number, row in rows))
    labels = np.array([row[1:] for _, row in rows]) == "1"
    return files, names, labels.astype(np.uint8)


def read_header(path: pathlib.Path, lines: list[tuple[int, str]]) -> tuple[int, tuple[str, ...]]:
    """Returns (announced number of images, attribute names) from the first two lines."""
    (count_number, count), (names_number, header) = lines
    if not re.fullmatch(r"[0-9]+", count.strip()):
        raise ValueError(
            f"{path}, line {count_number}: expected the number of images, got {count[:40]!r}."
        )
    names = tuple(header.split())
    if len(set(names)) != len(names):
        raise ValueError(
            f"{path}, line {names_number}: expected distinct attribute names, got {header[:80]!r}."
        )
    return int(count), names


def check_labels(path: pathlib.Path, number: int, row: list[str], names: tuple[str, ...]) -> None:
    """Raises ValueError when a row is not a file name with -1 or 1 for each attribute name."""
    name, labels = row[0], row[1:]
    if len(labels) != len(names):
        raise ValueError(
            f"{path}, line {number} ({name}): expected {len(names)} labels, got {len(labels)}."
        )
    strange = [label for label in labels if label not in ("1", "-1")]
    if strange:
        raise ValueError(
            f"{path}, line {number} ({name}): labels must be -1 or 1, got {strange[0]!r}."
        )


def read_identities(path: pathlib.Path, files: tuple[str, ...]) -> np.ndarray:
    """Returns int64 [N], the identity of each of `files`; rows of other files are left out.

    Raises:
        ValueError: the file is malformed, or has no row for one of `files`.
    """
    rows = [(number, line.split()) for number, line in read_lines(path)]
    for number, row in rows:
        # 18 digits always fit an int64.
        if len(row) != 2 or not re.fullmatch(r"-?[0-9]{1,18}", row[1]):
            raise ValueError(
                f"{path}, line {number}: expected 'name number', got {' '.join(row)[:80]!r}."
            )
    refuse_duplicates(path, ((number, row[0]) for number, row in rows))
    identity_of = {name: int(identity) for _, (name, identity) in rows}
    missing = [name for name in files if name not in identity_of]
    if missing:
        raise ValueError(f"{path} has no row for {len(missing)} images, the first is {missing[0]}.")
    return np.array([identity_of[name] for name in files], np.int64)


def read_lines(path: pathlib.Path) -> list[tuple[int, str]]:
    """The (line number, line) of every line with text; ValueError where the file is not readable.

    Numbers count from 1, blank lines included, as editors do.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ValueError(
            f"No file {path}: --data_dir must be a folder in CelebA's layout."
        ) from None
    except IsADirectoryError:
        raise ValueError(f"{path} is a folder; expected a text file.") from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file in UTF-8.") from None
    if text.startswith(run_files.POINTER.decode()):
        raise run_files.refusal(path, run_files.flaw(path), "Fetch the data set's index files.")
    # Not splitlines: it would also split at rarer separators that editors don't count.
    return [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]


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
