"""From logits to decisions and calibrated probabilities: what a task head's outputs mean.

Thresholds and temperature are chosen on images that trained nothing and test nothing: X1's
validation part.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import ndimage, optimize, special

from arl_tf.metrics import measures

# With fewer images of either class an attribute keeps the threshold 0.
FEWEST_OF_A_CLASS = 10
# Candidate thresholds of an attribute, and the deviation of the Gaussian, in candidates, that
# smooths their MCC: the best of many noisy values would be one that was lucky.
CANDIDATES, SMOOTHING = 201, 8.0
# Candidates lie between these quantiles of an attribute's logits.
QUANTILES = (0.005, 0.995)
LARGEST_LOG_TEMPERATURE = 4.0
CALIBRATION_BINS = 15


@dataclasses.dataclass(frozen=True)
class Decisions:
    """How logits become decisions and probabilities.

    Attributes:
        thresholds: float32 [A]; an attribute is decided to be there where its logit is above.
        temperature: > 0; probabilities are sigmoid(logit / temperature).
    """

    thresholds: np.ndarray
    temperature: float

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Bool [N, A] of logits [N, A]."""
        return logits > self.thresholds

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities [N, A] in [0, 1] of logits [N, A]."""
        return special.expit(logits / self.temperature)

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """For files: `temperature`, and `thresholds` by attribute name."""
        thresholds = map(float, self.thresholds)
        return {
            "temperature": float(self.temperature),
            "thresholds": dict(zip(names, thresholds, strict=True)),
        }


def undecided(num_attributes: int) -> Decisions:
    """Thresholds of 0 and a temperature of 1: logits as they are."""
    return Decisions(np.zeros(num_attributes, np.float32), 1.0)


def from_json(content: Mapping[str, Any], names: Sequence[str]) -> Decisions:
    """What `as_json` wrote.

    Raises:
        ValueError: it is of other attributes, or holds other values than numbers.
    """
    try:
        thresholds, temperature = dict(content["thresholds"]), float(content["temperature"])
        values = np.array([float(thresholds[name]) for name in names], np.float32)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"no decisions of the attributes {', '.join(names)}: {type(error).__name__} {error}"
        ) from None
    if not (np.isfinite(values).all() and 0 < temperature < np.inf):
        raise ValueError(
            f"expected finite thresholds and a temperature > 0, got {thresholds} and {temperature}"
        )
    return Decisions(values, temperature)


def fit(logits: np.ndarray, labels: np.ndarray) -> Decisions:
    """Chooses thresholds and temperature.

    Args:
        logits: float [N, A] of images that the task head was not trained on.
        labels: {0, 1} [N, A].
    """
    return Decisions(choose_thresholds(logits, labels), fit_temperature(logits, labels))


def choose_thresholds(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold of each attribute with the highest smoothed MCC; float32 [A].

    0 for an attribute with fewer than FEWEST_OF_A_CLASS images of either class, and where no
    candidate is better than 0.
    """
    columns = zip(np.asarray(logits, np.float64).T, np.asarray(labels).T, strict=True)
    return np.array([best_threshold(column, labels) for column, labels in columns], np.float32)


def best_threshold(logits: np.ndarray, labels: np.ndarray) -> float:
    """The threshold of one attribute; logits float64 [N], labels {0, 1} [N]."""
    positives = int(labels.sum())
    if min(positives, len(labels) - positives) < FEWEST_OF_A_CLASS:
        return 0.0
    low, high = np.quantile(logits, QUANTILES)
    candidates = np.linspace(min(low, 0.0), max(high, 0.0), CANDIDATES)
    smooth = smoothed(mcc_at(candidates, logits, labels))
    best = int(smooth.argmax())
    at_zero = float(np.interp(0.0, candidates, smooth))
    return float(candidates[best]) if smooth[best] > at_zero else 0.0


def mcc_at(thresholds: np.ndarray, logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """MCC in [-1, 1] of an attribute at each threshold, float64 [T].

    Args:
        thresholds: float [T].
        logits: float [N], of one attribute.
        labels: {0, 1} [N].
    """
    labels = np.asarray(labels, bool)
    true_pos = above(thresholds, logits[labels])
    false_pos = above(thresholds, logits[~labels])
    counts = [true_pos, false_pos, labels.sum() - true_pos, (~labels).sum() - false_pos]
    return measures.matthews_correlation(np.stack(counts, axis=-1).astype(np.float64))


def above(thresholds: np.ndarray, values: np.ndarray) -> np.ndarray:
    """How many of values float [N] are above each threshold; int [T]."""
    return len(values) - np.searchsorted(np.sort(values), thresholds, side="right")


def smoothed(values: np.ndarray) -> np.ndarray:
    """Values float [T] at equal distances, averaged with their neighbours by a Gaussian."""
    return ndimage.gaussian_filter1d(values, SMOOTHING, mode="nearest")


def halves_thresholds(logits: np.ndarray, labels: np.ndarray, identities: np.ndarray) -> np.ndarray:
    """Thresholds float32 [N, A] of each half of the people, chosen on the other half.

    For figures of the very images that thresholds are chosen on. Nobody is in both halves.

    Args:
        logits: float [N, A].
        labels: {0, 1} [N, A].
        identities: int [N].
    """
    _, person = np.unique(identities, return_inverse=True)
    first = person % 2 == 0
    chosen = [choose_thresholds(logits[half], labels[half]) for half in (~first, first)]
    return np.where(first[:, None], *chosen)


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the least cross-entropy (Guo et al. 2017, arXiv 1706.04599, section 4.2).

    One for all attributes, > 0; logits float [N, A], labels {0, 1} [N, A], as of `fit`.
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)

    def cross_entropy(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float(np.mean(np.logaddexp(0.0, scaled) - labels * scaled))

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    found = optimize.minimize_scalar(cross_entropy, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def calibration_error(probability: np.ndarray, labels: np.ndarray) -> float:
    """Expected calibration error over all images and attributes, in [0, 1].

    The mean distance of probability and share of positives over CALIBRATION_BINS bins of equal
    width, by their number of values (Guo et al. 2017, equation 3).

    Args:
        probability: float [N, A] in [0, 1].
        labels: {0, 1} [N, A].
    """
    probability, labels = np.ravel(probability), np.ravel(labels)
    bins = np.minimum((probability * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    sums = np.bincount(bins, probability - labels, CALIBRATION_BINS)
    return float(np.abs(sums).sum() / len(probability))
