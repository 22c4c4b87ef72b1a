"""What attackers minimise, and how it is checked on held-out public images: formula (1)."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from arl_tf.models import losses

JUDGED_AT_ONCE = 128
SSIM_WINDOW = 11
Loss = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]


def reconstruction_loss(
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    mu: float,
    pixel_weight: float = 1.0,
) -> Loss:
    """Formula (1) as a function of image uint8 and reconstruction float32, [B, S, S, 3] each.

    It gives pixel_weight L_pix + mu L_perc, a scalar >= 0. `perceptual_features` is the frozen
    network g: image float32 [B, S, S, 3] in [0, 1] -> maps [B, h, w, c] of unit-length channels.
    """

    def loss(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
        image = tf.cast(image, tf.float32) / 255.0
        pixel = pixel_weight * losses.pixel_loss(reconstruction, image)
        if not mu:
            return pixel
        return pixel + mu * losses.perceptual_loss(
            perceptual_features(reconstruction), perceptual_features(image)
        )

    return loss


def ssim_loss(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
    """1 - SSIM (Wang et al. 2004), a mean over images; in [0, 2].

    Image uint8 [B, S, S, 3], reconstruction float32 in [0, 1]. The window is of 11 pixels, or of
    the image's side where that is less.
    """
    similarity = tf.image.ssim(
        tf.cast(image, tf.float32) / 255.0,
        reconstruction,
        max_val=1.0,
        filter_size=min(SSIM_WINDOW, int(image.shape[1])),
    )
    return 1.0 - tf.reduce_mean(similarity)


def absolute_loss(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
    """Mean absolute difference of image uint8 and reconstruction float32, both [B, S, S, 3]."""
    return tf.reduce_mean(tf.abs(reconstruction - tf.cast(image, tf.float32) / 255.0))


def identity_loss(identity_features: Callable[[tf.Tensor], tf.Tensor]) -> Loss:
    """1 - cosine of two embeddings, a mean over images, as a function of (image, reconstruction).

    `identity_features`: image float32 [B, S, S, 3] in [0, 1] -> float32 [B, E] of length 1.
    """

    def loss(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
        wanted = identity_features(tf.cast(image, tf.float32) / 255.0)
        cosine = tf.reduce_sum(wanted * identity_features(reconstruction), axis=-1)
        return 1.0 - tf.reduce_mean(cosine)

    return loss


def weighted_sum(terms: Sequence[tuple[float, Loss]]) -> Loss:
    """The sum of losses times their weights; those of weight 0 are not computed."""
    kept = [(weight, loss) for weight, loss in terms if weight]
    return lambda image, reconstruction: tf.add_n(
        [weight * loss(image, reconstruction) for weight, loss in kept]
    )


def held_out_loss(reconstructions: np.ndarray, images: np.ndarray, loss: Loss) -> float:
    """Mean loss of reconstructions float32 [H, S, S, 3] of images uint8 [H, S, S, 3]."""
    total = 0.0
    for start in range(0, len(images), JUDGED_AT_ONCE):
        part = slice(start, start + JUDGED_AT_ONCE)
        value = loss(tf.constant(images[part]), tf.constant(reconstructions[part]))
        total += float(value) * len(images[part])
    return total / len(images)
