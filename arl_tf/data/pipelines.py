"""tf.data pipelines of training batches.

Every batch is a function of (seed, step), so a run can resume anywhere.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from arl_tf.data.augmentation import coloured, cut_out
from arl_tf.data.image_sets import ImageSet, to_float
from arl_tf.data.splits import Splits

PRIVATE_STREAM, PUBLIC_STREAM, FLIP_STREAM, SHIFT_STREAM = 11, 12, 13, 14
SCALE_STREAM, COLOUR_STREAM = 15, 16


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
        order = epoch_order(len(rows), seed, stream, int(epoch))
        taken[here] = rows[order[positions[here] % len(rows)]]
    return taken


@functools.lru_cache(maxsize=8)
def epoch_order(length: int, seed: int, stream: int, epoch: int) -> np.ndarray:
    """A permutation int64 [length], read-only, that seed, stream and epoch decide.

    Kept, because all batches of an epoch take their part of the same one.
    """
    order = np.random.default_rng([seed, stream, epoch]).permutation(length)
    order.setflags(write=False)
    return order


@dataclasses.dataclass(frozen=True)
class Shares:
    """The equal parts of every batch that one process prepares, for as many devices.

    Attributes:
        first: number of the first part.
        here: parts that this process prepares, one after the other.
        count: parts of a batch in all.
    """

    first: int = 0
    here: int = 1
    count: int = 1

    def step_and_places(self, element: int, batch_size: int) -> tuple[int, np.ndarray]:
        """The step of an element of the data set, and its images' places in the batch, int [n]."""
        step, number = divmod(element, self.here)
        size = batch_size // self.count
        return step, np.arange(size) + (self.first + number) * size


WHOLE = Shares()


@dataclasses.dataclass(frozen=True)
class Places:
    """Where images stand in a batch: what is drawn for one depends on nothing else.

    Attributes:
        numbers: int64 [n].
        total: images of the batch.
    """

    numbers: np.ndarray
    total: int


def flipped(
    images: np.ndarray, seed: int, step: int, stream: int, places: Places | None = None
) -> np.ndarray:
    """Mirrors a random half of the images left to right; [n, H, W, 3].

    `places` is None where the images are the whole batch.
    """
    places = places or Places(np.arange(len(images)), len(images))
    drawn = np.random.default_rng([seed, FLIP_STREAM, stream, step]).random(places.total)
    mirror = drawn[places.numbers] < 0.5
    return np.where(mirror[:, None, None, None], images[:, :, ::-1], images)


def shifted(
    images: np.ndarray,
    pixels: int,
    seed: int,
    step: int,
    stream: int,
    places: Places | None = None,
) -> np.ndarray:
    """Moves each image by up to `pixels` in each direction; what comes in mirrors the border.

    Args:
        images: uint8 [n, H, W, 3].
        pixels: greatest shift, 0 to less than H and W; 0 leaves the images as they are.
        seed: of the run.
        step: of the training.
        stream: of the images.
        places: of the images in the batch; None where they are the whole batch.

    Returns:
        uint8 [n, H, W, 3].
    """
    if not pixels:
        return images
    places = places or Places(np.arange(len(images)), len(images))
    height, width = images.shape[1:3]
    around = ((0, 0), (pixels, pixels), (pixels, pixels), (0, 0))
    padded = np.pad(images, around, mode="reflect")
    drawn = np.random.default_rng([seed, SHIFT_STREAM, stream, step])
    corners = drawn.integers(0, 2 * pixels + 1, (places.total, 2))[places.numbers]
    return np.stack(
        [
            image[top : top + height, left : left + width]
            for image, (top, left) in zip(padded, corners, strict=True)
        ]
    )


