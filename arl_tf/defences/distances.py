"""Distances of the rows of a batch."""

import tensorflow as tf


def squared_distances(rows: tf.Tensor) -> tf.Tensor:
    """Squared Euclidean distances of the rows of float32 [B, ...]; float32 [B, B].

    What should be 0 may be off by rounding, to either side.
    """
    flat = tf.reshape(rows, (tf.shape(rows)[0], -1))
    # Centred, or the difference of large squares would lose its digits.
    flat -= tf.reduce_mean(flat, axis=0)
    squares = tf.reduce_sum(tf.square(flat), axis=1)
    return squares[:, None] + squares[None] - 2 * tf.matmul(flat, flat, transpose_b=True)
