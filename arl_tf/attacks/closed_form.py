"""Attacks without training: the nearest public code, and the best linear map to pixels."""

import dataclasses
import time
from collections.abc import Callable, Iterator

import numpy as np
from scipy import linalg

from arl_tf.attacks.evidence import (
    BLACK_BOX,
    AttackerOptions,
    AttackResult,
    CodeNoise,
    Evidence,
    PublicPairs,
)
from arl_tf.attacks.objectives import held_out_loss, reconstruction_loss
from arl_tf.models.standardisation import flattened, standardisation

# Public pairs that a map in closed form is fitted to at most. Codes of FEW_VALUES values or fewer
# are solved for by their values: of these, more pairs, as long as their pictures have no more
# numbers than MOST_NUMBERS (.8 GB).
MOST_PAIRS, MOST_PAIRS_OF_FEW_VALUES, FEW_VALUES = 6000, 16_000, 4096
MOST_NUMBERS = 200_000_000
RIDGE_PENALTIES = (1e-12, 1e-10, 1e-8, 1e-6, 1e-4, 1e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0)
ROWS_AT_ONCE = 512
# Directions whose eigenvalue is a smaller share of the mean are rounding.
TINY = 1e-15


@dataclasses.dataclass(frozen=True)
class RegressionProblem:
    """Codes and pixels as rows of numbers.

    Attributes:
        rows: int64 [N], the public pairs taken.
        inputs: float32 [N, D], their codes as `seen`.
        outputs: float32 [N, K], their pixels in [0, 1].
        held_out: float32 [H, D], held-out codes.
        truth: float32 [H, K], their pixels.
        seen: codes float32 [n, ...] as they leave -> float32 [n, D].
    """

    rows: np.ndarray
    inputs: np.ndarray
    outputs: np.ndarray
    held_out: np.ndarray
    truth: np.ndarray
    seen: Callable[[np.ndarray], np.ndarray]


def regression_problem(
    pairs: PublicPairs, seed: int, noise: CodeNoise | None = None
) -> RegressionProblem:
    """What a linear map from codes to pixels is fitted to and chosen by.

    Codes are standardised, or in units of their noise where that is known.
    """
    rows = sample_rows(len(pairs.codes), most_pairs(pairs), seed)
    scale = standardisation(pairs.codes) if noise is None else noise.in_units

    def seen(codes: np.ndarray) -> np.ndarray:
        return flattened(scale(codes))

    return RegressionProblem(
        rows=rows,
        inputs=seen(pairs.codes[rows]),
        outputs=flattened(pairs.images[rows]) / np.float32(255),
        held_out=seen(pairs.held_out_codes),
        truth=flattened(pairs.held_out_images) / np.float32(255),
        seen=seen,
    )


@dataclasses.dataclass(frozen=True)
class LinearMap:
    """x -> ((x - centre) rotation) weights + mean.

    Attributes:
        centre: float64 [D], the mean of what it was fitted to.
        rotation: float64 [D, R], to the directions of `Directions`.
        weights: float [R, K].
        mean: float [K].
    """

    centre: np.ndarray
    rotation: np.ndarray
    weights: np.ndarray
    mean: np.ndarray

    def __call__(self, inputs: np.ndarray) -> np.ndarray:
        """Predictions float [n, K] for inputs float [n, D]."""
        along = ((inputs - self.centre) @ self.rotation).astype(self.weights.dtype)
        return along @ self.weights + self.mean

    @property
    def kernel(self) -> np.ndarray:
        """Rotation and weights in one, of the weights' dtype [D, K]."""
        return (self.rotation @ self.weights).astype(self.weights.dtype)


def best_linear_map(problem: RegressionProblem) -> tuple[float, LinearMap]:
    """The penalty with the least squared error on the held-out images, and its map."""
    best, least = None, np.inf
    for penalty, predict in ridge_path(problem.inputs, problem.outputs, RIDGE_PENALTIES):
        guess = np.clip(predict(problem.held_out), 0, 1)
        error = float(np.square(guess - problem.truth).mean())
        if best is None or error <= least:
            best, least = (penalty, predict), error
    return best


def ridge_path(
    inputs: np.ndarray, outputs: np.ndarray, penalties: tuple[float, ...]
) -> Iterator[tuple[float, LinearMap]]:
    """Yields (penalty, map) of ridge regressions that share one decomposition.

    In its dual form where there are fewer examples than inputs.

    Args:
        inputs: float32 [N, D].
        outputs: float32 [N, K].
        penalties: relative to the mean eigenvalue.
    """
    found, mean = directions(inputs), outputs.mean(axis=0)
    wanted = outputs - mean
    projected = found.along.astype(outputs.dtype).T @ wanted
    for penalty in penalties:
        shrunk = found.values + penalty * found.level
        weights = projected / shrunk[:, None].astype(outputs.dtype)
        yield penalty, LinearMap(found.centre, found.rotation, weights, mean)


@dataclasses.dataclass(frozen=True)
class Directions:
    """Rows of numbers along the principal directions of what they span, in double precision.

    A code may hide pixels in directions that vary by a millionth of others. In single precision the
    products of its values would lose them; along each direction by itself nothing is lost.

    Attributes:
        centre: float64 [D], the rows' mean.
        rotation: float64 [D, R]: (rows - centre) @ rotation is `along`.
        along: float64 [N, R], R the lesser of N and D.
        values: float64 [R], the eigenvalues by which a ridge regression shrinks.
        level: their mean.
    """

    centre: np.ndarray
    rotation: np.ndarray
    along: np.ndarray
    values: np.ndarray
    level: float


