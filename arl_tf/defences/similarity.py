"""Structural similarity of pictures of any size, with a gradient everywhere."""

import tensorflow as tf

# Weights of the scales (Wang et al. 2003, section 3.2).
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
WINDOW = 11
# A power of less than 1 has no gradient at 0, and contrasts may be negative.
LEAST_CONTRAST = 1e-3


def ssim(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Structural similarity (Wang et al. 2004, formula 13), a mean over images, at most 1.

    Both float32 [B, S, S, 3] in [0, 1] (or [1, S, S, 3]); the window is as large as the picture
    where that is smaller than 11 pixels.
    """
    one, other = same_batch(one, other)
    return tf.reduce_mean(tf.image.ssim(one, other, max_val=1.0, filter_size=window(one)))


def ms_ssim(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Similarity over scales (Wang et al. 2003, formula 7), a mean over images, at most 1.

    Of the five scales only those are used on which a picture is as large as the window; their
    weights are scaled to the sum 1. Every scale's own similarity stands for its contrast, which
    leaves the brightness in each; TensorFlow's own function has no gradient where a contrast is
    negative, and takes pictures of at least 161 pixels.

    Args:
        one: float32 [B, S, S, 3] in [0, 1].
        other: likewise, or [1, S, S, 3].
    """
    one, other = same_batch(one, other)
    weights = SCALE_WEIGHTS[: num_scales(one.shape[1])]
    product = tf.ones(tf.shape(one)[0])
    for number, weight in enumerate(weights):
        if number:
            one, other = (tf.nn.avg_pool2d(picture, 2, 2, "VALID") for picture in (one, other))
        similar = tf.image.ssim(one, other, max_val=1.0, filter_size=window(one))
        product *= tf.maximum(similar, LEAST_CONTRAST) ** (weight / sum(weights))
    return tf.reduce_mean(product)


def num_scales(side: int) -> int:
    """How often a picture can be halved, itself included, and still hold the window; 1 to 5."""
    scales = 1
    while scales < len(SCALE_WEIGHTS) and side // 2 >= WINDOW:
        side //= 2
        scales += 1
    return scales


def window(picture: tf.Tensor) -> int:
    """Side of the window for a picture [B, S, S, 3]."""
    return min(WINDOW, picture.shape[1])


def same_batch(one: tf.Tensor, other: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Both pictures [B or 1, S, S, 3] with the larger batch of the two."""
    return one + tf.zeros_like(other), other + tf.zeros_like(one)
