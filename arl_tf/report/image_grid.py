"""Originals beside what attackers made of them: which images are shown, and how."""

from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from arl_tf.metrics import intervals

PICTURED = 12
TILE = 96
LABEL_WIDTH, LABEL_MARGIN = 190, 8
# Pixels; a label that is too wide is written smaller.
FONT_SIZES = range(16, 5, -1)
ROW_NAMES = {
    "original": "original",
    "reference": "unprotected code",
    "task_output": "from the task output",
    "mean_image": "no code: mean image",
}


def worst_first(similarity: np.ndarray) -> np.ndarray:
    """Rows of images by face similarity float [N], the worst protected first."""
    return np.argsort(-similarity, kind="stable")


def ranks(similarity: np.ndarray) -> np.ndarray:
    """Each image's place in `worst_first`, int64 [N]; 1 is the worst protected."""
    places = np.empty(len(similarity), np.int64)
    places[worst_first(similarity)] = np.arange(1, len(similarity) + 1)
    return places


def spread_rows(similarity: np.ndarray, count: int) -> np.ndarray:
    """Rows int64 [n] of `count` images evenly spaced over all, the worst protected first.

    `similarity` is float [N]; n is N where there are fewer images.
    """
    order = worst_first(similarity)
    return order[np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)]


def shown_rows(similarity: np.ndarray, count: int) -> np.ndarray:
    """Rows int64 [n] of `count` images at most, the worst protected first.

    All of the worst-protected share, PICTURED at least; the rest evenly spaced by `similarity`
    float [N].
    """
    order = worst_first(similarity)
    worst = min(max(PICTURED, intervals.tail_size(len(order))), count, len(order))
    others = spread_rows(similarity[order[worst:]], count - worst) if len(order) > worst else []
    return np.concatenate([order[:worst], order[worst:][others]]).astype(np.int64)


def image_grid(rows: Mapping[str, np.ndarray]) -> np.ndarray:
    """A labelled grid, uint8 [H, W, 3]: a row for each name -> images uint8 [n, S, S, 3]."""
    return np.concatenate(
        [labelled_strip(ROW_NAMES.get(name, name), images) for name, images in rows.items()]
    )


def labelled_strip(label: str, images: np.ndarray) -> np.ndarray:
    """One row of the wall, uint8 [TILE, W, 3]: a label, then images uint8 [n, S, S, 3] as tiles."""
    tiles = [
        np.asarray(Image.fromarray(image).resize((TILE, TILE), Image.Resampling.BICUBIC))
        for image in images
    ]
    panel = Image.new("RGB", (LABEL_WIDTH, TILE), "white")
    draw, left = ImageDraw.Draw(panel), (LABEL_MARGIN, TILE // 2)
    for size in FONT_SIZES:
        font = ImageFont.load_default(size=size)
        right = draw.multiline_textbbox(left, label, font=font, anchor="lm")[2]
        if right <= LABEL_WIDTH - LABEL_MARGIN:
            break
    draw.text(left, label, fill="black", font=font, anchor="lm")
    return np.concatenate([np.asarray(panel), *tiles], axis=1)
