"""Fresh attackers on frozen codes: arrays in, an AttackResult out.

They share nothing with training's adversary.
"""

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf import losses, models

STEPS_BETWEEN_CHECKS = 100
DECODED_AT_ONCE = 128


@dataclasses.dataclass(frozen=True)
class PublicPairs:
    """What an adversary collects by asking the encoder: codes of public images.

    Attributes:
        codes: float32 [N, ...].
        images: uint8 [N, S, S, 3].
        held_out_codes: likewise, of other images; they choose when to stop, nothing else.
        held_out_images: what they are codes of.
    """

    codes: np.ndarray
    images: np.ndarray
    held_out_codes: np.ndarray
    held_out_images: np.ndarray


@dataclasses.dataclass(frozen=True)
class DecoderSettings:
    """Size and training of an attacking decoder (see `models.build_decoder`).

    Attributes:
        width: of the decoder.
        depth: of the decoder.
        steps: of the optimizer (rounded up to whole intervals between checks).
        batch_size: public images in a step.
        learning_rate: peak of a cosine decay.
        mu: weight of the perceptual beside the pixel loss.
        seed: draws weights and order.
    """

    width: int
    depth: int
    steps: int
    batch_size: int
    learning_rate: float
    mu: float
    seed: int


@dataclasses.dataclass(frozen=True)
class AttackResult:
    """What an attack made of the codes it was given.

    Attributes:
        name: of the attack.
        knowledge: "black-box" (codes of chosen images) or "white-box" (the encoder itself).
        settings: JSON-able.
        seconds: wall time of attacker's training and reconstruction.
        held_out_loss: the attacker's own loss on held-out public images, checked at equal intervals
            of at most STEPS_BETWEEN_CHECKS steps.
        reconstructions: float32 [N, S, S, 3] in [0, 1].
    """

    name: str
    knowledge: str
    settings: Mapping[str, Any]
    seconds: float
    held_out_loss: tuple[float, ...]
    reconstructions: np.ndarray


def decoder_attack(
    pairs: PublicPairs,
    target_codes: np.ndarray,
    *,
    name: str,
    settings: DecoderSettings,
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    verbose: int = 0,
) -> AttackResult:
    """Black-box inversion: a new decoder learns public pairs, then decodes unseen images' codes.

    The weights with the best held-out loss are kept. The decoder is told the position of every code
    beside it, so that a code without any information still leads to the mean image.

    Args:
        pairs: public codes and images.
        target_codes: float32 [M, ...], the codes to invert.
        name: of the attack in the report.
        settings: of the decoder and its training.
        perceptual_features: the frozen network g; image -> feature maps of unit-length channels.
        verbose: Keras' verbosity.

    Raises:
        ValueError: the training diverged, or the codes' shape can't be decoded.
    """
    started = time.perf_counter()
    keras.utils.set_random_seed(settings.seed)
    scale = code_scale(pairs.codes)
    decoder = models.build_decoder(
        with_position(pairs.codes[:1]).shape[1:],
        image_size=pairs.images.shape[1],
        width=settings.width,
        depth=settings.depth,
        name="attacker",
    )
    held_out_loss = train_decoder(
        decoder,
        attack_batches(
            with_position(scale(pairs.codes)), pairs.images, settings.batch_size, settings.seed
        ),
        held_out_batches(with_position(scale(pairs.held_out_codes)), pairs.held_out_images),
        settings=settings,
        loss=reconstruction_loss(perceptual_features, settings.mu),
        verbose=verbose,
    )
    if not np.isfinite(held_out_loss).all():
        raise ValueError(
            f"Attack {name} diverged (held-out loss {held_out_loss[-1]}); lower"
            " --attacker_learning_rate."
        )
    reconstructions = decoder.predict(
        with_position(scale(target_codes)), batch_size=DECODED_AT_ONCE, verbose=0
    )
    return AttackResult(
        name=name,
        knowledge="black-box",
        settings={**dataclasses.asdict(settings), "parameters": decoder.count_params()},
        seconds=time.perf_counter() - started,
        held_out_loss=held_out_loss,
        reconstructions=reconstructions,
    )


