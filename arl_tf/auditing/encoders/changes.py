"""Whether an encoder gives other codes when the same images are asked for again."""

import numpy as np

# Of what a value varies by over photos, of its size, and of what most values vary by: less is what
# threads, a GPU or float32 bring about. The last is for values near 0, as a network's dead ones.
LEAST_CHANGE, LEAST_OF_SIZE, LEAST_OF_OTHERS = 1e-3, 1e-5, 1e-5


def has_changed(first: np.ndarray, second: np.ndarray) -> bool:
    """Whether codes float32 [N, ...] of the same images differ by more than rounding errors.

    Every value is compared with itself over photos: one of a large scale or with a large offset
    must not hide the noise in the others. N should be several: one photo shows no spread.
    """
    spread = first.std(axis=0, dtype=np.float64)
    size = np.abs(first).mean(axis=0, dtype=np.float64)
    least = np.maximum(LEAST_CHANGE * spread, LEAST_OF_SIZE * size)
    least = np.maximum(least, LEAST_OF_OTHERS * np.median(spread))
    return bool((np.abs(first - second) > least).any())
