"""Trains the players phase by phase and saves them. Resumes where it was killed."""

import sys
from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf
from absl import logging
from tensorboard.plugins.hparams import api as hparams

from arl_tf.data.image_sets import ImageSet
from arl_tf.data.pipelines import training_batches
from arl_tf.data.splits import Splits
from arl_tf.models.losses import PrivacyObjective
from arl_tf.training import building, callbacks, checkpoints
from arl_tf.training.learner import ADVERSARIAL, ADVERSARY, TASK, AdversarialRepresentationLearner
from arl_tf.training.settings import TrainingFiles, TrainingSettings

CLIP_NORM = 5.0
PLAYERS = ("encoder", "task_head", "decoder")


def train(
    settings: TrainingSettings,
    files: TrainingFiles,
    images: ImageSet,
    splits: Splits,
    hyper_parameters: Mapping[str, Any],
) -> None:
    """Trains the players, from their last checkpoint if there is one; saves them as .keras files.

    Args:
        settings: how they are built and trained.
        files: where they are written.
        images: the data set.
        splits: its parts.
        hyper_parameters: name -> value, for TensorBoard's HParams.

    Raises:
        callbacks.TrainingDiverged: a loss is not finite, or far beyond what its term can be.
    """
    learner = learner_for(settings, images, splits)
    steps = steps_per_epoch(settings, splits)
    done = restore(learner, settings, files, steps)
    callbacks.drop_lines_after(files.metrics, done)
    writer = tf.summary.create_file_writer(str(files.logs))
    write_hyper_parameters(hyper_parameters, writer)
    first_epoch = 0
    for phase, epochs in phases(settings):
        start, end = max(first_epoch, done), first_epoch + epochs
        if start == first_epoch:
            compile_phase(learner, settings, phase, epochs * steps)
        if start < end:
            logging.info("Phase '%s': epochs %d to %d, %d steps each", phase, start + 1, end, steps)
            learner.fit(
                batches_from(start * steps, settings, images, splits),
                initial_epoch=start,
                epochs=end,
                steps_per_epoch=steps,
                shuffle=False,
                verbose=fit_verbosity(),
                callbacks=watchers(settings, files, images, splits, writer, phase, first_epoch),
            )
        first_epoch = end
    writer.close()
    for name in PLAYERS:
        checkpoints.save_player(
            getattr(learner, name), checkpoints.player_path(files.checkpoints, name)
        )


def phases(settings: TrainingSettings) -> list[tuple[str, int]]:
    """(phase, epochs) in the order they are trained; phases without epochs are left out."""
    plan = [(TASK, settings.warmup_epochs)]
    if settings.defence != "none":
        plan += [
            (ADVERSARY, settings.decoder_warmup_epochs),
            (ADVERSARIAL, settings.epochs),
        ]
    return [(phase, epochs) for phase, epochs in plan if epochs]


def steps_per_epoch(settings: TrainingSettings, splits: Splits) -> int:
    """Encoder steps in an epoch: as set, or one pass over the private images."""
    return settings.steps_per_epoch or max(1, len(splits.private_train) // settings.batch_size)


def learner_for(
    settings: TrainingSettings, images: ImageSet, splits: Splits
) -> AdversarialRepresentationLearner:
    """New players for a data set."""
    mean = building.mean_image(images.images, splits.public_train)
    return building.build_learner(settings, len(images.attribute_names), mean)


def fit_verbosity() -> int:
    """Keras' verbosity: a progress bar in a terminal, a line an epoch in a log file."""
    return 1 if sys.stdout.isatty() else 2


def batches_from(
    first_step: int, settings: TrainingSettings, images: ImageSet, splits: Splits
) -> tf.data.Dataset:
    """The run's endless batches from `first_step` on."""
    return training_batches(
        images,
        splits,
        batch_size=settings.batch_size,
        decoder_steps=settings.decoder_steps,
        seed=settings.seed,
        first_step=first_step,
    )


def compile_phase(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    phase: str,
    num_steps: int,
) -> None:
    """Gives the learner fresh optimizers for a phase of `num_steps` encoder steps."""
    peak = settings.encoder_learning_rate
    if phase == TASK:
        peak = settings.warmup_learning_rate
    rate = keras.optimizers.schedules.CosineDecay(peak, num_steps, alpha=0.01)
    lambda_pixel, lambda_perceptual = settings.privacy_weights
    learner.compile(
        keras.optimizers.AdamW(rate, weight_decay=settings.weight_decay, global_clipnorm=CLIP_NORM),
        keras.optimizers.Adam(settings.decoder_learning_rate, global_clipnorm=CLIP_NORM),
        phase=phase,
        privacy=PrivacyObjective(
            settings.objective,
            lambda_pixel,
            lambda_perceptual,
            settings.hinge_margin_pixel,
            settings.hinge_margin_perceptual,
        ),
        mu=settings.mu,
        decoder_steps=settings.decoder_steps,
        lambda_rate=settings.lambda_rate,
    )


def restore(
    learner: AdversarialRepresentationLearner,
    settings: TrainingSettings,
    files: TrainingFiles,
    steps: int,
) -> int:
    """Loads the last checkpoint; returns how many epochs lie behind it, 0 where there is none."""
    found = checkpoints.latest(files.checkpoints)
    if found is None:
        return 0
    weights, state = found
    compile_phase(learner, settings, state["phase"], dict(phases(settings))[state["phase"]] * steps)
    learner.load_weights(weights)
    logging.info("Resuming after epoch %d from %s", state["epoch"], weights.parent)
    return state["epoch"]


def watchers(
    settings: TrainingSettings,
    files: TrainingFiles,
    images: ImageSet,
    splits: Splits,
    writer: tf.summary.SummaryWriter,
    phase: str,
    first_epoch: int,
) -> list[keras.callbacks.Callback]:
    """What watches a phase; the checkpoint comes last, so that it covers what the others wrote."""
    images_per_step = settings.batch_size * (phase != ADVERSARY) + (
        settings.batch_size * settings.decoder_steps * (phase != TASK)
    )
    watching: list[keras.callbacks.Callback] = [
        callbacks.StopOnDivergence(),
        callbacks.Evaluation(images, splits, writer, files.metrics, images_per_step),
        callbacks.Pictures(
            images.images, splits.public_validation, writer, settings.picture_epochs
        ),
        callbacks.Checkpoint(
            lambda learner, epoch: checkpoints.save(files.checkpoints, learner, epoch=epoch),
            settings.checkpoint_epochs,
        ),
    ]
    if phase == ADVERSARIAL and settings.decoder_restart_epochs:
        restart = callbacks.DecoderRestart(
            lambda learner, epoch, number: building.restarted_decoder(
                settings, learner.encoder, epoch, number
            ),
            settings.decoder_restart_epochs,
            first_epoch,
        )
        watching.insert(0, restart)
    return watching


def write_hyper_parameters(settings: Mapping[str, Any], writer: tf.summary.SummaryWriter) -> None:
    """TensorBoard's HParams entry: all settings that shape training, the measure to compare by."""
    with writer.as_default(step=0):
        hparams.hparams_config(
            hparams=[hparams.HParam(name) for name in settings],
            metrics=[
                hparams.Metric("eval/mean_mcc", display_name="mean MCC (X1 validation)"),
                hparams.Metric(
                    "eval/adversary_psnr", display_name="adversary PSNR, dB (X2 validation)"
                ),
            ],
        )
        hparams.hparams(settings)
