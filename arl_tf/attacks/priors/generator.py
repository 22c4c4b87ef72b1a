"""A generator of public faces: the decoding half of a variational autoencoder.

Kingma and Welling 2014 (arXiv 1312.6114).
"""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.models import architectures, losses

LATENT = 256
WIDTH_FACTOR, STEPS_FACTOR = 1.5, 2
# Pictures that differ by a mean square of PIXEL_VARIANCE are as likely as a latent that is off by
# one deviation: the likelihood of a picture of K values is exp(-K L_pix / (2 PIXEL_VARIANCE)), so
# that the KL weighs 2 PIXEL_VARIANCE / K beside L_pix.
PIXEL_VARIANCE = 0.01
CLIP_NORM = 5.0
SMALLEST_GRID = 4
ENCODED_AT_ONCE = 128
# Latents that vary by a smaller share of the largest variance are used by no picture.
UNUSED = 1e-6


@dataclasses.dataclass(frozen=True)
class FaceGenerator:
    """Pictures of faces by coefficients that have mean 0 and covariance 1 among public faces.

    Attributes:
        generator: latents float32 [B, L] -> pictures.
        recogniser: pictures -> (mean, log variance) of their latents.
        centre: float32 [L], the mean latents of public faces.
        basis: float32 [C, L], the directions in which they vary, as long as they vary.
        images: how many it learned from.
    """

    generator: keras.Model
    recogniser: keras.Model
    centre: np.ndarray
    basis: np.ndarray
    images: int

    def picture(self, coefficients: tf.Tensor) -> tf.Tensor:
        """Coefficients float32 [B, C] -> pictures float32 [B, S, S, 3] in [0, 1]."""
        latents = coefficients @ tf.constant(self.basis) + tf.constant(self.centre)
        return self.generator(latents, training=False)

    def coefficients(self, images: np.ndarray) -> np.ndarray:
        """What the recogniser says of images uint8 [N, S, S, 3]; float32 [N, C]."""
        lengths = np.square(self.basis).sum(axis=1)
        away = latent_means(self.recogniser, images) - self.centre
        return (away @ self.basis.T / lengths).astype(np.float32)

    def reconstruction_psnr(self, images: np.ndarray) -> float:
        """Of images uint8 [N, S, S, 3] that it did not learn from; dB, a mean over images."""
        coefficients, found = self.coefficients(images), []
        for first in range(0, len(images), ENCODED_AT_ONCE):
            part = slice(first, first + ENCODED_AT_ONCE)
            pictures = self.picture(tf.constant(coefficients[part])).numpy()
            error = np.square(pictures - images[part].astype(np.float32) / 255)
            found.append(-10 * np.log10(np.maximum(error.mean(axis=(1, 2, 3)), 1e-10)))
        return float(np.concatenate(found).mean())


def public_faces(evidence: Evidence, seed: int) -> np.ndarray:
    """All public images at hand, uint8 [N, S, S, 3]: X2's, more of the kind, another data set's."""
    parts = [evidence.pairs.images]
    if evidence.more_images is not None:
        parts.append(evidence.more_images(len(evidence.pairs.images), seed))
    if evidence.other_domain is not None:
        parts += [evidence.other_domain.images, evidence.other_domain.held_out_images]
    return np.concatenate(parts)


def train_generator(evidence: Evidence, settings: AttackerOptions) -> FaceGenerator:
    """A generator of all public faces; held-out images are not among them.

    Raises:
        ValueError: the training diverged.
    """
    images = public_faces(evidence, settings.seed)
    settings = dataclasses.replace(
        settings,
        width=max(1, round(WIDTH_FACTOR * settings.width)),
        steps=STEPS_FACTOR * settings.steps,
    )
    image_size = images.shape[1]
    recogniser = build_recogniser(image_size, width=settings.width, latent=LATENT)
    generator = architectures.build_decoder(
        (LATENT,), image_size=image_size, width=settings.width, depth=0, name="generator"
    )
    train_autoencoder(recogniser, generator, images, evidence, settings)
    centre, basis = spread_of(latent_means(recogniser, evidence.pairs.images))
    return FaceGenerator(generator, recogniser, centre, basis, len(images))


