"""Numbers read out of a file's bytes, in TensorFlow operations. No offset can lead outside.

Each operation costs a microsecond or more in every picture, hence few and wide ones.
"""

import tensorflow as tf

# Zeros behind a file's bytes, so that a few bytes can be read at any place of it.
MARGIN = 64


def file_content(image_bytes: tf.Tensor) -> tf.Tensor:
    """A file's bytes with a margin of zeros: string scalar -> uint8 [n + MARGIN]."""
    return tf.concat([tf.io.decode_raw(image_bytes, tf.uint8), tf.zeros(MARGIN, tf.uint8)], 0)


def file_size(content: tf.Tensor) -> tf.Tensor:
    """Number of bytes of the file; int64 scalar."""
    return tf.size(content, tf.int64) - MARGIN


def part(content: tf.Tensor, start: tf.Tensor | int, size: int) -> tf.Tensor:
    """Bytes from a place on; outside of the file they are 0.

    Args:
        content: uint8 [n + MARGIN].
        start: int64 scalar, >= 0.
        size: number of bytes, at most MARGIN.

    Returns:
        int64 [size].
    """
    start = tf.minimum(tf.cast(start, tf.int64), file_size(content))
    return tf.ensure_shape(tf.cast(content[start : start + size], tf.int64), (size,))


def numbers(content: tf.Tensor, start: tf.Tensor | int, fields: tuple) -> list[tf.Tensor]:
    """Unsigned numbers that stand near each other.

    Args:
        content: uint8 [n + MARGIN].
        start: int64 scalar, the place from which the fields count.
        fields: (offset, number of bytes, "big" or "little") of each.

    Returns:
        int64 scalars.
    """
    width = max(offset + size for offset, size, _ in fields)
    rows = []
    for offset, size, order in fields:
        weights = [256**place for place in range(size)]
        weights = weights if order == "little" else weights[::-1]
        rows.append([0] * offset + weights + [0] * (width - offset - size))
    values = tf.reduce_sum(tf.constant(rows, tf.int64) * part(content, start, width), axis=1)
    return tf.unstack(values)


def is_one_of(value: tf.Tensor, wanted: tuple[int, ...]) -> tf.Tensor:
    """Whether a number is in a list; bool scalar."""
    return tf.reduce_any(value == tf.constant(wanted, tf.int64))
