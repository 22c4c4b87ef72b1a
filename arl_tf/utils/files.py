"""Files that appear by rename: a reader sees the old file or the whole new one."""

import contextlib
import errno
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any

# Bytes of a path that Linux takes, and of the longest one below a folder that is written.
LONGEST_PATH, LONGEST_BELOW = 4095, 300

# Names of what this module writes before it is renamed.
UNFINISHED = re.compile(r"unfinished_\d+_.+|\..+\.\d+\.tmp")
# What a disk does that takes no more bytes, from a process that may write no more included.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def aside(path: pathlib.Path) -> pathlib.Path:
    """Where a file is written before it is renamed: by this process alone, of the same suffix."""
    return path.with_name(f"unfinished_{os.getpid()}_{path.name}")


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """Gives a path of this process alone to write to; renames it in the end, removes it at errors.

    The folder must be there.
    """
    unfinished = aside(path)
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file aside, then renames it: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def remove_unfinished(folder: pathlib.Path) -> None:
    """Removes what a killed process had begun to write into a folder; nobody may be writing there.

    The folder may be missing.
    """
    for path in folder.glob("*"):
        if UNFINISHED.fullmatch(path.name) and path.is_file():
            path.unlink(missing_ok=True)


def check_room(folder: pathlib.Path, size: int) -> None:
    """Raises OSError where a folder's disk has no room for `size` more bytes.

    For files that a library writes which ends the process where the disk is full, as HDF5 does.
    """
    # Not every system can reserve room; there, whoever writes finds out.
    if not hasattr(os, "posix_fallocate"):
        return
    path = aside(folder / "room")
    try:
        with path.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, size)
    except OSError as error:
        # Some file systems refuse to reserve room although they have it.
        if error.errno in DISK_ERRORS:
            raise OSError(error.errno, error.strerror, str(folder)) from None
    finally:
        path.unlink(missing_ok=True)


def is_of_the_disk(error: Exception) -> bool:
    """Whether an error says that the disk takes no more; libraries wrap the system's own."""
    words = [os.strerror(number) for number in DISK_ERRORS]
    return getattr(error, "errno", None) in DISK_ERRORS or any(w in str(error) for w in words)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes strict JSON (NaN is refused with ValueError), by rename."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")


def check_apart(flag: str, folder: pathlib.Path, source_flag: str, source: pathlib.Path) -> None:
    """Raises ValueError where a folder that is written lies in one whose files are all read.

    What is written there would be read as data by the next command.

    Args:
        flag: the setting that names the folder, for messages.
        folder: it may be missing.
        source_flag: the setting that names the other one.
        source: whose files are read.
    """
    if folder.resolve().is_relative_to(source.resolve()):
        raise ValueError(
            f"--{flag}={folder} lies in --{source_flag}={source}: what is written there would be"
            " read as data. Name a folder beside it."
        )


def check_can_be_written(flag: str, folder: pathlib.Path) -> None:
    """Raises ValueError where a folder of that name can't be made, or can't be written into.

    Args:
        flag: the setting that names it, for messages.
        folder: it may be missing, with folders above it.
    """
    if len(os.fsencode(folder.absolute())) + LONGEST_BELOW > LONGEST_PATH:
        raise ValueError(
            f"--{flag}={folder}: its path is so long that files in it could not be named; name"
            " another folder."
        )
    existing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    if not existing.is_dir():
        raise ValueError(f"--{flag}={folder}: {existing} is a file, expected a folder.")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ValueError(f"--{flag}={folder}: {existing} can't be written; name another folder.")
