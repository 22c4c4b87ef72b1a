"""What asking about public photos tells of the values of codes: how much of each is noise."""

import dataclasses

import numpy as np

from arl_tf.attacks.evidence import CodeNoise
from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.metrics.candidates import CodeModel, ProductScore, log_likelihood
from arl_tf.models.standardisation import flattened


@dataclasses.dataclass(frozen=True)
class AskedValues:
    """Every value of a code as a Gaussian signal with Gaussian noise.

    Attributes:
        centre: float64 [K], the mean over photos.
        signal: float64 [K], >= 0, the variance of mean codes over photos.
        noise: float64 [K], > 0, the variance of the noise in single codes.
    """

    centre: np.ndarray
    signal: np.ndarray
    noise: np.ndarray

    def expected(self, answered: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """What codes are on average, by the mean float [N, K] of `count` answers for each photo.

        Returns:
            (means float64 [N, K], variances float64 [K] of what is still unknown of them).
        """
        noise = self.noise / count
        share = self.signal / (self.signal + noise)
        return self.centre + share * (answered - self.centre), share * noise

    def score(self, answers: tuple[np.ndarray, ...], per_photo: int) -> ProductScore:
        """The likelihood of means of `per_photo` codes by answers float [N, K] for candidates."""
        means, unknown = self.expected(np.mean(answers, axis=0), len(answers))
        return log_likelihood(CodeModel(means, self.noise / per_photo + unknown))


def asked_values(noise: CodeNoise | None, several: SeveralCodes) -> AskedValues | None:
    """What answers for public images tell; None without them.

    Args:
        noise: from asking, of codes that were made of several.
        several: how many of them, and how.
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
    )
