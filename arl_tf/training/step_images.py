"""Images as a learner's step takes them: floats, with an axis of adversary steps where needed."""

from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.data.image_sets import to_float

MEAN_IMAGE_BATCHES = 50
BATCHES = (
    "batches ((images, labels), public images), as arl_tf.adversarial_dataset makes them, without"
    " weights"
)


def parts_of(batch: Any) -> tuple[tuple[tf.Tensor, Any], tf.Tensor]:
    """((private images [B, S, S, 3], labels), public images [..., S, S, 3]) of a batch.

    Raises:
        ValueError: it is of another structure.
    """
    is_pair = isinstance(batch, (tuple, list)) and len(batch) == 2
    if not is_pair or not isinstance(batch[0], (tuple, list)) or len(batch[0]) != 2:
        raise ValueError(f"A learner takes {BATCHES}; got {structure_of(batch)}.")
    (private, labels), public = batch
    return (private, labels), public


def structure_of(batch: Any) -> str:
    """The structure of a batch in words: "(Tensor [8, 32, 32, 3], Tensor [8])"."""
    if isinstance(batch, (tuple, list)):
        return f"({', '.join(map(structure_of, batch))})"
    shape = getattr(batch, "shape", None)
    return type(batch).__name__ if shape is None else f"a tensor of shape {list(shape)}"


def as_float(images: tf.Tensor) -> tf.Tensor:
    """Images [..., S, S, 3] as float32 in [0, 1]: uint8 ones are scaled, floats taken as they are.

    Raises:
        ValueError: images of another type.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype == tf.uint8:
        return to_float(images)
    if not images.dtype.is_floating:
        raise ValueError(
            f"Images must be uint8, or floats in [0, 1]; got {images.dtype.name}"
            f" {list(images.shape)}."
        )
    return tf.cast(images, tf.float32)


def as_float32(given: tf.Tensor) -> tf.Tensor:
    """What a player gives, of any shape, as float32: under mixed precision it may be of 16 bits."""
    return tf.cast(given, tf.float32)


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
    """Mean of the public images of the first batches of a dataset; float32 [S, S, 3] in [0, 1].

    Raises:
        ValueError: it is no dataset, and looking at its batches might use them up.
    """
    if not isinstance(batches, tf.data.Dataset):
        raise ValueError(
            "The form toward_mean needs the mean public image: give mean_image= to the learner, or"
            f" a tf.data.Dataset to fit; got {type(batches).__name__}."
        )
    means = [
        tf.reduce_mean(tf.reshape(as_float(public), (-1, *public.shape[-3:])), axis=0).numpy()
        for _, public in batches.take(MEAN_IMAGE_BATCHES)
    ]
    return np.mean(means, axis=0)
