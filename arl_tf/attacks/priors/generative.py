"""White-box inversion with a prior: only pictures that a generator of public faces can make."""

import time

import keras
import numpy as np
import tensorflow as tf

from arl_tf.attacks.code_search import Search, check_white_box, search_result
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.priors.generator import FaceGenerator, train_generator
from arl_tf.attacks.regression.code_maps import best_code_map, squared_error

ITERATIONS = 15
LATENT_RATE = 0.2
PRIOR_WEIGHTS = (0.01, 0.1, 1.0)
# Of the prior beside the likelihood, where the noise is known.
MAP_FACTORS = (0.3, 1.0, 3.0)


def latent_inversion(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """Searches, among the faces that a generator can make, for those whose codes match.

    Where the noise of codes is known this is the MAP search of `component_search.map_attack` with
    the generator for a prior: it minimises sum (m(x) - z)^2 / (2 v) + b |w|^2 / 2 over x = G(w),
    where m is the mean code, v the noise's variances, and w has covariance 1 among public faces. It
    starts from the coefficients that a linear map expects for the codes. The weight of the prior,
    the iterations and how much of the change is kept are chosen by formula (1) on held-out public
    images.

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
    faces = train_generator(evidence, settings)
    return search_result(
        evidence,
        settings,
        latent_search(evidence, settings, faces),
        expected_coefficients(faces, evidence),
        name="generative_prior",
        started=started,
        extra={
            "words": "a search, among the faces that a generator can make, for the likeliest whose"
            " codes match; the generator was trained on all public images",
            "latent": len(faces.centre),
            "generator_images": faces.images,
            "generator_psnr": round(faces.reconstruction_psnr(evidence.pairs.held_out_images), 2),
            "parameters": faces.recogniser.count_params() + faces.generator.count_params(),
        },
    )


def latent_search(evidence: Evidence, settings: AttackerOptions, faces: FaceGenerator) -> Search:
    """The search of a generator's coefficients: a MAP search where the noise is known."""
    values = None if evidence.noise is None else evidence.noise.deviation.size

    def prior(coefficients: tf.Tensor) -> tf.Tensor:
        if values is None:
            return tf.reduce_mean(tf.square(coefficients), axis=1)
        # The engine takes the mean over a code's values, of which the likelihood is half the sum.
        return tf.reduce_sum(tf.square(coefficients), axis=1) / values

    return Search(
        picture=faces.picture,
        project=tf.identity,
        prior=prior,
        prior_weights=PRIOR_WEIGHTS if values is None else MAP_FACTORS,
        learning_rate=LATENT_RATE,
        iterations=min(ITERATIONS, settings.steps),
    )


def expected_coefficients(
    faces: FaceGenerator, evidence: Evidence
) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients that a linear map expects for (target, held-out) codes; float32 [n, C].

    It learns from the public codes and the coefficients of their images, and is chosen by the
    held-out ones.
    """
    pairs = evidence.pairs
    found = best_code_map(
        pairs,
        evidence.noise,
        faces.coefficients(pairs.images),
        squared_error(faces.coefficients(pairs.held_out_images)),
        seed=0,
    )
    return tuple(
        found.predict(codes).astype(np.float32)
        for codes in (evidence.target_codes, pairs.held_out_codes)
    )
