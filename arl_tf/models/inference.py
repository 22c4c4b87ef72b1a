"""Outputs of Keras models for arrays, in batches."""

import keras
import numpy as np


def in_batches(model: keras.Model, values: np.ndarray, batch_size: int) -> np.ndarray:
    """A model's output in inference mode, compiled as by `predict`.

    `predict` sets up a data pipeline at every call, which takes longer than a small model itself.

    Args:
        model: of one input and one output.
        values: [N, ...], N >= 1.
        batch_size: most values at once.

    Returns:
        The outputs, [N, ...].
    """
    starts = range(0, len(values), batch_size)
    return np.concatenate([model.predict_on_batch(values[s : s + batch_size]) for s in starts])
