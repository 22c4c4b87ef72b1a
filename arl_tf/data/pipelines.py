"""tf.data pipelines of training batches.

Every batch is a function of (seed, step), so a run can resume anywhere.
"""

import numpy as np
import tensorflow as tf

from arl_tf.data.image_sets import ImageSet, to_float
from arl_tf.data.splits import Splits

PRIVATE_STREAM, PUBLIC_STREAM, FLIP_STREAM, SHIFT_STREAM = 11, 12, 13, 14


def epoch_rows(rows: np.ndarray, first: int, count: int, seed: int, stream: int) -> np.ndarray:
    """A piece of an endless stream that walks through `rows` in a new order every epoch.

    Args:
        rows: int64 [N].
        first: position in the stream at which the piece begins.
        count: its length; it may span epochs.
        seed: of the order.
        stream: number of the stream; other streams of the same seed have other orders.

    Returns:
        int64 [count], of `rows`.
    """
    positions = np.arange(first, first + count)
    taken = np.empty(count, np.int64)
    for epoch in np.unique(positions // len(rows)):
        here = positions // len(rows) == epoch
        order = np.random.default_rng([seed, stream, int(epoch)]).permutation(len(rows))
        taken[here] = rows[order[positions[here] % len(rows)]]
    return taken


def flipped(images: np.ndarray, seed: int, step: int, stream: int) -> np.ndarray:
    """Mirrors a random half of the images left to right; [n, H, W, 3]."""
    mirror = np.random.default_rng([seed, FLIP_STREAM, stream, step]).random(len(images)) < 0.5
    return np.where(mirror[:, None, None, None], images[:, :, ::-1], images)


def shifted(images: np.ndarray, pixels: int, seed: int, step: int, stream: int) -> np.ndarray:
    """Moves each image by up to `pixels` in each direction; what comes in mirrors the border.

    Args:
        images: uint8 [n, H, W, 3].
        pixels: greatest shift, 0 to less than H and W; 0 leaves the images as they are.
        seed: of the run.
        step: of the training.
        stream: of the images.
    """
    if not pixels:
        return images
    height, width = images.shape[1:3]
    around = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = np.pad(images, around, mode="reflect")
    drawn = np.random.default_rng([seed, SHIFT_STREAM, stream, step])
    corners = drawn.integers(0, 2 * pixels + 1, (len(images), 2))
    return np.stack(
        [
            image[top : top + height, left : left + width]
            for image, (top, left) in zip(padded, corners, strict=True)
        ]
    )


def training_batches(
    images: ImageSet,
    splits: Splits,
    *,
    batch_size: int,
    decoder_steps: int,
    seed: int,
    first_step: int = 0,
    targets: np.ndarray | None = None,
    shift_pixels: int = 0,
) -> tf.data.Dataset:
    """An endless dataset of training steps.

    Each element is ((private_image, attributes), public_images): float32 [B, S, S, 3] in [0, 1],
    float32 [B, A] in [0, 1], and float32 [decoder_steps, B, S, S, 3] in [0, 1], a fresh public
    batch for every adversary step.

    Args:
        images: the data set.
        splits: private_train feeds the encoder, public_train the adversary; the rest is untouched.
        batch_size: B.
        decoder_steps: adversary steps in a training step.
        seed: of order and flips.
        first_step: the step to begin with, as if those before it had been taken.
        targets: float32 [N, A] in [0, 1] in place of the images' attributes; None: the attributes.
        shift_pixels: how far a private image is moved at most, see `shifted`.
    """
    labels = images.attributes if targets is None else targets
    num_public = batch_size * decoder_steps

    def batch(step: np.ndarray):
        step = int(step)
        private_rows = epoch_rows(
            splits.private_train, step * batch_size, batch_size, seed, PRIVATE_STREAM
        )
        public_rows = epoch_rows(
            splits.public_train, step * num_public, num_public, seed, PUBLIC_STREAM
        )
        private = flipped(images.images[private_rows], seed, step, PRIVATE_STREAM)
        private = shifted(private, shift_pixels, seed, step, PRIVATE_STREAM)
        public = flipped(images.images[public_rows], seed, step, PUBLIC_STREAM)
        return private, labels[private_rows], public

    size = images.images.shape[1:]

    def to_tensors(step):
        private, attributes, public = tf.numpy_function(
            batch, [step], (tf.uint8, tf.as_dtype(labels.dtype), tf.uint8)
        )
        private = to_float(tf.ensure_shape(private, (batch_size, *size)))
        attributes = tf.cast(tf.ensure_shape(attributes, (batch_size, labels.shape[1])), tf.float32)
        public = to_float(tf.reshape(public, (decoder_steps, batch_size, *size)))
        return (private, attributes), public

    dataset = tf.data.Dataset.range(first_step, np.iinfo(np.int64).max)
    dataset = dataset.map(to_tensors, num_parallel_calls=2, deterministic=True).prefetch(4)
    return without_autotune(dataset)


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same data set; autotuning stalls `fit` on few cores, most of all in short epochs."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
