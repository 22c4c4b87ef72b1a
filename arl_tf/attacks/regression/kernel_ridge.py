"""Kernel ridge regression from codes to anything, and the attack that predicts pixels with it.

A linear map takes from a code what is linear in it. Kernels see the rest, in closed form, with a
few thousand public images; perceptrons and decoders of that few images find less of it.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.linalg

from arl_tf.attacks.closed_form import closed_form_result
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.regression.code_maps import pixel_error
from arl_tf.attacks.regression.code_view import MOST_PAIRS, CodeView, code_view
from arl_tf.models.standardisation import flattened

PENALTIES = (1e-4, 1e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
# Of the square of a distance, in units of the median square between public codes.
KERNELS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "gaussian": lambda square: np.exp(-2.0 * square),
    "laplacian": lambda square: np.exp(-0.5 * np.sqrt(square)),
}
# Held-out images that choose, codes that are predicted at once, rows that tell the median.
CHOOSING_IMAGES, AT_ONCE, MEDIAN_ROWS = 500, 1000, 500
# Regressions whose predictions are averaged where the noise is drawn.
NOISE_DRAWS = 4
LEAST_SQUARE = 1e-12


@dataclasses.dataclass(frozen=True)
class KernelMap:
    """Weights of the public images for any code.

    Attributes:
        kernel: a name of KERNELS.
        penalty: lambda of `KernelProblem.maps`.
        points: public codes as `placed` puts them, float64 [N, R].
        gain: float64 [R], what directions are multiplied by.
        unit: the median square of the distance between points.
        factor: lower Cholesky factor of K + lambda I, float64 [N, N].
    """

    kernel: str
    penalty: float
    points: np.ndarray
    gain: np.ndarray
    unit: float
    factor: np.ndarray

    @property
    def facts(self) -> dict[str, str | float]:
        """What was chosen, for the report."""
        return {"kernel": self.kernel, "penalty": self.penalty}

    def weights(self, codes: np.ndarray) -> np.ndarray:
        """Weights float32 [n, N] of the public outputs, less their mean, for codes [n, R]."""
        near = KERNELS[self.kernel](squares(codes * self.gain, self.points) / self.unit)
        solved = scipy.linalg.cho_solve((self.factor, True), near.T, check_finite=False)
        return solved.T.astype(np.float32)

    def predict(self, codes: np.ndarray, outputs: np.ndarray) -> np.ndarray:
        """Predictions float32 [n, K] for codes [n, R]; public outputs are float32 [N, K]."""
        starts = range(0, len(codes), AT_ONCE)
        return np.concatenate(
            [mixture(self.weights(codes[s : s + AT_ONCE]), outputs) for s in starts]
        )


def mixture(weights: np.ndarray, outputs: np.ndarray) -> np.ndarray:
    """Predictions float32 [n, K]: the mean of outputs [N, K], and what weights [n, N] add."""
    mean = outputs.mean(axis=0)
    return weights @ (outputs - mean) + mean


@dataclasses.dataclass(frozen=True)
class KernelProblem:
    """Public codes with their noise drawn once, and the squares of the distances between them.

    Attributes:
        points: as of `KernelMap`, float64 [N, R].
        gain: likewise, float64 [R].
        unit: likewise.
        between: float64 [N, N], squares of the distances between points, in units of `unit`.
    """

    points: np.ndarray
    gain: np.ndarray
    unit: float
    between: np.ndarray

    def maps(self, kernel: str, penalties: Sequence[float]) -> Iterator[KernelMap]:
        """Kernel ridge regressions (Saunders, Gammerman and Vovk 1998), one a penalty.

        A code c is told mean(y) + k(c)' (K + lambda I)^-1 (y - mean(y)), y the public outputs, K
        the kernel between public codes and k(c) that between them and c.
        """
        gram = KERNELS[kernel](self.between)
        for penalty in penalties:
            lifted = gram.copy()
            lifted[np.diag_indices(len(gram))] += penalty
            factor = scipy.linalg.cholesky(lifted, lower=True, overwrite_a=True, check_finite=False)
            yield KernelMap(kernel, penalty, self.points, self.gain, self.unit, factor)


def kernel_problem(view: CodeView, seed: int) -> KernelProblem:
    """The public codes as kernels compare them.

    Where the noise is known, directions are multiplied by the root of their share of signal
    v / (v + noise), and the public codes have noise as those under attack have, drawn once.

    Args:
        view: the codes.
        seed: draws the noise.
    """
    gain = np.ones_like(view.variances)
    if view.noise:
        gain = np.sqrt(view.variances / (view.variances + view.noise))
    drawn = np.random.default_rng(seed).standard_normal(view.public.shape)
    points = (view.public + np.sqrt(view.lacking) * drawn) * gain
    between = squares(points, points)
    unit = max(float(np.median(between[:MEDIAN_ROWS])), LEAST_SQUARE)
    return KernelProblem(points, gain, unit, between / unit)


def kernel_maps(view: CodeView, seed: int) -> Iterator[KernelMap]:
    """The kernel ridge regressions of a `kernel_problem`, one a kernel and penalty."""
    problem = kernel_problem(view, seed)
    for kernel in KERNELS:
        yield from problem.maps(kernel, PENALTIES)


def averaged_predictions(
    view: CodeView, chosen: KernelMap, outputs: np.ndarray, seed: int
) -> Iterator[tuple[float, np.ndarray, np.ndarray]]:
    """What NOISE_DRAWS regressions predict on average, each with noise of its own.

    A single regression takes part of the noise that was drawn for a picture of the public ones. A
    mean of several takes less of it, so that a smaller penalty can be better. Nothing where no
    noise is drawn.

    Args:
        view: the codes.
        chosen: the regression that predicts held-out outputs best.
        outputs: float32 [N, K], of the public images.
        seed: draws the noise.

    Yields:
        (penalty, predictions float32 [H, K] for held-out codes and [M, K] for those under attack):
        for the chosen penalty, and for the next smaller one.
    """
    if not view.lacking:
        return
    at = PENALTIES.index(chosen.penalty)
    tried = PENALTIES[max(at - 1, 0) : at + 1]
    sums = [[np.float32(0.0)] * 2 for _ in tried]
    for draw in range(NOISE_DRAWS):
        problem = kernel_problem(view, seed + draw)
        for sum_of, found in zip(sums, problem.maps(chosen.kernel, tried), strict=True):
            for part, codes in enumerate((view.held_out, view.target)):
                sum_of[part] = sum_of[part] + found.predict(codes, outputs)
    for penalty, (held_out, target) in zip(tried, sums, strict=True):
        yield penalty, held_out / NOISE_DRAWS, target / NOISE_DRAWS


def squares(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Squares of the distances between rows [n, R] and [N, R]; float64 [n, N]."""
    lengths = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)
    return np.maximum(lengths - 2.0 * (first @ second.T), 0.0)


