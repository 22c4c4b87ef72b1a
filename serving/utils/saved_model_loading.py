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


def load(path: str | os.PathLike) -> Any:
    """Loads a SavedModel; raises what `tf.saved_model.load` raises."""
    with plain_path(pathlib.Path(path)) as plain:
        return tf.saved_model.load(str(plain))


@contextlib.contextmanager
def plain_path(path: pathlib.Path) -> Iterator[pathlib.Path]:
    """The path itself, or a link to it whose name is no pattern while the block runs."""
    if not PATTERN_CHARACTERS & set(str(path)):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="arl_tf_") as folder:
        link = pathlib.Path(folder) / "model"
        link.symlink_to(path.absolute(), target_is_directory=True)
        yield link
