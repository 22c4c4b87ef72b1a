"""Trains an attacking decoder until more would gain next to nothing.

The loop is our own, not `fit`: it stops by its own curve, averages weights, and may train a critic
beside the decoder.
"""

import dataclasses
from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from arl_tf.attacks.evidence import ENOUGH_GAIN, AttackerOptions
from arl_tf.attacks.objectives import Loss, held_out_loss
from arl_tf.models import patch_critic
from arl_tf.models.inference import in_batches

STEPS_BETWEEN_CHECKS = 50
DECODED_AT_ONCE = 128
CLIP_NORM = 5.0
# Share of the steps, the last, over which the rate decays.
DECAY_SHARE = 0.25
AVERAGE_MOMENTUM = 0.99
CRITIC_RATE = 2e-4


@dataclasses.dataclass(frozen=True)
class Curve:
    """How a decoder's training went.

    Attributes:
        held_out_loss: of the averaged decoder at every check.
        steps: taken.
        late_gain: share of the held-out loss that the last third of the steps at full rate took
            away; below ENOUGH_GAIN more training gives next to nothing.
    """

    held_out_loss: tuple[float, ...]
    steps: int
    late_gain: float


def train_decoder(
    decoder: keras.Model,
    draw: Callable[[], tuple[np.ndarray, np.ndarray]],
    held_out: tuple[np.ndarray, np.ndarray],
    *,
    settings: AttackerOptions,
    loss: Loss,
    critic_weight: float,
    name: str,
) -> Curve:
    """Trains a decoder and leaves it with the best of its averaged weights.

    At a constant rate until more of it gains less than ENOUGH_GAIN or the steps run out, then with
    a rate that decays to nothing.

    Args:
        decoder: codes float32 [B, ...] -> images float32 [B, S, S, 3] in [0, 1].
        draw: gives a batch: codes float32 [B, ...] and their images uint8 [B, S, S, 3].
        held_out: codes float32 [H, ...] and images uint8 [H, S, S, 3], which stop the training.
        settings: steps, rate and sizes.
        loss: images uint8, reconstructions float32, [B, S, S, 3] each -> scalar.
        critic_weight: of the critic's loss; 0: no critic.
        name: of the attacker, for messages.

    Raises:
        ValueError: the training diverged.
    """
    optimizer = keras.optimizers.Adam(settings.learning_rate, global_clipnorm=CLIP_NORM)
    optimizer.build(decoder.trainable_variables)
    average = [tf.Variable(value) for value in decoder.trainable_variables]
    step = decoder_step(decoder, optimizer, average, loss, critic_weight)
    # Where the steps are few, so are those between two checks.
    interval = max(1, min(STEPS_BETWEEN_CHECKS, settings.steps // 8))
    decay_steps = max(1, round(settings.steps * DECAY_SHARE))
    curve, best_weights, taken = [], decoder.get_weights(), 0

    def advance(rates: Sequence[float]) -> None:
        nonlocal taken, best_weights
        for rate in rates:
            optimizer.learning_rate.assign(rate)
            step(*map(tf.constant, draw()))
            taken += 1
        curve.append(averaged_loss(decoder, average, held_out, loss))
        if not np.isfinite(curve[-1]):
            raise ValueError(
                f"Attack {name} diverged (held-out loss {curve[-1]} after {taken} steps); lower"
                " --attacker_learning_rate."
            )
        settings.progress(taken / settings.steps, min(curve))
        if curve[-1] <= min(curve):
            best_weights = [value.numpy() for value in average]

    full_rate_steps = settings.steps - decay_steps
    while taken < full_rate_steps and not flat(curve):
        advance([settings.learning_rate] * min(interval, full_rate_steps - taken))
    late_gain = gain_of_last_third(curve)
    decaying = settings.learning_rate * cosine(decay_steps)
    for start in range(0, decay_steps, interval):
        advance(decaying[start : start + interval])
    for variable, value in zip(decoder.trainable_variables, best_weights, strict=True):
        variable.assign(value)
    return Curve(tuple(curve), taken, late_gain)


def decoder_step(
    decoder: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    average: Sequence[tf.Variable],
    loss: Loss,
    critic_weight: float,
) -> Callable[[tf.Tensor, tf.Tensor], None]:
    """One step of the decoder, and of its critic if it has one, as a tf.function.

    It takes codes float32 [B, ...] and their images uint8 [B, S, S, 3]. `average` are the averages
    of the decoder's trainable variables, which it moves as well.
    """
    critic, critic_optimizer = None, None
    if critic_weight:
        critic = patch_critic.build_patch_critic(decoder.output_shape[1], width=32)
        critic_optimizer = keras.optimizers.Adam(CRITIC_RATE, beta_1=0.5)
        critic_optimizer.build(critic.trainable_variables)

    @tf.function(autograph=False)
    def step(codes, images):
        with tf.GradientTape() as tape:
            reconstruction = decoder(codes, training=True)
            total = loss(images, reconstruction)
            if critic is not None:
                judged = critic(reconstruction, training=True)
                total += critic_weight * patch_critic.decoder_loss(judged)
        variables = decoder.trainable_variables
        optimizer.apply(tape.gradient(total, variables), variables)
        # Short at first: a long average would hold on to the random start.
        count = tf.cast(optimizer.iterations, tf.float32)
        momentum = tf.minimum(AVERAGE_MOMENTUM, count / (count + 9.0))
        for mean, variable in zip(average, variables, strict=True):
            mean.assign_sub((1.0 - momentum) * (mean - variable))
        if critic is not None:
            real = tf.cast(images, tf.float32) / 255.0
            critic_step(critic, critic_optimizer, real, tf.stop_gradient(reconstruction))

    return step


def critic_step(
    critic: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    real: tf.Tensor,
    reconstruction: tf.Tensor,
) -> tf.Tensor:
    """A step on the critic's hinge loss (Lim and Ye 2017): real above 1, reconstructed below -1.

    Pictures are float32 [B, S, S, 3] in [0, 1]; returns the loss, a scalar.
    """
    with tf.GradientTape() as tape:
        hinge = patch_critic.critic_loss(
            critic(real, training=True), critic(reconstruction, training=True)
        )
    variables = critic.trainable_variables
    optimizer.apply(tape.gradient(hinge, variables), variables)
    return hinge


def averaged_loss(
    decoder: keras.Model,
    average: Sequence[tf.Variable],
    held_out: tuple[np.ndarray, np.ndarray],
    loss: Loss,
) -> float:
    """Held-out loss of the decoder with its averaged weights, which are taken out again.

    `held_out` are codes float32 [H, ...] and images uint8 [H, S, S, 3].
    """
    current = [variable.numpy() for variable in decoder.trainable_variables]
    for variable, mean in zip(decoder.trainable_variables, average, strict=True):
        variable.assign(mean)
    value = held_out_loss(decode(decoder, held_out[0]), held_out[1], loss)
    for variable, previous in zip(decoder.trainable_variables, current, strict=True):
        variable.assign(previous)
    return value


def decode(decoder: keras.Model, codes: np.ndarray) -> np.ndarray:
    """Reconstructions float32 [N, S, S, 3] of codes [N, ...] as the decoder sees them."""
    return in_batches(decoder, codes, DECODED_AT_ONCE)


def flat(curve: Sequence[float]) -> bool:
    """Whether the training has reached where more gains less than ENOUGH_GAIN.

    Six checks at least: the first ones say little.
    """
    return len(curve) >= 6 and gain_of_last_third(curve) < ENOUGH_GAIN


def gain_of_last_third(curve: Sequence[float]) -> float:
    """Share of the best loss two thirds of the way that the last third has taken away."""
    until = max(1, len(curve) * 2 // 3)
    if until >= len(curve):
        return 1.0
    before = min(curve[:until])
    return (before - min(curve)) / max(before, 1e-12)


def cosine(steps: int) -> np.ndarray:
    """From 1 to about 0 in `steps` values: half a cosine; float64 [steps]."""
    return 0.5 * (1 + np.cos(np.pi * (np.arange(steps) + 0.5) / steps))
