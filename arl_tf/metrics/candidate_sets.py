"""How many candidates fit a code about equally well: the posterior over candidate photos.

All candidates are as likely before the code is seen. After it, each has a share: its likelihood
divided by the sum of all.
"""

import dataclasses

import numpy as np
from scipy.special import logsumexp

from arl_tf.metrics.candidates import CODES_AT_ONCE, TIE, Score

# Of the posterior, that a set of candidates has to hold together.
CREDIBLE = 0.95


@dataclasses.dataclass(frozen=True)
class FittingSets:
    """The candidates that fit each of M codes; float64 [M] each.

    Attributes:
        effective: exp(entropy of the posterior): N for N equal candidates, 1 for a sure one.
        likely: how many candidates, the likeliest first, hold CREDIBLE of the posterior together.
        covered: 1 where the right candidate is among these or as likely as one of them, else 0.
            The mean is CREDIBLE or more if the likelihood is true.
    """

    effective: np.ndarray
    likely: np.ndarray
    covered: np.ndarray


def fitting_sets(score: Score, codes: np.ndarray, *, noisy: bool) -> FittingSets:
    """The candidates that fit each code.

    Args:
        score: of M candidates, the log-likelihood up to a constant for each code.
        codes: [M, K]; code i is of candidate i.
        noisy: whether codes have noise. Without it only the candidates with the best score fit.
    """
    found = [
        sets_of(score.of(codes[start : start + CODES_AT_ONCE]), start, noisy=noisy)
        for start in range(0, len(codes), CODES_AT_ONCE)
    ]
    return FittingSets(*(np.concatenate(values) for values in zip(*found, strict=True)))


def sets_of(
    scores: np.ndarray, first: int, *, noisy: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The attributes of `FittingSets` for scores [m, N] of the codes from number `first` on."""
    if not noisy:
        best = scores.max(axis=1, keepdims=True)
        is_best = scores >= best - TIE * np.maximum(np.abs(best), 1)
        scores = np.where(is_best, 0.0, -np.inf)
    logs = scores - logsumexp(scores, axis=1, keepdims=True)
    posterior = np.exp(logs)
    entropy = -(posterior * np.where(posterior > 0, logs, 0.0)).sum(axis=1)
    ordered = -np.sort(-posterior, axis=1)
    # Rounding must not ask for one candidate more.
    likely = (np.cumsum(ordered, axis=1) < CREDIBLE - TIE).sum(axis=1) + 1
    rows = np.arange(len(scores))
    own, least = posterior[rows, first + rows], ordered[rows, likely - 1]
    return np.exp(entropy), likely.astype(np.float64), (own >= least * (1 - TIE)).astype(np.float64)
