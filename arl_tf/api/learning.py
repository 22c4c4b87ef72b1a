"""Batches for AdversarialRepresentationLearner, from arrays or from datasets."""

import numbers
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from arl_tf.data.labelled.array_labels import is_signs
from arl_tf.data.pipelines import without_autotune
from arl_tf.training.step_images import structure_of

SHUFFLED_ELEMENTS = 10_000


def adversarial_dataset(
    private: Sequence[np.ndarray] | tf.data.Dataset,
    public: np.ndarray | tf.data.Dataset,
    *,
    batch_size: int = 64,
    decoder_steps: int = 1,
    training: bool = True,
    seed: int = 0,
) -> tf.data.Dataset:
    """Pairs private images and labels (X1) with public images (X2), as `fit` takes them.

    An epoch goes once through the private images; public images are repeated as often as needed.
    For training the order is new in every epoch, and an incomplete last batch is left out. For
    `evaluate` and `validation_data` every epoch shows all private images in their order.

    Args:
        private: (images, labels): images [N, S, S, 3] uint8, or floats in [0, 1], and labels
            [N, ...]; or a Dataset of single (image, label).
        public: images likewise [M, S, S, 3], or a Dataset of single images.
        batch_size: B, images of either kind in a step.
        decoder_steps: adversary steps for each encoder step, each on B public images of its own.
        training: whether to shuffle, and to leave an incomplete last batch out.
        seed: of the order.

    Returns:
        ((private_images [B, S, S, 3], labels [B, ...]), public_images): public_images
        [B, S, S, 3] with one decoder step, else [decoder_steps, B, S, S, 3].

    Raises:
        ValueError: images of another shape, type or range, of two sizes, fewer than a batch of
            them, another number of labels, a Dataset of batches or without any element, or a number
            that is not whole or below 1.
    """
    for name, value in (("batch_size", batch_size), ("decoder_steps", decoder_steps)):
        if not isinstance(value, numbers.Integral) or value < 1:
            raise ValueError(f"{name} must be a whole number >= 1; got {value!r}.")
    labelled = private_images(private, batch_size if training else 1)
    seen = public_images(public)
    check_sizes(labelled.element_spec[0], seen.element_spec)
    if training:
        labelled = labelled.shuffle(SHUFFLED_ELEMENTS, seed=seed)
        seen = seen.shuffle(SHUFFLED_ELEMENTS, seed=seed + 1)
    labelled = labelled.batch(batch_size, drop_remainder=training)
    seen = seen.repeat().batch(batch_size, drop_remainder=True)
    if decoder_steps > 1:
        seen = seen.batch(decoder_steps, drop_remainder=True)
    return without_autotune(tf.data.Dataset.zip(labelled, seen).prefetch(4))


def private_images(private: Sequence[np.ndarray] | tf.data.Dataset, fewest: int) -> tf.data.Dataset:
    """Single (image [S, S, 3], label) of X1.

    Args:
        private: as of `adversarial_dataset`.
        fewest: images that are needed.

    Raises:
        ValueError: anything else, or fewer images.
    """
    if isinstance(private, tf.data.Dataset):
        spec = private.element_spec
        if not isinstance(spec, tuple) or len(spec) != 2:
            raise ValueError(f"private must be a Dataset of (image, label); it has {spec}.")
        check_first("private", private.map(lambda image, label: image))
        return private
    if not isinstance(private, (tuple, list)) or len(private) != 2:
        raise ValueError(
            "private must be (images, labels) or a Dataset of (image, label); got"
            f" {structure_of(private)}."
        )
    images, labels = private
    check_images("private", images, fewest)
    if len(labels) != len(images):
        raise ValueError(f"private has {len(images)} images and {len(labels)} labels.")
    if is_signs(np.asarray(labels)):
        raise ValueError(
            "The labels of private are -1 and 1; a binary loss expects 0 and 1: (labels + 1) // 2."
        )
    return tf.data.Dataset.from_tensor_slices((images, labels))


def public_images(public: np.ndarray | tf.data.Dataset) -> tf.data.Dataset:
    """Single images [S, S, 3] of X2; ValueError for anything else."""
    if isinstance(public, tf.data.Dataset):
        if not isinstance(public.element_spec, tf.TensorSpec):
            raise ValueError(
                f"public must be a Dataset of images alone; it has {public.element_spec}."
            )
        check_first("public", public)
        return public
    check_images("public", public, 1)
    return tf.data.Dataset.from_tensor_slices(public)


def check_sizes(private: tf.TensorSpec, public: tf.TensorSpec) -> None:
    """Raises ValueError for batches in place of images [S, S, 3], and for images of two sizes."""
    for name, spec in (("private", private), ("public", public)):
        if spec.shape.rank not in (None, 3):
            raise ValueError(
                f"{name} must hold single images [S, S, 3], got {spec.shape}; batches are made"
                " here: call unbatch() first."
            )
    if not private.shape.is_compatible_with(public.shape):
        raise ValueError(
            f"private and public images must be of one size; got {private.shape} and"
            f" {public.shape}."
        )


def check_first(name: str, images: tf.data.Dataset) -> None:
    """Raises ValueError for an empty Dataset, or if its first image [S, S, 3] shows a misreading.

    Others are not looked at: that would take as long as an epoch.
    """
    first = next(images.take(1).as_numpy_iterator(), None)
    if first is None:
        raise ValueError(f"{name} has no images: the Dataset is empty.")
    if images.element_spec.shape.rank == 3:
        check_images(name, first[None], 1)


def check_images(name: str, images: np.ndarray, fewest: int) -> None:
    """Raises ValueError for arrays that are no images [N, S, S, 3], or fewer than are needed."""
    shape = np.shape(images)
    if len(shape) != 4 or shape[3] != 3:
        raise ValueError(f"{name} images must have the shape [N, S, S, 3], got {list(shape)}.")
    if len(images) < fewest:
        raise ValueError(
            f"{name} has {len(images)} images, fewer than batch_size={fewest}; lower batch_size."
        )
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return
    if not np.issubdtype(images.dtype, np.floating):
        raise ValueError(f"{name} images must be uint8, or floats in [0, 1]; got {images.dtype}.")
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(
            f"{name} images must be uint8, or floats in [0, 1]; got floats from"
            f" {images.min():g} to {images.max():g}. Divide by 255, or give uint8."
        )
