"""The one way from a picture to what the networks see: training, audit, export and server share it.

serving/device/encoder.py and serving/web/static/picture.js repeat it without TensorFlow.
"""

import functools
from collections.abc import Callable

import tensorflow as tf

from arl_tf.config.choices import FITS

# Part of the cache key: raise it when `decode_image` or `preprocess` changes what it returns.
PREPROCESS_VERSION = 2
# The same for what `padded` alone changes.
PAD_VERSION = 2
# How a picture that is not square becomes so: settings of --fit.
CROP, PAD = FITS
# Where single pictures are prepared: a GPU takes several times as long, one small operation at a
# time.
DEVICE = "/CPU:0"


def preprocess(image: tf.Tensor, image_size: int, fit: str = CROP) -> tf.Tensor:
    """Makes a picture square, resizes it bilinearly with antialiasing, and rounds.

    CROP takes the largest square in the centre. PAD puts the whole picture in the centre of a
    black square of its longer side. Where a margin is odd, the odd pixel is right or below.

    Args:
        image: uint8 [h, w, 3], RGB.
        image_size: side of the result, pixels.
        fit: CROP or PAD.

    Returns:
        uint8 [image_size, image_size, 3].
    """
    resized = cropped(image, image_size) if fit == CROP else padded(image, image_size)
    return tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)


def cropped(image: tf.Tensor, image_size: int) -> tf.Tensor:
    """The largest square of a picture uint8 [h, w, 3], resized to S = image_size.

    Returns:
        float32 [S, S, 3], values from 0 to 255.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    side = tf.minimum(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = tf.image.crop_to_bounding_box(image, top, left, side, side)
    return tf.image.resize(square, (image_size, image_size), method="bilinear", antialias=True)


def padded(image: tf.Tensor, image_size: int) -> tf.Tensor:
    """A picture uint8 [h, w, 3] in the centre of a black square, resized to S = image_size.

    The square itself is never made: of a panorama it has many times the pixels, and a file of some
    hundred bytes may claim 1 x 65535 pixels. The longer side is resized first, then the shorter
    one with no more of the black margins than its filter reaches.

    Returns:
        float32 [S, S, 3], values from 0 to 255.
    """
    height, width = tf.shape(image)[0], tf.shape(image)[1]
    # The longer side upright: rows are resized first, which leaves little to hold for columns.
    turn = tf.where(width > height, [1, 0, 2], [0, 1, 2])
    tall = tf.ensure_shape(tf.transpose(image, turn), (None, None, 3))
    side, shorter = tf.maximum(height, width), tf.minimum(height, width)
    strip = tf.image.resize(tall, (image_size, shorter), method="bilinear", antialias=True)
    scale = tf.cast(image_size, tf.float32) / tf.cast(side, tf.float32)
    # A pixel is a mean of what lies within a reach around it. Beyond twice the reach no pixel's
    # mean has a part of the picture.
    twice_reach = tf.cast(tf.math.ceil(2 * tf.maximum(1 / scale, 1.0)), tf.int32)
    before = (side - shorter) // 2
    after = side - shorter - before
    kept = tf.minimum(before, twice_reach)
    strip = tf.pad(strip, [[0, 0], [kept, tf.minimum(after, twice_reach)], [0, 0]])
    left_out = tf.cast(before - kept, tf.float32)
    square = tf.raw_ops.ScaleAndTranslate(
        images=strip[None],
        size=(image_size, image_size),
        scale=tf.stack([1.0, scale]),
        translation=tf.stack([0.0, left_out * scale]),
        kernel_type="triangle",
        antialias=True,
    )[0]
    return tf.ensure_shape(tf.transpose(square, turn), (image_size, image_size, 3))


@functools.cache
def preprocessing(image_size: int, fit: str = CROP) -> Callable[[tf.Tensor], tf.Tensor]:
    """`preprocess` of uint8 [h, w, 3] for one size and fit; the same function for the same ones."""
    return functools.partial(preprocess, image_size=image_size, fit=fit)


def versions() -> str:
    """Of the cut and of the pad; codes of photos that were prepared otherwise are other codes."""
    return f"{PREPROCESS_VERSION}.{PAD_VERSION}"


def cache_version(fit: str) -> str:
    """What tells prepared images from those of another preprocessing."""
    return str(PREPROCESS_VERSION) if fit == CROP else f"{PREPROCESS_VERSION} {fit} {PAD_VERSION}"
