"""Codes with Laplace noise, turned into codes of the same means with less noise.

Laplace noise is more often small, and more often large, than Gaussian noise of its variance. No
linear map uses that. But the other values of a code tell what a value is about, and with the law of
the noise at hand what was seen of it tells more than its distance does.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.special import erfcx, expit, log_ndtr

from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.attacks.regression.completion import CodeModel, fitted, flat

# Directions along which public mean codes vary, at most; and so many public codes for each.
MOST_DIRECTIONS, CODES_PER_DIRECTION = 256, 8
# The second round starts from codes with less noise. A third adds nothing.
ROUNDS = 2
# Numbers of codes that are worked on at once: some ten arrays of so many are held.
AT_ONCE = 1 << 20
# Of a variance, that another one is or that it differs by at least.
LEAST_SHARE = 1e-6


@dataclasses.dataclass(frozen=True)
class Round:
    """One pass of expectation propagation (Minka 2001) over codes, the same for all of them.

    Codes are u = m + n with m as `model` has it and Laplace noise n. At first they are taken to
    have Gaussian noise. The other values of a code give every value's mean a Gaussian, its cavity;
    times the true density of what was seen, that has a mean; and a code with Gaussian noise of
    which the cavity would make this mean takes the code's place. One variance for all codes, as in
    vector approximate message passing (Rangan, Schniter and Fletcher 2019), keeps it a closed form.

    Attributes:
        model: of mean codes.
        before: float64 [D], variance of the noise that codes come with.
        after: float64 [D], of the noise that they leave with; None before it is known.
    """

    model: CodeModel
    before: np.ndarray
    after: np.ndarray | None = None

    def cavities(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """What the other values of codes [n, D] tell of each: means [n, D], variances [D].

        Leaving one out of a Gaussian takes no further inverse (Rasmussen and Williams 2006,
        equation 5.12).
        """
        alone = self.model.alone + self.before
        scaled = self.model.basis / alone[:, None]
        inner = np.eye(scaled.shape[1]) + self.model.basis.T @ scaled
        solved = np.linalg.solve(inner, scaled.T)
        precision = 1 / alone - (scaled * solved.T).sum(axis=1)
        centred = codes - self.model.mean
        left = (centred / alone - (centred @ scaled) @ solved) / precision
        return codes - left, np.maximum(1 / precision - self.before, LEAST_SHARE * self.before)

    def learned(self, codes: np.ndarray, seen: np.ndarray, scale: np.ndarray) -> "Round":
        """This round with the variance of the noise that public codes leave with.

        Args:
            codes: float64 [n, D], as this round gets them.
            seen: float64 [n, D], codes with their Laplace noise.
            scale: float64 [D], of that noise.
        """
        variance, gained = self.cavities(codes[:1])[1], 0.0
        for rows in parts(codes):
            means, _ = self.cavities(codes[rows])
            gained = gained + np.square(expected(seen[rows], scale, means, variance) - means).sum(
                axis=0
            )
        # What the means vary by is what the variance has lost (law of total variance).
        gained = np.clip(gained / len(codes), LEAST_SHARE * variance, (1 - LEAST_SHARE) * variance)
        return dataclasses.replace(self, after=(variance - gained) * variance / gained)

    def passed(self, codes: np.ndarray, seen: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """Codes float64 [n, D] as they leave; arguments as of `learned`."""
        left = np.empty_like(codes)
        for rows in parts(codes):
            means, variance = self.cavities(codes[rows])
            told = expected(seen[rows], scale, means, variance)
            left[rows] = means + (told - means) * (1 + self.after / variance)
        return left


def parts(codes: np.ndarray) -> Iterator[slice]:
    """Slices of the rows of codes [n, D], AT_ONCE numbers each."""
    step = max(1, AT_ONCE // codes.shape[1])
    return (slice(start, start + step) for start in range(0, len(codes), step))


def expected(
    seen: np.ndarray, scale: np.ndarray, means: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """The mean of what has a Gaussian before it is seen with Laplace noise; float64 [n, D].

    The product of both densities is that of two Gaussians, each moved by variance / scale to a side
    and cut off at what was seen.

    Args:
        seen: float64 [n, D].
        scale: float64 [D], of the noise.
        means: float64 [n, D], of the Gaussian.
        variance: float64 [D], likewise.
    """
    deviation, shift = np.sqrt(variance), variance / scale
    below = (seen - means - shift) / deviation
    above = (means - shift - seen) / deviation
    # Logarithm of the one side's weight divided by the other's.
    odds = 2 * (means - seen) / scale + log_ndtr(below) - log_ndtr(above)
    share = expit(odds)
    under = means + shift - deviation * inverse_mills(below)
    over = means - shift + deviation * inverse_mills(above)
    return share * under + (1 - share) * over


def inverse_mills(edge: np.ndarray) -> np.ndarray:
    """phi(a) / Phi(a) of a standard normal distribution, for any a; the same shape."""
    with np.errstate(over="ignore"):
        return np.sqrt(2 / np.pi) / erfcx(-edge / np.sqrt(2))


def with_less_noise(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence with codes whose Laplace noise has become less.

    Mean codes stay as they are. The encoder can't be asked any more: it gives codes as they leave.

    Args:
        evidence: with `noise`, see `Evidence.has_laplace_noise`.
        settings: not used.

    Raises:
        ValueError: nothing is known of the noise.
    """
    del settings
    noise = evidence.noise
    if noise is None:
        raise ValueError("The law of the noise needs Evidence.noise, mean codes; got None.")
    pairs, means = evidence.pairs, flat(noise.public_means)
    scale = noise.deviation.ravel().astype(np.float64) / np.sqrt(2)
    rounds = learned_rounds(flat(pairs.codes), means, scale)

    def passed(codes: np.ndarray) -> np.ndarray:
        return through(rounds, flat(codes), scale).reshape(codes.shape).astype(np.float32)

    codes = passed(pairs.codes)
    left = np.square(flat(codes) - means).mean(axis=0)
    if noise.answers:
        # Means of answers are wrong themselves, and not by chance: the code at hand is one of them.
        left = rounds[-1].after
    # Of a constant value no noise is left: nobody could divide by it.
    left = np.maximum(left, LEAST_SHARE * 2 * np.square(scale))
    deviation = np.sqrt(left).reshape(noise.deviation.shape).astype(np.float32)
    more = np.square(noise.deviation, dtype=np.float64).sum() / np.square(deviation).sum()
    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(pairs, codes=codes, held_out_codes=passed(pairs.held_out_codes)),
        target_codes=passed(evidence.target_codes),
        noise=dataclasses.replace(
            noise, deviation=deviation, remaining=min(1.0, float(noise.remaining * more))
        ),
        query=None,
        more_images=None,
        other_domain=None,
    )


def learned_rounds(codes: np.ndarray, means: np.ndarray, scale: np.ndarray) -> list[Round]:
    """ROUNDS rounds, learned from public codes and their means, float64 [N, D] both.

    `scale` is float64 [D], of the noise.
    """
    full, variances = fitted(means)
    most = max(1, min(MOST_DIRECTIONS, len(means) // CODES_PER_DIRECTION))
    model = full.of_rank(most, variances)
    rounds: list[Round] = []
    before, passed = 2 * np.square(scale), codes
    for _ in range(ROUNDS):
        found = Round(model, before).learned(passed, codes, scale)
        passed, before = found.passed(passed, codes, scale), found.after
        rounds.append(found)
    return rounds


def through(rounds: list[Round], seen: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Codes with Laplace noise float64 [n, D] after all rounds; `scale` is float64 [D]."""
    codes = seen
    for each in rounds:
        codes = each.passed(codes, seen, scale)
    return codes
