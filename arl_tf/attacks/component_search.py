"""Searches along the principal components of public pictures until codes match.

Pictures differ most along the first components and hardly along the last, and a step counts in
units of that. Such a search finds in tens of steps what one over single pixels does not find in
hundreds.
"""

import dataclasses
import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from arl_tf.attacks.closed_form import MOST_PAIRS, directions, sample_rows
from arl_tf.attacks.code_search import Search, check_white_box, search_result
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence
from arl_tf.models.standardisation import flattened

# Components, iterations at most, and weights of the prior to choose from: with noise, where the
# first decide, and without.
NOISY_COMPONENTS, NOISY_ITERATIONS, PRIOR_FACTORS = 500, 20, (0.3, 1.0, 3.0, 10.0)
COMPONENTS, ITERATIONS, PRIOR_WEIGHTS = 1500, 40, (0.01, 0.03, 0.1, 0.3, 1.0)
RATE = 0.1


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


def face_prior(images: np.ndarray, most: int, seed: int) -> FacePrior:
    """The first principal components of public images uint8 [N, S, S, 3], `most` at most."""
    rows = sample_rows(len(images), MOST_PAIRS, seed)
    pixels = flattened(images[rows]) / np.float32(255)
    found = directions(pixels)
    kept = np.argsort(found.values)[::-1][:most]
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
    values = evidence.noise.deviation.size
    found = "the mean picture" if start is None else f"what {start.name} made of it"
    return component_search(
        evidence,
        settings,
        start,
        name="map",
        started=started,
        components=NOISY_COMPONENTS,
        iterations=NOISY_ITERATIONS,
        # The engine takes the mean over a code's values, of which the likelihood is half the sum.
        prior=lambda coefficients: tf.reduce_sum(tf.square(coefficients), axis=1) / values,
        prior_weights=PRIOR_FACTORS,
        words=f"the likeliest picture given the code and its known noise, a search from {found}",
    )


def match_components(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """The likeliest picture with nearly the same code, where nothing is known of any noise.

    Minimises the distance of codes (`code_search.compared_in`) plus b times the mean of a^2 over
    x = mean + basis a, as `map_attack` does. b, the steps and the share of the way are chosen by
    formula (1) on held-out public images.

    Args:
        evidence: with `encode`.
        settings: seed, mu, and a bound on the iterations (steps).
        start: another attack's result; None: the mean picture.

    Raises:
        ValueError: no `encode`, or the search diverged.
    """
    started = time.perf_counter()
    check_white_box(evidence, "optimisation_components")
    origin = "the public mean image" if start is None else f"the pictures of {start.name}"
    return component_search(
        evidence,
        settings,
        start,
        name="optimisation_components",
        started=started,
        components=COMPONENTS,
        iterations=ITERATIONS,
        prior=lambda coefficients: tf.reduce_mean(tf.square(coefficients), axis=1),
        prior_weights=PRIOR_WEIGHTS,
        words="a search along the principal components of public pictures for pictures whose codes"
        f" match, which starts from {origin}",
    )


def component_search(
    evidence: Evidence,
    settings: AttackerOptions,
    start: AttackResult | None,
    *,
    name: str,
    started: float,
    components: int,
    iterations: int,
    prior: Callable[[tf.Tensor], tf.Tensor],
    prior_weights: tuple[float, ...],
    words: str,
) -> AttackResult:
    """A search for coefficients of the principal components of public pictures.

    Args:
        evidence: with `encode`.
        settings: seed, mu, and a bound on the iterations (steps).
        start: the result of another attack to start from; None: the mean picture.
        name: of the attack.
        started: time.perf_counter() at its beginning.
        components: at most.
        iterations: likewise.
        prior: coefficients float32 [B, C] -> float32 [B], the lower the likelier.
        prior_weights: to choose from.
        words: what the report says.
    """
    along = face_prior(evidence.pairs.images, components, settings.seed)
    search = Search(
        picture=along.picture,
        project=tf.identity,
        prior=prior,
        prior_weights=prior_weights,
        learning_rate=RATE,
        iterations=min(iterations, settings.steps),
    )
    return search_result(
        evidence,
        settings,
        search,
        first_coefficients(evidence, along, start),
        name=name,
        started=started,
        extra={
            "words": words,
            "start": "" if start is None else start.name,
            "components": len(along.basis),
        },
    )


def first_coefficients(
    evidence: Evidence, along: FacePrior, start: AttackResult | None
) -> tuple[np.ndarray, np.ndarray]:
    """Where a search for (target, held-out) pictures starts; float32 [M, C] and [H, C]."""
    if start is not None:
        return along.coefficients(start.reconstructions), along.coefficients(
            start.held_out_reconstructions
        )
    counts = len(evidence.target_codes), len(evidence.pairs.held_out_codes)
    return tuple(np.zeros((count, len(along.basis)), np.float32) for count in counts)