def directions(inputs: np.ndarray) -> Directions:
    """The principal directions of rows, float [N, D]."""
    centre = inputs.mean(axis=0, dtype=np.float64)
    centred = inputs - centre
    is_dual = len(inputs) < inputs.shape[1]
    gram = centred @ centred.T if is_dual else centred.T @ centred
    values, vectors = linalg.eigh(gram, overwrite_a=True, check_finite=False)
    values = np.maximum(values, 0.0)
    level = max(float(values.mean()), 1e-12)
    if is_dual:
        # Of length 1 as in the primal form; what no row varies along has no length at all.
        rotation = centred.T @ (vectors / np.sqrt(np.maximum(values, TINY * level)))
        along = vectors * np.sqrt(values)
    else:
        rotation, along = vectors, centred @ vectors
    return Directions(centre, rotation, along, values, level)


def linear_pictures(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence with the linear map's pictures in place of the codes.

    They hold all of a code that its linear map does not drop, laid out as a picture: a network can
    refine them. Those of the public images it learns from are predicted by the map of all other
    images; their own would look better than any that it will be asked to refine.

    Args:
        evidence: public pairs and target codes.
        settings: seed.

    Returns:
        Evidence whose codes are float32 [N, S, S, 3].
    """
    pairs = evidence.pairs
    problem = regression_problem(pairs, settings.seed, evidence.noise)
    best, predict = best_linear_map(problem)
    shape = (-1, *pairs.images.shape[1:])
    learned = leave_one_out(problem.inputs, problem.outputs, predict(problem.inputs), best)
    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(
            pairs,
            codes=learned.astype(np.float32).reshape(shape),
            images=pairs.images[problem.rows],
            held_out_codes=predict(problem.held_out).astype(np.float32).reshape(shape),
        ),
        target_codes=predict(problem.seen(evidence.target_codes)).astype(np.float32).reshape(shape),
        noise=None,
    )


def leave_one_out(
    inputs: np.ndarray, outputs: np.ndarray, predictions: np.ndarray, penalty: float
) -> np.ndarray:
    """Each example's prediction by the ridge regression of all others (Allen 1974, PRESS).

    Args:
        inputs: float [N, D].
        outputs: float [N, K].
        predictions: float [N, K], by the regression of all.
        penalty: as in `ridge_path`.

    Returns:
        float [N, K].
    """
    found = directions(inputs)
    shrunk = found.values + penalty * found.level
    leverage = (np.square(found.along) / shrunk).sum(axis=1)
    # The mean, which is not penalised, has a leverage of its own.
    leverage = np.minimum(leverage + 1 / len(inputs), 1 - 1e-6)[:, None]
    return (predictions - leverage * outputs) / (1 - leverage)


def nearest(probes: np.ndarray, gallery: np.ndarray) -> np.ndarray:
    """Row of the nearest gallery vector for each probe; float32 [M, D], [N, D] -> int64 [M]."""
    lengths = np.square(gallery).sum(axis=1)
    return np.concatenate(
        [
            (lengths - 2 * probes[start : start + ROWS_AT_ONCE] @ gallery.T).argmin(axis=1)
            for start in range(0, len(probes), ROWS_AT_ONCE)
        ]
    )


def closed_form_result(
    evidence: Evidence,
    settings: AttackerOptions,
    *,
    name: str,
    started: float,
    words: str,
    extra: dict,
    pictures: tuple[np.ndarray, np.ndarray],
) -> AttackResult:
    """Wraps (target, held-out) reconstructions up, with formula (1) on the held-out images.

    `pictures` are float [M, ...] and [H, ...] in [0, 1], as images or as rows of their values.
    """
    shape = evidence.pairs.images.shape[1:]
    target, held_out = (images.reshape(-1, *shape).astype(np.float32) for images in pictures)
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    return AttackResult(
        name=name,
        knowledge=BLACK_BOX,
        settings={"words": words, "seed": settings.seed, **extra},
        seconds=time.perf_counter() - started,
        held_out_loss=(held_out_loss(held_out, evidence.pairs.held_out_images, loss),),
        reconstructions=target,
        held_out_reconstructions=held_out,
    )


def most_pairs(pairs: PublicPairs) -> int:
    """How many pairs of their shapes a linear map is fitted to at most."""
    if int(np.prod(pairs.codes.shape[1:])) > FEW_VALUES:
        return MOST_PAIRS
    affordable = MOST_NUMBERS // int(np.prod(pairs.images.shape[1:]))
    return max(MOST_PAIRS, min(MOST_PAIRS_OF_FEW_VALUES, affordable))


def within_limit(
    pairs: PublicPairs, noise: CodeNoise | None, seed: int
) -> tuple[PublicPairs, CodeNoise | None]:
    """As many of the pairs as a linear map takes, drawn by the seed, and what is known of them."""
    rows = sample_rows(len(pairs.codes), most_pairs(pairs), seed)
    if len(rows) == len(pairs.codes):
        return pairs, noise
    drawn = dataclasses.replace(pairs, codes=pairs.codes[rows], images=pairs.images[rows])
    return drawn, noise and noise.of(rows)


def sample_rows(count: int, most: int, seed: int) -> np.ndarray:
    """At most `most` of `count` rows, drawn by seed, in order; int64 [n]."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
