"""tf.saved_model.load for any folder: TensorFlow takes the path of its variables for a pattern.

A folder called 'lr=[1e-3]' is written and then not found; one called 'run*' may get another's
variables. Such a folder is loaded through a link of a plain name.
"""

import contextlib
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

PATTERN_CHARACTERS = frozenset("*?[]{}\\")
# For temporary folders where TMPDIR's own path is a pattern.
PLAIN_ROOTS = ("/tmp", "/var/tmp", "/dev/shm")


def load(path: str | os.PathLike) -> Any:
    """Loads a SavedModel; raises what `tf.saved_model.load` raises."""
    with plain_path(pathlib.Path(path)) as plain:
        return tf.saved_model.load(str(plain))


@contextlib.contextmanager
def plain_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The path itself, or a link to it whose name is no pattern while the block runs."""
    if not is_pattern(path):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="arl_tf_", dir=plain_temporary_root()) as folder:
        link = pathlib.Path(folder) / "model"
        link.symlink_to(path.absolute(), target_is_directory=True)
        yield link


def is_pattern(path: str | os.PathLike) -> bool:
    """Whether TensorFlow would take a path for a pattern."""
    return bool(PATTERN_CHARACTERS & set(str(path)))


def plain_temporary_root() -> str:
    """Where temporary folders go: TMPDIR's folder, or another if that one's path is a pattern.

    Raises:
        ValueError: there is no other.
    """
    usual = tempfile.gettempdir()
    roots = [root for root in (usual, *PLAIN_ROOTS) if not is_pattern(root)]
    found = next((root for root in roots if os.access(root, os.W_OK | os.X_OK)), None)
    if found is None:
        raise ValueError(
            f"TensorFlow takes the path of temporary files, {usual}, for a pattern; set TMPDIR to a"
            f" folder whose path has none of {' '.join(sorted(PATTERN_CHARACTERS))}."
        )
    return found


@contextlib.contextmanager
def plain_temporary_folders() -> Iterator[None]:
    """Has `tempfile` put everything below `plain_temporary_root` while the block runs."""
    before, tempfile.tempdir = tempfile.tempdir, plain_temporary_root()
    try:
        yield
    finally:
        tempfile.tempdir = before
