"""Numbers read out of a file's bytes, in TensorFlow operations. No offset can lead outside."""

import tensorflow as tf


def part(content: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    """Bytes from a place on; what lies behind the end is 0.

    Args:
        content: uint8 [n].
        start: int64 scalar; a negative one counts as the end.
        size: number of bytes.

    Returns:
        int64 [size].
    """
    end = tf.size(content, tf.int64)
    start = tf.where((start < 0) | (start > end), end, start)
    found = content[start : start + size]
    missing = tf.cast(size, tf.int64) - tf.size(found, tf.int64)
    return tf.ensure_shape(tf.cast(tf.pad(found, [[0, missing]]), tf.int64), (size,))


def big(content: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    """An unsigned number, the most significant byte first; int64 scalar."""
    weights = tf.constant([256**place for place in reversed(range(size))], tf.int64)
    return tf.reduce_sum(part(content, start, size) * weights)


def little(content: tf.Tensor, start: tf.Tensor, size: int) -> tf.Tensor:
    """An unsigned number, the least significant byte first; int64 scalar."""
    weights = tf.constant([256**place for place in range(size)], tf.int64)
    return tf.reduce_sum(part(content, start, size) * weights)


def begins(content: tf.Tensor, start: tf.Tensor, expected: bytes) -> tf.Tensor:
    """Whether these bytes stand at a place; bool scalar."""
    return tf.reduce_all(part(content, start, len(expected)) == list(expected))


def is_one_of(value: tf.Tensor, numbers: tuple[int, ...]) -> tf.Tensor:
    """Whether a number is in a list; bool scalar."""
    return tf.reduce_any(value == tf.constant(numbers, tf.int64))
