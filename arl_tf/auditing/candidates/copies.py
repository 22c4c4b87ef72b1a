"""Copies of photos as they go around: smaller, recompressed, shifted, brighter."""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image

RESIZED_SHARE, JPEG_QUALITY, BRIGHTER, SHIFT_SHARE = 0.75, 75, 1.1, 1 / 64


def resized(images: np.ndarray) -> np.ndarray:
    """Images uint8 [N, S, S, 3] made smaller and brought back to their size."""
    side = images.shape[1]
    small = max(1, round(RESIZED_SHARE * side))
    return each(
        images,
        lambda picture: picture.resize((small, small), Image.Resampling.BICUBIC).resize(
            (side, side), Image.Resampling.BICUBIC
        ),
    )


def recompressed(images: np.ndarray) -> np.ndarray:
    """Images uint8 [N, S, S, 3] through JPEG."""

    def compressed(picture: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY)
        return Image.open(buffer)

    return each(images, compressed)


def shifted(images: np.ndarray) -> np.ndarray:
    """Images uint8 [N, S, S, 3] shifted to the right and down; the edge is repeated."""
    side = images.shape[1]
    source = np.maximum(np.arange(side) - max(1, round(SHIFT_SHARE * side)), 0)
    return images[:, source][:, :, source]


def brighter(images: np.ndarray) -> np.ndarray:
    """Images uint8 [N, S, S, 3] with all values raised in proportion, at most to 255."""
    raised = np.minimum(np.arange(256) * BRIGHTER + 0.5, 255).astype(np.uint8)
    return raised[images]


def together(images: np.ndarray) -> np.ndarray:
    """Images uint8 [N, S, S, 3] with all of it: brighter, shifted, resized, then recompressed."""
    return recompressed(resized(shifted(brighter(images))))


def each(images: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    """A change of single pictures, made to all of uint8 [N, S, S, 3]."""
    return np.stack([np.asarray(change(Image.fromarray(np.asarray(one)))) for one in images])


DEGRADATIONS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "resized": (
        resized,
        f"made smaller ({100 * RESIZED_SHARE:.0f} % of the side) and larger again",
    ),
    "recompressed": (recompressed, f"saved as JPEG of quality {JPEG_QUALITY}"),
    "shifted": (shifted, "shifted right and down by 1/64 of the side, one pixel at least"),
    "brighter": (brighter, f"brighter by {100 * (BRIGHTER - 1):.0f} %"),
    "together": (together, "all of it: brighter, shifted, resized, saved as JPEG"),
}
