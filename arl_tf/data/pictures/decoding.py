"""From a picture file's bytes to its upright pixels, in TensorFlow operations.

The one decoder of training, audit and the exported graph.
serving/pictures does the same for the device with pillow; tests hold both to the same pixels.
"""

import functools

import tensorflow as tf

from arl_tf.data.pictures import bmp, orientation, parts
from arl_tf.data.pictures.file_bytes import file_content, is_one_of, numbers
from arl_tf.data.pictures.formats import BMP, GIF, JPEG, PNG, WEBP, picture_format, refuse_first

# Flag of an animation in the extended header of a WebP (WebP container specification).
ANIMATION = 2

# Pixels as stored, uint8 [h, w, 3], and int64 [2]: start and end of the EXIF block, or zeros.
Stored = tuple[tf.Tensor, tf.Tensor]


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
    content = file_content(image_bytes)
    branches = {
        JPEG: decode_jpeg,
        PNG: decode_png,
        BMP: lambda _, content: (bmp.decode_bmp(content), no_exif()),
        GIF: decode_gif,
        WEBP: decode_webp,
    }
    image, exif = tf.switch_case(
        picture_format(image_bytes),
        {
            kind: functools.partial(decode, image_bytes, content)
            for kind, decode in branches.items()
        },
    )
    turned = orientation.orientation_of(image_bytes, exif)
    image = orientation.upright(tf.ensure_shape(image, (None, None, 3)), turned)
    return tf.ensure_shape(image, (None, None, 3)), turned


def no_exif() -> tf.Tensor:
    """What stands for a file without an EXIF block: zeros, int64 [2]."""
    return tf.zeros(2, tf.int64)


def decode_jpeg(image_bytes: tf.Tensor, content: tf.Tensor) -> Stored:
    """A JPEG, by the accurate transform, as pillow's.

    Args:
        image_bytes: string scalar, the file.
        content: uint8 [n + MARGIN], the same, as of `file_bytes.file_content`.

    Returns:
        uint8 [h, w, 3] and int64 [2], see `Stored`.

    Raises:
        tf.errors.InvalidArgumentError: it is damaged, or of a kind that is not read.
    """
    header = parts.jpeg_header(content)
    with tf.control_dependencies([parts.check_jpeg(content, header)]):
        image_bytes = tf.identity(image_bytes)
    return decode_plain_jpeg(image_bytes), parts.jpeg_exif(content, header)


def decode_plain_jpeg(image_bytes: tf.Tensor) -> tf.Tensor:
    """A JPEG whose kind is known to be read: string scalar -> uint8 [h, w, 3], as stored.

    Raises:
        tf.errors.InvalidArgumentError: it is damaged.
    """
    return tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE")


def decode_gif(image_bytes: tf.Tensor, content: tf.Tensor) -> Stored:
    """The first frame of a GIF, which must fill the canvas: TensorFlow gives that frame alone.

    Arguments and result are `decode_jpeg`'s: a file, uint8 [h, w, 3] and int64 [2].

    Raises:
        tf.errors.InvalidArgumentError: it is damaged, or its first frame is smaller.
    """
    image = tf.io.decode_image(image_bytes, channels=3, expand_animations=False)
    canvas = numbers(content, 6, ((2, 2, "little"), (0, 2, "little")))
    is_part = tf.reduce_any(tf.shape(image, tf.int64)[:2] != tf.stack(canvas))
    fault = refuse_first(((is_part, "a GIF whose first frame does not fill its canvas."),))
    with tf.control_dependencies([fault]):
        image = tf.identity(image)
    return image, no_exif()


def decode_png(image_bytes: tf.Tensor, content: tf.Tensor) -> Stored:
    """A PNG, of an animation the picture that other readers see.

    Arguments and result are `decode_jpeg`'s: a file, uint8 [h, w, 3] and int64 [2].

    Raises:
        tf.errors.InvalidArgumentError: it is damaged, or has a transparent colour and not 8 bits,
            which decoders compare differently.
    """
    bits, colour = numbers(content, 24, ((0, 1, "big"), (1, 1, "big")))
    is_transparent = parts.find_chunk(content, b"tRNS", is_png=True)[0] > 0
    has_colour = is_transparent & is_one_of(colour, (0, 2)) & (bits != 8)
    fault = refuse_first(
        ((has_colour, "a PNG with a transparent colour that does not have 8 bits."),)
    )
    with tf.control_dependencies([fault]):
        image = tf.io.decode_png(image_bytes, channels=4)
    # TensorFlow gives pictures of less than 8 bits that know no opacity a wrong one.
    has_alpha = is_one_of(colour, (4, 6)) | is_transparent
    image = tf.cond(has_alpha, lambda: over_black(image), lambda: image[..., :3])
    return image, parts.find_chunk(content, b"eXIf", is_png=True)


def decode_webp(image_bytes: tf.Tensor, content: tf.Tensor) -> Stored:
    """A WebP that is not animated.

    Arguments and result are `decode_jpeg`'s: a file, uint8 [h, w, 3] and int64 [2].
    By DecodeImage, so that an older TF Serving, which knows no DecodeWebP, loads the graph and
    refuses the picture.

    Raises:
        tf.errors.InvalidArgumentError: it is damaged, or animated: TensorFlow 2.21 then writes
            beyond its memory.
    """
    is_extended = tf.strings.substr(image_bytes, 12, 4) == b"VP8X"
    (flags,) = numbers(content, 20, ((0, 1, "big"),))
    is_animated = is_extended & (tf.bitwise.bitwise_and(flags, ANIMATION) > 0)
    with tf.control_dependencies([refuse_first(((is_animated, "an animated WebP."),))]):
        image = tf.io.decode_image(image_bytes, channels=0, expand_animations=False)
    image = tf.cond(
        tf.shape(image)[2] == 4, lambda: over_black(image), lambda: tf.identity(image[..., :3])
    )
    return image, parts.find_chunk(content, b"EXIF", is_png=False)


def over_black(image: tf.Tensor) -> tf.Tensor:
    """Colours times opacity, rounded: uint8 [h, w, 4] -> [h, w, 3]."""
    colours, alpha = tf.cast(image[..., :3], tf.int32), tf.cast(image[..., 3:], tf.int32)
    return tf.cast((colours * alpha + 127) // 255, tf.uint8)
