"""CEM: what the noise lets through is bounded by a mixture of Gaussians, and paid for."""

import math

import tensorflow as tf

from arl_tf.defences.definition import Defence, Number, Step
from arl_tf.models import code_layers

COMPONENTS, ROUNDS = 4, 5


def components_of(rows: tf.Tensor, count: int = COMPONENTS) -> tf.Tensor:
    """Assigns rows float32 [B, n] to components by k-means; float32 [B, count] of 0 and 1.

    It starts from the first row and those farthest from what is chosen, so that the same rows
    always give the same components; some may be empty.
    """
    centres = rows[:1]
    for _ in range(count - 1):
        nearest = tf.reduce_min(squared_distances(rows, centres), axis=1)
        farthest = tf.argmax(nearest)
        centres = tf.concat([centres, rows[farthest : farthest + 1]], axis=0)
    for _ in range(ROUNDS):
        members = tf.one_hot(tf.argmin(squared_distances(rows, centres), axis=1), count)
        sizes = tf.reduce_sum(members, axis=0)[:, None]
        means = tf.math.divide_no_nan(tf.matmul(members, rows, transpose_a=True), sizes)
        centres = tf.where(sizes > 0, means, centres)
    return tf.one_hot(tf.argmin(squared_distances(rows, centres), axis=1), count)


def squared_distances(rows: tf.Tensor, centres: tf.Tensor) -> tf.Tensor:
    """Squared distances of rows [B, n] to centres [k, n]; float32 [B, k]."""
    squares = tf.reduce_sum(tf.square(rows), axis=1)[:, None]
    return (
        squares
        + tf.reduce_sum(tf.square(centres), axis=1)
        - 2 * tf.matmul(rows, centres, transpose_b=True)
    )


def information_bound(rows: tf.Tensor, members: tf.Tensor, noise_variance: tf.Tensor) -> tf.Tensor:
    """Bound on the information of a code through Gaussian noise, in nats a value.

    Xia et al. (CVPR 2025, arXiv 2503.00383, their "Gaussian mixture estimation") bound the entropy
    of a Gaussian mixture from above: a mixture with weights p_i has at most sum p_i (-log p_i +
    h_i), where h_i are its components' entropies (Huber et al. 2008, theorem 3). Less the entropy
    of the noise, that is sum_i p_i (-log p_i + 0.5 sum_j log(1 + v_ij / s_j)) with the variance
    v_ij of value j within component i and s_j of its noise. The conditional entropy of the image
    given the code is at least the image's own entropy less this bound.

    Each component has a diagonal covariance: a batch has fewer rows than a code has values. The
    bound still holds, and is looser, because the entropies of single values add up to at least
    that of all of them.

    Args:
        rows: float32 [B, n], codes without their noise.
        members: float32 [B, k] of 0 and 1, the component of each row.
        noise_variance: float32 [n], > 0.

    Returns:
        Scalar >= 0.
    """
    sizes = tf.reduce_sum(members, axis=0)
    shares = sizes / tf.reduce_sum(sizes)
    means = tf.math.divide_no_nan(tf.matmul(members, rows, transpose_a=True), sizes[:, None])
    apart = tf.square(rows - tf.matmul(members, means))
    sums = tf.matmul(members, apart, transpose_a=True)
    variances = tf.math.divide_no_nan(sums, sizes[:, None])
    inside = 0.5 * tf.reduce_sum(tf.math.log1p(variances / noise_variance), axis=1)
    between = -tf.math.xlogy(shares, shares)
    values = tf.cast(tf.shape(rows)[1], tf.float32)
    return tf.reduce_sum(shares * inside + between) / values


def loss(step: Step, bound: float) -> tf.Tensor:
    """The bound for the batch's codes; a scalar >= 0, nats a value.

    The term that the paper's conditional entropy maximisation (CEM) adds to the task's loss. Its
    mixture is fitted to each class; so it is here where the task is one class of several. Of other
    tasks the components are those of k-means on the batch.

    Where ours differs: the paper adds the term to other defences (noise, adversarial training);
    here it stands alone beside Gaussian noise. A class, or a cluster, has one component, with a
    diagonal covariance, and is that of a batch.
    """
    del bound
    noisy, _ = code_layers.bounding_layers(step.encoder)
    values = math.prod(step.means.shape[1:])
    rows = tf.reshape(step.means, (-1, values))
    members = components_of(rows) if step.classes is None else step.classes
    return information_bound(
        rows, tf.stop_gradient(members), tf.reshape(tf.square(noisy.noise_deviation), (-1,))
    )


ENTROPY = Defence(
    "CEM (Xia et al., CVPR 2025, arXiv 2503.00383)",
    Number("Weight of the information a value, in nats of the task for nats.", 1.0, 1e-6),
    Number("Deviation of the noise, for a code of variance 1.", 0.5, 1e-3, 100.0),
    layers=lambda strength, bound: [code_layers.NoisyCode(bound, name="defence_noise")],
    loss=loss,
)
