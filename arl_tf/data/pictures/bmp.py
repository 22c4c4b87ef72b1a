"""Reads Windows bitmaps in TensorFlow operations.

TensorFlow's own decoder takes palette numbers for grey levels and does not look at bit fields.
Source: Microsoft, "Bitmap Storage" (BITMAPFILEHEADER, BITMAPCOREHEADER, BITMAPINFOHEADER).
"""

from typing import NamedTuple

import tensorflow as tf

from arl_tf.data.pictures.file_bytes import file_size, is_one_of, numbers, part
from arl_tf.data.pictures.formats import refuse_first

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
        content: uint8 [n + MARGIN], the file.

    Returns:
        uint8 [h, w, 3], RGB.

    Raises:
        tf.errors.InvalidArgumentError: the bitmap is compressed, has 16 bits, other bit fields or
            another header, or is cut off.
    """
    info = bmp_info(content)
    width, height, bits, start = info.width, info.height, info.bits, info.start
    stride = (width * bits + 31) // 32 * 4
    with tf.control_dependencies([check_bmp(content, info, start + height * stride)]):
        rows = tf.reshape(content[start : start + height * stride], (height, stride))
    image = tf.cond(
        bits <= 8,
        lambda: palette_colours(content, unpacked(rows, bits)[:, :width], info),
        lambda: in_rgb_order(
            tf.reshape(rows[:, : width * (bits // 8)], (height, width, bits // 8))
        ),
    )
    return tf.cond(info.is_downward, lambda: image, lambda: tf.reverse(image, axis=[0]))


def in_rgb_order(colours: tf.Tensor) -> tf.Tensor:
    """Red, green, blue of a bitmap's blue, green, red and what may follow: uint8 [..., 3 or 4]."""
    return tf.reverse(colours[..., :3], axis=[-1])


class BmpInfo(NamedTuple):
    """A bitmap's headers; int64 scalars, `is_downward` bool: the first row is the upper one."""

    header_size: tf.Tensor
    start: tf.Tensor
    width: tf.Tensor
    height: tf.Tensor
    is_downward: tf.Tensor
    bits: tf.Tensor
    compression: tf.Tensor
    colours: tf.Tensor


def bmp_info(content: tf.Tensor) -> BmpInfo:
    """Reads the headers.

    Args:
        content: uint8 [n + MARGIN], the file.
    """
    places = ((10, 4), (14, 4), (18, 4), (22, 4), (28, 2), (30, 4), (46, 4))
    fields = tuple((offset, size, "little") for offset, size in places)
    start, header_size, width, height, bits, compression, colours = numbers(content, 0, fields)
    core = numbers(content, 0, ((18, 2, "little"), (20, 2, "little"), (24, 2, "little")))
    is_core, zero = header_size == CORE, tf.constant(0, tf.int64)
    is_downward = ~is_core & (height >= 2**31)
    return BmpInfo(
        header_size,
        start,
        tf.where(is_core, core[0], width),
        tf.where(is_core, core[1], tf.where(is_downward, 2**32 - height, height)),
        is_downward,
        tf.where(is_core, core[2], bits),
        tf.where(is_core, zero, compression),
        tf.where(is_core, zero, colours),
    )


def check_bmp(content: tf.Tensor, info: BmpInfo, end: tf.Tensor) -> tf.Operation:
    """Refuses what is not read, in words.

    Args:
        content: uint8 [n + MARGIN], the file.
        info: its headers.
        end: int64 scalar, where its pixels end.

    Returns:
        An operation that raises tf.errors.InvalidArgumentError.
    """
    has_masks = info.compression == BIT_FIELDS
    is_read = has_masks & (info.bits == 32) & tf.reduce_all(part(content, 54, 12) == list(MASKS))
    is_cut_off = (info.width < 1) | (info.width >= 2**31) | (info.height < 1)
    is_cut_off |= end > file_size(content)
    return refuse_first(
        (
            (~is_one_of(info.header_size, HEADER_SIZES), "a BMP with an unknown header."),
            (info.bits == 16, "a BMP of 16 bits a pixel."),
            (is_one_of(info.compression, (3, 6)) & ~is_read, "a BMP with bit fields."),
            ((info.compression != PLAIN) & ~is_read, "a compressed BMP."),
            (~is_one_of(info.bits, BITS), "a BMP of an unknown number of bits a pixel."),
            (is_cut_off, "a damaged BMP: cut off, or without pixels."),
        )
    )


def unpacked(rows: tf.Tensor, bits: tf.Tensor) -> tf.Tensor:
    """Palette numbers, int64 [h, n], of rows uint8 [h, bytes]; the first pixel in the high bits."""
    per_byte = 8 // bits
    shifts = bits * tf.range(per_byte - 1, -1, -1, dtype=tf.int64)
    values = tf.bitwise.right_shift(tf.cast(rows, tf.int64)[..., None], shifts)
    places = tf.bitwise.bitwise_and(values, tf.bitwise.left_shift(tf.ones_like(bits), bits) - 1)
    return tf.reshape(places, (tf.shape(rows)[0], -1))


def palette_colours(content: tf.Tensor, places: tf.Tensor, info: BmpInfo) -> tf.Tensor:
    """Colours uint8 [h, w, 3] of palette numbers int64 [h, w]."""
    entry = tf.where(info.header_size == CORE, tf.constant(3, tf.int64), 4)
    most = tf.bitwise.left_shift(tf.ones_like(info.bits), info.bits)
    count = tf.where((info.colours == 0) | (info.colours > most), most, info.colours)
    start = 14 + info.header_size
    held = tf.minimum(count, tf.maximum(file_size(content) - start, 0) // entry)
    entries = tf.reshape(content[start : start + held * entry], (-1, entry))
    return tf.gather(in_rgb_order(entries), checked(places, held))


def checked(places: tf.Tensor, count: tf.Tensor) -> tf.Tensor:
    """Palette numbers int64 [h, w], if all have a colour: a GPU would take 0 for the others."""
    beyond = tf.reduce_max(places) >= count
    fault = refuse_first(((beyond, "a damaged BMP: colours beyond its palette."),))
    with tf.control_dependencies([fault]):
        return tf.identity(places)
