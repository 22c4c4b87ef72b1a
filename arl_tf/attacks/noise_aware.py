"""Attackers that know a code's noise: linear maps, and a MAP search that starts there.

Both see every value of a code in units of its noise: a value that is all noise weighs nothing, one
that is nearly free of it weighs most.
"""

import dataclasses
import time

import numpy as np
import tensorflow as tf

from arl_tf.attacks.closed_form import (
    MOST_PAIRS,
    closed_form_result,
    directions,
    sample_rows,
    within_limit,
)
from arl_tf.attacks.code_search import Search, check_white_box, search_result
from arl_tf.attacks.evidence import (
    WHITE_BOX,
    AttackerOptions,
    AttackResult,
    Evidence,
    PublicPairs,
)
from arl_tf.attacks.regression.code_maps import CodeMap, best_code_map, pixel_error, wiener_map
from arl_tf.models.standardisation import flattened

COMPONENTS = 500
ITERATIONS, RATE = 20, 0.1
PRIOR_FACTORS = (0.3, 1.0, 3.0, 10.0)


def linear_attack(evidence: Evidence, settings: AttackerOptions, *, name: str) -> AttackResult:
    """The best linear map from codes to pixels, by whatever is known of the noise.

    The better, on held-out public images, of a ridge regression and, where something is known of
    the noise, the Wiener map (`code_maps`).

    Args:
        evidence: public pairs and target codes; `noise` where something is known of it.
        settings: seed, and mu for the reported loss.
        name: of the attack in the report.
    """
    started = time.perf_counter()
    pairs, noise = within_limit(evidence.pairs, evidence.noise, settings.seed)
    evidence = dataclasses.replace(evidence, pairs=pairs, noise=noise)
    found = best_code_map(
        pairs, noise, pixels(pairs), pixel_error(pairs.held_out_images), seed=settings.seed
    )
    words = "the best linear map from the code to pixels, in closed form"
    return map_result(evidence, settings, found, name=name, started=started, words=words)


def wiener_attack(evidence: Evidence, settings: AttackerOptions, *, name: str) -> AttackResult:
    """The best linear map from noisy codes to pixels, by the noise that is known from the inside.

    Args:
        evidence: with `noise`.
        settings: seed, and mu for the reported loss.
        name: of the attack in the report.

    Raises:
        ValueError: the noise is not known.
    """
    started = time.perf_counter()
    if evidence.noise is None:
        raise ValueError("A Wiener map needs Evidence.noise, the noise's deviation; got None.")
    pairs, noise = within_limit(evidence.pairs, evidence.noise, settings.seed)
    evidence = dataclasses.replace(evidence, pairs=pairs, noise=noise)
    found = wiener_map(
        pairs, noise, pixels(pairs), pixel_error(pairs.held_out_images), seed=settings.seed
    )
    words = "the best linear map from the code to pixels for the known noise"
    result = map_result(evidence, settings, found, name=name, started=started, words=words)
    return dataclasses.replace(result, knowledge=WHITE_BOX)


def pixels(pairs: PublicPairs) -> np.ndarray:
    """The public images as rows of numbers; float32 [N, K] in [0, 1]."""
    return flattened(pairs.images) / np.float32(255)


def map_result(
    evidence: Evidence,
    settings: AttackerOptions,
    found: CodeMap,
    *,
    name: str,
    started: float,
    words: str,
) -> AttackResult:
    """What a linear map to pixels makes of the codes."""
    pictures = tuple(
        np.clip(found.predict(codes), 0, 1)
        for codes in (evidence.target_codes, evidence.pairs.held_out_codes)
    )
    return closed_form_result(
        evidence,
        settings,
        name=name,
        started=started,
        words=words,
        extra={**found.facts, "public_images": len(evidence.pairs.images)},
        pictures=pictures,
    )


@dataclasses.dataclass(frozen=True)
class FacePrior:
    """Pictures as mean + components scaled by what public pictures vary along them.

    Attributes:
        mean: float32 [K].
        basis: float32 [C, K], principal components times their deviations: coefficients of public
            pictures have variance 1.
        shape: of a picture.
    """

    mean: np.ndarray
    basis: np.ndarray
    shape: tuple[int, ...]

    def picture(self, coefficients: tf.Tensor) -> tf.Tensor:
        """Coefficients float32 [B, C] -> pictures float32 [B, S, S, 3] in [0, 1]."""
        flat = coefficients @ tf.constant(self.basis) + tf.constant(self.mean)
        return tf.reshape(tf.clip_by_value(flat, 0.0, 1.0), (-1, *self.shape))

    def coefficients(self, pictures: np.ndarray) -> np.ndarray:
        """The nearest coefficients float32 [N, C] of pictures [N, S, S, 3]."""
        lengths = np.square(self.basis).sum(axis=1)
        return ((flattened(pictures) - self.mean) @ self.basis.T / lengths).astype(np.float32)


def face_prior(images: np.ndarray, seed: int) -> FacePrior:
    """The principal components of public images uint8 [N, S, S, 3], COMPONENTS at most."""
    rows = sample_rows(len(images), MOST_PAIRS, seed)
    pixels = flattened(images[rows]) / np.float32(255)
    found = directions(pixels)
    kept = np.argsort(found.values)[::-1][:COMPONENTS]
    kept = kept[found.values[kept] > 1e-9 * found.level]
    deviations = np.sqrt(found.values[kept] / len(rows))
    basis = (found.rotation[:, kept] * deviations).T.astype(np.float32)
    return FacePrior(found.centre.astype(np.float32), basis, images.shape[1:])


def map_attack(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """The likeliest picture given a noisy code: a MAP search from another attack's pictures.

    Minimises sum (m(x) - z)^2 / (2 v) + b |a|^2 / 2 over x = mean + basis a, where m is the
    encoder without its noise, v the noise's variances, and a has variance 1 among public pictures.
    b, the steps and the share of the way are chosen by formula (1) on held-out public images.

    Args:
        evidence: with `encode` and `noise`.
        settings: seed, mu, and a bound on the iterations (steps).
        start: that attack's result; None: the mean picture.

    Raises:
        ValueError: no `encode` or no `noise`, or the search diverged.
    """
    started = time.perf_counter()
    check_white_box(evidence, "map")
    if evidence.noise is None:
        raise ValueError("A MAP search needs Evidence.noise, the noise's deviation; got None.")
    prior = face_prior(evidence.pairs.images, settings.seed)
    values = evidence.noise.deviation.size
    search = Search(
        picture=prior.picture,
        project=tf.identity,
        # The engine takes the mean over a code's values, of which the likelihood is half the sum.
        prior=lambda coefficients: tf.reduce_sum(tf.square(coefficients), axis=1) / values,
        prior_weights=PRIOR_FACTORS,
        learning_rate=RATE,
        iterations=min(ITERATIONS, settings.steps),
    )
    counts = len(evidence.target_codes), len(evidence.pairs.held_out_codes)
    starts = tuple(
        np.zeros((count, len(prior.basis)), np.float32)
        if start is None
        else prior.coefficients(pictures)
        for count, pictures in zip(
            counts,
            (None, None)
            if start is None
            else (start.reconstructions, start.held_out_reconstructions),
            strict=True,
        )
    )
    return search_result(
        evidence,
        settings,
        search,
        starts,
        name="map",
        started=started,
        extra={
            "words": "the likeliest picture given the code and its known noise, a search from"
            f" {'the mean picture' if start is None else f'what {start.name} made of it'}",
            "start": "" if start is None else start.name,
            "components": len(prior.basis),
        },
    )
