"""A small diffusion model of public images: the forward process, the network, its training.

Ho, Jain and Abbeel 2020 (arXiv 2006.11239), with the cosine schedule of Nichol and Dhariwal 2021
(arXiv 2102.09672) in continuous time and the prediction of v of Salimans and Ho 2022 (arXiv
2202.00512). At the time t from 0 to 1 an image x, in [-1, 1], has become alpha x + sigma e with e
from N(0, 1), alpha = cos(pi t / 2), sigma = sin(pi t / 2). The network predicts v = alpha e - sigma
x, and x is expected to be alpha (noisy image) - sigma v.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.attacks.priors.generator import public_faces
from arl_tf.models import costs

# The network works on patches: a convolution on the whole grid of 64 pixels would cost 4 times as
# much.
PATCH = 2
SMALLEST_GRID = 8
MOST_HALVINGS = 2
WIDTH_FACTOR, STEPS_FACTOR = 0.75, 4
TIME_FEATURES = 16
GROUPS = 4
CLIP_NORM = 1.0


@dataclasses.dataclass(frozen=True)
class Denoiser:
    """What a noisy image shows.

    Attributes:
        network: [noisy image, time features] -> v.
        images: how many it learned from.
    """

    network: Callable[..., tf.Tensor]
    images: int = 0

    def velocity(self, noisy: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
        """What the network says of images float32 [B, S, S, 3] at times float32 [B] in [0, 1]."""
        return self.network([noisy, time_features(time)], training=False)


def signal_and_noise(time: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(alpha, sigma) at times float32 [...] in [0, 1]; their squares sum to 1."""
    angle = time * (math.pi / 2)
    return tf.cos(angle), tf.sin(angle)


def made_noisy(image: tf.Tensor, time: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
    """The forward process: images [B, S, S, 3] at times [B], of standard normal noise."""
    alpha, sigma = (tf.reshape(part, (-1, 1, 1, 1)) for part in signal_and_noise(time))
    return alpha * image + sigma * noise


def expected_image(noisy: tf.Tensor, velocity: tf.Tensor, time: tf.Tensor) -> tf.Tensor:
    """The image float32 [B, S, S, 3] that a prediction of v means."""
    alpha, sigma = (tf.reshape(part, (-1, 1, 1, 1)) for part in signal_and_noise(time))
    return alpha * noisy - sigma * velocity


def time_features(time: tf.Tensor) -> tf.Tensor:
    """Times float32 [B] as sines and cosines of rising frequency, float32 [B, TIME_FEATURES]."""
    frequencies = math.pi * 2.0 ** np.arange(TIME_FEATURES // 2, dtype=np.float32)
    angles = time[:, None] * tf.constant(frequencies, tf.float32) / 2
    return tf.concat([tf.sin(angles), tf.cos(angles)], axis=1)


def train_denoiser(evidence: Evidence, settings: AttackerOptions) -> tuple[Denoiser, float]:
    """A denoiser of all public images, and its last loss; held-out images are not among them.

    Args:
        evidence: public images.
        settings: width of the attackers' decoders, steps, batch size, learning rate and seed; the
            network is WIDTH_FACTOR as wide and trained for STEPS_FACTOR as many steps.

    Raises:
        ValueError: the training diverged.
    """
    images = public_faces(evidence, settings.seed)
    network = build_network(images.shape[1], width=round(WIDTH_FACTOR * settings.width))
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, STEPS_FACTOR * settings.steps, alpha=0.01
    )
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=CLIP_NORM)
    optimizer.build(network.trainable_variables)
    step = training_step(network, optimizer, settings.seed)
    rng = np.random.default_rng(settings.seed)
    for _ in range(STEPS_FACTOR * settings.steps):
        rows = rng.integers(len(images), size=min(settings.batch_size, len(images)))
        loss = step(tf.constant(images[rows]))
    if not np.isfinite(loss):
        raise ValueError(
            f"The diffusion model's training diverged (loss {float(loss)}); lower"
            " --attacker_learning_rate."
        )
    return Denoiser(network, len(images)), float(loss)


