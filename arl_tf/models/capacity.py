"""How many bits a code can carry at most, whatever the attacker.

A bound on the information in a code bounds what any attacker, known or unknown, can take from it.
It is information, not anonymity: 33 bits single out one person among all people.
"""

import math

import numpy as np

# Signals are limited to this many deviations before noise is added: 5 % of a Gaussian is beyond.
SIGNAL_LIMIT = 2.0
# What bounds a code where nothing else does: the type of its values.
UNBOUNDED = "32-bit numbers"
FLOAT_BITS = 32.0


def outermost_level(levels: int) -> float:
    """The largest of `levels` equally spaced values for a signal of variance 1.

    1 for two levels, and half more with every further bit, which is near the best uniform quantiser
    of a Gaussian (Max 1960: 1.49 for 4 levels, 2.05 for 8, 2.51 for 16).
    """
    if levels < 2:
        raise ValueError(f"A code needs at least 2 levels, got {levels}.")
    return 0.5 + 0.5 * math.log2(levels)


def code_levels(levels: int) -> np.ndarray:
    """The values that a quantised code takes, ascending; float32 [levels]."""
    outermost = outermost_level(levels)
    return np.linspace(-outermost, outermost, levels).astype(np.float32)


def quantised_bits(num_values: int, levels: int) -> float:
    """Bits of a code of `num_values` values with `levels` levels each: n log2 L."""
    return num_values * math.log2(levels)


def packed_bytes(num_values: int, levels: int) -> int:
    """Bytes of such a code when every value is written with a whole number of bits."""
    return math.ceil(num_values * math.ceil(math.log2(levels)) / 8)


def noisy_bits(signal_share: np.ndarray, limit: float = SIGNAL_LIMIT, codes: int = 1) -> float:
    """Bits that pass through Gaussian noise at most, whatever the signal.

    The values are limited to +-`limit`, so each one's power is at most limit^2, and the sum of the
    Gaussian channels' capacities, 0.5 log2(1 + power / noise), is above what any code can carry.
    Of n codes of one photo the mean tells all of the signal, with 1 / n of the noise's variance.

    Args:
        signal_share: float in [0, 1] of any shape: the share of the variance that is signal. Of 1
            a value carries the bits of its type.
        limit: largest absolute value of the signal.
        codes: n.
    """
    share = np.asarray(signal_share, np.float64)
    return channel_bits(codes, limit**2, share)


def entropy_bits(codes: np.ndarray) -> float:
    """Sum of the entropies of a quantised code's values, bits: at most so much is really used.

    The entropy of a code is at most the sum of its values' entropies. Estimated from frequencies,
    so some bits too low for few codes.

    Args:
        codes: float [N, ...] of few levels.
    """
    flat = np.asarray(codes).reshape(len(codes), -1)
    total = 0.0
    for level in np.unique(flat):
        share = (flat == level).mean(axis=0)
        total -= (share * np.log2(np.maximum(share, 1e-300))).sum()
    return float(total)


def gaussian_rate_bits(signals: np.ndarray, signal_share: np.ndarray, codes: int = 1) -> float:
    """Bits that really pass through the noise, at most, given how signals vary.

    Each value's information is below that of a Gaussian of the same variance, and the code's is
    below the sum over its values. Of n codes of one photo as in `noisy_bits`.

    Args:
        signals: float [N, ...], codes before the noise.
        signal_share: float in [0, 1] of a code's shape.
        codes: n.
    """
    share = np.asarray(signal_share, np.float64)
    return channel_bits(codes, np.asarray(signals, np.float64).var(axis=0), share)


def channel_bits(codes: int, power: np.ndarray | float, share: np.ndarray) -> float:
    """Bits of `codes` uses of Gaussian channels; a value without noise has those of float32.

    `power` is that of the signal before it is mixed; `share` is float64 [...], as of `noisy_bits`.
    """
    exact = (share >= 1) & (np.asarray(power) > 0)
    ratio = codes * power * share / np.where(share < 1, 1 - share, 1)
    return float(np.where(exact, FLOAT_BITS * codes, 0.5 * np.log2(1 + ratio)).sum())
