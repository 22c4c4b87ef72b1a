"""Paths as people write them: ~ is expanded, what can only be a slip is refused by its flag."""

import os
import pathlib
import re
import unicodedata

QUOTES = "\"'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
OTHER_MACHINE = re.compile(r"[\w.@-]{2,}:/")
WINDOWS = re.compile(r"[A-Za-z]:/|\\")
REMARK = re.compile(r"\s(?:#|//|;)")
VARIABLE = re.compile(r"\$\w|\$[{(]|%\w+%")
CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# Signs that nobody sees: categories of Unicode, but for the joiners that words and emoji need.
INVISIBLE, JOINERS = ("Cc", "Cf", "Zl", "Zp"), "\u200c\u200d"
LONGEST_NAME, LONGEST_PATH = 255, 4095


def clean_path(flag: str, text: str) -> str:
    """A path with ~ and ~user expanded; an empty one stays empty.

    What a shell would have dealt with stands in flag files as it is: quotes, remarks, variables.
    A file or folder that is really called so is taken.

    Args:
        flag: name of the setting, for messages.
        text: its value.

    Raises:
        ValueError: the path can't be what was meant; the message names flag, value and remedy.
    """
    if not text.strip():
        return text
    refuse_unusable(flag, text)
    path = expanded(flag, text) if text.startswith("~") else text
    reason = unreachable(path) or slip(new_part(path))
    if reason:
        raise ValueError(f"--{flag}={text}: {reason}")
    return path


def unreachable(path: str) -> str | None:
    """Why nothing can be read or made at a path; None where something may."""
    names = os.fsencode(path).split(b"/")
    if max(map(len, names)) > LONGEST_NAME or len(os.fsencode(path)) > LONGEST_PATH:
        return f"a name in it has more than {LONGEST_NAME} bytes, or all of it {LONGEST_PATH}."
    for each in (path, *map(str, pathlib.Path(path).parents)):
        if os.path.islink(each) and not os.path.exists(each):
            return f"{each} is a link to {os.readlink(each)}, where nothing is; mend or remove it."
    return None


def new_part(path: str) -> str:
    """What of a path does not exist yet; empty where all of it does."""
    candidates = (path, *map(str, pathlib.Path(path).parents))
    existing = next((each for each in candidates if os.path.lexists(each)), "")
    return path if existing in ("", ".") else path.removeprefix(existing).lstrip("/")


def refuse_unusable(flag: str, text: str) -> None:
    """Raises ValueError for what no file system here can hold, or none that arl_tf reads."""
    if CONTROL.search(text):
        raise ValueError(f"--{flag}={text!r} holds a line break or another control character.")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(
            f"--{flag}={text!r} is not UTF-8; rename the folder, or set a UTF-8 locale."
        ) from None
    scheme = SCHEME.match(text)
    if scheme:
        raise ValueError(
            f"--{flag}={text}: {scheme[1]}:// is not supported, only folders and files of this"
            " machine; name one, such as a folder where the storage is mounted."
        )


def expanded(flag: str, text: str) -> str:
    """A path that begins with ~, with the home folder in its place."""
    path = os.path.expanduser(text)
    if path.startswith("~"):
        user = text[1:].partition("/")[0]
        who = f"there is no user {user!r}" if user else "the home folder is not known"
        raise ValueError(
            f"--{flag}={text}: {who}; write the whole path, or ./{text} for that name."
        )
    return path


def slip(text: str) -> str | None:
    """Why a path, or its part that does not exist, is not what was meant; None where it may be."""
    if not text:
        return None
    if text != text.strip():
        return "a blank begins or ends it; leave the blank out."
    if text[0] in QUOTES or text[-1] in QUOTES:
        return "quotes are part of the value here; leave them out."
    if REMARK.search(text):
        return "a comment is part of the value here; put it on its own line, which begins with #."
    unseen = [sign for sign in text if unicodedata.category(sign) in INVISIBLE]
    if set(unseen) - set(JOINERS):
        return f"it holds a sign that can't be seen ({unseen[0]!a}); type the path anew."
    if text.startswith("="):
        return "it begins with =; write --flag=VALUE with one =."
    if VARIABLE.search(text):
        return "variables are not replaced here; write the path itself."
    if text.startswith("--"):
        return "this is a flag; the value before it is missing."
    if OTHER_MACHINE.match(text):
        return "a folder of another machine is not read; name the folder where it is mounted."
    if os.name == "posix" and WINDOWS.search(text):
        return "a path of another system, or an escaped sign; write it with / and without \\."
    return None
