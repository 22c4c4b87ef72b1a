"""Reads Windows bitmaps in TensorFlow operations.

TensorFlow's own decoder takes palette numbers for grey levels and does not look at bit fields.
Source: Microsoft, "Bitmap Storage" (BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER).
"""

import tensorflow as tf

from arl_tf.picture_bytes import begins, is_one_of, little
from arl_tf.picture_formats import refuse_first

HEADER_SIZES = (12, 40, 52, 56, 64, 108, 124)
CORE = 12
BITS = (1, 4, 8, 24, 32)
PLAIN, BIT_FIELDS = 0, 3
# Red, green and blue of the one layout of bit fields that is read.
MASKS = bytes((0, 0, 255, 0, 0, 255, 0, 0, 255, 0, 0, 0))


def decode_bmp(content: tf.Tensor) -> tf.Tensor:
    """Decodes a bitmap of 1, 4 or 8 bits with its palette, or of 24 or 32 bits.

    The fourth byte of 32 bits is left aside.

    Args:
        content: uint8 [n], the file.

    Returns:
        uint8 [h, w, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: the bitmap is compressed, has 16 bits, other bit fields or
            another header, or is cut off.
    """
    size = little(content, 14, 4)
    is_core = size == CORE

    def field(core, core_bytes, place, num_bytes):
        return tf.where(
            is_core, little(content, core, core_bytes), little(content, place, num_bytes)
        )

    width, height = field(18, 2, 18, 4), field(20, 2, 22, 4)
    # A negative height: the first row is the upper one.
    is_downward = ~is_core & (height >= 2**31)
    height = tf.where(is_downward, 2**32 - height, height)
    bits = field(24, 2, 28, 2)
    start = little(content, 10, 4)
    stride = (width * bits + 31) // 32 * 4
    with tf.control_dependencies(
        [check_bmp(content, width, height, bits, start + height * stride)]
    ):
        rows = tf.reshape(content[start : start + height * stride], (height, stride))
    image = tf.cond(
        bits <= 8,
        lambda: palette_colours(content, unpacked(rows, bits)[:, :width], size, bits),
        lambda: tf.reshape(rows[:, : width * (bits // 8)], (height, width, bits // 8))[..., 2::-1],
    )
    return tf.cond(is_downward, lambda: image, lambda: image[::-1])


def check_bmp(
    content: tf.Tensor, width: tf.Tensor, height: tf.Tensor, bits: tf.Tensor, end: tf.Tensor
) -> tf.Operation:
    """Refuses what is not read: the message says what it is."""
    size = little(content, 14, 4)
    compression = tf.cast(size != CORE, tf.int64) * little(content, 30, 4)
    fields = (compression == BIT_FIELDS) & (bits == 32) & begins(content, 54, MASKS)
    is_cut_off = (width < 1) | (width >= 2**31) | (height < 1)
    is_cut_off |= end > tf.size(content, tf.int64)
    return refuse_first(
        (
            (~is_one_of(size, HEADER_SIZES), "a BMP with an unknown header."),
            (bits == 16, "a BMP of 16 bits a pixel."),
            (is_one_of(compression, (BIT_FIELDS, 6)) & ~fields, "a BMP with bit fields."),
            ((compression != PLAIN) & ~fields, "a compressed BMP."),
            (~is_one_of(bits, BITS), "a BMP of an unknown number of bits a pixel."),
            (is_cut_off, "a damaged BMP: cut off, or without pixels."),
        )
    )


def unpacked(rows: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Palette numbers, int64 [h, n], of rows uint8 [h, bytes]; the first pixel in the high bits."""
    per_byte = 8 // bits
    shifts = bits * tf.range(per_byte - 1, -1, -1, dtype=tf.int64)
    values = tf.bitwise.right_shift(tf.cast(rows, tf.int64)[..., None], shifts)
    numbers = tf.bitwise.bitwise_and(values, tf.bitwise.left_shift(tf.ones_like(bits), bits) - 1)
    return tf.reshape(numbers, (tf.shape(rows)[0], -1))


def palette_colours(
    content: tf.Tensor, numbers: tf.Tensor, header_size: tf.Tensor, bits: tf.Tensor
) -> tf.Tensor:
    """Colours uint8 [h, w, 3] of palette numbers int64 [h, w]."""
    entry = 4 - tf.cast(header_size == CORE, tf.int64)
    most = tf.bitwise.left_shift(tf.ones_like(bits), bits)
    named = tf.cast(header_size != CORE, tf.int64) * little(content, 46, 4)
    count = tf.where((named == 0) | (named > most), most, named)
    start = 14 + header_size
    entries = tf.reshape(content[start : start + count * entry], (-1, entry))
    return tf.gather(entries[:, 2::-1], checked(numbers, tf.shape(entries, tf.int64)[0]))


def checked(numbers: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """The numbers, if all of them have a colour: a GPU would take 0 for the others."""
    beyond = tf.reduce_max(numbers) >= count
    fault = refuse_first(((beyond, "a damaged BMP: colours beyond its palette."),))
    with tf.control_dependencies([fault]):
        return tf.identity(numbers)
