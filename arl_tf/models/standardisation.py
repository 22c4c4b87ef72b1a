"""Codes as attackers see them: standardised, with their position beside them; the same for all."""

from collections.abc import Callable

import numpy as np


def standardisation(codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that shifts and scales every channel to the public codes' mean 0 and deviation 1.

    However small the scale of a channel is, it is no protection. Only a channel that varies by less
    than float32 resolves is not scaled: a constant must not be blown up into noise.

    Args:
        codes: float32 [N, ..., c], public ones.

    Returns:
        codes [n, ..., c] -> float32 of the same shape.
    """
    mean, deviation = channel_moments(codes)
    return lambda values: ((values - mean) / deviation).astype(np.float32)


def channel_moments(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of every channel of codes [N, ..., c], float64 [c] each.

    The deviation is 1 where a channel is constant.
    """
    axes = tuple(range(codes.ndim - 1))
    # In float32, sums over many codes would be off by more than such a channel varies.
    mean = codes.mean(axis=axes, dtype=np.float64)
    deviation = codes.std(axis=axes, dtype=np.float64)
    resolved = deviation > np.finfo(np.float32).eps * np.abs(mean)
    return mean, np.where(resolved, deviation, 1.0)


def with_position(codes: np.ndarray) -> np.ndarray:
    """Appends what an adversary knows of every code: where it is.

    Without it a decoder of constant codes is dead (all its inputs are 0), and one of noise can tell
    the picture's middle from its edges by padding alone.

    Args:
        codes: float32 [N, h, w, c] or [N, c].

    Returns:
        float32 [N, h, w, c + 2], row and column from -1 to 1 behind the code; or [N, c + 1], a one.
    """
    if codes.ndim != 4:
        return np.concatenate([codes, np.ones_like(codes[..., :1])], axis=-1)
    rows, columns = np.meshgrid(
        *(np.linspace(-1, 1, side) for side in codes.shape[1:3]), indexing="ij"
    )
    position = np.stack([rows, columns], axis=-1).astype(codes.dtype)
    return np.concatenate([codes, np.broadcast_to(position, (*codes.shape[:-1], 2))], axis=-1)


def flattened(values: np.ndarray) -> np.ndarray:
    """A row for each; [N, ...] -> [N, D]."""
    return values.reshape(len(values), -1)
