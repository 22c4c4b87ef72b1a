"""Puts finished files in place: built aside, renamed, all taken back if one of them fails."""

import contextlib
import hashlib
import os
import pathlib
import shutil
from collections.abc import Iterator, Sequence
from typing import Any

UNFINISHED = ".unfinished"


@contextlib.contextmanager
def unfinished_folders(export_dir: pathlib.Path) -> Iterator[tuple[pathlib.Path, pathlib.Path]]:
    """Makes two hidden folders in `export_dir`, and removes them at the end.

    They are (for new files, for replaced files), on the destination's file system, where renaming
    is atomic, and outside the folders that servers watch. What a killed export left in them goes
    first.
    """
    was_absent = not export_dir.exists()
    folder = export_dir / UNFINISHED
    if folder.exists():
        shutil.rmtree(folder)
    built, replaced = folder / "built", folder / "replaced"
    built.mkdir(parents=True)
    replaced.mkdir()
    try:
        yield built, replaced
    finally:
        shutil.rmtree(folder)
        if was_absent and not any(export_dir.iterdir()):
            export_dir.rmdir()


def next_version(saved_model_dir: pathlib.Path) -> int:
    """One more than the highest version of any model: 1 for the first."""
    found = [number for model in saved_model_dir.glob("*") for number in versions(model)]
    return max(found, default=0) + 1


def versions(model_dir: pathlib.Path) -> list[int]:
    """Versions of a model, by the names of the folders in its own."""
    return [int(folder.name) for folder in model_dir.glob("*") if folder.name.isdecimal()]


def describe_files(folder: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Size in bytes and sha256 of every file below a folder, by its path in the folder."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in files
    }


def publish(
    paths: Sequence[pathlib.Path],
    *,
    built: pathlib.Path,
    replaced: pathlib.Path,
    export_dir: pathlib.Path,
    gone: Sequence[pathlib.Path] = (),
) -> None:
    """Renames `paths` from `built` to `export_dir`, in order; if one fails, all are put back.

    What an earlier export left at `gone` goes first.
    """
    with contextlib.ExitStack() as undo:
        for path in gone:
            if (export_dir / path).exists():
                (replaced / path).parent.mkdir(parents=True, exist_ok=True)
                os.replace(export_dir / path, replaced / path)
                undo.callback(os.replace, replaced / path, export_dir / path)
        for path in paths:
            new, final, old = built / path, export_dir / path, replaced / path
            undo.callback(remove_empty_parents, final, export_dir)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists():
                old.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(final, old)
                undo.callback(os.replace, old, final)
            else:
                undo.callback(withdraw, final, new)
            os.replace(new, final)
        undo.pop_all()


def withdraw(final: pathlib.Path, new: pathlib.Path) -> None:
    """Takes back a renaming, if it happened."""
    if final.exists():
        os.replace(final, new)


def remove_empty_parents(path: pathlib.Path, top: pathlib.Path) -> None:
    """Removes the folders between `path` and `top` that hold nothing."""
    for folder in path.parents:
        if folder == top or not folder.exists() or any(folder.iterdir()):
            return
        folder.rmdir()
