"""Is a code of this photo? Codes scored against candidate photos, by likelihood and by distance.

Nearly every score is a sum over the values of a code of a product: a feature of the code times one
of the candidate. So all scores of all codes are a few matrix products.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Protocol

import numpy as np
from scipy import linalg
from scipy.spatial.distance import cdist
from scipy.special import log_ndtr, ndtr

from arl_tf.metrics import measures, utility

# More levels than these are taken for a continuous value whose rounding adds its own variance.
MOST_EXACT_LEVELS = 16
LEAST_PROBABILITY = 1e-30
# Of the range of values: below it a variance is taken for rounding errors of the arithmetic.
LEAST_DEVIATION = 1e-3
# Share of the noise that stays on the diagonal, whatever is subtracted there.
LEAST_NOISE_LEFT = 0.25
CODES_AT_ONCE = 1024
# Of the mean variance of differences between right candidates: what every value may differ by more.
SHRINKAGE = 0.1
MOST_CORRELATED = 4096
# Scores that differ by less than this share of their size are equal but for rounding.
TIE = 1e-12


@dataclasses.dataclass(frozen=True)
class CodeModel:
    """How codes of candidate photos are distributed: Gaussian or Laplace, then limited, rounded.

    Attributes:
        means: float64 [N, K], of each value before limit and rounding.
        variances: float64 [K], or [N, K] where they depend on the photo; > 0.
        clip: values are limited to [-clip, clip]; 0: not limited.
        levels: values are rounded to so many equally spaced values, -clip and clip among them; 0:
            not rounded.
        is_laplace: whether the noise is Laplace noise; of codes that are not rounded.
    """

    means: np.ndarray
    variances: np.ndarray
    clip: float = 0.0
    levels: int = 0
    is_laplace: bool = False

    @property
    def step(self) -> float:
        """Distance of neighbouring levels; 0 without levels."""
        return 2 * self.clip / (self.levels - 1) if self.levels else 0.0


def log_likelihood(model: CodeModel, count: int = 1) -> "Score":
    """The score log p(code | candidate), up to what all candidates of a code have in common.

    Exact, but for more than MOST_EXACT_LEVELS levels, and for means of limited codes and of codes
    with Laplace noise: there the mean of `count` codes is taken for Gaussian.

    Args:
        model: of single codes.
        count: the codes that are compared are means of so many codes of a photo.
    """
    if model.is_laplace and count == 1 and not model.levels:
        return LaplaceScore(model.means, np.sqrt(model.variances / 2), model.clip)
    if 0 < count * (model.levels - 1) < MOST_EXACT_LEVELS:
        return ProductScore(tuple(level_parts(model, count)))
    if count > 1:
        one = as_gaussian(model)
        return log_likelihood(dataclasses.replace(one, variances=one.variances / count))
    if model.clip:
        return ProductScore(tuple(limited_parts(model)))
    return ProductScore(tuple(gaussian_parts(model)))


def distance_score(candidates: np.ndarray, weights: np.ndarray | float = 1.0) -> "ProductScore":
    """The negative squared distance to candidates' codes [N, K], weighted per value by [K]."""
    means = np.asarray(candidates, np.float64)
    variances = np.broadcast_to(1 / np.asarray(weights, np.float64), means.shape[1:])
    return ProductScore(tuple(gaussian_parts(CodeModel(means, variances))))


def whitened_score(candidates: np.ndarray, whitening: np.ndarray) -> "ProductScore":
    """The negative squared distance to candidates' values [N, K], both times a matrix [K, E]."""
    plain = distance_score(candidates @ whitening)
    return ProductScore(
        tuple(
            (
                of_code and (lambda codes, of_code=of_code: of_code(codes @ whitening)),
                of_candidate,
            )
            for of_code, of_candidate in plain.parts
        )
    )


def tolerance_whitening(
    noise: np.ndarray, differences: np.ndarray, known_noise: np.ndarray | float = 0.0
) -> np.ndarray:
    """A matrix [K, E] under which noise and known differences together are white.

    Their covariance is that of the differences, a little shrunk, with the noise on its diagonal.
    Of more than MOST_CORRELATED values correlations are left out.

    Args:
        noise: float [K], variances.
        differences: float [n, K], what right candidates' codes differ by.
        known_noise: float [K], the variance in the differences that is noise of how they became
            known; not counted.
    """
    variances = np.maximum(differences.var(axis=0) - known_noise, 0)
    level = SHRINKAGE * max(float(variances.mean()), 1e-12)
    if len(noise) > MOST_CORRELATED:
        return np.diag(1 / np.sqrt(variances + noise + level))
    covariance = np.cov(differences, rowvar=False, bias=True).reshape(len(noise), -1)
    # Few differences leave directions without any variance: nothing can be subtracted from them.
    added = np.maximum(noise - known_noise, LEAST_NOISE_LEFT * noise)
    covariance[np.diag_indices_from(covariance)] += added + level
    lower = linalg.cholesky(covariance, lower=True, overwrite_a=True, check_finite=False)
    # The inverse of a triangle takes a third of what solving for each column of 1 takes.
    return linalg.lapack.dtrtri(lower, lower=1, overwrite_c=1)[0].T


