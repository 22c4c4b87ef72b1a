"""The train stage: trains the players of a run, or goes on training."""

import pathlib

from arl_tf.config.settings import Config, subset
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.models.backbones import IMAGENET
from arl_tf.training import checkpoints, train
from arl_tf.training.settings import TrainingFiles, TrainingSettings


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Before data are read: refuses starts that are not there.

    Raises:
        ValueError: --warm_start holds no trained players, or --weights is no file.
    """
    if config.warm_start:
        started = RunDirectory(pathlib.Path(config.warm_start))
        for name in ("encoder", "task_head"):
            checkpoints.require_player(started.player(name))
    if config.weights not in ("", IMAGENET) and not pathlib.Path(config.weights).is_file():
        raise ValueError(
            f"--weights={config.weights} is no file; expected {IMAGENET}, or a file of weights of"
            f" {config.encoder}."
        )


def run(experiment: Experiment) -> None:
    """Trains, or goes on training.

    Raises:
        callbacks.TrainingDiverged: training went wrong.
    """
    config, files = experiment.config, experiment.run
    train.train(
        subset(config, TrainingSettings),
        TrainingFiles(files.checkpoints, files.logs, files.metrics),
        experiment.images,
        experiment.parts,
    )
