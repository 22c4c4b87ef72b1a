"""What the encoder minimises beside its task's loss: terms of formula (2), and the price of bits.

A learner holds the players and rules that these terms are of. The adversary's loss, formula (1),
is in the learner's `adversary_step`.
"""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

import keras
import tensorflow as tf

from arl_tf.models import code_layers
from arl_tf.models.losses import TOWARD_MEAN, TOWARD_TASK
from arl_tf.training import defending, replicas
from arl_tf.training.phases import FIGHTS
from arl_tf.training.step_images import as_float, as_float32, by_step, parts_of

if TYPE_CHECKING:
    from arl_tf.training.learner import AdversarialRepresentationLearner


def privacy_loss(
    learner: "AdversarialRepresentationLearner",
    code: tf.Tensor,
    logits: tf.Tensor,
    image: tf.Tensor,
) -> tf.Tensor:
    """The privacy term of formula (2), a mean over decoders; 0 while there is no adversary.

    Args:
        learner: has `phase`, `privacy`, `decoders` and `distances`.
        code: float32 [B, ...] of the private images.
        logits: float32 [B, A] of the task head.
        image: private images, float32 [B, S, S, 3] in [0, 1].

    Returns:
        A scalar.
    """
    privacy = learner.privacy
    if learner.phase not in FIGHTS or privacy is None:
        return tf.zeros(())
    target = target_of(learner, privacy.form, logits, image)
    features = features_of_target(learner, privacy.form, target)
    # Decoders as an adversary would use them: their statistics must not move in this step.
    pictures = [as_float32(decoder(code, training=False)) for decoder in learner.decoders]
    # A hinge bends at the batch's distance, not at that of a replica's share.
    distances = [replicas.mean(learner.distances(each, target, features)) for each in pictures]
    return tf.add_n([privacy.loss(*each) for each in distances]) / len(distances)


def target_of(
    learner: "AdversarialRepresentationLearner", form: str, logits: tf.Tensor, image: tf.Tensor
) -> tf.Tensor:
    """What the privacy term compares reconstructions with; float32 [B or 1, S, S, 3] in [0, 1]."""
    if form == TOWARD_MEAN:
        return learner.mean_image
    if form == TOWARD_TASK and learner.task_decoder is not None:
        # The target is what it is: the task must not be spoiled in order to change it.
        return tf.stop_gradient(as_float32(learner.task_decoder(logits, training=False)))
    return image


def features_of_target(
    learner: "AdversarialRepresentationLearner", form: str, target: tf.Tensor
) -> Sequence[tf.Tensor]:
    """Maps float32 [B or 1, h, w, c] that g makes of the target; those of a mean image are kept."""
    if form == TOWARD_MEAN and learner.mean_features is not None:
        return learner.mean_features
    return learner.perceptual_features(target)


def rate(encoder: keras.Model) -> tf.Tensor:
    """Bits that the code's noise lets through, as the encoder's last call in training found.

    A scalar >= 0.
    """
    if replicas.count() > 1:
        # Replicas share the list of a layer's losses, and fill it in turn.
        return code_layers.learned_rate(encoder)
    found = [as_float32(each) for each in encoder.losses]
    return tf.add_n(found) if found else tf.zeros(())


def price(
    lambda_rate: float, rising_steps: int, optimizer: keras.optimizers.Optimizer
) -> tf.Tensor | float:
    """The price per bit in the step that comes; it rises linearly for `rising_steps` steps.

    A scalar >= 0, or a number where it does not rise. `optimizer` is the encoder's: it counts the
    steps of the phase, and a checkpoint holds it.
    """
    if not rising_steps:
        return lambda_rate
    step = tf.cast(optimizer.iterations + 1, tf.float32)
    return lambda_rate * tf.minimum(1.0, step / rising_steps)


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """What a batch shows from which nobody learns.

    Attributes:
        losses: name -> (scalar, number of images that it is the mean of); `loss` is the task's, so
            that callbacks that watch it choose by the task.
        labels: those of the task, [B, ...].
        logits: float32 [B, A].
    """

    losses: dict[str, tuple[tf.Tensor, tf.Tensor]]
    labels: tf.Tensor
    logits: tf.Tensor


def evaluate(learner: "AdversarialRepresentationLearner", batch) -> Evaluated:
    """The task's loss on a batch's private images, and the adversary's on its public ones.

    Args:
        learner: the players and the rules that they play by.
        batch: as of `train_step`; of the public images those of the first step count.
    """
    (private_image, labels), public_images = parts_of(batch)
    labels, _ = defending.split_labels(labels, learner.private_labels)
    code = as_float32(learner.encoder(as_float(private_image), training=False))
    public_image = by_step(as_float(public_images), learner.adversary_steps)[0]
    pixel, perceptual = learner.distances(learner(public_image), public_image)
    logits = as_float32(learner.task_head(code, training=False))
    task = (learner.task_loss(logits, labels), tf.shape(logits)[0])
    seen = tf.shape(public_image)[0]
    return Evaluated(
        {
            "loss": task,
            "task_loss": task,
            "reconstruction_loss": (pixel + learner.mu * perceptual, seen),
            "pixel_loss": (pixel, seen),
            "perceptual_loss": (perceptual, seen),
        },
        labels,
        logits,
    )
