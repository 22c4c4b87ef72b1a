"""Variations of photographs: further public ones for attackers, and those of training steps."""

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


def cut_out(images: np.ndarray, most: float, drawn: np.ndarray) -> np.ndarray:
    """Cuts a square out of each image and scales it up to the image's size, bilinearly.

    Args:
        images: uint8 [n, S, S, 3].
        most: share of the side that is cut off at most, in [0, 1); 0 leaves images as they are.
        drawn: float [n, 3] in [0, 1): how much is cut off, as a share of `most`, and where the
            square lies, from top and left (0) to bottom and right (1).

    Returns:
        uint8 [n, S, S, 3].
    """
    if not most:
        return images
    side = images.shape[1]
    cut = 1 - most * drawn[:, :1]
    corner = drawn[:, 1:3] * (1 - cut)
    boxes = np.concatenate([corner, corner + cut], axis=1).astype(np.float32)
    # Beside the training, on the CPU: data sets are prepared there.
    with tf.device("/CPU:0"):
        pictures = tf.image.crop_and_resize(
            images.astype(np.float32), boxes, np.arange(len(images)), (side, side)
        ).numpy()
    return np.clip(np.round(pictures), 0, 255).astype(np.uint8)


def coloured(images: np.ndarray, most: float, drawn: np.ndarray) -> np.ndarray:
    """Changes contrast and the light of each colour channel.

    A pixel x of channel c becomes m + (x - m) a + b_c, m the image's mean, a in [1 - most,
    1 + most], b_c in [-most / 2, most / 2] of 255.

    Args:
        images: uint8 [n, S, S, 3].
        most: greatest change, in [0, 1]; 0 leaves images as they are.
        drawn: float [n, 4] in [0, 1): a, then b of red, green and blue, from the least to the most.

    Returns:
        uint8 [n, S, S, 3].
    """
    if not most:
        return images
    change = (2 * drawn - 1) * most
    contrast = 1 + change[:, :1, None, None]
    light = 255 * change[:, None, None, 1:] / 2
    middle = images.mean(axis=(1, 2, 3), keepdims=True)
    pictures = middle + (images - middle) * contrast + light
    return np.clip(np.round(pictures), 0, 255).astype(np.uint8)
