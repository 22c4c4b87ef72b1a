"""Which picture files the arguments of a command name: files, folders, patterns."""

import glob
import pathlib
from collections.abc import Iterable

from serving.pictures.folders import is_picture, pictures_in

PATTERN = "*?["


def expanded(arguments: Iterable[str]) -> list[pathlib.Path]:
    """The files that arguments name, in the order of the arguments.

    Folders and patterns add those that are not there yet. A folder stands for the pictures in it
    and in its subfolders, sorted by path; hidden ones are left out. A pattern stands
    for the files and folders that match it (`**`: any subfolders), where no file has just that
    name. `~` is the home folder.

    Raises:
        ValueError: a folder or pattern holds no picture.
    """
    found: list[pathlib.Path] = []
    for argument in arguments:
        path = pathlib.Path(argument).expanduser()
        if path.is_dir():
            found += others(pictures_in(path), found)
        elif path.exists() or not any(sign in argument for sign in PATTERN):
            found.append(path)
        else:
            found += others(matching(str(path)), found)
    return found


def others(paths: Iterable[pathlib.Path], known: Iterable[pathlib.Path]) -> list[pathlib.Path]:
    """The paths that are not known yet, each once."""
    seen = set(known)
    return [path for path in dict.fromkeys(paths) if path not in seen]


def matching(pattern: str) -> list[pathlib.Path]:
    """The files that a pattern matches, and the pictures of the folders that it matches."""
    files: list[pathlib.Path] = []
    for path in map(pathlib.Path, sorted(glob.glob(pattern, recursive=True))):
        if path.is_file():
            files.append(path)
        elif any(is_picture(child) for child in path.rglob("*")):
            files.extend(pictures_in(path))
    if not files:
        raise ValueError(f"{pattern} matches no file; a folder stands for all pictures in it.")
    return files