class Score(Protocol):
    """How well candidates fit codes."""

    def of(self, codes: np.ndarray) -> np.ndarray:
        """Scores float64 [M, N] of codes [M, K]; the highest is the likeliest candidate."""
        ...


@dataclasses.dataclass(frozen=True)
class ProductScore:
    """A `Score` that is a sum of products.

    Factors are functions of the codes [M, K] -> [M, K], or None for 1, and arrays [N, K].
    """

    parts: tuple

    def of(self, codes: np.ndarray) -> np.ndarray:
        """Scores float64 [M, N] of codes [M, K]."""
        codes = np.asarray(codes, np.float64)
        return sum(
            of_candidate.sum(axis=1) if of_code is None else of_code(codes) @ of_candidate.T
            for of_code, of_candidate in self.parts
        )


@dataclasses.dataclass(frozen=True)
class LaplaceScore:
    """A `Score`: minus the sum of distances to means [N, K], in units of the noise's scale [K].

    Values may be limited to [-clip, clip] (0: are not). The tail beyond a limit has the mass
    exp(-d) / 2, d the distance of a mean within the limit: for these the distance is right as it
    is. A mean beyond the limit has the mass 1 - exp(-d) / 2 there.
    """

    means: np.ndarray
    scale: np.ndarray
    clip: float = 0.0

    def of(self, codes: np.ndarray) -> np.ndarray:
        """Scores float64 [M, N] of codes [M, K]."""
        codes = np.asarray(codes, np.float64)
        scores = -cdist(codes / self.scale, self.means / self.scale, "cityblock")
        if not self.clip:
            return scores
        for sign in (-1, 1):
            beyond = np.maximum(sign * self.means - self.clip, 0) / self.scale
            # What the mass of the tail is more than exp(-d) / 2.
            more = np.log1p(-0.5 * np.exp(-beyond)) + beyond + np.log(2)
            scores += (sign * codes >= self.clip).astype(np.float64) @ more.T
        return scores


def gaussian_parts(model: CodeModel, edge: float = np.inf) -> Iterator[tuple]:
    """-(z - m)^2 / 2v - log(v) / 2 of the values z within the edges."""
    means, variances = model.means, np.broadcast_to(model.variances, model.means.shape)
    if model.variances.ndim > 1:
        yield (lambda codes: np.square(codes) * (np.abs(codes) < edge), -0.5 / variances)
    yield (lambda codes: codes * (np.abs(codes) < edge), means / variances)
    inside = None
    if np.isfinite(edge):
        inside = functools.partial(is_inside, edge=edge)
    yield (inside, -0.5 * (np.square(means) / variances + np.log(variances)))


def is_inside(codes: np.ndarray, edge: float) -> np.ndarray:
    """1 for each value of codes float [N, ...] within the edges, else 0; float64 [N, ...]."""
    return (np.abs(codes) < edge).astype(np.float64)


def limited_parts(model: CodeModel) -> Iterator[tuple]:
    """A Gaussian whose tails beyond the limit lie on it; many levels add the rounding's variance.

    Uniform rounding errors have the variance step^2 / 12 (Bennett 1948).
    """
    variances, edge = model.variances + model.step**2 / 12, model.clip - model.step / 2
    smooth = dataclasses.replace(model, variances=variances)
    yield from gaussian_parts(smooth, edge)
    deviation = np.sqrt(variances)
    for sign in (-1, 1):
        yield (
            lambda codes, sign=sign: (sign * codes >= edge).astype(np.float64),
            log_ndtr((sign * model.means - edge) / deviation),
        )