def spread_of(latents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean [L] and principal directions [C, L], as long as the deviation; latents [N, L]."""
    values, vectors = np.linalg.eigh(np.cov(latents, rowvar=False))
    kept = values > UNUSED * values.max()
    basis = (vectors[:, kept] * np.sqrt(values[kept])).T
    return latents.mean(axis=0).astype(np.float32), basis.astype(np.float32)


def build_recogniser(
    image_size: int, *, width: int, latent: int, name: str = "recogniser"
) -> keras.Model:
    """The encoding half of the autoencoder: image -> (mean, log variance) of its latents.

    Args:
        image_size: S, pixels.
        width: channels after the first convolution; they double with every halving of the grid.
        latent: dimensions.
        name: of the model.

    Returns:
        A model: image float32 [B, S, S, 3] in [0, 1] -> two float32 [B, latent].
    """
    image = keras.Input((image_size, image_size, 3), name="image")
    features = layers.Rescaling(2.0, offset=-1.0, name="centred")(image)
    channels = width
    while features.shape[1] > SMALLEST_GRID:
        features = layers.Conv2D(
            channels, 4, 2, padding="same", activation="silu", name=f"grid{features.shape[1]}"
        )(features)
        channels = min(2 * channels, 4 * width)
    features = layers.Flatten(name="flat")(features)
    mean = layers.Dense(latent, name="mean")(features)
    log_variance = layers.Dense(latent, kernel_initializer="zeros", name="log_variance")(features)
    return keras.Model(image, [mean, log_variance], name=name)


def kl_divergence(mean: tf.Tensor, log_variance: tf.Tensor) -> tf.Tensor:
    """KL divergence of N(mean, variance) from N(0, 1), summed over dimensions; nats.

    KL = sum of (mean² + variance - log variance - 1) / 2 (arXiv 1312.6114, appendix B).

    Args:
        mean: float32 [B, latent].
        log_variance: float32 [B, latent].

    Returns:
        float32 [B], >= 0.
    """
    each = tf.square(mean) + tf.exp(log_variance) - log_variance - 1.0
    return 0.5 * tf.reduce_sum(each, axis=-1)


def train_autoencoder(
    recogniser: keras.Model,
    generator: keras.Model,
    images: np.ndarray,
    evidence: Evidence,
    settings: AttackerOptions,
) -> float:
    """Trains both halves on images uint8 [N, S, S, 3]; returns the last step's loss.

    Minimises L_pix + mu L_perc + 2 PIXEL_VARIANCE / K times the KL, with a rate that decays as half
    a cosine.

    Raises:
        ValueError: the training diverged.
    """
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.steps, alpha=0.01
    )
    optimizer = keras.optimizers.Adam(rate, global_clipnorm=CLIP_NORM)
    optimizer.build(recogniser.trainable_variables + generator.trainable_variables)
    step = autoencoder_step(recogniser, generator, optimizer, evidence, settings)
    rng = np.random.default_rng(settings.seed)
    for _ in range(settings.steps):
        rows = rng.integers(len(images), size=min(settings.batch_size, len(images)))
        loss = step(tf.constant(images[rows]))
    if not np.isfinite(loss):
        raise ValueError(
            f"The generator's training diverged (loss {float(loss)}); lower"
            " --attacker_learning_rate."
        )
    return float(loss)


def autoencoder_step(
    recogniser: keras.Model,
    generator: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    evidence: Evidence,
    settings: AttackerOptions,
) -> Callable[[tf.Tensor], tf.Tensor]:
    """One step on images uint8 [B, S, S, 3] as a tf.function; returns the loss."""
    variables = recogniser.trainable_variables + generator.trainable_variables
    noise = keras.random.SeedGenerator(settings.seed)
    features = evidence.perceptual_features
    kl_weight = 2 * PIXEL_VARIANCE / np.prod(generator.output_shape[1:])

    @tf.function(autograph=False)
    def step(images):
        image = tf.cast(images, tf.float32) / 255.0
        with tf.GradientTape() as tape:
            mean, log_variance = recogniser(image, training=True)
            drawn = keras.random.normal(tf.shape(mean), seed=noise)
            picture = generator(mean + tf.exp(0.5 * log_variance) * drawn, training=True)
            loss = losses.pixel_loss(picture, image)
            if settings.mu:
                perceptual = losses.perceptual_loss(features(picture), features(image))
                loss += settings.mu * perceptual
            loss += kl_weight * tf.reduce_mean(kl_divergence(mean, log_variance))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


def latent_means(recogniser: keras.Model, images: np.ndarray) -> np.ndarray:
    """The recogniser's means of images uint8 [N, S, S, 3]; float32 [N, latent]."""
    parts = [
        recogniser(
            tf.cast(images[first : first + ENCODED_AT_ONCE], tf.float32) / 255.0, training=False
        )[0].numpy()
        for first in range(0, len(images), ENCODED_AT_ONCE)
    ]
    return np.concatenate(parts)
