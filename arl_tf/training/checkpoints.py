"""Training state on disk: players, optimizers and epoch, in folders that appear by rename."""

import json
import pathlib
import shutil
from collections.abc import Mapping
from typing import Any

import keras

# In a run directory.
FOLDER = "checkpoints"
KEPT = 2


def save(folder: pathlib.Path, learner: keras.Model, *, epoch: int) -> None:
    """Saves the learner after `epoch` epochs as `folder`/epoch_NNNNN; keeps the last two."""
    target = folder / f"epoch_{epoch:05d}"
    unfinished = folder / f".unfinished_{epoch:05d}"
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    learner.save_weights(unfinished / "learner.weights.h5")
    (unfinished / "state.json").write_text(json.dumps({"epoch": epoch, "phase": learner.phase}))
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    for old in sorted(folder.glob("epoch_*"))[:-KEPT]:
        shutil.rmtree(old)


def latest(folder: pathlib.Path) -> tuple[pathlib.Path, Mapping[str, Any]] | None:
    """The newest checkpoint's weights file and state {"epoch", "phase"}; None if there is none."""
    saved = sorted(folder.glob("epoch_*"))
    if not saved:
        return None
    state = json.loads((saved[-1] / "state.json").read_text())
    return saved[-1] / "learner.weights.h5", state


def save_player(player: keras.Model, path: pathlib.Path) -> None:
    """Saves one trained model as a .keras file, by rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"unfinished_{path.name}")
    player.save(unfinished)
    unfinished.replace(path)


def player_path(folder: pathlib.Path, name: str) -> pathlib.Path:
    """The file of a trained encoder, task_head or decoder in a folder of checkpoints."""
    return folder / f"{name}.keras"


def require_player(path: pathlib.Path) -> None:
    """Raises ValueError where a trained model is missing: the run was not trained to its end."""
    if not path.exists():
        raise ValueError(
            f"No {path}: the run is not trained to its end; run it with --stages=train first."
        )


def load_player(path: pathlib.Path) -> keras.Model:
    """Loads a trained model; ValueError where it is missing."""
    require_player(path)
    return keras.models.load_model(path, compile=False)
