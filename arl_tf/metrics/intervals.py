"""Bootstrap intervals of maxima and of tails: what the worst attack, and the worst images, show."""

from typing import Any

import numpy as np

TAIL_SHARE = 0.01


def simultaneous_interval(values: np.ndarray, resampled: np.ndarray) -> tuple[float, float]:
    """A 95 % interval of the largest of K true values, of which `values` are estimates.

    The largest of several estimates is too large, the more so the more there are: each has been
    given the chance to be lucky. Bands that cover all K true values at once with 95 % cover their
    maximum, too. Their half-width is c deviations, c the 95 % quantile of the largest studentised
    deviation over the K (the max-t method, Westfall and Young 1993).

    Args:
        values: float [K].
        resampled: float [R, K], the K estimates in each bootstrap resample; a resample with a NaN
            is left out.

    Returns:
        (low, high).
    """
    whole = resampled[~np.isnan(resampled).any(axis=1)]
    deviation = whole.std(axis=0)
    studentised = np.divide(
        np.abs(whole - values), deviation, out=np.zeros_like(whole), where=deviation > 0
    )
    factor = np.percentile(studentised.max(axis=1), 95)
    return float((values - factor * deviation).max()), float((values + factor * deviation).max())


def best_share(values: np.ndarray, resampled: np.ndarray) -> dict[str, Any]:
    """The highest of K shares in [0, 1]: `value`, and `ci95`, which covers the choice.

    `values` float [K], `resampled` float [R, K]; without an interval where every resample has a
    NaN.
    """
    best = {"value": float(values.max()), "ci95": None}
    if np.isnan(resampled).any(axis=1).all():
        return best
    low, high = simultaneous_interval(values, resampled)
    return {**best, "ci95": [max(low, 0.0), min(high, 1.0)]}


def tail_size(count: int) -> int:
    """How many images the worst-protected TAIL_SHARE of `count` are; one at least."""
    return max(1, int(np.ceil(TAIL_SHARE * count)))


def tail_mean(values: np.ndarray) -> float:
    """Mean of the highest TAIL_SHARE of values float [N]."""
    size = tail_size(len(values))
    return float(np.partition(values, len(values) - size)[-size:].mean())


def resampled_tail_means(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """`tail_mean` in each resample; values float [N], weights float [R, N] -> float64 [R].

    In a resample the tail is the highest values until TAIL_SHARE of the total weight is reached.
    """
    order = np.argsort(-values)
    ordered = weights[:, order]
    wanted = np.maximum(1.0, np.ceil(TAIL_SHARE * ordered.sum(axis=1, keepdims=True)))
    before = np.cumsum(ordered, axis=1) - ordered
    taken = np.clip(wanted - before, 0, ordered)
    return (taken * values[order]).sum(axis=1) / np.maximum(taken.sum(axis=1), 1e-12)