def kernel_cost(evidence: Evidence, settings: AttackerOptions) -> float:
    """Multiply-adds of the attack, roughly: a decomposition and held-out pictures for each try."""
    del settings
    pairs = evidence.pairs
    public, shown = (
        min(MOST_PAIRS, len(pairs.codes)),
        min(CHOOSING_IMAGES, len(pairs.held_out_codes)),
    )
    a_try = public**3 / 6 + public * shown * (public + pairs.images[0].size)
    averaged = 2 * NOISE_DRAWS if evidence.noise is not None else 0
    return (len(KERNELS) * len(PENALTIES) + averaged) * a_try


def kernel_attack(evidence: Evidence, settings: AttackerOptions, *, name: str) -> AttackResult:
    """Kernel ridge regression from codes to pixels.

    The kernel and the penalty with the least squared error on held-out public images count; so does
    whether one regression predicts or, where noise is drawn, the mean of several.

    Args:
        evidence: public pairs and target codes; `noise` where something is known of it.
        settings: seed, and mu for the reported loss.
        name: of the attack in the report.
    """
    started = time.perf_counter()
    pairs, view = evidence.pairs, code_view(evidence, settings.seed)
    outputs = flattened(pairs.images[view.rows]) / np.float32(255)
    score = pixel_error(pairs.held_out_images[:CHOOSING_IMAGES])
    shown = view.held_out[:CHOOSING_IMAGES]
    least, found = np.inf, None
    for each in kernel_maps(view, settings.seed):
        error = score(each.predict(shown, outputs))
        if found is None or error < least:
            least, found = error, each
    facts = found.facts
    predicted = [found.predict(codes, outputs) for codes in (view.held_out, view.target)]
    for penalty, *mean in averaged_predictions(view, found, outputs, settings.seed):
        error = score(mean[0][:CHOOSING_IMAGES])
        if error < least:
            least, predicted = error, mean
            facts = {**found.facts, "penalty": penalty, "noise_draws": NOISE_DRAWS}
    held_out, target = (np.clip(pictures, 0, 1) for pictures in predicted)
    return closed_form_result(
        evidence,
        settings,
        name=name,
        started=started,
        words="kernel ridge regression from the code to pixels, in closed form",
        extra={**facts, "public_images": len(view.rows)},
        pictures=(target, held_out),
    )
