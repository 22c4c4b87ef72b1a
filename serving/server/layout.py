"""What a folder of models must look like, and words for what is wrong with one that doesn't."""

import pathlib
from collections.abc import Iterator

SAVED_MODEL = "saved_model.pb"
# What TF Serving's int64 holds; it passes over folders of other names.
GREATEST_VERSION = 2**63 - 1
# How deep, and how many folders, a misplaced model is looked for.
MOST_LEVELS, MOST_FOLDERS = 4, 1000
MOST_LISTED = 6


def version_number(path: pathlib.Path) -> int | None:
    """The version that a folder's name stands for: a positive int64; None for others."""
    name = path.name
    is_number = name.isascii() and name.isdecimal() and 0 < int(name) <= GREATEST_VERSION
    return int(name) if is_number else None


def version_folders(base_path: pathlib.Path) -> dict[int, pathlib.Path]:
    """Version -> folder, for the folders of base_path whose names are positive whole numbers.

    Raises:
        OSError: base_path can't be read.
    """
    return {
        number: path
        for path in pathlib.Path(base_path).iterdir()
        if (number := version_number(path)) and path.is_dir()
    }


def listed(folder: pathlib.Path) -> str:
    """What a folder holds, for a message."""
    try:
        names = sorted(path.name + "/" * path.is_dir() for path in folder.iterdir())
    except FileNotFoundError:
        return _nearest(folder)
    except NotADirectoryError:
        return "a file, no folder"
    except OSError as error:
        return f"nothing that can be read ({error.strerror})"
    more = f" and {len(names) - MOST_LISTED} more" if len(names) > MOST_LISTED else ""
    return ", ".join(names[:MOST_LISTED]) + more or "nothing"


def _nearest(folder: pathlib.Path) -> str:
    """What is there instead of a folder that is not: the nearest one above, and its content."""
    above = next(parent for parent in folder.absolute().parents if parent.exists())
    return f"no such folder; {above} holds {listed(above)}"


def no_models(folder: pathlib.Path) -> str:
    """Why no model can be served out of a folder of models."""
    return (
        f"--model_base_path={folder} holds no model that can be served. Found there:"
        f" {listed(folder)}. Expected: a folder a model, in it a folder a version whose name is a"
        f" positive whole number, in it {SAVED_MODEL}, such as encoder/1/{SAVED_MODEL}."
        f"{_advice(folder, above_models=True)}"
    )


def no_versions(name: str, base_path: pathlib.Path) -> str:
    """Why no version of a model can be served."""
    return (
        f"No versions of servable {name} found under base path {base_path}. Found there:"
        f" {listed(base_path)}. Expected: a folder a version whose name is a positive whole number,"
        f" in it {SAVED_MODEL}, such as 1/{SAVED_MODEL}.{_advice(base_path, above_models=False)}"
    )


def holds_versions(folder: pathlib.Path) -> bool:
    """Whether a folder of models is laid out as it has to be, whatever its versions hold."""
    try:
        return any(version_folders(path) for path in folder.iterdir() if path.is_dir())
    except OSError:
        return False


def _advice(folder: pathlib.Path, *, above_models: bool) -> str:
    """What to do, by the first SavedModel in the folder or below it; "" where there is none."""
    saved = next(_saved_models(folder), None)
    if saved is None:
        return ""
    if version_number(saved) is None:
        return _renaming(folder.absolute(), saved, above_models=above_models)
    base_path = saved.parent.parent if above_models else saved.parent
    return f" There is a model in {saved}: give {base_path}." if base_path != folder else ""


def _renaming(folder: pathlib.Path, saved: pathlib.Path, *, above_models: bool) -> str:
    """What to do with a SavedModel in a folder whose name is no version."""
    depth = len(saved.relative_to(folder).parts) - above_models
    if depth > 0:
        base_path = saved.parent.parent if above_models else saved.parent
        give = f" and give {base_path}" if base_path != folder else ""
        return f" {saved} holds {SAVED_MODEL}: rename it to {saved.parent / '1'}{give}."
    place = saved / "1" if depth == 0 else saved / "encoder" / "1"
    return f" {saved} holds {SAVED_MODEL} itself: move what is in it to {place}."


def _saved_models(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """Folders with a SavedModel, the folder itself and then those below it, level by level."""
    waiting, seen = [pathlib.Path(folder).absolute()], 0
    depth = len(waiting[0].parts)
    while waiting and seen < MOST_FOLDERS:
        current = waiting.pop(0)
        seen += 1
        if (current / SAVED_MODEL).is_file():
            yield current
        elif len(current.parts) - depth < MOST_LEVELS:
            try:
                waiting += sorted(path for path in current.iterdir() if path.is_dir())
            except OSError:
                continue
