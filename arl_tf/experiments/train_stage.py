"""The train stage: trains the players of a run, or goes on training."""

import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from arl_tf.config.settings import Config, subset
from arl_tf.data import splits
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.defences import registry
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import SPLITS_REMEDY, RunDirectory
from arl_tf.models.backbones import IMAGENET
from arl_tf.training import checkpoints, strategies, train
from arl_tf.training.settings import TrainingFiles, TrainingSettings
from arl_tf.utils import run_files

# Parts that a teacher must not have learned from.
UNSEEN = ("private_validation", "test")


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Before data are read: refuses starts and teachers that are not there, and wrong defences.

    Raises:
        ValueError: --warm_start or a teacher holds no trained players, --weights is no file, or
            the defence does not take its numbers or the code.
    """
    check_defence(config)
    for folder in filter(None, (config.warm_start, *config.teachers)):
        for name in ("encoder", "task_head"):
            checkpoints.require_player(RunDirectory(pathlib.Path(folder)).player(name))
    if config.weights not in ("", IMAGENET) and not pathlib.Path(config.weights).is_file():
        raise ValueError(
            f"--weights={config.weights} is no file; expected {IMAGENET}, or a file of weights of"
            f" {config.encoder}."
        )


def check_defence(config: Config) -> None:
    """Raises ValueError where the defence does not take its numbers, or does not fit the code."""
    choice = registry.choice_of(config.defence, config.defence_strength, config.defence_bound)
    registry.check_private(choice, config.private_attributes)
    unchecked = sorted(set(config.private_names) - set(config.protected_names))
    if config.protected_names and unchecked:
        logging.warning(
            "The training hides %s (--private_attributes), which the audit does not check"
            " (--protected_attributes=%s)",
            ", ".join(unchecked),
            config.protected_attributes,
        )
    registry.check_code(
        choice,
        code_channels=config.code_channels,
        code_noise=config.code_noise,
        code_levels=config.code_levels,
        deterministic=config.deterministic,
    )


def run(experiment: Experiment) -> None:
    """Trains, or goes on training.

    Raises:
        ValueError: a teacher learned from other parts of the data.
        callbacks.TrainingDiverged: training went wrong.
    """
    config, files = experiment.config, experiment.run
    if config.teachers:
        description = splits.describe_splits(experiment.parts, experiment.images)
        for teacher in config.teachers:
            check_teacher(RunDirectory(pathlib.Path(teacher)), description)
    train.train(
        subset(config, TrainingSettings),
        TrainingFiles(files.checkpoints, files.logs, files.metrics, experiment.cache),
        experiment.images,
        experiment.parts,
        strategies.start(config.strategy, config.devices),
    )


def check_teacher(teacher: RunDirectory, own: Mapping[str, Any]) -> None:
    """Raises ValueError where a teacher may have seen this run's T, or has another task.

    Where it had other images beside those, whether their pixels are this run's is not known: that
    gives a warning. Older versions recorded no pixels.

    What a teacher learned from T's labels would reach the student and flatter its figures.

    Args:
        teacher: its run directory.
        own: of `splits.describe_splits`, this run's.
    """
    recorded = run_files.read_json(teacher.splits, remedy=SPLITS_REMEDY, keys=("parts",))
    differing = [name for name in UNSEEN if recorded["parts"].get(name) != own["parts"][name]]
    if differing:
        raise ValueError(
            f"--distil_from={teacher.root} has other images than this run in"
            f" {' and '.join(differing)}: it may have learned from this run's test images. Train"
            " the teacher with the same data, sizes of the parts and --seed."
        )
    check_pixels(teacher, recorded, own)
    if recorded.get("attributes") != own["attributes"]:
        raise ValueError(
            f"--distil_from={teacher.root} reads other attributes than this run; train the teacher"
            " with the same --task_attributes."
        )
    kind = recorded.get("task_kind", MULTI_LABEL)
    if kind != own["task_kind"]:
        raise ValueError(
            f"--distil_from={teacher.root} has a task of the kind {kind}, this run"
            f" {own['task_kind']}; train the teacher with the same data."
        )


def check_pixels(
    teacher: RunDirectory, recorded: Mapping[str, Any], own: Mapping[str, Any]
) -> None:
    """Raises ValueError where images of the same names have other pixels; `check_teacher`'s part.

    Names tell which images a teacher learned from only as long as they are of the same pictures.
    """
    pixels = recorded.get("pixels_sha256")
    if pixels is None or pixels == own["pixels_sha256"]:
        return
    if recorded.get("files_sha256") != own["files_sha256"]:
        logging.warning(
            "The teacher %s has other images beside those of this run's test set, so it can't be"
            " told whether its images of the same names have the same pixels; see to it",
            teacher.root,
        )
        return
    raise ValueError(
        f"--distil_from={teacher.root} has images of the same names, but with other pixels: their"
        " files, or how they are prepared (such as --fit), have changed since. It may"
        " have learned from this run's test images. Restore the data, or train the teacher again."
    )
