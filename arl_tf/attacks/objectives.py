"""What attackers minimise, and how it is checked on held-out public images: formula (1)."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from arl_tf.models import losses

JUDGED_AT_ONCE = 128
Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def reconstruction_loss(
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    mu: float,
    pixel_weight: float = 1.0,
) -> Loss:
    """Formula (1) as a function of (image uint8, reconstruction float32)."""

    def loss(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
        image = tf.cast(image, tf.float32) / 255.0
        pixel = pixel_weight * losses.pixel_loss(reconstruction, image)
        if not mu:
            return pixel
        return pixel + mu * losses.perceptual_loss(
            perceptual_features(reconstruction), perceptual_features(image)
        )

    return loss


def held_out_loss(reconstructions: np.ndarray, images: np.ndarray, loss: Loss) -> float:
    """Mean loss of reconstructions float32 [H, S, S, 3] of images uint8 [H, S, S, 3]."""
    total = 0.0
    for start in range(0, len(images), JUDGED_AT_ONCE):
        part = slice(start, start + JUDGED_AT_ONCE)
        value = loss(tf.constant(images[part]), tf.constant(reconstructions[part]))
        total += float(value) * len(images[part])
    return total / len(images)
