"""Further public photographs out of those at hand: cut, mirrored and lit anew."""

import numpy as np
import tensorflow as tf

SMALLEST_CUT = 0.85
LIGHT, CONTRAST = 0.1, 0.2
AT_ONCE = 512


def augmented(images: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Draws variations of images: a cut-out of 85 to 100 % of the side, mirroring, light, contrast.

    Args:
        images: uint8 [N, S, S, 3], N >= 1.
        count: how many to draw; image k varies images[k % N].
        seed: of the draws; the same seed gives the same pictures.

    Returns:
        uint8 [count, S, S, 3].
    """
    rng = np.random.default_rng([seed, 7])
    side = images.shape[1]
    varied = np.empty((count, *images.shape[1:]), np.uint8)
    for start in range(0, count, AT_ONCE):
        rows = np.arange(start, min(start + AT_ONCE, count)) % len(images)
        cut = rng.uniform(SMALLEST_CUT, 1.0, (len(rows), 1))
        corner = rng.uniform(0.0, 1.0, (len(rows), 2)) * (1 - cut)
        boxes = np.concatenate([corner, corner + cut], axis=1).astype(np.float32)
        pictures = tf.image.crop_and_resize(
            images[rows].astype(np.float32), boxes, np.arange(len(rows)), (side, side)
        ).numpy()
        mirror = rng.random(len(rows)) < 0.5
        pictures[mirror] = pictures[mirror, :, ::-1]
        middle = pictures.mean(axis=(1, 2, 3), keepdims=True)
        contrast = rng.uniform(1 - CONTRAST, 1 + CONTRAST, (len(rows), 1, 1, 1))
        light = rng.uniform(-LIGHT, LIGHT, (len(rows), 1, 1, 1)) * 255
        pictures = (pictures - middle) * contrast + middle + light
        varied[start : start + len(rows)] = np.clip(np.round(pictures), 0, 255)
    return varied
