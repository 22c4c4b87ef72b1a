"""Reads files; one that is missing, empty, cut off or a Git LFS pointer is named with a remedy."""

import json
import os
import pathlib
from typing import Any

POINTER = b"version https://git-lfs.github.com/spec/"
# In JSON's words, which are not Python's; all others are numbers.
JSON_WORDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    type(None): "null",
}


def flaw(path: str | os.PathLike[str]) -> str:
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
        return "is empty"
    if start == POINTER:
        return "is a Git LFS pointer and not the file itself ('git lfs pull' fetches it)"
    return ""


def require_whole(path: str | os.PathLike[str], remedy: str) -> None:
    """Raises ValueError for a file that is missing, empty or a Git LFS pointer.

    Args:
        path: of the file.
        remedy: a sentence that says what the user can do.
    """
    found = flaw(path)
    if found:
        raise ValueError(f"{path} {found}. {remedy}")


def read_text(path: str | os.PathLike[str], remedy: str) -> str:
    """A text file's content, UTF-8; ValueError as `require_whole`, or where it is no text."""
    require_whole(path, remedy)
    try:
        return pathlib.Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not text in UTF-8 ({error.reason}). {remedy}") from error


def read_object(path: str | os.PathLike[str], remedy: str) -> dict[str, Any]:
    """The object in a JSON file; ValueError as `read_text`, or where it holds something else."""
    text = read_text(path, remedy)
    try:
        content = json.loads(text, parse_constant=refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not JSON ({error}). {remedy}") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds {json_words(content)}; expected an object. {remedy}")
    return content


def json_words(content: Any) -> str:
    """What a JSON file holds, in JSON's words: "null", "a list"."""
    return JSON_WORDS.get(type(content), "a number")


def refuse_constant(name: str) -> None:
    """Raises ValueError for NaN and Infinity, which Python would read and no browser does."""
    raise ValueError(f"it holds {name}")


def one_line(error: BaseException, longest: int = 300) -> str:
    """What an exception says, in a line of bounded length; its type where it says nothing."""
    text = " ".join(str(error).split())
    shown = text if len(text) <= longest else f"{text[:longest]}..."
    return shown.rstrip(".") or type(error).__name__
