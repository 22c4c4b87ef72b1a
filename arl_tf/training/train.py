"""Trains the players phase by phase and saves them. Resumes where it was killed."""

import functools
import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.data.image_sets import ImageSet
from arl_tf.data.pipelines import WHOLE, Augmentation, Shares, training_batches
from arl_tf.data.splits import Splits
from arl_tf.defences import registry
from arl_tf.metrics.tasks.definition import Task
from arl_tf.models import precision
from arl_tf.models.losses import PrivacyObjective
from arl_tf.training import (
    building,
    callbacks,
    checkpoints,
    defending,
    distillation,
    phase_callbacks,
    replicas,
    rules,
    strategies,
)
from arl_tf.training.learner import AdversarialRepresentationLearner
from arl_tf.training.phases import ADVERSARIAL, ADVERSARY, DEFENCE, TASK
from arl_tf.training.settings import TrainingFiles, TrainingSettings
from arl_tf.utils import run_files

# Those that outlive the training.
KEPT_PLAYERS = ("encoder", "task_head", "decoder")


def train(
    settings: TrainingSettings,
    files: TrainingFiles,
    images: ImageSet,
    splits: Splits,
    strategy: tf.distribute.Strategy | None = None,
) -> None:
    """Trains the players, from their last checkpoint if there is one; saves them as .keras files.

    Args:
        settings: how they are built and trained.
        files: where they are written.
        images: the data set.
        splits: its parts.
        strategy: of `strategies.start`, the devices that share the steps; None: one device.

    Raises:
        callbacks.TrainingDiverged: a loss is not finite, or far beyond what its term can be.
        ValueError: the devices can't share a batch equally.
        RuntimeError: another worker is gone.
    """
    strategy = strategy or tf.distribute.get_strategy()
    strategies.check_batch(strategy, settings.batch_size)
    with strategies.others_may_go(strategy):
        with strategy.scope():
            learner = learner_for(settings, images, splits)
            steps = steps_per_epoch(settings, splits)
            task = distillation.task_for(settings, images, splits)
            done = restore(learner, settings, files, steps, task)
        strategies.meet(strategy, done)
        is_chief = strategies.is_chief(strategy)
        if is_chief:
            callbacks.drop_lines_after(files.metrics, done)
        strategies.draw_apart(strategy, settings.seed)
        train_phases(learner, settings, files, images, splits, strategy, done)
        if is_chief:
            save_players(learner, settings, files, images, splits)
        strategies.meet(strategy)


def train_phases(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    files: TrainingFiles,
    images: ImageSet,
    splits: Splits,
    strategy: tf.distribute.Strategy,
    done: int,
) -> None:
    """Trains the phases' epochs after the first `done` ones."""
    steps = steps_per_epoch(settings, splits)
    task = distillation.task_for(settings, images, splits)
    is_chief = strategies.is_chief(strategy)
    writer = (
        tf.summary.create_file_writer(str(files.logs))
        if is_chief
        else tf.summary.create_noop_writer()
    )
    targets = defending.with_private(
        images, settings.private_names, distillation.targets_for(settings, files, images, splits)
    )
    first_epoch = 0
    for phase, epochs in phases(settings):
        start, end = max(first_epoch, done), first_epoch + epochs
        if start == first_epoch:
            with strategy.scope():
                compile_phase(learner, settings, phase, epochs * steps, task)
        if start < end:
            logging.info("Phase '%s': epochs %d to %d, %d steps each", phase, start + 1, end, steps)
            batches = functools.partial(
                batches_from, start * steps, settings, images, splits, targets
            )
            watching = phase_callbacks.of_all(settings, images, phase, first_epoch)
            if is_chief:
                watching += phase_callbacks.of_chief(settings, files, images, splits, writer, phase)
            else:
                watching += phase_callbacks.of_follower(settings)
            learner.fit(
                strategies.distributed_batches(strategy, batches),
                initial_epoch=start,
                epochs=end,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=fit_verbosity() if is_chief else 0,
                callbacks=watching,
            )
        first_epoch = end
    writer.close()


def save_players(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    files: TrainingFiles,
    images: ImageSet,
    splits: Splits,
) -> None:
    """Saves the players as .keras files of one device.

    Audit, export and endpoint compute in float32, however the training did.
    """
    finish = distillation.finish_of(settings, images, splits)
    for name in KEPT_PLAYERS:
        player = replicas.with_own_moments(precision.in_float32(getattr(learner, name)))
        if name == "task_head":
            player = finish.finished(player)
        checkpoints.save_player(player, checkpoints.player_path(files.checkpoints, name))


def phases(settings: TrainingSettings) -> list[tuple[str, int]]:
    """(phase, epochs) in the order they are trained; phases without epochs are left out."""
    plan = [(TASK, settings.warmup_epochs)]
    if registry.trains_decoders(settings.defence):
        plan += [
            (ADVERSARY, settings.decoder_warmup_epochs),
            (ADVERSARIAL, settings.epochs),
        ]
    elif settings.defence != registry.NONE:
        plan += [(DEFENCE, settings.epochs)]
    return [(phase, epochs) for phase, epochs in plan if epochs]


