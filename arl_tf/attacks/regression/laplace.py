"""Codes with Laplace noise, turned into codes of the same means with less noise.

Laplace noise is more often small, and more often large, than Gaussian noise of its variance. No
linear map uses that. But the other values of a code tell what a value is about, and with the law of
the noise at hand what was seen of it tells more than its distance does.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
from scipy.special import log_ndtr, softmax

from arl_tf.attacks.evidence import AttackerOptions, EachCode, Evidence
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

    Codes are u = m + n with m as `model` has it and Laplace noise n, or k of them for each m. At
    first their mean is taken to have Gaussian noise. The other values of a code give every value's
    mean a Gaussian, its cavity; times the true density of what was seen, that has a mean; and a
    code with Gaussian noise of which the cavity would make this mean takes the code's place. One
    variance for all codes, as in vector approximate message passing (Rangan, Schniter and Fletcher
    2019), keeps it a closed form.

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
            seen: float [n, k, D], k codes of each image with their Laplace noise.
            scale: float64 [D], of that noise.
        """
        variance, gained = self.cavities(codes[:1])[1], 0.0
        for rows in parts(seen):
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
        for rows in parts(seen):
            means, variance = self.cavities(codes[rows])
            told = expected(seen[rows], scale, means, variance)
            left[rows] = means + (told - means) * (1 + self.after / variance)
        return left


def parts(seen: np.ndarray) -> Iterator[slice]:
    """Slices of the rows of codes [n, k, D], AT_ONCE numbers each."""
    step = max(1, AT_ONCE // max(1, seen[0].size))
    return (slice(start, start + step) for start in range(0, len(seen), step))


def expected(
    seen: np.ndarray, scale: np.ndarray, means: np.ndarray, variance: np.ndarray
) -> np.ndarray:
    """The mean of what has a Gaussian before it is seen with Laplace noise; float64 [n, D].

    Between two neighbours of what was seen, the product of all densities is that of a Gaussian:
    moved by variance / scale for each value above, and back for each below.

    Args:
        seen: float64 [n, k, D], of k independent times.
        scale: float64 [D], of the noise.
        means: float64 [n, D], of the Gaussian.
        variance: float64 [D], likewise.
    """
    count, deviation = seen.shape[1], np.sqrt(variance)
    ordered = np.sort(np.moveaxis(seen, 1, 0) - means, axis=0)
    no_edge = np.full((1, *means.shape), np.inf)
    edges = np.concatenate([-no_edge, ordered, no_edge])
    # What lies below, less what lies above.
    balance = -ordered.sum(axis=0)
    weights, within = [], []
    for below in range(count + 1):
        slope = (count - 2 * below) / scale
        shift = variance * slope
        low, high = ((edge - shift) / deviation for edge in edges[below : below + 2])
        mass = log_mass(low, high)
        weights.append(0.5 * shift * slope + balance / scale + mass)
        told = shift + deviation * truncated_mean(low, high, mass)
        within.append(np.clip(told, edges[below], edges[below + 1]))
        if below < count:
            balance = balance + 2 * ordered[below]
    shares = softmax(np.stack(weights), axis=0)
    return means + (shares * np.stack(within)).sum(axis=0)


def log_mass(low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The logarithm of the probability of N(0, 1) between two edges [n, D], low <= high."""
    # In the upper tail both distribution functions are near 1.
    mirrored = low > 0
    first = log_ndtr(np.where(mirrored, -high, low))
    second = log_ndtr(np.where(mirrored, -low, high))
    with np.errstate(divide="ignore"):
        return second + np.log1p(-np.exp(first - second))


def truncated_mean(low: np.ndarray, high: np.ndarray, mass: np.ndarray) -> np.ndarray:
    """The mean of N(0, 1) between two edges [n, D]; `mass` is `log_mass` of them.

    Between edges that are too near for a difference of densities it is the lower one.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        first, second = (
            np.exp(-0.5 * np.square(edge) - mass) / np.sqrt(2 * np.pi) for edge in (low, high)
        )
        found = first - second
    return np.where(np.isfinite(found), found, np.where(np.isfinite(low), low, 0.0))


def with_less_noise(evidence: Evidence, settings: AttackerOptions) -> Evidence:
    """The evidence with codes whose Laplace noise has become less.

    Where codes are means of several, these are what is seen.

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
    each = evidence.each or EachCode(
        *(codes[:, None] for codes in (pairs.codes, pairs.held_out_codes, evidence.target_codes))
    )
    of_one = noise.of_one_code(evidence.several).deviation
    scale = of_one.ravel().astype(np.float64) / np.sqrt(2)
    rounds = learned_rounds(flat_codes(each.public), means, scale)

    def passed(codes: np.ndarray) -> np.ndarray:
        found = through(rounds, flat_codes(codes), scale)
        return found.reshape(len(codes), *noise.deviation.shape).astype(np.float32)

    codes = passed(each.public)
    left = np.square(flat(codes) - means).mean(axis=0)
    if noise.remaining:
        # Means of answers are wrong themselves, and not by chance: the code at hand is one of them.
        left = rounds[-1].after
    # Of a constant value no noise is left: nobody could divide by it.
    left = np.maximum(left, LEAST_SHARE * 2 * np.square(scale))
    deviation = np.sqrt(left).reshape(noise.deviation.shape).astype(np.float32)
    more = np.square(noise.deviation, dtype=np.float64).sum() / np.square(deviation).sum()
    return dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(pairs, codes=codes, held_out_codes=passed(each.held_out)),
        target_codes=passed(each.target),
        noise=dataclasses.replace(
            noise, deviation=deviation, remaining=min(1.0, float(noise.remaining * more))
        ),
        each=None,
        query=None,
        more_images=None,
        other_domain=None,
    )


def flat_codes(codes: np.ndarray) -> np.ndarray:
    """Several codes of each image [N, k, ...] as rows of numbers; float32 [N, k, D]."""
    return codes.reshape(*codes.shape[:2], -1)


def learned_rounds(seen: np.ndarray, means: np.ndarray, scale: np.ndarray) -> list[Round]:
    """ROUNDS rounds, learned from public codes.

    Args:
        seen: float [N, k, D], k codes of each image.
        means: float64 [N, D], mean codes.
        scale: float64 [D], of the noise.
    """
    full, variances = fitted(means)
    most = max(1, min(MOST_DIRECTIONS, len(means) // CODES_PER_DIRECTION))
    model = full.of_rank(most, variances)
    rounds: list[Round] = []
    before, passed = 2 * np.square(scale) / seen.shape[1], seen.mean(axis=1, dtype=np.float64)
    for _ in range(ROUNDS):
        found = Round(model, before).learned(passed, seen, scale)
        passed, before = found.passed(passed, seen, scale), found.after
        rounds.append(found)
    return rounds


def through(rounds: list[Round], seen: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Codes float64 [n, D] after all rounds, of k each with Laplace noise.

    `seen` is float [n, k, D], `scale` float64 [D].
    """
    codes = seen.mean(axis=1, dtype=np.float64)
    for each in rounds:
        codes = each.passed(codes, seen, scale)
    return codes
