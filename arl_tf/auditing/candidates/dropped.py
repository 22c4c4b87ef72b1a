"""Candidates' codes of which noise drops values, as dropout does: what the others tell.

Answers are codes float [N, K] each, one for each time that every photo was asked for.
"""

from collections.abc import Sequence

import numpy as np

from arl_tf.attacks.evidence import drops_values
from arl_tf.attacks.regression.completion import MOST_WRONG
from arl_tf.metrics.left_values import LeftValues

# Of the mean square of values that are left: what float32 may be off by.
LEAST_WRONG = 1e-12
# What the shares that are dropped of single values may differ by.
MOST_UNEVEN = 0.1


def has_exact_rest(answers: Sequence[np.ndarray]) -> bool:
    """Whether answers [N, K] have values of 0, and agree on each photo where they are not 0."""
    if not drops_values(answers[0], np.mean(answers, axis=0)):
        return False
    square = sum(float(np.square(answer, dtype=np.float64).sum()) for answer in answers)
    left = sum(np.count_nonzero(answer) for answer in answers)
    return bool(disagreement(answers).mean() <= MOST_WRONG * square / max(left, 1))


def dropped_share(answers: Sequence[np.ndarray]) -> float:
    """The share of the values that noise drops in an answer [N, K]; 0 where values differ in it.

    Of a value that another answer has left, so that those count that are always 0 for none.
    """
    left = np.stack([answer != 0 for answer in answers])
    known = left.sum(axis=0) - left > 0
    dropped = known & ~left
    share = float(dropped.sum() / max(known.sum(), 1))
    of_values = dropped.sum(axis=(0, 1)) / np.maximum(known.sum(axis=(0, 1)), 1)
    is_even = np.sqrt(np.square(of_values - share).mean()) <= MOST_UNEVEN
    return share if is_even else 0.0


def disagreement(answers: Sequence[np.ndarray]) -> np.ndarray:
    """The variance of each value that is left between answers of a photo; float64 [K]."""
    means, counts = means_of_left(answers)
    wrong = sum(
        np.square(np.where(answer != 0, answer - means, 0.0)).sum(axis=0) for answer in answers
    )
    return wrong / np.maximum(np.maximum(counts - 1, 0).sum(axis=0), 1)


def means_of_left(answers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The mean of each value where it is left, float64 [N, K], and in how many answers it is."""
    counts = sum((answer != 0).astype(np.float64) for answer in answers)
    return np.sum(answers, axis=0, dtype=np.float64) / np.maximum(counts, 1), counts


def factors(answers: Sequence[np.ndarray], means: np.ndarray) -> np.ndarray:
    """What each value that is left is multiplied by, float64 [K]; means are float64 [N, K].

    1 for values that are 0 in all answers.
    """
    above = sum((answer * means).sum(axis=0) for answer in answers)
    below = sum(np.square(np.where(answer != 0, means, 0.0)).sum(axis=0) for answer in answers)
    return np.where(below > 0, above / np.where(below > 0, below, 1.0), 1.0)


def own_variances(answers: Sequence[np.ndarray], means: np.ndarray) -> np.ndarray:
    """The variance of each value of each photo, of means [N, K]: they are 0 or f times the mean.

    f m has the probability 1 / f, so the variance is (f - 1) m^2; float64 [N, K], >= 0.
    """
    return np.maximum(factors(answers, means) - 1, 0.0) * np.square(means)


def from_inside(answers: Sequence[np.ndarray], means: np.ndarray) -> LeftValues:
    """What values are where they are left, from means float64 [N, K] of the encoder's inside.

    What dropping multiplies means by is estimated from the answers.
    """
    values = factors(answers, means) * means
    wrong = sum(
        np.square(np.where(answer != 0, answer - values, 0.0)).sum(axis=0) for answer in answers
    )
    left = sum((answer != 0).sum(axis=0) for answer in answers)
    return left_values(answers, values, np.ones(values.shape, bool), wrong / np.maximum(left, 1))


def from_answers(answers: Sequence[np.ndarray], count: int) -> LeftValues:
    """What the first `count` answers [N, K] tell; all tell how exact values are that are left."""
    values, counts = means_of_left(answers[:count])
    return left_values(answers, values, counts > 0, disagreement(answers))


def left_values(
    answers: Sequence[np.ndarray], values: np.ndarray, is_known: np.ndarray, wrong: np.ndarray
) -> LeftValues:
    """With the mean and the variance of what is left in answers, and at least a little wrong.

    Values float64 and `is_known` bool, [N, K]; `wrong` is their variance, float64 [K].
    """
    counts = np.maximum(sum((answer != 0).sum(axis=0) for answer in answers), 1)
    centre = np.sum(answers, axis=(0, 1), dtype=np.float64) / counts
    square = sum(np.square(answer, dtype=np.float64).sum(axis=0) for answer in answers) / counts
    least = LEAST_WRONG * max(float(square.mean()), np.finfo(np.float32).tiny)
    return LeftValues(
        values,
        is_known,
        np.maximum(wrong, least),
        centre,
        np.maximum(square - np.square(centre), least),
    )
