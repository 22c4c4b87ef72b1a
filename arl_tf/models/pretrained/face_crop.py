"""What the face identity networks share: the square of a face picture that they see.

The cut and the resampling are two matrix products, so that gradients reach the picture.
"""

from typing import NamedTuple

import keras
import numpy as np
from keras import layers


class Square(NamedTuple):
    """A part of a square image, as shares of the image's side."""

    top: float
    left: float
    side: float


def cropped(image: keras.KerasTensor, square: Square, chip_size: int) -> keras.KerasTensor:
    """A part of square images [B, S, S, 3], resampled to float32 [B, chip_size, chip_size, 3].

    It repeats the image's edge where the part reaches beyond it.
    """
    size = image.shape[1]
    rows = resampling_matrix(size, square.top, square.side, chip_size)
    columns = resampling_matrix(size, square.left, square.side, chip_size)
    x = matrix_product(image, rows, "bhwc,hp->bpwc", "crop_rows")
    return matrix_product(x, columns, "bpwc,wq->bpqc", "crop_columns")


def image_input(image_size: int) -> keras.KerasTensor:
    """The input `image`, float32 [B, S, S, 3]; raises ValueError for a size below 1."""
    if image_size < 1:
        raise ValueError(f"image_size must be >= 1 pixel, got {image_size}.")
    return keras.Input((image_size, image_size, 3), dtype="float32", name="image")


def matrix_product(
    x: keras.KerasTensor, matrix: np.ndarray, equation: str, name: str
) -> keras.KerasTensor:
    """Contracts one axis of x [B, ...] with a constant matrix [m, n], held as a frozen weight."""
    axes, result = equation.split("->")
    sizes = dict(zip(axes.replace(",", ""), (*x.shape, *matrix.shape), strict=True))
    shape = [sizes[axis] for axis in result[1:]]
    layer = layers.EinsumDense(
        equation, shape, kernel_initializer="zeros", dtype="float32", name=name
    )
    y = layer(x)
    layer.set_weights([matrix])
    return y


def resampling_matrix(size: int, start: float, extent: float, samples: int) -> np.ndarray:
    """Linear resampling of a part of an axis: [size, samples], each column summing to one.

    `start` and `extent` are shares of the axis. Where it shrinks, the triangle widens to the step
    between samples, which is the usual antialiasing. Beyond the edge the edge is repeated.
    """
    step = extent * size / samples
    centres = start * size + (np.arange(samples) + 0.5) * step - 0.5
    centres = np.clip(centres, 0.0, size - 1.0)
    distances = np.abs(np.arange(size)[:, None] - centres[None, :])
    triangle = np.maximum(0.0, 1.0 - distances / max(step, 1.0))
    return (triangle / triangle.sum(axis=0)).astype("float32")
