"""White-box inversion without a learned prior: pixels are optimised until their code matches."""

import time

import numpy as np
import tensorflow as tf

from arl_tf.attacks.code_search import (
    Search,
    check_white_box,
    scaled_weights,
    search_result,
)
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence

ITERATIONS = 40
TOTAL_VARIATION_WEIGHTS = (0.0, 0.3, 1.0, 3.0, 10.0)
# The mean image is farther from the truth than a reconstruction is.
RATE_FROM_RECONSTRUCTION, RATE_FROM_MEAN_IMAGE = 0.015, 0.04


def optimise_images(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """Iterative inversion: Adam on pixels until the picture's code is the one under attack.

    Minimises the distance of codes (`code_search.compared_in`) plus a weight times the total
    variation (Mahendran and Vedaldi 2015, arXiv 1412.0035, equation 2), from a decoder's
    reconstruction or the public mean image. Weight, iterations and how much of the change is kept
    are chosen by formula (1) on held-out public images; where nothing is better there, the start is
    returned.

    Args:
        evidence: with `encode`.
        settings: seed, mu, and a bound on the iterations (steps).
        start: a decoder's result on the same evidence; None: the public mean image.

    Raises:
        ValueError: no `encode`, a start for other codes, or the search diverged.
    """
    started = time.perf_counter()
    check_white_box(evidence, "optimisation")
    target, held_out = first_pictures(evidence, start)
    search = Search(
        picture=tf.identity,
        project=lambda image: tf.clip_by_value(image, 0.0, 1.0),
        prior=total_variation,
        prior_weights=scaled_weights(TOTAL_VARIATION_WEIGHTS, evidence),
        learning_rate=RATE_FROM_MEAN_IMAGE if start is None else RATE_FROM_RECONSTRUCTION,
        iterations=min(ITERATIONS, settings.steps),
    )
    origin = "the public mean image" if start is None else f"the pictures of {start.name}"
    return search_result(
        evidence,
        settings,
        search,
        (target, held_out),
        name="optimisation",
        started=started,
        extra={
            "words": f"a search for pictures whose codes match, which starts from {origin}",
            "start": "" if start is None else start.name,
        },
    )


def first_pictures(evidence: Evidence, start: AttackResult | None) -> tuple[np.ndarray, np.ndarray]:
    """Where (target, held-out) pictures start: float32 [M, S, S, 3] and [H, S, S, 3] in [0, 1]."""
    pairs = evidence.pairs
    counts = len(evidence.target_codes), len(pairs.held_out_codes)
    if start is None:
        return tuple(np.repeat(pairs.mean_image[None], count, axis=0) for count in counts)
    given = len(start.reconstructions), len(start.held_out_reconstructions)
    if given != counts:
        raise ValueError(
            f"The start {start.name} has {given} (target, held-out) reconstructions; expected"
            f" {counts}, one for each code."
        )
    return start.reconstructions, start.held_out_reconstructions


def total_variation(image: tf.Tensor) -> tf.Tensor:
    """Anisotropic total variation (Rudin, Osher and Fatemi 1992), a mean in place of the sum.

    TV(x) = mean of |x[i+1, j] - x[i, j]| + mean of |x[i, j+1] - x[i, j]|, over positions and
    channels. Image float32 [B, H, W, 3] in [0, 1], H and W >= 2; returns float32 [B] in [0, 2].
    """
    down = tf.abs(image[:, 1:] - image[:, :-1])
    across = tf.abs(image[:, :, 1:] - image[:, :, :-1])
    return tf.reduce_mean(down, axis=(1, 2, 3)) + tf.reduce_mean(across, axis=(1, 2, 3))
