"""How attackers see noisy codes: values scaled by what they tell, and noise that is drawn anew."""

from collections.abc import Callable

import numpy as np

from arl_tf.attacks.evidence import (
    CodeNoise,
    PublicPairs,
    drops_values,
    is_laplace,
    share_at_limit,
    takes_few_levels,
)
from arl_tf.models.standardisation import standardisation

# Codes of every public image, beside the one at hand, where noise cannot be added to mean codes.
FURTHER_ANSWERS = 3
# Where more of the values are at a channel's limit, mean codes lie far inside of it: noise is not
# added to them.
MOST_LIMITED = 0.05


def signal_variance(noise: CodeNoise) -> np.ndarray:
    """The variance of mean codes, value by value, without the noise in them; float64 [...]."""
    total = noise.public_means.var(axis=0, dtype=np.float64)
    return np.maximum(total - noise.remaining * np.square(noise.deviation, dtype=np.float64), 0.0)


def signal_to_noise(noise: CodeNoise) -> float:
    """The mean over values of signal variance to noise variance."""
    return float((signal_variance(noise) / np.square(noise.deviation, dtype=np.float64)).mean())


def seen_codes(pairs: PublicPairs, noise: CodeNoise | None) -> Callable[[np.ndarray], np.ndarray]:
    """How a network sees codes: standardised, and where noise is known weighted by what they tell.

    A value u of signal variance s and noise variance v is seen as (u - mean) sqrt(s) / (s + v): of
    variance s / (s + v), its signal's share. One that is all noise is seen as 0.

    Returns:
        codes [n, ...] -> float32 of the same shape.
    """
    if noise is None:
        return standardisation(pairs.codes)
    mean, weight = mean_and_weight(noise)
    return lambda codes: ((codes - mean) * weight).astype(np.float32)


def mean_and_weight(noise: CodeNoise) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the weight of every value as `seen_codes` has them; float64 [...] each."""
    signal = signal_variance(noise)
    weight = np.sqrt(signal) / (signal + np.square(noise.deviation, dtype=np.float64))
    return noise.public_means.mean(axis=0, dtype=np.float64), weight


def fresh_codes(
    pairs: PublicPairs,
    noise: CodeNoise | None,
    query: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """A function that gives public codes of rows with noise drawn anew: (rows, rng) -> [n, ...].

    The mean codes with as much noise as they lack, Gaussian or Laplace as it is, and no value
    beyond the largest. Where codes are rounded to few levels, often at a limit, or have dropped
    values, noise on mean codes would make others of them: there one of several answers of the
    encoder is drawn. The codes at hand where no noise is known, and where nobody can be asked.

    Args:
        pairs: public images and their codes.
        noise: what is known of the noise in the codes.
        query: asks the encoder: uint8 [N, S, S, 3] -> codes float32 [N, ...]; None without one.
    """
    if noise is None or noise.remaining >= 1:
        return lambda rows, rng: pairs.codes[rows]
    limited = share_at_limit(pairs.codes)
    few = takes_few_levels(pairs.codes) or limited > MOST_LIMITED
    if few or drops_values(pairs.codes, noise.public_means):
        return one_of_answers(pairs, noise, query)
    deviation = noise.deviation * np.float32(np.sqrt(1 - noise.remaining))
    laplace = is_laplace(pairs.codes, noise)
    limit = np.abs(pairs.codes).max() if limited else np.float32(np.inf)

    def draw(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        shape = (len(rows), *deviation.shape)
        if laplace:
            drawn = rng.laplace(scale=np.sqrt(0.5), size=shape).astype(np.float32)
        else:
            drawn = rng.standard_normal(shape, np.float32)
        return np.clip(noise.public_means[rows] + deviation * drawn, -limit, limit)

    return draw


def one_of_answers(
    pairs: PublicPairs, noise: CodeNoise, query: Callable[[np.ndarray], np.ndarray] | None
) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
    """As `fresh_codes`: each code [...] is one of several that the encoder gave for its image.

    Whoever estimated the noise from few answers asks as often again, and no oftener.
    """
    further = min(FURTHER_ANSWERS, noise.answers - 1) if noise.answers else FURTHER_ANSWERS
    answers = [pairs.codes]
    if query is not None:
        answers += [query(pairs.images) for _ in range(further)]

    def draw(rows: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        chosen = rng.integers(len(answers), size=len(rows))
        return np.stack([answers[n][row] for n, row in zip(chosen, rows, strict=True)])

    return draw
