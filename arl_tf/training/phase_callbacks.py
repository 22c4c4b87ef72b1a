"""What watches a phase of the training: in every process, in the chief, in the other workers."""

import keras
import tensorflow as tf

from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.training import building, callbacks, checkpoints
from arl_tf.training.phases import ADVERSARIAL, ADVERSARY, FIGHTS
from arl_tf.training.settings import TrainingFiles, TrainingSettings

Callbacks = list[keras.callbacks.Callback]


def of_all(settings: TrainingSettings, images: ImageSet, phase: str, first_epoch: int) -> Callbacks:
    """What every process does alike: restarts of decoders, and the end of a diverged training.

    Args:
        settings: of the training.
        images: the data set, whose task says what a healthy loss is.
        phase: one of `phases.PHASES`.
        first_epoch: of the phase.
    """
    limit = task_of(images.task_kind).loss_limit(len(images.attribute_names))
    restarts = decoder_restarts(settings, first_epoch) if phase == ADVERSARIAL else []
    return [*restarts, callbacks.StopOnDivergence(limit)]


def of_chief(
    settings: TrainingSettings,
    files: TrainingFiles,
    images: ImageSet,
    splits: Splits,
    writer: tf.summary.SummaryWriter,
    phase: str,
) -> Callbacks:
    """What the process that writes does besides.

    The checkpoint comes last, so that it covers what the others wrote.
    """
    images_per_step = settings.batch_size * (phase != ADVERSARY) + (
        settings.batch_size * settings.decoder_steps * (phase in FIGHTS)
    )
    return [
        callbacks.Evaluation(images, splits, writer, files.metrics, images_per_step),
        callbacks.Pictures(
            images.images, splits.public_validation, writer, settings.picture_epochs
        ),
        callbacks.Checkpoint(
            lambda learner, epoch: checkpoints.save(files.checkpoints, learner, epoch=epoch),
            settings.checkpoint_epochs,
        ),
    ]


def of_follower(settings: TrainingSettings) -> Callbacks:
    """What a worker that is not the chief does besides.

    All workers take part in a checkpoint, because the losses' running means are summed over them.
    What this one writes is thrown away.
    """
    return [callbacks.Checkpoint(checkpoints.save_nowhere, settings.checkpoint_epochs)]


def decoder_restarts(settings: TrainingSettings, first_epoch: int) -> Callbacks:
    """The restarts of decoders in the adversarial phase."""
    if not settings.decoder_restart_epochs:
        return []
    return [
        callbacks.DecoderRestart(
            lambda learner, epoch, number: building.restarted_decoder(
                settings, learner.encoder, epoch, number
            ),
            settings.decoder_restart_epochs,
            first_epoch,
        )
    ]
