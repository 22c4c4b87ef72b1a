"""NoPeek: codes whose distances tell little of the distances of their images."""

import tensorflow as tf

from arl_tf.defences.definition import Defence, Number, Step
from arl_tf.defences.distances import squared_distances

# Added to squared distances: the root has no gradient at 0.
LEAST_SQUARE = 1e-8


def distances(rows: tf.Tensor) -> tf.Tensor:
    """Euclidean distances of the rows of float32 [B, ...]; float32 [B, B], 0 on the diagonal."""
    squared = squared_distances(rows)
    # Rounding would leave a distance of each row to itself.
    squared = tf.linalg.set_diag(squared, tf.zeros_like(squared[0]))
    apart = squared > LEAST_SQUARE
    return tf.where(apart, tf.sqrt(tf.where(apart, squared, 1.0)), 0.0)


def doubly_centred(matrix: tf.Tensor) -> tf.Tensor:
    """A matrix [B, B] without the means of its rows and columns."""
    rows, columns = (tf.reduce_mean(matrix, axis=axis, keepdims=True) for axis in (1, 0))
    return matrix - rows - columns + tf.reduce_mean(matrix)


def distance_correlation(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
    """Squared distance correlation of a batch (Szekely et al. 2007, definition 5).

    dCov^2(X, Y) / sqrt(dCov^2(X, X) dCov^2(Y, Y)), where dCov^2 is the mean product of the doubly
    centred matrices of distances. 0 only for independent data (of infinitely many rows), 1 for
    equal data. A batch of few rows and many values has a high one whatever it holds.

    Args:
        one: float32 [B, ...].
        other: float32 [B, ...].

    Returns:
        Scalar in [0, 1].
    """
    first, second = doubly_centred(distances(one)), doubly_centred(distances(other))
    covariance = tf.reduce_mean(first * second)
    variances = tf.reduce_mean(tf.square(first)) * tf.reduce_mean(tf.square(second))
    return covariance / tf.sqrt(variances + LEAST_SQUARE)


def loss(step: Step, bound: float) -> tf.Tensor:
    """The distance correlation of images and codes (Vepakomma et al. 2020, section III).

    A scalar in [0, 1]. The paper adds it to the cross-entropy with a weight. It does not say
    whether its DCOR is squared; ours is, since the root has no gradient where the correlation is 0.
    """
    del bound
    return distance_correlation(step.images, step.codes)


NOPEEK = Defence(
    "NoPeek (Vepakomma et al., ICDM workshops 2020, arXiv 2008.09161)",
    Number("Weight of the distance correlation, in nats.", 1.0, 1e-6),
    loss=loss,
)
