"""One owner of a run directory at a time; several for a sweep, whose processes share the work.

The lock is the system's (flock): it goes with the process that holds it, however that ends, so a
lock that nobody holds needs no remedy. Notes beside it say who holds it, for those it keeps out.
"""

import contextlib
import errno
import fcntl
import json
import os
import pathlib
import shlex
import socket
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

from absl import logging

from arl_tf.utils import passwords

LOCK, NOTE = ".lock", ".lock_owner_"
HELD_ELSEWHERE = (errno.EACCES, errno.EAGAIN)
STARTED = time.time()
# What the threads of this process hold, and may ask for again.
_held: set[tuple[int, pathlib.Path]] = set()
# Seconds between two looks at a lock that is waited for.
PAUSE = 0.5


class InUseError(ValueError):
    """Another process works in the directory."""


@contextlib.contextmanager
def owned(folder: pathlib.Path, *, shared: bool = False, wait: bool = False) -> Iterator[None]:
    """Holds a run directory, which is made where it is missing, while the block runs.

    A directory that this made and in which nothing was written is removed at the end.

    Args:
        folder: the run directory.
        shared: others that ask for a share may hold it at the same time.
        wait: until it is free; otherwise InUseError is raised at once.

    Raises:
        InUseError: another process holds it.
        ValueError: the directory can't be made or written.
    """
    mine = (threading.get_ident(), folder.resolve())
    if mine in _held:
        yield
        return
    made = make_folders(folder)
    try:
        with held(folder, shared=shared, wait=wait):
            _held.add(mine)
            yield
    finally:
        _held.discard(mine)
        for each in made:
            with contextlib.suppress(OSError):
                each.rmdir()


def make_folders(folder: pathlib.Path) -> list[pathlib.Path]:
    """Makes a folder and those above it; returns the ones that were missing, the deepest first."""
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise ValueError(f"{folder} is a file, expected a folder; name another.") from None
    except OSError as error:
        raise ValueError(
            f"{folder} can't be made: {error.strerror}; name another folder."
        ) from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{folder} can't be written: no permission; name another folder.")
    return missing


@contextlib.contextmanager
def held(folder: pathlib.Path, *, shared: bool, wait: bool) -> Iterator[None]:
    """Holds the lock of a folder that is there; where the file system has none, a warning."""
    try:
        descriptor = acquire(folder, shared=shared, wait=wait)
    except OSError as error:
        logging.warning(
            "%s can't be locked (%s): let one process at a time work in it", folder, error.strerror
        )
        yield
        return
    note = folder / f"{NOTE}{socket.gethostname()}_{os.getpid()}.json"
    try:
        forget_the_dead(folder, alone=not shared)
        note.write_text(json.dumps(owner()), encoding="utf-8")
        yield
    finally:
        note.unlink(missing_ok=True)
        release(folder / LOCK, descriptor)


def acquire(folder: pathlib.Path, *, shared: bool, wait: bool) -> int:
    """Takes the lock; returns its file descriptor. Raises as `owned`, OSError where none works."""
    told = False
    while (descriptor := try_lock(folder / LOCK, shared=shared)) is None:
        if not wait:
            raise InUseError(
                f"{folder} is in use by another process: {words_of_owners(folder)}. Wait for its"
                " end, stop it, or name another folder."
            )
        if not told:
            logging.info("Waiting for %s: %s", folder, words_of_owners(folder))
            told = True
        time.sleep(PAUSE)
    return descriptor


def try_lock(path: pathlib.Path, *, shared: bool) -> int | None:
    """The descriptor of the locked file; None where another process holds it."""
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    while True:
        descriptor = open_lock(path)
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
            if is_at(descriptor, path):
                return descriptor
        except OSError as error:
            os.close(descriptor)
            if error.errno in HELD_ELSEWHERE:
                return None
            raise
        # The last owner removed this file after it was opened: it locks nothing any more.
        os.close(descriptor)


def open_lock(path: pathlib.Path) -> int:
    """Opens a lock's file; another user's only to be read, which is enough to lock it."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        return os.open(path, os.O_RDONLY)


def is_at(descriptor: int, path: pathlib.Path) -> bool:
    """Whether an open file is still the one at that path."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def release(path: pathlib.Path, descriptor: int) -> None:
    """Lets go of the lock; whoever holds it last removes its file."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink(missing_ok=True)
    os.close(descriptor)


def owner() -> dict[str, Any]:
    """What a note says of this process."""
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(STARTED)),
        "command": passwords.hidden(shlex.join(sys.argv)),
    }


def notes(folder: pathlib.Path) -> dict[pathlib.Path, dict[str, Any]]:
    """The notes of owners in a folder; one that is not whole says nothing."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(NOTE):
            try:
                found[path] = dict(json.loads(path.read_text(encoding="utf-8")))
            except (OSError, ValueError, TypeError):
                found[path] = {}
    return found


def words_of_owners(folder: pathlib.Path) -> str:
    """The owners for a message; a process that has only just begun has left no note yet."""
    owners = [note for note in notes(folder).values() if note and not is_dead(note)]
    return "; ".join(map(owner_words, owners)) or "it has only just started"


def owner_words(note: dict[str, Any]) -> str:
    """A note as words."""
    return (
        f"process {note.get('pid')} on {note.get('host')}, started {note.get('started')}"
        f" ({note.get('command')})"
    )


def is_dead(note: dict[str, Any]) -> bool:
    """Whether a note's process is known to be gone: that of another host never is."""
    if note.get("host") != socket.gethostname():
        return False
    try:
        os.kill(int(note["pid"]), 0)
    except (ProcessLookupError, KeyError, ValueError, TypeError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


def forget_the_dead(folder: pathlib.Path, *, alone: bool) -> None:
    """Removes the notes of processes that ended without a word.

    Args:
        folder: the run directory, whose lock is held.
        alone: nobody else can hold it, so that all notes are old, those of other hosts too.
    """
    for path, note in notes(folder).items():
        if alone or is_dead(note):
            logging.info(
                "%s was left by %s, which is gone; going on from there", folder, owner_words(note)
            )
            path.unlink(missing_ok=True)