def level_parts(model: CodeModel, count: int) -> Iterator[tuple]:
    """The logarithm of the probability of the level that the mean of `count` codes has."""
    single = [probability for _, probability in level_probabilities(model)]
    summed, step = single, model.step / count
    for _ in range(count - 1):
        summed = convolved(summed, single)
    for number, probability in enumerate(summed):
        level = number * step - model.clip
        yield (
            lambda codes, level=level: (np.abs(codes - level) < step / 2).astype(np.float64),
            np.log(np.maximum(probability, LEAST_PROBABILITY)),
        )


def convolved(first: list[np.ndarray], second: list[np.ndarray]) -> list[np.ndarray]:
    """Probabilities [N, K] of sums of two level numbers, each a list over numbers from 0 on."""
    sums = [np.zeros_like(first[0]) for _ in range(len(first) + len(second) - 1)]
    for one, probability in enumerate(first):
        for other, further in enumerate(second):
            sums[one + other] += probability * further
    return sums


def level_probabilities(model: CodeModel) -> Iterator[tuple[float, np.ndarray]]:
    """(level, its probability float64 [N, K]) for each level."""
    deviation = np.sqrt(model.variances)
    for number in range(model.levels):
        level = number * model.step - model.clip
        low = -np.inf if number == 0 else level - model.step / 2
        high = np.inf if number == model.levels - 1 else level + model.step / 2
        below, above = (low - model.means) / deviation, (high - model.means) / deviation
        # In the upper tail both are near 1: their difference is taken in the lower one.
        mirrored = below > 0
        below, above = np.where(mirrored, -above, below), np.where(mirrored, -below, above)
        yield level, ndtr(above) - ndtr(below)


def as_gaussian(model: CodeModel) -> CodeModel:
    """A Gaussian of the same mean and variance as the values."""
    if not model.clip:
        return dataclasses.replace(model, is_laplace=False)
    if 0 < model.levels <= MOST_EXACT_LEVELS:
        means, squares = 0.0, 0.0
        for level, probability in level_probabilities(model):
            means, squares = means + level * probability, squares + level**2 * probability
    else:
        means, squares = limited_moments(model)
    least = (LEAST_DEVIATION * model.clip) ** 2
    return CodeModel(means, np.maximum(squares - np.square(means), least))


def limited_moments(model: CodeModel) -> tuple[np.ndarray, np.ndarray]:
    """Mean and mean square of a Gaussian whose tails lie on the limits; float64 [N, K] each."""
    deviation, clip = np.sqrt(model.variances + model.step**2 / 12), model.clip
    low, high = (-clip - model.means) / deviation, (clip - model.means) / deviation
    below, above, inside = ndtr(low), ndtr(-high), ndtr(high) - ndtr(low)
    densities = [np.exp(-0.5 * np.square(edge)) / np.sqrt(2 * np.pi) for edge in (low, high)]
    drift = deviation * (densities[0] - densities[1])
    means = model.means * inside + drift + clip * (above - below)
    squares = (np.square(model.means) + np.square(deviation)) * inside + clip**2 * (above + below)
    squares += model.means * drift - deviation * clip * (densities[0] + densities[1])
    return means, squares


def hits(score: Score, codes: np.ndarray, right: np.ndarray, *, left_out: bool) -> np.ndarray:
    """How often the best-scored candidate is a right one: 1 or 0, a share where several are best.

    Args:
        score: of N candidates.
        codes: [M, K], M = N: code i is of candidate photo i.
        right: int [N], a candidate is right where its number is that of the code.
        left_out: whether the photo itself is no candidate.

    Returns:
        float64 [M]; NaN where no candidate is right.
    """
    found = np.full(len(codes), np.nan)
    for start in range(0, len(codes), CODES_AT_ONCE):
        rows = np.arange(start, min(start + CODES_AT_ONCE, len(codes)))
        scores, matches = score.of(codes[rows]), right[rows, None] == right
        best = scores.max(axis=1, keepdims=True)
        if left_out:
            own = (np.arange(len(rows)), rows)
            matches[own], scores[own] = False, -np.inf
            best = scores.max(axis=1, keepdims=True)
        tied = scores >= best - TIE * np.maximum(np.abs(best), 1)
        share = (tied & matches).sum(axis=1) / tied.sum(axis=1)
        found[rows] = np.where(matches.any(axis=1), share, np.nan)
    return found


def rate(found: np.ndarray, weights: np.ndarray) -> dict:
    """The mean of hits [M] where defined; its bootstrap interval by weights float [R, M]."""
    known = ~np.isnan(found)
    if not known.any():
        return utility.estimate(None)
    resampled = measures.weighted_means(found[known], weights[:, known])
    return utility.estimate(float(found[known].mean()), resampled)
