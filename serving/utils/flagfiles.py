r"""Flag files: read here and not by absl, which takes quotes and comments for parts of values.

One --name=value a line; a line that begins with # or // is a comment. Windows' and Mac's line
endings, a byte order mark and UTF-16 (as PowerShell's > writes) are understood.
"""

import codecs
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from serving.utils.path_values import QUOTES, clean_path

FLAGFILE = re.compile(r"--?flagfile(?:=(.*))?", re.DOTALL)
LINE_END = re.compile(r"\r\n|\r|\n")
# What people end a line with that is no part of its value.
REMARK = re.compile(r"(?:^|\s)(?:#|//\s|;\s|//$|;$)")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


class Given(NamedTuple):
    """An argument, and where it stands: 'FILE, line N', or '' for the command line."""

    text: str
    place: str


def expand(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Replaces every --flagfile=FILE by the file's flags, in its place.

    Args:
        arguments: the command line without the program.

    Returns:
        The arguments, and notes on flags of which one place gives two values (the last counts).

    Raises:
        ValueError: a file can't be read, or a line is no --name=value.
    """
    given = list(read_arguments(arguments))
    return [each.text for each in given], doubled(given)


def read_arguments(arguments: Sequence[str]) -> Iterator[Given]:
    """The command line's arguments, and those of the files that it names."""
    rest = iter(arguments)
    for text in rest:
        if text == "--":
            yield Given(text, "")
            yield from (Given(each, "") for each in rest)
            return
        match = FLAGFILE.fullmatch(text)
        if not match:
            yield Given(text, "")
            continue
        name = match[1] if match[1] is not None else next(rest, "")
        yield from read_file(find(name, ()), ())


def find(name: str, including: Sequence[pathlib.Path]) -> pathlib.Path:
    """A flag file: in the working directory, or for one that a file names also above that file."""
    if not name.strip():
        raise ValueError("--flagfile names no file; write --flagfile=FILE.")
    path = pathlib.Path(clean_path("flagfile", name))
    above = [parent / path for parent in including[-1].absolute().parents] if including else []
    for candidate in (path, *above):
        # Not only plain files: a shell's <(command) is a pipe.
        if candidate.exists() and not candidate.is_dir():
            return candidate
    named = f", which {including[-1]} names" if including else ""
    what = "is a folder" if path.is_dir() else "there is no such file"
    raise ValueError(f"--flagfile={path}{named}: {what} (working directory: {pathlib.Path.cwd()}).")


def read_file(path: pathlib.Path, including: Sequence[pathlib.Path]) -> Iterator[Given]:
    """The flags of one file and of those that it names."""
    if any(path.samefile(other) for other in including):
        chain = " -> ".join(str(each) for each in (*including, path))
        raise ValueError(f"--flagfile: {chain} name each other in a circle.")
    # Not splitlines, which splits at signs where no editor does.
    for number, line in enumerate(LINE_END.split(text_of(path)), 1):
        text, place = line.strip(), f"{path}, line {number}"
        if not text or text.startswith(("#", "//")):
            continue
        check_line(text, place)
        match = FLAGFILE.fullmatch(text)
        if match:
            yield from read_file(find(match[1] or "", (*including, path)), (*including, path))
        else:
            yield Given(text, place)


def text_of(path: pathlib.Path) -> str:
    """A flag file's text; ValueError where it is none."""
    try:
        content = path.read_bytes()
        return content.decode("utf-16" if content.startswith(UTF_16) else "utf-8-sig")
    except OSError as error:
        raise ValueError(f"--flagfile={path} can't be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ValueError(f"--flagfile={path} is no text in UTF-8.") from None


def check_line(text: str, place: str) -> None:
    """Raises ValueError for a line that is not one --name=value, or --name of a yes-or-no flag."""
    match = re.fullmatch(r"(--?[A-Za-z]\w*)(?:(\s*=\s*|\s+)(.*))?", text)
    if not match:
        raise ValueError(f"{place}: expected --name=value, got {text!r}.")
    name, sign, value = match[1], match[2], match[3] or ""
    remedy = None
    if REMARK.search(value):
        remedy = "a comment must be on its own line, which begins with #"
    elif value.endswith("\\"):
        remedy = "every line stands for itself; leave the \\ out"
    elif re.search(r"\s--[A-Za-z]", f" {value}"):
        remedy = "every flag needs a line of its own"
    elif sign not in (None, "="):
        remedy = f"write {name}={value}"
    elif value and (value[0] in QUOTES or value[-1] in QUOTES):
        remedy = "quotes are part of the value here; leave them out"
    if remedy:
        raise ValueError(f"{place}: {text}: {remedy}.")


def doubled(given: Sequence[Given]) -> list[str]:
    """A note for each flag that one file, or the command line, gives two different values."""
    seen: dict[tuple[str, str], Given] = {}
    notes = []
    for each in given:
        name = each.text.partition("=")[0].lstrip("-")
        key = (each.place.rpartition(", line ")[0], name)
        before = seen.get(key)
        if "=" in each.text and before and before.text != each.text:
            where = f"{before.place} and {each.place}" if each.place else "the command line"
            notes.append(f"--{name} is given twice in {where}; the last counts: {each.text}")
        seen[key] = each
    return notes
