"""How a camera was held: EXIF's orientation, read and applied, in TensorFlow operations.

One rule for JPEG, PNG and WebP: the first EXIF block counts; in its first directory the first entry
of tag 0x0112 that is one unsigned short of 1 to 8. Anything else means upright. BMP and GIF have no
EXIF. serving/ has the same rule without TensorFlow.

Source: EXIF 2.32, 4.6.2 and 4.6.4 (tag 274), which builds on TIFF 6.0, section 2.
"""

import tensorflow as tf

from arl_tf.data.pictures.file_bytes import is_one_of

ORIENTATION_TAG, SHORT = 0x0112, 3
EXIF_PREFIX = b"Exif\0\0"
BIG, LITTLE = b"MM\0*", b"II*\0"
# Bytes of the header, of a directory's count, of an entry.
HEADER, COUNT, ENTRY = 8, 2, 12


def orientation_of(image_bytes: tf.Tensor, block: tf.Tensor) -> tf.Tensor:
    """The orientation that an EXIF block names, 1 where it names none.

    Args:
        image_bytes: string scalar, the file.
        block: int64 [2], start and end of the block in it; zeros without one.

    Returns:
        int64 scalar, 1 to 8.
    """
    upright_one = tf.constant(1, tf.int64)

    def read():
        size = tf.strings.length(image_bytes)
        start = tf.minimum(tf.cast(block[0], tf.int32), size)
        content = tf.strings.substr(image_bytes, start, tf.cast(block[1], tf.int32) - start)
        has_prefix = tf.strings.substr(content, 0, len(EXIF_PREFIX)) == EXIF_PREFIX
        at = tf.where(has_prefix, len(EXIF_PREFIX), 0)
        content = tf.strings.substr(content, at, tf.maximum(tf.strings.length(content) - at, 0))
        order = tf.strings.substr(content, 0, len(BIG))
        is_exif = ((order == BIG) | (order == LITTLE)) & (tf.strings.length(content) >= HEADER)
        return tf.cond(is_exif, lambda: named(content, order == BIG), lambda: upright_one)

    return tf.cond(block[0] > 0, read, lambda: upright_one)


def named(content: tf.Tensor, is_big: tf.Tensor) -> tf.Tensor:
    """The orientation in the first directory of an EXIF block; int64 scalar, 1 without one.

    Args:
        content: string scalar, from the byte order's mark on, at least HEADER bytes.
        is_big: bool scalar, whether the most significant byte comes first.
    """
    values = tf.cast(tf.io.decode_raw(content, tf.uint8), tf.int64)

    def number(rows, size):
        """Numbers int64 [...] of bytes int64 [..., size]."""
        # Reversed here: TensorFlow's layout optimizer fails at a slice with a negative stride.
        little = [256**place for place in range(size)]
        big = little[::-1]
        weights = tf.where(is_big, tf.constant(big, tf.int64), tf.constant(little, tf.int64))
        return tf.reduce_sum(rows * weights, axis=-1)

    directory = values[tf.minimum(number(values[4:8], 4), tf.size(values, tf.int64)) :]
    announced = number(tf.pad(directory[:COUNT], [[0, COUNT]])[:COUNT], COUNT)
    entries = directory[COUNT:]
    count = tf.minimum(announced, tf.size(entries, tf.int64) // ENTRY)
    entries = tf.reshape(entries[: count * ENTRY], (-1, ENTRY))
    tag, kind = number(entries[:, :2], 2), number(entries[:, 2:4], 2)
    length, value = number(entries[:, 4:8], 4), number(entries[:, 8:10], 2)
    is_it = (tag == ORIENTATION_TAG) & (kind == SHORT) & (length == 1) & (value >= 1) & (value <= 8)
    return tf.concat([tf.boolean_mask(value, is_it), [1]], axis=0)[0]


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors a stored picture so that it stands as the camera saw it.

    Args:
        image: uint8 [h, w, 3].
        orientation: int64 scalar, 1 to 8.

    Returns:
        uint8 [h, w, 3], or [w, h, 3] for 5 to 8.
    """

    def turned():
        there = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
        flips = [is_one_of(orientation, (3, 4, 7, 8)), is_one_of(orientation, (2, 3, 6, 7))]
        return tf.reverse(there, tf.cast(tf.where(tf.stack(flips))[:, 0], tf.int32))

    return tf.cond(orientation == 1, lambda: image, turned)
