"""White-box inversion: a picture is changed until its code is the one under attack."""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from arl_tf.adversary import WHITE_BOX, AttackResult, AttackSettings, Evidence
from arl_tf.code_scale import channel_moments
from arl_tf.decoder_attacks import held_out_loss, reconstruction_loss

TOTAL_VARIATION_WEIGHTS = (0.0, 0.1, 1.0)
ITERATIONS, ITERATIONS_BETWEEN_CHECKS = 60, 10
RATE = 0.02
AT_ONCE = 64
CHOOSING_IMAGES = 64


def total_variation(image: tf.Tensor) -> tf.Tensor:
    """Mean squared difference of neighbouring pixels, of [B, H, W, 3]; a scalar >= 0."""
    down = tf.math.squared_difference(image[:, 1:], image[:, :-1])
    right = tf.math.squared_difference(image[:, :, 1:], image[:, :, :-1])
    return tf.reduce_mean(down) + tf.reduce_mean(right)


def optimise_images(
    evidence: Evidence, settings: AttackSettings, *, start: AttackResult | None
) -> AttackResult:
    """Optimises pictures (Adam) so that their standardised codes match, with total variation.

    Weight of the total variation and number of iterations are chosen on held-out public images, of
    which the adversary has the truth; no iteration at all is among the choices.

    Args:
        evidence: with `encode`.
        settings: mu and seed.
        start: a decoder's result to begin with; None: the public mean image.

    Raises:
        ValueError: the encoder's inside is not at hand.
    """
    if evidence.encode is None:
        raise ValueError("optimise_images needs evidence.encode, a differentiable encoder.")
    started = time.perf_counter()
    pairs = evidence.pairs
    pictures, held_out = starting_pictures(evidence, start)
    chosen_rows = slice(0, CHOOSING_IMAGES)
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    step = image_step(evidence)
    curves = {}
    for weight in TOTAL_VARIATION_WEIGHTS:
        curves[weight] = [
            held_out_loss(images, pairs.held_out_images[chosen_rows], loss)
            for images in optimised(
                step, held_out[chosen_rows], pairs.held_out_codes[chosen_rows], weight, ITERATIONS
            )
        ]
    weight = min(curves, key=lambda each: min(curves[each]))
    checks = int(np.argmin(curves[weight]))
    iterations = checks * ITERATIONS_BETWEEN_CHECKS
    final = [
        list(optimised(step, images, codes, weight, iterations))[-1]
        for images, codes in (
            (pictures, evidence.target_codes),
            (held_out, pairs.held_out_codes),
        )
    ]
    return AttackResult(
        name="optimisation",
        knowledge=WHITE_BOX,
        settings={
            "words": "optimises each picture until its code matches, from a decoder's picture",
            "seed": settings.seed,
            "total_variation_weight": weight,
            "iterations": iterations,
            "learning_rate": RATE,
        },
        seconds=time.perf_counter() - started,
        held_out_loss=tuple(curves[weight]),
        reconstructions=final[0],
        held_out_reconstructions=final[1],
    )


def starting_pictures(
    evidence: Evidence, start: AttackResult | None
) -> tuple[np.ndarray, np.ndarray]:
    """Where to begin, for targets and held-out images: float32 [n, S, S, 3] in [0, 1]."""
    if start is not None:
        return start.reconstructions, start.held_out_reconstructions
    mean = evidence.pairs.images.mean(axis=0, dtype=np.float64) / 255.0
    return tuple(
        np.broadcast_to(mean.astype(np.float32), (len(codes), *mean.shape))
        for codes in (evidence.target_codes, evidence.pairs.held_out_codes)
    )


def image_step(evidence: Evidence) -> Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]]:
    """One step of Adam on a batch of pictures, as a tf.function of its state."""
    _, deviation = channel_moments(evidence.pairs.codes)
    scale = tf.constant(1.0 / deviation, tf.float32)

    @tf.function(reduce_retracing=True)
    def step(image, first, second, number, code, weight):
        with tf.GradientTape() as tape:
            tape.watch(image)
            mismatch = tf.reduce_mean(tf.square((evidence.encode(image) - code) * scale))
            # The mean of the batch would make a picture's step depend on how many there are.
            loss = (mismatch + weight * total_variation(image)) * tf.cast(
                tf.shape(image)[0], tf.float32
            )
        gradient = tape.gradient(loss, image)
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * tf.square(gradient)
        direction = (first / (1 - 0.9**number)) / (tf.sqrt(second / (1 - 0.999**number)) + 1e-8)
        return tf.clip_by_value(image - RATE * direction, 0.0, 1.0), first, second

    return step


def optimised(
    step: Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    images: np.ndarray,
    codes: np.ndarray,
    weight: float,
    iterations: int,
):
    """Yields the pictures at every check, the start among them; float32 [n, S, S, 3]."""
    state = [tf.constant(images, tf.float32)] + [tf.zeros(images.shape, tf.float32)] * 2
    yield images
    parts = [slice(first, first + AT_ONCE) for first in range(0, len(images), AT_ONCE)]
    weight = tf.constant(weight, tf.float32)
    for check in range(0, iterations, ITERATIONS_BETWEEN_CHECKS):
        pieces = []
        for part in parts:
            piece = [values[part] for values in state]
            for number in range(check + 1, check + ITERATIONS_BETWEEN_CHECKS + 1):
                piece = step(*piece, tf.constant(float(number)), tf.constant(codes[part]), weight)
            pieces.append(piece)
        state = [tf.concat(values, axis=0) for values in zip(*pieces, strict=True)]
        yield state[0].numpy()
