"""Images as a learner's step takes them: floats, with an axis of adversary steps where needed."""

import numpy as np
import tensorflow as tf

from arl_tf.data.image_sets import to_float

MEAN_IMAGE_BATCHES = 50


def as_float(images: tf.Tensor) -> tf.Tensor:
    """Images [..., S, S, 3] as float32 in [0, 1]: uint8 ones are scaled, others taken as is."""
    images = tf.convert_to_tensor(images)
    return to_float(images) if images.dtype == tf.uint8 else images


def by_step(public_images: tf.Tensor, decoder_steps: int) -> tf.Tensor:
    """Public images with an axis of adversary steps.

    Args:
        public_images: float32 [steps, B, S, S, 3], or [B, S, S, 3] for one step.
        decoder_steps: adversary steps that need images; 0 where no decoder learns.

    Returns:
        float32 [steps, B, S, S, 3].

    Raises:
        ValueError: images for fewer steps than there are.
    """
    if public_images.shape.rank == 4:
        public_images = public_images[None]
    given = public_images.shape[0]
    if given is not None and given < decoder_steps:
        raise ValueError(
            f"decoder_steps={decoder_steps} needs public images of shape"
            f" [{decoder_steps}, B, S, S, 3], got {public_images.shape}."
        )
    return public_images


def as_target(mean_image: np.ndarray) -> tf.Tensor:
    """A mean image float32 [S, S, 3] as a target of a batch's reconstructions: [1, S, S, 3]."""
    return tf.constant(mean_image[None], tf.float32)


def mean_public_image(batches: tf.data.Dataset) -> np.ndarray:
    """Mean of the public images of the first batches of a dataset; float32 [S, S, 3] in [0, 1]."""
    means = [
        tf.reduce_mean(tf.reshape(as_float(public), (-1, *public.shape[-3:])), axis=0).numpy()
        for _, public in batches.take(MEAN_IMAGE_BATCHES)
    ]
    return np.mean(means, axis=0)
