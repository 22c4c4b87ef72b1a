"""Projection onto a ball of the L1 norm."""

import tensorflow as tf

# Newton's method is exact after as many steps as values reach 0 one by one; in fact after few.
STEPS = 16


def into_l1_ball(values: tf.Tensor, radius: float) -> tf.Tensor:
    """The nearest point of the L1 ball around 0 to each row.

    Every magnitude is lowered by the threshold at which what is left sums to the radius (Duchi et
    al., ICML 2008, section 3). The threshold is found from below by Newton's method (Michelot
    1986); a remainder of it is scaled away, so that the result is in the ball.

    Args:
        values: float32 [B, D].
        radius: > 0.

    Returns:
        float32 [B, D]; rows that are in the ball are returned as they are.
    """
    sizes = tf.abs(values)
    threshold = tf.zeros_like(sizes[:, :1])
    for _ in range(STEPS):
        above = tf.cast(sizes > threshold, sizes.dtype)
        count = tf.maximum(tf.reduce_sum(above, axis=1, keepdims=True), 1.0)
        total = tf.reduce_sum(sizes * above, axis=1, keepdims=True)
        threshold = tf.maximum(threshold, (total - radius) / count)
    left = tf.nn.relu(sizes - threshold)
    total = tf.reduce_sum(left, axis=1, keepdims=True)
    return tf.sign(values) * left * tf.minimum(1.0, radius / tf.maximum(total, radius))
