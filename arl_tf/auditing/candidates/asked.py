"""What asking about public photos tells of the values of codes: how much of each is noise."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from arl_tf.attacks.evidence import CodeNoise
from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.metrics.candidates import CodeModel, Score, log_likelihood
from arl_tf.models.standardisation import flattened

# Of a mean code, in deviations of what it would be of Gaussian noise.
NODES = np.linspace(-4.0, 4.0, 33)
# Numbers of codes that are worked on at once.
AT_ONCE = 1 << 20
# Of a value's noise: less than this is no signal, and would divide by 0.
LEAST_SIGNAL = 1e-9


@dataclasses.dataclass(frozen=True)
class AskedValues:
    """Every value of a code as a Gaussian signal with Gaussian or Laplace noise.

    Attributes:
        centre: float64 [K], the mean over photos.
        signal: float64 [K], >= 0, the variance of mean codes over photos.
        noise: float64 [K], > 0, the variance of the noise in single codes.
        is_laplace: whether answers have told that it is Laplace noise.
    """

    centre: np.ndarray
    signal: np.ndarray
    noise: np.ndarray
    is_laplace: bool = False

    def expected(self, answered: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """What codes are on average, by the mean float [N, K] of `count` answers for each photo.

        Returns:
            (means float64 [N, K], variances float64 [K] of what is still unknown of them).
        """
        noise = self.noise / count
        share = self.signal / (self.signal + noise)
        return self.centre + share * (answered - self.centre), share * noise

    def expected_by_law(self, answers: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """As `expected`, where the noise is Laplace noise: by Bayes' rule on a grid of NODES.

        The grid lies around what it would be of Gaussian noise.

        Args:
            answers: float [N, K] each.
        """
        means, unknown = self.expected(np.mean(answers, axis=0), len(answers))
        reach, scale = np.sqrt(unknown), np.sqrt(self.noise / 2)
        signal = np.maximum(self.signal, LEAST_SIGNAL * self.noise)
        left = np.zeros_like(unknown)
        step = max(1, AT_ONCE // means.shape[1])
        for start in range(0, len(means), step):
            part = slice(start, start + step)
            around, seen = means[part], [answer[part] for answer in answers]

            def log_density(at: np.ndarray, seen: list[np.ndarray] = seen) -> np.ndarray:
                distances = sum(np.abs(answer - at) for answer in seen)
                return -0.5 * np.square(at - self.centre) / signal - distances / scale

            highest, total, first, second = log_density(around), 0.0, 0.0, 0.0
            for node in NODES:
                weight = np.exp(log_density(around + node * reach) - highest)
                total, first = total + weight, first + node * weight
                second = second + node**2 * weight
            shift = first / total
            left += unknown * (second / total - np.square(shift)).sum(axis=0)
            means[part] = around + shift * reach
        return means, left / len(means)

    def score(self, answers: tuple[np.ndarray, ...], per_photo: int) -> Score:
        """The likelihood of means of `per_photo` codes by answers float [N, K] for candidates.

        Of single codes with Laplace noise it is Laplace's: what is unknown of mean codes makes the
        noise wider. Means of several codes are taken for Gaussian.
        """
        if self.is_laplace and per_photo == 1:
            means, unknown = self.expected_by_law(answers)
            return log_likelihood(CodeModel(means, self.noise + unknown, is_laplace=True))
        means, unknown = self.expected(np.mean(answers, axis=0), len(answers))
        return log_likelihood(CodeModel(means, self.noise / per_photo + unknown))


def asked_values(
    noise: CodeNoise | None, several: SeveralCodes, *, is_laplace: bool = False
) -> AskedValues | None:
    """What answers for public images tell; None without them.

    Args:
        noise: from asking, of codes that were made of several.
        several: how many of them, and how.
        is_laplace: whether the noise of single codes is seen to be Laplace noise.
    """
    if noise is None:
        return None
    means = flattened(noise.public_means)
    variance = np.square(noise.deviation, dtype=np.float64).ravel()
    spread = means.var(axis=0, dtype=np.float64)
    return AskedValues(
        means.mean(axis=0, dtype=np.float64),
        np.maximum(spread - noise.remaining * variance, 0.0),
        variance * several.gain,
        is_laplace and several.count == 1,
    )