def steps_per_epoch(settings: TrainingSettings, splits: Splits) -> int:
    """Encoder steps in an epoch: as set, or one pass over the private images."""
    return settings.steps_per_epoch or max(1, len(splits.private_train) // settings.batch_size)


def learner_for(
    settings: TrainingSettings, images: ImageSet, splits: Splits
) -> AdversarialRepresentationLearner:
    """New players for a data set."""
    mean = building.mean_image(images.images, splits.public_train)
    finish = distillation.finish_of(settings, images, splits)
    learner = building.build_learner(settings, len(images.attribute_names), mean, finish)
    words = registry.description(settings.defence_choice, learner.encoder.output_shape[1:])
    if words:
        logging.info("%s", words)
    return learner


def fit_verbosity() -> int:
    """Keras' verbosity: a progress bar in a terminal, a line an epoch in a log file."""
    return 1 if sys.stdout.isatty() else 2


def batches_from(
    first_step: int,
    settings: TrainingSettings,
    images: ImageSet,
    splits: Splits,
    targets: np.ndarray | None = None,
    shares: Shares = WHOLE,
) -> tf.data.Dataset:
    """The run's endless batches from `first_step` on, whose `targets` are [N, A].

    They have private attributes behind them where a defence hides some.
    """
    return training_batches(
        images,
        splits,
        batch_size=settings.batch_size,
        decoder_steps=settings.decoder_steps,
        seed=settings.seed,
        first_step=first_step,
        targets=targets,
        augmentation=Augmentation(
            settings.shift_pixels, settings.augment_scale, settings.augment_colour
        ),
        shares=shares,
    )


def compile_phase(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    phase: str,
    num_steps: int,
    task: Task,
) -> None:
    """Gives the learner fresh optimizers for a phase of `num_steps` encoder steps."""
    peak = settings.encoder_learning_rate
    if phase == TASK:
        peak = settings.warmup_learning_rate
    rate = keras.optimizers.schedules.CosineDecay(peak, num_steps, alpha=0.01)
    lambda_pixel, lambda_perceptual = settings.privacy_weights
    choice = settings.defence_choice
    learner.compile(
        keras.optimizers.AdamW(
            rate, weight_decay=settings.weight_decay, global_clipnorm=rules.CLIP_NORM
        ),
        keras.optimizers.Adam(settings.decoder_learning_rate, global_clipnorm=rules.CLIP_NORM),
        loss=task.loss,
        phase=phase,
        privacy=None
        if choice
        else PrivacyObjective(
            settings.objective,
            lambda_pixel,
            lambda_perceptual,
            settings.hinge_margin_pixel,
            settings.hinge_margin_perceptual,
        ),
        defence=choice,
        private_labels=len(settings.private_names),
        mu=settings.mu,
        adversary_critic_weight=settings.adversary_critic_weight,
        decoder_steps=settings.decoder_steps,
        lambda_rate=settings.lambda_rate,
        lambda_rate_steps=rising_steps(settings, phase, num_steps),
        weight_average=settings.weight_average,
        jit_compile=settings.jit_compile,
    )


def rising_steps(settings: TrainingSettings, phase: str, num_steps: int) -> int:
    """In how many of a phase's steps the price per bit rises: of the encoder's first phase."""
    first, epochs = next(each for each in phases(settings) if each[0] != ADVERSARY)
    return round(num_steps * settings.lambda_rate_epochs / epochs) if phase == first else 0


def restore(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    files: TrainingFiles,
    steps: int,
    task: Task,
) -> int:
    """Loads the newest checkpoint that can be read.

    Returns:
        How many epochs lie behind it; 0 where there is no checkpoint.

    Raises:
        ValueError: there are checkpoints, and none of them can be read.
    """
    found = checkpoints.newest_first(files.checkpoints)
    for checkpoint in found:
        try:
            epoch = load_checkpoint(learner, settings, checkpoint, steps, task)
        except run_files.UnreadableFileError as error:
            logging.warning("%s", error)
            continue
        logging.info("Resuming after epoch %d from %s", epoch, checkpoint)
        return epoch
    if found:
        raise ValueError(
            f"No checkpoint of {files.checkpoints} can be read"
            f" ({', '.join(checkpoint.name for checkpoint in found)}); put back an intact copy, or"
            " train from the beginning with --overwrite."
        )
    return 0


def load_checkpoint(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    checkpoint: pathlib.Path,
    steps: int,
    task: Task,
) -> int:
    """Loads one checkpoint, optimizers included; returns how many epochs lie behind it."""
    state, epochs = checkpoints.read_state(checkpoint), dict(phases(settings))
    if state["phase"] not in epochs or not isinstance(state["epoch"], int):
        raise run_files.refusal(
            checkpoint / checkpoints.STATE,
            f"is of no phase of this training: {dict(state)}",
            checkpoints.CHECKPOINT_REMEDY,
        )
    compile_phase(learner, settings, state["phase"], epochs[state["phase"]] * steps, task)
    checkpoints.load_weights(learner, checkpoint)
    return state["epoch"]
