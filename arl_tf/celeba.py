"""Reads the index files of a folder in CelebA's layout, and refuses what it can't trust.

DIR/img_align_celeba/      the images, any size, JPEG or PNG
DIR/list_attr_celeba.txt   line 1: number of rows; line 2: attribute names; then a row an image: name, -1 or 1 each
DIR/identity_CelebA.txt    optional: a row an image: name, identity number
"""

import collections
import dataclasses
import pathlib

import numpy as np

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
        ValueError: a missing folder or file, an empty folder, a row that is missing, doubled or malformed,
            or a label outside {-1, 1}; the message names the file and the line.
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
    """Returns (file names, attribute names, uint8 [N, A] in {0, 1}) of an attribute file."""
    lines = read_lines(path)
    if len(lines) < 3:
        raise ValueError(
            f"{path} has {len(lines)} lines; expected a count, the attribute names and a row an image."
        )
    if not lines[0].strip().isdigit():
        raise ValueError(f"{path}, line 1: expected the number of images, got {lines[0][:40]!r}.")
    announced, names = int(lines[0]), tuple(lines[1].split())
    if not names or len(set(names)) != len(names):
        raise ValueError(
            f"{path}, line 2: expected distinct attribute names, got {lines[1][:80]!r}."
        )
    rows = [line.split() for line in lines[2:]]
    if announced != len(rows):
        raise ValueError(
            f"{path}, line 1 announces {announced} images, but {len(rows)} rows follow: rows are missing."
        )
    for number, row in enumerate(rows, start=3):
        if len(row) != len(names) + 1:
            raise ValueError(
                f"{path}, line {number} ({row[0]}): expected {len(names)} labels, got {len(row) - 1}."
            )
        strange = [value for value in row[1:] if value not in ("1", "-1")]
        if strange:
            raise ValueError(
                f"{path}, line {number} ({row[0]}): labels must be -1 or 1, got {strange[0]!r}."
            )
    files = tuple(row[0] for row in rows)
    refuse_duplicates(files, path)
    labels = np.array([row[1:] for row in rows]) == "1"
    return files, names, labels.astype(np.uint8)


def read_identities(path: pathlib.Path, files: tuple[str, ...]) -> np.ndarray:
    """Returns int64 [N], the identity of each of `files`."""
    rows = [line.split() for line in read_lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2 or not row[1].lstrip("-").isdigit():
            raise ValueError(
                f"{path}, line {number}: expected 'name number', got {' '.join(row)[:80]!r}."
            )
    refuse_duplicates([row[0] for row in rows], path)
    identity_of = {row[0]: int(row[1]) for row in rows}
    missing = [name for name in files if name not in identity_of]
    if missing:
        raise ValueError(f"{path} has no row for {len(missing)} images, the first is {missing[0]}.")
    return np.array([identity_of[name] for name in files], np.int64)


def read_lines(path: pathlib.Path) -> list[str]:
    """The non-empty lines of a text file; ValueError where it is missing or no text."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ValueError(
            f"No file {path}: --data_dir must be a folder in CelebA's layout."
        ) from None
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file.") from None
    return [line for line in text.splitlines() if line.strip()]


def refuse_duplicates(names: tuple[str, ...] | list[str], path: pathlib.Path) -> None:
    """Raises ValueError when a name stands twice: its labels would be ambiguous."""
    counts = collections.Counter(names)
    doubled = [name for name, count in counts.items() if count > 1]
    if doubled:
        raise ValueError(
            f"{path} names {len(doubled)} images more than once, the first is {doubled[0]}."
        )