def training_step(
    network: keras.Model, optimizer: keras.optimizers.Optimizer, seed: int
) -> Callable[[tf.Tensor], tf.Tensor]:
    """One step on images uint8 [B, S, S, 3] as a tf.function; returns the mean squared error of v.

    Times are uniform.
    """
    draws = keras.random.SeedGenerator(seed)
    variables = network.trainable_variables

    @tf.function(autograph=False)
    def step(images):
        image = tf.cast(images, tf.float32) / 127.5 - 1.0
        time = keras.random.uniform(tf.shape(image)[:1], seed=draws)
        noise = keras.random.normal(tf.shape(image), seed=draws)
        # v is what the noisy image moves by: alpha e - sigma x.
        wanted = made_noisy(noise, time, -image)
        noisy = made_noisy(image, time, noise)
        with tf.GradientTape() as tape:
            found = network([noisy, time_features(time)], training=True)
            loss = tf.reduce_mean(tf.square(found - wanted))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


def build_network(image_size: int, *, width: int) -> keras.Model:
    """A U-Net of residual blocks: [image float32 [B, S, S, 3], time features] -> v, of its shape.

    Args:
        image_size: S, even.
        width: channels on the grid of patches, rounded up to GROUPS; twice as many on smaller ones.
    """
    width = GROUPS * math.ceil(width / GROUPS)
    image = keras.Input((image_size, image_size, 3), name="image")
    time = keras.Input((TIME_FEATURES,), name="time")
    embedded = layers.Dense(4 * width, activation="silu", name="embedded")(time)
    features = layers.Conv2D(width, PATCH, PATCH, name="patches")(image)
    kept, count = [], halvings(image_size // PATCH)
    for number in range(count):
        features = block(features, embedded, f"down{number}")
        kept.append(features)
        features = layers.Conv2D(2 * width, 2, 2, name=f"halved{number}")(features)
    features = block(features, embedded, "middle")
    for number in reversed(range(count)):
        wide = layers.Conv2DTranspose(kept[number].shape[-1], 2, 2, name=f"doubled{number}")
        features = layers.Concatenate(name=f"joined{number}")([wide(features), kept[number]])
        features = layers.Conv2D(kept[number].shape[-1], 1, name=f"mixed{number}")(features)
        features = block(features, embedded, f"up{number}")
    features = layers.Activation("silu", name="last")(features)
    velocity = layers.Conv2DTranspose(3, 2 * PATCH, PATCH, padding="same", name="velocity")
    return keras.Model([image, time], velocity(features), name="denoiser")


def halvings(grid: int) -> int:
    """How often a grid is halved: MOST_HALVINGS, fewer where it is odd or would be too small."""
    possible = itertools.takewhile(
        lambda count: grid % 2**count == 0 and grid >> count >= SMALLEST_GRID,
        range(1, MOST_HALVINGS + 1),
    )
    return max(possible, default=0)


def block(features: keras.KerasTensor, time: keras.KerasTensor, name: str) -> keras.KerasTensor:
    """Two convolutions beside a skip; the time [B, d] is added between them.

    Features [B, h, h, c] keep their shape.
    """
    channels = features.shape[-1]
    inside = layers.GroupNormalization(GROUPS, name=f"{name}_norm")(features)
    inside = layers.Activation("silu", name=f"{name}_active")(inside)
    inside = layers.Conv2D(channels, 3, padding="same", name=f"{name}_first")(inside)
    shift = layers.Dense(channels, name=f"{name}_time")(time)
    shift = layers.Reshape((1, 1, channels), name=f"{name}_shift")(shift)
    inside = layers.Add(name=f"{name}_timed")([inside, shift])
    inside = layers.Activation("silu", name=f"{name}_again")(inside)
    inside = layers.Conv2D(
        channels, 3, padding="same", kernel_initializer="zeros", name=f"{name}_second"
    )(inside)
    return layers.Add(name=f"{name}_sum")([features, inside])


def multiply_adds(image_size: int, width: int) -> int:
    """Of one pass of one image through the network of an attacker of this width."""
    return costs.multiply_adds(build_network(image_size, width=round(WIDTH_FACTOR * width)))
