"""Batches for AdversarialRepresentationLearner, from arrays or from datasets."""

from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from arl_tf.data.pipelines import without_autotune

SHUFFLED_ELEMENTS = 10_000


def adversarial_dataset(
    private: Sequence[np.ndarray] | tf.data.Dataset,
    public: np.ndarray | tf.data.Dataset,
    *,
    batch_size: int = 64,
    decoder_steps: int = 1,
    seed: int = 0,
) -> tf.data.Dataset:
    """Pairs private images and labels (X1) with public images (X2), as `fit` takes them.

    An epoch goes once through the private images in a new order; public images are repeated as
    often as needed. An incomplete last batch is left out.

    Args:
        private: (images, labels): images [N, S, S, 3] uint8, or float32 in [0, 1], and labels
            [N, ...]; or a Dataset of single (image, label).
        public: images likewise [M, S, S, 3], or a Dataset of single images.
        batch_size: B, images of either kind in a step.
        decoder_steps: adversary steps for each encoder step, each on B public images of its own.
        seed: of the order.

    Returns:
        ((private_images [B, S, S, 3], labels [B, ...]), public_images): public_images
        [B, S, S, 3] with one decoder step, else [decoder_steps, B, S, S, 3].

    Raises:
        ValueError: images without the shape [N, S, S, 3], fewer than a batch of them, or another
            number of labels.
    """
    if not isinstance(private, tf.data.Dataset):
        images, labels = private
        check_images("private", images, batch_size)
        if len(labels) != len(images):
            raise ValueError(f"private has {len(images)} images and {len(labels)} labels.")
        private = tf.data.Dataset.from_tensor_slices((images, labels))
    if not isinstance(public, tf.data.Dataset):
        check_images("public", public, 1)
        public = tf.data.Dataset.from_tensor_slices(public)
    labelled = private.shuffle(SHUFFLED_ELEMENTS, seed=seed).batch(batch_size, drop_remainder=True)
    seen = public.shuffle(SHUFFLED_ELEMENTS, seed=seed + 1).repeat()
    seen = seen.batch(batch_size, drop_remainder=True)
    if decoder_steps > 1:
        seen = seen.batch(decoder_steps, drop_remainder=True)
    return without_autotune(tf.data.Dataset.zip(labelled, seen).prefetch(4))


def check_images(name: str, images: np.ndarray, fewest: int) -> None:
    """Raises ValueError for arrays other than [N, S, S, 3], or fewer images than are needed."""
    shape = np.shape(images)
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"{name} images must have the shape [N, S, S, 3], got {list(shape)}.")
    if len(images) < fewest:
        raise ValueError(
            f"{name} has {len(images)} images, fewer than batch_size={fewest}; lower batch_size."
        )
