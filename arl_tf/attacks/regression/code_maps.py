"""The best linear map from codes to anything: a ridge regression, or Wiener's where noise is known.

Whoever predicts something of a picture from its code (pixels, an embedding, latents) starts here.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from arl_tf.attacks.closed_form import (
    RIDGE_PENALTIES,
    LinearMap,
    directions,
    most_pairs,
    ridge_path,
    sample_rows,
)
from arl_tf.attacks.evidence import CodeNoise, PublicPairs
from arl_tf.models.standardisation import flattened, standardisation

# Shares of the noise that the map is solved for: 1 is the least-squares optimum of Gaussian codes.
NOISE_FACTORS = (0.25, 0.5, 1.0, 2.0, 4.0)
Score = Callable[[np.ndarray], float]


@dataclasses.dataclass(frozen=True)
class CodeMap:
    """A linear map that was chosen on held-out codes.

    Attributes:
        seen: codes float32 [n, ...] as they leave -> float32 [n, D], what `linear` takes.
        linear: the map.
        score: of its predictions for the held-out codes; the lower the better.
        facts: {"penalty": ...} of a ridge regression, {"noise_factor": ...} of a Wiener map.
    """

    seen: Callable[[np.ndarray], np.ndarray]
    linear: LinearMap
    score: float
    facts: Mapping[str, Any]

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Predictions float [n, K] for codes float32 [n, ...] as they leave."""
        return self.linear(self.seen(codes))


def best_code_map(
    pairs: PublicPairs, noise: CodeNoise | None, outputs: np.ndarray, score: Score, *, seed: int
) -> CodeMap:
    """The better of both maps by held-out codes; the ridge regression where no noise is known.

    Args:
        pairs: public and held-out codes.
        noise: what is known of the codes' noise.
        outputs: float [N, K], what to predict for every public code.
        score: predictions float [H, K] for the held-out codes -> the lower the better.
        seed: draws some of the public codes where there are more than `most_pairs`.
    """
    ridge = ridge_map(pairs, outputs, score, seed=seed)
    if noise is None:
        return ridge
    return min(
        wiener_map(pairs, noise, outputs, score, seed=seed), ridge, key=lambda found: found.score
    )


def ridge_map(pairs: PublicPairs, outputs: np.ndarray, score: Score, *, seed: int) -> CodeMap:
    """Ridge regression from standardised noisy codes to outputs float [N, K].

    Arguments are `best_code_map`'s.
    """
    rows = sample_rows(len(pairs.codes), most_pairs(pairs), seed)
    scale = standardisation(pairs.codes)

    def seen(codes: np.ndarray) -> np.ndarray:
        return flattened(scale(codes))

    path = ridge_path(seen(pairs.codes[rows]), outputs[rows], RIDGE_PENALTIES)
    return best_of(path, seen, pairs.held_out_codes, score, "penalty")


def wiener_map(
    pairs: PublicPairs, noise: CodeNoise, outputs: np.ndarray, score: Score, *, seed: int
) -> CodeMap:
    """The best linear map for the known noise (Wiener 1949); arguments are `best_code_map`'s.

    From *mean* public codes mu and the noise's variances v per value: outputs y, float [N, K], are
    predicted by (Cov(mu) + k diag(v))^-1 Cov(mu, y). A ridge regression on noisy public codes has
    to learn the same from as many samples of the noise as there are public images.
    """
    rows = sample_rows(len(pairs.codes), most_pairs(pairs), seed)

    def seen(codes: np.ndarray) -> np.ndarray:
        return flattened(noise.in_units(codes))

    path = wiener_path(seen(noise.public_means[rows]), outputs[rows], noise.remaining)
    return best_of(path, seen, pairs.held_out_codes, score, "noise_factor")


def wiener_path(
    means: np.ndarray, outputs: np.ndarray, remaining: float
) -> Iterator[tuple[float, LinearMap]]:
    """Yields (k, map) of Wiener maps that share one decomposition.

    Beside shares of the noise, k takes penalties of a ridge regression that are larger: of little
    noise, the number of public images decides how much to shrink.

    Args:
        means: float32 [N, D], mean codes in units in which each value's noise has variance 1.
        outputs: float [N, K].
        remaining: share of the noise's variance that the means still carry: their covariance is too
            large by so much in every direction, and is reduced by it.
    """
    found, centre = directions(means), outputs.mean(axis=0)
    projected = found.along.astype(np.float32).T @ (outputs - centre).astype(np.float32)
    # The Gram matrix sums over images.
    count = len(means)
    signal = np.maximum(found.values - remaining * count, 0.0)
    unit_of_codes = float(signal.mean()) / count
    larger = (penalty * unit_of_codes for penalty in RIDGE_PENALTIES)
    for factor in (*NOISE_FACTORS, *(each for each in larger if each > NOISE_FACTORS[-1])):
        shrunk = (signal + factor * count)[:, None].astype(np.float32)
        yield factor, LinearMap(found.centre, found.rotation, projected / shrunk, centre)


def best_of(
    path: Iterator[tuple[float, LinearMap]],
    seen: Callable[[np.ndarray], np.ndarray],
    held_out_codes: np.ndarray,
    score: Score,
    parameter: str,
) -> CodeMap:
    """The map of a path with the best score.

    Args:
        path: (value of the parameter, map) of each candidate.
        seen: codes float32 [n, ...] as they leave -> float32 [n, D], what maps take.
        held_out_codes: float32 [H, ...].
        score: predictions float [H, K] for them -> the lower the better.
        parameter: name of what the path varies.
    """
    held_out, best = seen(held_out_codes), None
    for value, fitted in path:
        found = score(fitted(held_out))
        # Of equally good ones the last, which is the most cautious.
        if best is None or found <= best[0]:
            best = (found, value, fitted)
    found, value, fitted = best
    return CodeMap(seen, fitted, found, {parameter: value})


def pixel_error(images: np.ndarray) -> Score:
    """Mean squared error of predicted pixels, limited to [0, 1], to images uint8 [H, S, S, 3]."""
    truth = flattened(images) / np.float32(255)
    return lambda found: float(np.square(np.clip(found, 0, 1) - truth).mean())


def squared_error(truth: np.ndarray) -> Score:
    """Mean squared error to float [H, K]."""
    return lambda found: float(np.square(found - truth).mean())
