"""Pictures for the demo page: a code as grey values, any picture as a data URL."""

import base64
import io
import math

import numpy as np
from PIL import Image

# The code's picture spans this many standard deviations to either side of its mean.
DEVIATIONS = 2.5


def code_picture(code: np.ndarray) -> np.ndarray:
    """A code as uint8 [rows, columns]: its channels side by side, as square as they go.

    A code without a grid, [C], gets a pixel a channel.
    """
    grid = code if code.ndim == 3 else code.reshape(1, 1, -1)
    height, width, channels = grid.shape
    columns = next(
        n for n in range(math.isqrt(channels - 1) + 1, channels + 1) if channels % n == 0
    )
    tiles = grid.reshape(height, width, channels // columns, columns)
    wall = tiles.transpose(2, 0, 3, 1).reshape(height * channels // columns, width * columns)
    spread = DEVIATIONS * wall.std() or 1.0
    return np.round(127.5 + 127.5 * np.clip((wall - wall.mean()) / spread, -1, 1)).astype(np.uint8)


def data_url(picture: np.ndarray) -> str:
    """A picture, uint8 [h, w] or [h, w, 3], as the PNG in a data URL."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
