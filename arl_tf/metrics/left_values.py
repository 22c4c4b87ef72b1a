"""Codes of which noise drops values: those that are left are as good as exact.

One variance for each value would take a dropped value for a strange one, and one that is left for
a vague one.
"""

import dataclasses

import numpy as np

from arl_tf.metrics.candidates import ProductScore


@dataclasses.dataclass(frozen=True)
class LeftValues:
    """What is known of the values of N candidates' codes, where they are not dropped (not 0).

    Attributes:
        values: float64 [N, K]; where they are not known, anything.
        is_known: bool [N, K].
        variances: float64 [K], > 0, by which values of a code that are left differ from these.
        centre: float64 [K], the mean over photos of values that are left.
        spread: float64 [K], > 0, their variance.
    """

    values: np.ndarray
    is_known: np.ndarray
    variances: np.ndarray
    centre: np.ndarray
    spread: np.ndarray

    def times(self, factor: float) -> "LeftValues":
        """The same of codes whose values that are left are multiplied by a factor."""
        return LeftValues(
            self.values * factor,
            self.is_known,
            self.variances * factor**2,
            self.centre * factor,
            self.spread * factor**2,
        )


def left_score(left: LeftValues) -> ProductScore:
    """The log-likelihood of what is left of codes: Gaussian about known values or about the mean.

    A dropped value is no evidence. A value that is left is strong evidence against candidates of
    another value there, also of 0.
    """
    means = np.where(left.is_known, left.values, left.centre)
    variances = np.where(left.is_known, left.variances, left.spread)
    # The squares of codes count, for candidates differ in what is known of them.
    return ProductScore(
        (
            (np.square, -0.5 / variances),
            (lambda codes: codes, means / variances),
            (
                lambda codes: (codes != 0).astype(np.float64),
                -0.5 * (np.square(means) / variances + np.log(variances)),
            ),
        )
    )
