"""Attributes learned from few labelled rows: ridge regression that chooses by leaving one out.

Penalty, threshold and kind of features all come from the labelled rows themselves: nothing is held
out, so that 100 labels are 100 labels.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np

from arl_tf.metrics import measures

# Shares of the features' largest squared singular value.
PENALTIES = np.logspace(-4, 1, 11)
# A row that decides its own prediction leaves nothing to learn from when it is left out.
MOST_LEVERAGE = 1 - 1e-6


@dataclasses.dataclass(frozen=True)
class Learned:
    """What was learned of K attributes from features of one kind.

    Attributes:
        centre: float64 [D], mean features.
        weights: float64 [D, K].
        offset: float64 [K].
        thresholds: float64 [K]; an attribute is predicted where its score is above.
        errors: float64 [K], mean squared error of rows that were left out; labels are -1 and 1.
    """

    centre: np.ndarray
    weights: np.ndarray
    offset: np.ndarray
    thresholds: np.ndarray
    errors: np.ndarray

    def predict(self, features: np.ndarray) -> np.ndarray:
        """Which attributes are there; features float [N, D] -> bool [N, K]."""
        return (features - self.centre) @ self.weights + self.offset > self.thresholds


def learn(features: np.ndarray, labels: np.ndarray) -> Learned:
    """Ridge regression of every attribute with the penalty of the least leave-one-out error.

    The error of a row that was left out is its residual divided by 1 - leverage (Allen 1974, the
    PRESS statistic); the constant is not penalised, hence 1 / N in the leverage. Thresholds are
    such that as many rows are predicted to have an attribute, when left out, as have it: a rare
    attribute's scores are seldom above 0.

    Args:
        features: float [N, D], N >= 2.
        labels: {0, 1} [N, K].
    """
    centre = features.mean(axis=0, dtype=np.float64)
    truth = 2.0 * labels - 1.0
    offset = truth.mean(axis=0)
    left, values, right = np.linalg.svd(features - centre, full_matrices=False)
    along = left.T @ (truth - offset)
    penalties = PENALTIES * max(values[0] ** 2, 1e-12)
    scores = np.stack([left_out(left, values, along, truth, each) for each in penalties])
    errors = np.square(scores - truth).mean(axis=1)
    best, column = errors.argmin(axis=0), np.arange(truth.shape[1])
    gain = values[:, None] / (values[:, None] ** 2 + penalties[best])
    return Learned(
        centre=centre,
        weights=right.T @ (gain * along),
        offset=offset,
        thresholds=share_thresholds(scores[best, :, column].T, labels),
        errors=errors[best, column],
    )


def left_out(
    left: np.ndarray, values: np.ndarray, along: np.ndarray, truth: np.ndarray, penalty: float
) -> np.ndarray:
    """The score of every row by a ridge regression of all the others; float64 [N, K].

    Args:
        left: float64 [N, R], left singular vectors of the centred features.
        values: float64 [R], their singular values.
        along: float64 [R, K], the centred truth along `left`.
        truth: float64 [N, K].
        penalty: > 0.
    """
    shrunk = values**2 / (values**2 + penalty)
    fitted = truth.mean(axis=0) + left @ (shrunk[:, None] * along)
    leverage = np.square(left) @ shrunk + 1 / len(left)
    return truth - (truth - fitted) / (1 - np.minimum(leverage, MOST_LEVERAGE))[:, None]


def share_thresholds(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The threshold of each attribute above which as many scores lie as there are positives.

    Scores float64 [N, K], labels {0, 1} [N, K]; returns float64 [K], between two scores.
    """
    ordered = np.sort(scores, axis=0)
    # What is above the highest and below the lowest score stands at the ends.
    ends = [ordered[:1] - 1, ordered, ordered[-1:] + 1]
    bounds = np.concatenate(ends)
    negatives = len(labels) - labels.sum(axis=0, dtype=np.int64)
    column = np.arange(labels.shape[1])
    return (bounds[negatives, column] + bounds[negatives + 1, column]) / 2


def predict_best(
    kinds: Mapping[str, np.ndarray], labels: np.ndarray, asked: Mapping[str, np.ndarray]
) -> np.ndarray:
    """Learns from each kind of features, and predicts each attribute from the best of them.

    Args:
        kinds: kind -> features float [N, D] of the labelled rows.
        labels: {0, 1} [N, K].
        asked: kind -> the same features of other rows, float [M, D].

    Returns:
        bool [M, K], each attribute by the kind with the least leave-one-out error.
    """
    learned = {kind: learn(features, labels) for kind, features in kinds.items()}
    best = np.stack([found.errors for found in learned.values()]).argmin(axis=0)
    predicted = np.stack([found.predict(asked[kind]) for kind, found in learned.items()])
    return predicted[best, :, np.arange(labels.shape[1])].T


def resampled_mcc(predicted: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """MCC of each attribute in each resample, the mean of several draws of labelled rows.

    Args:
        predicted: bool [draws, M, K].
        labels: {0, 1} [M, K].
        weights: float [R, M].

    Returns:
        float64 [R, K].
    """
    draws = []
    for each in predicted:
        counts = measures.confusion_counts(each, labels)
        summed = (weights @ counts.reshape(len(labels), -1)).reshape(-1, labels.shape[1], 4)
        draws.append(measures.matthews_correlation(summed))
    return np.mean(draws, axis=0)
