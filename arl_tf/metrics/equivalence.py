"""How near an exported model comes to the Keras model it was made from."""

import numpy as np

# Share of a quantised code's values that must be the very same: where a value lies at the edge of
# two levels, rounding in the layers before tips it over.
EQUAL_SHARE = 0.999
# Levels nearer than this are one value, as a share of the code's largest.
LEVEL_WIDTH = 1e-3


class ExportError(RuntimeError):
    """An exported model is not what it was exported from."""


def relative_error(outputs: np.ndarray, expected: np.ndarray) -> float:
    """Root mean square of the difference, relative to that of `expected`.

    Args:
        outputs: floats [n, ...].
        expected: likewise.

    Returns:
        NaN or inf where `outputs` are not finite; inf where all of `expected` is 0 and `outputs`
        are not.
    """
    difference = np.linalg.norm((outputs.astype(np.float64) - expected).ravel())
    scale = np.linalg.norm(expected.astype(np.float64).ravel())
    return float(difference / max(scale, np.finfo(np.float64).tiny))


def largest_error(outputs: np.ndarray, expected: np.ndarray) -> float:
    """Largest absolute difference, relative to the largest absolute value of `expected`; >= 0.

    Both are floats [N, ...] of one shape.
    """
    difference = np.abs(outputs.astype(np.float64) - expected).max()
    return float(difference / max(np.abs(expected).max(), np.finfo(np.float64).tiny))


def cosines(outputs: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Cosine between each row's code and the expected one.

    Args:
        outputs: floats [n, ...].
        expected: likewise.

    Returns:
        float64 [n]; NaN where a code is not finite, 0 where one is all 0.
    """
    found, wanted = (
        codes.reshape(len(codes), -1).astype(np.float64) for codes in (outputs, expected)
    )
    scale = np.linalg.norm(found, axis=1) * np.linalg.norm(wanted, axis=1)
    return (found * wanted).sum(axis=1) / np.maximum(scale, np.finfo(np.float64).tiny)


def equal_share(outputs: np.ndarray, expected: np.ndarray) -> float:
    """Share in [0, 1] of a quantised code's values that lie on the level expected.

    Both are floats [N, ...] of one shape; NaN is on no level.
    """
    width = LEVEL_WIDTH * float(np.abs(expected).max())
    return float((np.abs(outputs.astype(np.float64) - expected) <= width).mean())
