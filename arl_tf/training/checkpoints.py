"""Training state on disk: players, optimizers and epoch, in folders that appear by rename."""

import json
import math
import pathlib
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from typing import Any

import keras

from arl_tf.utils import files, run_files

# In a run directory.
FOLDER = "checkpoints"

KEPT = 2
# Bytes of a checkpoint's HDF5 file beside its numbers.
OVERHEAD = 4 << 20
WEIGHTS, STATE = "learner.weights.h5", "state.json"
CHECKPOINT_REMEDY = "Put back an intact copy, or delete this checkpoint to go on from an older one."
PLAYER_REMEDY = (
    "Put back an intact copy, of the version of arl_tf and Keras that config.json names, or train"
    " again: --stages=train --overwrite."
)


def save(folder: pathlib.Path, learner: keras.Model, *, epoch: int) -> None:
    """Saves the learner after `epoch` epochs as `folder`/epoch_NNNNN; keeps the last two."""
    target = folder / f"epoch_{epoch:05d}"
    unfinished = folder / f".unfinished_{epoch:05d}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    files.check_room(unfinished, most_bytes(learner))
    learner.save_weights(unfinished / WEIGHTS)
    (unfinished / STATE).write_text(json.dumps({"epoch": epoch, "phase": learner.phase}))
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    for old in sorted(folder.glob("epoch_*"))[:-KEPT]:
        shutil.rmtree(old)


def most_bytes(learner: keras.Model) -> int:
    """Bytes that a checkpoint has at most: float32 weights, their average and two moments."""
    numbers = sum(math.prod(variable.shape) for variable in learner.variables)
    return 4 * 4 * numbers + OVERHEAD


def save_nowhere(learner: keras.Model, epoch: int) -> None:
    """Takes part in a checkpoint that another process writes: variables are read, nothing kept."""
    del epoch
    with tempfile.TemporaryDirectory() as folder:
        learner.save_weights(pathlib.Path(folder) / WEIGHTS)


def newest_first(folder: pathlib.Path) -> list[pathlib.Path]:
    """The folders of the checkpoints."""
    return sorted(folder.glob("epoch_*"), reverse=True)


def read_state(checkpoint: pathlib.Path) -> Mapping[str, Any]:
    """A checkpoint's {"epoch", "phase"}; UnreadableFileError where it is damaged."""
    return run_files.read_json(
        checkpoint / STATE, remedy=CHECKPOINT_REMEDY, keys=("epoch", "phase")
    )


def load_weights(learner: keras.Model, checkpoint: pathlib.Path) -> None:
    """Loads a checkpoint's weights; where UnreadableFileError is raised, some may be loaded."""
    with run_files.reading(checkpoint / WEIGHTS, CHECKPOINT_REMEDY):
        learner.load_weights(checkpoint / WEIGHTS)


def save_player(player: keras.Model, path: pathlib.Path) -> None:
    """Saves one trained model as a .keras file, by rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as unfinished:
        player.save(unfinished)


def player_path(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The file of a trained encoder, task_head or decoder in a folder of checkpoints."""
    return folder / f"{name}.keras"


def require_player(path: pathlib.Path) -> None:
    """Raises ValueError where a trained model is missing, or plainly damaged.

    Where it is missing, the run was not trained to its end.
    """
    if not path.exists():
        folder = path.parent.parent
        absent = "" if folder.exists() else f" (there is no {folder}: check the path)"
        raise ValueError(
            f"No {path}: the run is not trained to its end{absent}; run it with --stages=train"
            " first."
        )
    run_files.require_whole(path, PLAYER_REMEDY)
    if not zipfile.is_zipfile(path):
        raise run_files.refusal(path, "is not a .keras file, or is cut off", PLAYER_REMEDY)


def load_player(path: pathlib.Path) -> keras.Model:
    """Loads a trained model; ValueError where it is missing, damaged or no model with one input."""
    require_player(path)
    with run_files.reading(path, PLAYER_REMEDY):
        player = keras.models.load_model(path, compile=False)
        if len(player.inputs) != 1 or len(player.outputs) != 1:
            raise ValueError(
                f"it has {len(player.inputs)} inputs and {len(player.outputs)} outputs;"
                " expected one of each"
            )
    return player
