"""What stands in a folder in place of the files that were looked for, in words."""

import os
import pathlib
import unicodedata

LISTED = 3
# What operating systems and archives leave behind.
LITTER = ("Thumbs.db", "desktop.ini", "__MACOSX")


def visible(folder: pathlib.Path) -> list[str]:
    """Names in a folder, sorted, without hidden files and what systems leave behind."""
    names = (name for name in os.listdir(folder) if not name.startswith("."))
    return sorted(name for name in names if name not in LITTER)


def elsewhere(folder: pathlib.Path, wanted: str) -> str:
    """Where a folder is that is not where it should be; a sentence.

    Args:
        folder: where it should be.
        wanted: its name.
    """
    if not folder.is_dir():
        return f"{folder} is {'a file' if folder.exists() else 'not there'}."
    if folder.name == wanted:
        return f"The folder given is {wanted} itself: give the one that holds it."
    names = visible(folder)
    for name in names:
        if (folder / name / wanted).is_dir():
            return f"There is {folder / name / wanted}."
    archives = [name for name in names if name.startswith(wanted) and not (folder / name).is_dir()]
    if archives:
        return f"There is {archives[0]}: unpack it."
    return f"{folder} holds {listed(names)}."


def nearest(path: pathlib.Path) -> str:
    """What stands in place of a file that is not there; a sentence."""
    folder = path.parent
    if not folder.is_dir():
        return f"{folder} is {'a file' if folder.exists() else 'not there'}."
    near = near_files(path)
    return f"There is {near[0]}." if near else f"{folder} holds {listed(visible(folder))}."


def near_files(path: pathlib.Path) -> list[pathlib.Path]:
    """Files that may be meant by one that is not there: named a little differently, or deeper."""
    places = [path.parent / name for name in visible(path.parent)]
    alike_names = [place for place in places if alike(place.name) == alike(path.name)]
    deeper = [place / path.name for place in places if place.is_dir()]
    return [found for found in (*alike_names, *deeper) if found.is_file()]


def instead(missing: list[str], folder: pathlib.Path) -> str:
    """What stands in a folder in place of missing files; a sentence.

    Args:
        missing: names, at least one.
        folder: where they are expected.
    """
    broken = [name for name in missing if (folder / name).is_symlink()]
    if broken:
        return f"{len(broken)} of the {len(missing)} are links that lead nowhere: {listed(broken)}."
    names = visible(folder)
    other = other_names(missing, names)
    if other:
        return other
    for name in names:
        if (folder / name / missing[0]).exists():
            return f"{missing[0]} is in {folder / name}."
    return f"{folder} holds {listed(names)}."


def other_names(missing: list[str], names: list[str]) -> str:
    """Which missing names stand there a little differently; a sentence, empty where none does.

    Another ending, upper or lower case, a folder before the name, or letters with accents that
    are composed otherwise.
    """
    there: dict[str, str] = {}
    for name in names:
        there.setdefault(alike(name), name)
    found = [(name, there[alike(name)]) for name in missing if alike(name) in there]
    if not found:
        return ""
    return (
        f"{len(found)} of the {len(missing)} are there under another name:"
        f" {found[0][1]} for {found[0][0]}; correct the names in the index file."
    )


def alike(name: str) -> str:
    """What names have in common that differ only as `other_names` says."""
    stem = pathlib.PurePosixPath(name.replace("\\", "/")).stem
    return unicodedata.normalize("NFC", stem).casefold()


def listed(names: list[str]) -> str:
    """The first names and the number of the others."""
    if not names:
        return "nothing"
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")
