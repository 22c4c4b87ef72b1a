"""The one way from a picture to what the networks see: training, audit, export and server share it.

serving/device/encoder.py and serving/web/static/picture.js repeat it without TensorFlow.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from arl_tf.config.choices import FITS

# Part of the cache key: raise it when `decode_image` or `preprocess` changes what it returns.
PREPROCESS_VERSION = 2
# How a picture that is not square becomes so: settings of --fit.
CROP, PAD = FITS
# Where single pictures are prepared: a GPU takes several times as long, one small operation at a
# time.
DEVICE = "/CPU:0"


def preprocess(image: tf.Tensor, image_size: int, fit: str = CROP) -> tf.Tensor:
    """Makes a picture square, resizes it bilinearly with antialiasing, and rounds.

    Args:
        image: uint8 [h, w, 3], RGB.
        image_size: side of the result, pixels.
        fit: CROP or PAD, see `squared`.

    Returns:
        uint8 [image_size, image_size, 3].
    """
    square = squared(image, fit)
    resized = tf.image.resize(square, (image_size, image_size), method="bilinear", antialias=True)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def squared(image: tf.Tensor, fit: str) -> tf.Tensor:
    """A picture uint8 [h, w, 3] as a square.

    CROP takes the largest square in the centre. PAD puts the whole picture in the centre of a
    black square of its longer side. Where the margin is odd, the odd pixel is right or below.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    if fit == CROP:
        side = tf.minimum(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return tf.image.crop_to_bounding_box(image, top, left, side, side)
    side = tf.maximum(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    return tf.image.pad_to_bounding_box(image, top, left, side, side)


@functools.cache
def preprocessing(image_size: int, fit: str = CROP) -> Callable[[tf.Tensor], tf.Tensor]:
    """`preprocess` of uint8 [h, w, 3] for one size and fit; the same function for the same ones."""
    return functools.partial(preprocess, image_size=image_size, fit=fit)


def cache_version(fit: str) -> str:
    """What tells prepared images from those of another preprocessing."""
    return str(PREPROCESS_VERSION) if fit == CROP else f"{PREPROCESS_VERSION} {fit}"
