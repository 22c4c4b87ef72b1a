"""Reads files of run directories and models; names what is damaged or not ours, and the remedy.

Disks fill up, copies break off, a clone without Git LFS leaves pointers, and directories are read
by other versions than wrote them. Every reader of such a file goes through here, so that all of
this ends in one line.
"""

import contextlib
import json
import pathlib
import pickle
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

POINTER = b"version https://git-lfs.github.com/spec/"
EMPTY = "is empty"
LONGEST_REASON = 200
# In JSON's words, which are not Python's; all others are numbers.
JSON_WORDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    type(None): "null",
}
# What json, numpy, zipfile, h5py and Keras raise at files that are not what they should be.
PARSE_ERRORS = (
    ArithmeticError,
    AttributeError,
    EOFError,
    ImportError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


class UnreadableFileError(ValueError):
    """A file is missing, damaged or not ours; the message says which, what is wrong, the remedy."""


def refusal(path: str | pathlib.Path, found: str, remedy: str) -> UnreadableFileError:
    """The error for a file: its path, what was found there, and what to do."""
    return UnreadableFileError(f"{path} {found}. {remedy}")


def flaw(path: str | pathlib.Path) -> str:
    """What is wrong with a file before its format matters; empty for one that holds something."""
    path = pathlib.Path(path)
    if path.is_dir():
        return "is a folder; expected a file"
    try:
        with path.open("rb") as file:
            start = file.read(len(POINTER))
    except FileNotFoundError:
        return "is not there"
    except OSError as error:
        return f"can't be read ({error.strerror})"
    if not start:
        return f"{EMPTY}, as after a crash or on a full disk"
    if start == POINTER:
        return "is a Git LFS pointer and not the file itself ('git lfs pull' fetches it)"
    return ""


def require_whole(path: str | pathlib.Path, remedy: str) -> None:
    """Raises UnreadableFileError for a file that is missing, empty or a Git LFS pointer."""
    found = flaw(path)
    if found:
        raise refusal(path, found, remedy)


@contextlib.contextmanager
def reading(path: str | pathlib.Path, remedy: str) -> Iterator[None]:
    """What fails to parse inside it is told as UnreadableFileError.

    Args:
        path: of the file that is read.
        remedy: a sentence that says what the user can do.
    """
    require_whole(path, remedy)
    with telling(path, remedy):
        yield


@contextlib.contextmanager
def telling(path: str | pathlib.Path, remedy: str) -> Iterator[None]:
    """As `reading`, for what was read already, or may be empty."""
    try:
        yield
    except UnreadableFileError:
        raise
    except PARSE_ERRORS as error:
        raise refusal(path, f"can't be read: {one_line(error)}", remedy) from error


def one_line(error: BaseException) -> str:
    """What an exception says, in a line of bounded length; its type where it says nothing."""
    text = " ".join(str(error).split())
    if isinstance(error, KeyError):
        text = f"it has no {text}"
    shown = text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}..."
    return shown.rstrip(".") or type(error).__name__


def read_text(path: str | pathlib.Path, *, remedy: str) -> str:
    """A text file's content; UTF-8, a byte order mark is left out."""
    with reading(path, remedy):
        return pathlib.Path(path).read_text(encoding="utf-8-sig")


def read_json(
    path: str | pathlib.Path, *, remedy: str, keys: Sequence[str] = (), kind: type = dict
) -> Any:
    """A JSON file's content.

    Args:
        path: of the file.
        remedy: a sentence for the message.
        keys: what it must hold; "worst.psnr" is the key psnr of the object worst.
        kind: dict or list.

    Raises:
        UnreadableFileError: it is missing, is no JSON, or holds something else.
    """
    content = parsed(read_text(path, remedy=remedy), path, remedy)
    expected = JSON_WORDS[kind]
    if not isinstance(content, kind):
        raise refusal(path, f"holds {json_words(content)}; expected {expected}", remedy)
    missing = [key for key in keys if not has(content, key)]
    if missing:
        raise refusal(
            path,
            f"has no {', '.join(missing)}: it is another file, or of another version of arl_tf",
            remedy,
        )
    return content


def json_words(content: Any) -> str:
    """What a JSON file holds, in JSON's words: "null", "a list"."""
    return JSON_WORDS.get(type(content), "a number")


def parsed(text: str, path: str | pathlib.Path, remedy: str) -> Any:
    """JSON text of a file, strictly: arl_tf writes neither NaN nor Infinity."""
    try:
        return json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise refusal(path, f"is not JSON: {one_line(error)}", remedy) from error


def refuse_constant(name: str) -> None:
    """Raises ValueError for NaN and Infinity, which Python would read."""
    raise ValueError(f"it holds {name}")


def read_json_lines(
    path: str | pathlib.Path, *, remedy: str, keys: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """The objects of a file of JSON lines, each with `keys`; a file without a line has none.

    Raises:
        UnreadableFileError: it is missing, or a line is no such object.
    """
    found = flaw(path)
    if found and not found.startswith(EMPTY):
        raise refusal(path, found, remedy)
    lines = pathlib.Path(path).read_bytes().split(b"\n")
    with telling(path, remedy):
        objects = [parsed(line.decode(), path, remedy) for line in lines if line.strip()]
    for number, content in enumerate(objects, 1):
        if not isinstance(content, dict) or not all(key in content for key in keys):
            raise refusal(path, f"has no {', '.join(keys)} in entry {number}", remedy)
    return objects


def has(content: Any, key: str) -> bool:
    """Whether nested objects hold a dotted key."""
    for part in key.split("."):
        if not isinstance(content, dict) or part not in content:
            return False
        content = content[part]
    return True


@contextlib.contextmanager
def open_arrays(path: str | pathlib.Path, *, remedy: str) -> Iterator[np.lib.npyio.NpzFile]:
    """An .npz file's arrays, each read when it is asked for; no pickled objects.

    Raises:
        UnreadableFileError: it is none, is cut off, or lacks an array that is asked for.
    """
    with reading(path, remedy):
        if not zipfile.is_zipfile(path):
            raise refusal(path, "is not an .npz file, or is cut off", remedy)
        # Opened here: numpy leaves a file open that it fails to read.
        with pathlib.Path(path).open("rb") as file, np.load(file, allow_pickle=False) as saved:
            yield saved


def read_array(path: str | pathlib.Path, *, remedy: str) -> np.ndarray:
    """The array in an .npy file, of any shape; no pickled objects.

    Raises:
        UnreadableFileError: it is none, or is cut off.
    """
    with reading(path, remedy), pathlib.Path(path).open("rb") as file:
        return np.lib.format.read_array(file, allow_pickle=False)
