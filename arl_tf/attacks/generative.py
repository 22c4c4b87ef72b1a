"""White-box inversion with a prior: only pictures that a generator of public faces can make.

The generator is the decoding half of a variational autoencoder (Kingma and Welling 2014, arXiv
1312.6114); the search is that of `inversion`, over its latents.
"""

import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from arl_tf.attacks.code_maps import best_code_map, squared_error
from arl_tf.attacks.code_search import (
    Search,
    check_white_box,
    scaled_weights,
    search_result,
)
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence
from arl_tf.models import architectures, losses

LATENT = 128
KL_WEIGHT = 1e-4
CLIP_NORM = 5.0
SMALLEST_GRID = 4
ENCODED_AT_ONCE = 128

ITERATIONS = 15
LATENT_RATE = 0.2
PRIOR_WEIGHTS = (0.01, 0.1, 1.0)


def latent_inversion(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """Searches the latents of a public-face generator for pictures whose codes match.

    Starts from the latents that a ridge regression expects for the codes. The weight of the prior
    |w|², the iterations and how much of the change is kept are chosen by formula (1) on held-out
    public images.

    Args:
        evidence: with `encode`; public images to learn from.
        settings: of the generator's training; width and mu.
        start: not used, a generator can't take up another attack's pictures.

    Raises:
        ValueError: no `encode`, or the generator's training or the search diverged.
    """
    del start
    started = time.perf_counter()
    check_white_box(evidence, "generative_prior")
    keras.utils.set_random_seed(settings.seed)
    pairs = evidence.pairs
    image_size, width = pairs.images.shape[1], settings.width
    recogniser = build_recogniser(image_size, width=width, latent=LATENT)
    generator = architectures.build_decoder(
        (LATENT,), image_size=image_size, width=width, depth=0, name="generator"
    )
    train_autoencoder(recogniser, generator, evidence, settings)
    search = Search(
        picture=lambda latents: generator(latents, training=False),
        project=tf.identity,
        prior=lambda latents: tf.reduce_mean(tf.square(latents), axis=1),
        prior_weights=scaled_weights(PRIOR_WEIGHTS, evidence),
        learning_rate=LATENT_RATE,
        iterations=min(ITERATIONS, settings.steps),
    )
    return search_result(
        evidence,
        settings,
        search,
        expected_latents(recogniser, evidence),
        name="generative_prior",
        started=started,
        extra={
            "words": "a search, among the faces that a generator can make, for those whose codes"
            " match; the generator was trained on public images",
            "latent": LATENT,
            "generator_steps": settings.steps,
            "parameters": recogniser.count_params() + generator.count_params(),
        },
    )


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
    recogniser: keras.Model, generator: keras.Model, evidence: Evidence, settings: AttackerOptions
) -> float:
    """Trains both halves on the public images; returns the last step's loss.

    Minimises L_pix + mu L_perc + KL_WEIGHT * KL, with a rate that decays as half a cosine.

    Raises:
        ValueError: the training diverged.
    """
    images = evidence.pairs.images
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
            loss += KL_WEIGHT * tf.reduce_mean(kl_divergence(mean, log_variance))
        optimizer.apply(tape.gradient(loss, variables), variables)
        return loss

    return step


def expected_latents(recogniser: keras.Model, evidence: Evidence) -> tuple[np.ndarray, np.ndarray]:
    """Latents that a linear map expects for (target, held-out) codes; float32 [n, latent].

    It learns from the public codes and the recogniser's means of their images, and is chosen by the
    held-out ones.
    """
    pairs = evidence.pairs
    found = best_code_map(
        pairs,
        evidence.noise,
        latent_means(recogniser, pairs.images),
        squared_error(latent_means(recogniser, pairs.held_out_images)),
        seed=0,
    )
    return tuple(
        found.predict(codes).astype(np.float32)
        for codes in (evidence.target_codes, pairs.held_out_codes)
    )


def latent_means(recogniser: keras.Model, images: np.ndarray) -> np.ndarray:
    """The recogniser's means of images uint8 [N, S, S, 3]; float32 [N, latent]."""
    parts = [
        recogniser(
            tf.cast(images[first : first + ENCODED_AT_ONCE], tf.float32) / 255.0, training=False
        )[0].numpy()
        for first in range(0, len(images), ENCODED_AT_ONCE)
    ]
    return np.concatenate(parts)