def drawn_numbers(numbers: Sequence[int], columns: int, places: Places) -> np.ndarray:
    """Uniform numbers float64 [n, columns] in [0, 1) for images at places of a batch.

    `numbers` are the seed: those of run, purpose, stream and step.
    """
    drawn = np.random.default_rng(list(numbers)).random((places.total, columns))
    return drawn[places.numbers]


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How the private images of training steps are varied, beside being mirrored.

    Attributes:
        shift_pixels: how far an image is moved at most, see `shifted`.
        scale: share of the side that is cut off at most, in [0, 1), see `augmentation.cut_out`.
        colour: greatest change, in [0, 1], see `augmentation.coloured`.
    """

    shift_pixels: int = 0
    scale: float = 0.0
    colour: float = 0.0

    def varied(self, images: np.ndarray, seed: int, step: int, places: Places) -> np.ndarray:
        """Private images uint8 [n, S, S, 3] of a step, as seed and places draw it."""
        images = shifted(images, self.shift_pixels, seed, step, PRIVATE_STREAM, places)
        numbers = [PRIVATE_STREAM, step]
        by_scale = drawn_numbers([seed, SCALE_STREAM, *numbers], 3, places)
        by_colour = drawn_numbers([seed, COLOUR_STREAM, *numbers], 4, places)
        return coloured(cut_out(images, self.scale, by_scale), self.colour, by_colour)


ONLY_MIRRORED = Augmentation()


def training_batches(
    images: ImageSet,
    splits: Splits,
    *,
    batch_size: int,
    decoder_steps: int,
    seed: int,
    first_step: int = 0,
    targets: np.ndarray | None = None,
    augmentation: Augmentation = ONLY_MIRRORED,
    shares: Shares = WHOLE,
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
        augmentation: of private images; all are mirrored at random in any case.
        shares: the parts of each batch to prepare; each is an element with B // count images. Only
            the images of these parts are read, augmented and batched.
    """
    labels = images.attributes if targets is None else targets
    num_public = batch_size * decoder_steps

    def batch(element: np.ndarray):
        step, places = shares.step_and_places(int(element), batch_size)
        step += first_step
        private_rows = epoch_rows(
            splits.private_train, step * batch_size, batch_size, seed, PRIVATE_STREAM
        )[places]
        public_places = (places + batch_size * np.arange(decoder_steps)[:, None]).ravel()
        public_rows = epoch_rows(
            splits.public_train, step * num_public, num_public, seed, PUBLIC_STREAM
        )[public_places]
        here, there = Places(places, batch_size), Places(public_places, num_public)
        private = flipped(images.images[private_rows], seed, step, PRIVATE_STREAM, here)
        private = augmentation.varied(private, seed, step, here)
        public = flipped(images.images[public_rows], seed, step, PUBLIC_STREAM, there)
        return private, labels[private_rows], public

    shape = (decoder_steps, batch_size // shares.count, *images.images.shape[1:])
    return steps_of(batch, shape, labels)


def steps_of(
    batch: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]],
    public_shape: tuple[int, ...],
    labels: np.ndarray,
) -> tf.data.Dataset:
    """A dataset of training steps, see `training_batches`.

    Args:
        batch: number of an element -> private images uint8 [B, S, S, 3], labels [B, A], and public
            images uint8 [decoder_steps * B, S, S, 3].
        public_shape: (decoder_steps, B, S, S, 3).
        labels: [N, A], of all images.
    """
    types = (tf.uint8, tf.as_dtype(labels.dtype), tf.uint8)

    def to_tensors(element):
        private, attributes, public = tf.numpy_function(batch, [element], types)
        private = to_float(tf.ensure_shape(private, public_shape[1:]))
        attributes = tf.ensure_shape(attributes, (public_shape[1], labels.shape[1]))
        return (private, tf.cast(attributes, tf.float32)), to_float(
            tf.reshape(public, public_shape)
        )

    dataset = tf.data.Dataset.range(np.iinfo(np.int64).max)
    dataset = dataset.map(to_tensors, num_parallel_calls=2, deterministic=True).prefetch(4)
    return without_autotune(dataset)


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """The same data set; autotuning stalls `fit` on few cores, most of all in short epochs."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
