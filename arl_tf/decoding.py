"""From a picture file's bytes to its upright pixels, in TensorFlow operations.

The one decoder of training, audit and the exported graph.
serving/pictures.py does the same for the device with pillow; tests hold both to the same pixels.
"""

import tensorflow as tf

from arl_tf import bmp, orientation
from arl_tf.picture_bytes import is_one_of, part
from arl_tf.picture_formats import BMP, GIF, JPEG, PNG, WEBP, picture_format, refuse_first

# Flag of an animation in the extended header of a WebP (WebP container specification).
ANIMATION = 2


def decode_image(image_bytes: tf.Tensor) -> tf.Tensor:
    """Decodes one JPEG, PNG, BMP, GIF (its first frame) or WebP, and sets it upright.

    Greyscale is repeated to three channels, transparent parts appear on black, 16 bits are cut to
    8, CMYK is converted; colour profiles are not applied. The orientation noted in EXIF is applied.
    Damage inside a complete JPEG that its decoder can step over goes unnoticed.

    Args:
        image_bytes: string scalar.

    Returns:
        uint8 [h, w, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: the bytes are no complete picture of these formats, or of a
            kind that is not supported; the message says which.
    """
    return decode_with_orientation(image_bytes)[0]


def decode_with_orientation(image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The same, and the orientation that was applied: int64 scalar, 1 to 8."""
    kind = picture_format(image_bytes)
    content = tf.io.decode_raw(image_bytes, tf.uint8)
    branches = {
        JPEG: lambda: decode_jpeg(image_bytes, content),
        PNG: lambda: decode_png(image_bytes, content),
        BMP: lambda: bmp.decode_bmp(content),
        GIF: lambda: tf.io.decode_image(image_bytes, channels=3, expand_animations=False),
        WEBP: lambda: decode_webp(image_bytes, content),
    }
    image = tf.ensure_shape(tf.switch_case(kind, branches), (None, None, 3))
    start, end = orientation.exif_block(content, kind)
    turned = orientation.block_orientation(content, start, end)
    image = orientation.upright(image, turned)
    return tf.ensure_shape(image, (None, None, 3)), turned


def decode_jpeg(image_bytes: tf.Tensor, content: tf.Tensor) -> tf.Tensor:
    """Pixels of a JPEG as stored, by the accurate transform, as pillow's: uint8 [h, w, 3]."""
    fault = orientation.check_jpeg(content, orientation.jpeg_header(content))
    with tf.control_dependencies([fault]):
        image_bytes = tf.identity(image_bytes)
    return tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE")


def decode_png(image_bytes: tf.Tensor, content: tf.Tensor) -> tf.Tensor:
    """Pixels of a PNG: uint8 [h, w, 3].

    Raises:
        tf.errors.InvalidArgumentError: it is damaged, or has a transparent colour and not 8 bits,
            which decoders compare differently.
    """
    bits, colour = tf.unstack(part(content, tf.constant(24, tf.int64), 2))
    transparency, _ = orientation.find_chunk(content, b"tRNS")
    has_colour = (transparency > 0) & is_one_of(colour, (0, 2)) & (bits != 8)
    fault = refuse_first(((has_colour, "a PNG with a transparent colour that has not 8 bits."),))
    with tf.control_dependencies([fault]):
        image = tf.io.decode_png(image_bytes, channels=4)
    # TensorFlow gives pictures of less than 8 bits that know no opacity a wrong one.
    has_alpha = is_one_of(colour, (4, 6)) | (transparency > 0)
    return tf.cond(has_alpha, lambda: over_black(image), lambda: image[..., :3])


def decode_webp(image_bytes: tf.Tensor, content: tf.Tensor) -> tf.Tensor:
    """Pixels of a WebP: uint8 [h, w, 3].

    By DecodeImage, so that an older TF Serving, which knows no DecodeWebP, loads the graph and
    refuses the picture.

    Raises:
        tf.errors.InvalidArgumentError: it is damaged, or animated: TensorFlow 2.21 then writes
            beyond its memory.
    """
    is_extended = tf.strings.substr(image_bytes, 12, 4) == b"VP8X"
    flags = part(content, tf.constant(20, tf.int64), 1)[0]
    is_animated = is_extended & (tf.bitwise.bitwise_and(flags, ANIMATION) > 0)
    with tf.control_dependencies([refuse_first(((is_animated, "an animated WebP."),))]):
        image = tf.io.decode_image(image_bytes, channels=0, expand_animations=False)
    return tf.cond(
        tf.shape(image)[2] == 4, lambda: over_black(image), lambda: tf.identity(image[..., :3])
    )


def over_black(image: tf.Tensor) -> tf.Tensor:
    """Colours times opacity, rounded: uint8 [h, w, 4] -> [h, w, 3]."""
    colours, alpha = tf.cast(image[..., :3], tf.int32), tf.cast(image[..., 3:], tf.int32)
    return tf.cast((colours * alpha + 127) // 255, tf.uint8)
