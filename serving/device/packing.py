"""Codes of few levels as bytes: ceil(log2 levels) bits a value, most significant bit first.

A code of L equally spaced values in [-outer, outer] is stored as the numbers 0 .. L-1 of its
levels, in C order. Each code begins at a whole byte; unused bits at its end are 0.
"""

import math
from collections.abc import Sequence

import numpy as np

# Beyond that, float32 can't tell the levels apart.
MOST_LEVELS = 65536
# How far a value may lie from its level, in distances of two levels: a code that went through
# int8 arithmetic is near its levels, a code that was never rounded is not.
TOLERANCE = 0.25


def bits_per_value(levels: int) -> int:
    """Bits that tell `levels` values apart, from 1 (2 levels) to 16 (65536)."""
    if not 2 <= levels <= MOST_LEVELS:
        raise ValueError(f"levels must be from 2 to {MOST_LEVELS}, got {levels}.")
    return (levels - 1).bit_length()


def outermost_level(levels: int) -> float:
    """Where the exported encoders' outermost level lies: 1 for two, half more with every bit.

    The rule of arl_tf/models/capacity.py; `pack` refuses codes that follow another one.
    """
    bits_per_value(levels)
    return 0.5 + 0.5 * math.log2(levels)


def packed_bytes(code_shape: Sequence[int], levels: int) -> int:
    """Bytes that one code takes."""
    return math.ceil(math.prod(code_shape) * bits_per_value(levels) / 8)


def pack(codes: np.ndarray, levels: int, outer: float) -> bytes:
    """Packs codes whose values are levels.

    Args:
        codes: float32 [N, ...], each value within a quarter of the levels' distance of a level.
        levels: from 2 to 65536.
        outer: the outermost levels are -outer and outer, > 0.

    Returns:
        N * packed_bytes(...) bytes.

    Raises:
        ValueError: a value is no level (NaN is none), or there are no such levels.
    """
    bits, step = bits_per_value(levels), level_distance(levels, outer)
    places = (codes.astype(np.float64) + outer) / step
    numbers = np.clip(np.rint(places), 0, levels - 1)
    # Written so that NaN fails.
    wrong = ~(np.abs(places - numbers) <= TOLERANCE)
    if wrong.any():
        raise ValueError(
            f"{wrong.sum()} of {codes.size} values are none of {levels} levels from {-outer:g} to"
            f" {outer:g}; the first is {codes[wrong][0]:g}."
        )
    flat = numbers.astype(np.uint16).reshape(len(codes), -1, 1)
    binary = (flat >> np.arange(bits - 1, -1, -1, dtype=np.uint16)) & 1
    return np.packbits(binary.reshape(len(codes), -1).astype(np.uint8), axis=1).tobytes()


def unpack(content: bytes, code_shape: Sequence[int], levels: int, outer: float) -> np.ndarray:
    """The inverse of `pack`: float32 [N, *code_shape], N being what the bytes are enough for.

    Raises:
        ValueError: the bytes are no whole number of codes, or hold a number that is no level.
    """
    bits, step = bits_per_value(levels), level_distance(levels, outer)
    size, values = packed_bytes(code_shape, levels), math.prod(code_shape)
    if not content or len(content) % size:
        raise ValueError(
            f"{len(content)} bytes are no whole number of codes; one of shape {list(code_shape)}"
            f" and {levels} levels takes {size}."
        )
    rows = np.frombuffer(content, np.uint8).reshape(-1, size)
    binary = np.unpackbits(rows, axis=1, count=values * bits).reshape(len(rows), values, bits)
    numbers = binary.astype(np.int64) @ (1 << np.arange(bits - 1, -1, -1))
    if numbers.max() >= levels:
        raise ValueError(f"Level {numbers.max()} was packed; expected 0 to {levels - 1}.")
    return (numbers * step - outer).astype(np.float32).reshape(-1, *code_shape)


def level_distance(levels: int, outer: float) -> float:
    """Distance of neighbouring levels."""
    if not (math.isfinite(outer) and outer > 0):
        raise ValueError(f"outer must be finite and > 0, got {outer}.")
    return 2 * outer / (levels - 1)