def train_decoder(
    decoder: keras.Model,
    batches: tf.data.Dataset,
    held_out: tf.data.Dataset,
    *,
    settings: DecoderSettings,
    loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    verbose: int,
) -> tuple[float, ...]:
    """Trains a decoder and leaves it with its best weights; returns the held-out losses."""
    checks = -(-settings.steps // STEPS_BETWEEN_CHECKS)
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.steps, alpha=0.01, warmup_steps=0
    )
    decoder.compile(keras.optimizers.Adam(rate, global_clipnorm=5.0), loss=loss, jit_compile=False)
    history = decoder.fit(
        batches,
        validation_data=held_out,
        epochs=checks,
        steps_per_epoch=-(-settings.steps // checks),
        shuffle=False,
        verbose=verbose,
        callbacks=[
            keras.callbacks.EarlyStopping(patience=max(3, checks // 3), restore_best_weights=True),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    return tuple(float(value) for value in history.history["val_loss"])


def code_scale(codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that shifts and scales every channel to the public codes' mean 0 and deviation 1.

    However small the scale of a channel is, it is no protection. Only a channel that varies by less
    than float32 resolves is not scaled: a constant must not be blown up into noise.
    """
    axes = tuple(range(codes.ndim - 1))
    # In float32, sums over many codes would be off by more than such a channel varies.
    mean = codes.mean(axis=axes, dtype=np.float64)
    deviation = codes.std(axis=axes, dtype=np.float64)
    resolved = deviation > np.finfo(np.float32).eps * np.abs(mean)
    deviation = np.where(resolved, deviation, 1.0)
    return lambda values: ((values - mean) / deviation).astype(np.float32)


def with_position(codes: np.ndarray) -> np.ndarray:
    """Appends what an adversary knows of every code: where it is.

    Without it a decoder of constant codes is dead (all its inputs are 0), and one of noise can tell
    the picture's middle from its edges by padding alone.

    Args:
        codes: float32 [N, h, w, c] or [N, c].

    Returns:
        float32 [N, h, w, c + 2], row and column from -1 to 1 behind the code; or [N, c + 1], a one.
    """
    if codes.ndim != 4:
        return np.concatenate([codes, np.ones_like(codes[..., :1])], axis=-1)
    rows, columns = np.meshgrid(
        *(np.linspace(-1, 1, side) for side in codes.shape[1:3]), indexing="ij"
    )
    position = np.stack([rows, columns], axis=-1).astype(codes.dtype)
    return np.concatenate([codes, np.broadcast_to(position, (*codes.shape[:-1], 2))], axis=-1)


def reconstruction_loss(
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]], mu: float
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """Formula (1) as a Keras loss of (image uint8, reconstruction)."""

    def loss(image: tf.Tensor, reconstruction: tf.Tensor) -> tf.Tensor:
        image = tf.cast(image, tf.float32) / 255.0
        pixel = losses.pixel_loss(reconstruction, image)
        if not mu:
            return pixel
        return pixel + mu * losses.perceptual_loss(
            perceptual_features(reconstruction), perceptual_features(image)
        )

    return loss


def attack_batches(
    codes: np.ndarray, images: np.ndarray, batch_size: int, seed: int
) -> tf.data.Dataset:
    """Endless shuffled batches (code float32 [B, ...], image uint8 [B, S, S, 3])."""
    batch_size = min(batch_size, len(codes))

    def gather(numbers: np.ndarray):
        return codes[numbers], images[numbers]

    def to_pair(numbers: tf.Tensor):
        code, image = tf.numpy_function(gather, [numbers], (tf.float32, tf.uint8))
        return (
            tf.ensure_shape(code, (batch_size, *codes.shape[1:])),
            tf.ensure_shape(image, (batch_size, *images.shape[1:])),
        )

    order = tf.data.Dataset.range(len(codes)).shuffle(len(codes), seed=seed).repeat()
    pairs = order.batch(batch_size, drop_remainder=True).map(to_pair).prefetch(4)
    return without_autotune(pairs)


def held_out_batches(codes: np.ndarray, images: np.ndarray) -> tf.data.Dataset:
    """Batches of the held-out pairs, in order."""
    pairs = tf.data.Dataset.from_tensor_slices((codes, images)).batch(DECODED_AT_ONCE)
    return without_autotune(pairs)


def without_autotune(dataset: tf.data.Dataset) -> tf.data.Dataset:
    """Autotuning stalls `fit` on few cores (WORKSPACE.md, Traps)."""
    options = tf.data.Options()
    options.autotune.enabled = False
    return dataset.with_options(options)
