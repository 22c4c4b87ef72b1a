"""Fresh attackers on frozen codes: arrays in, an AttackResult out. They share nothing with training's adversary."""

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
        held_out_codes, held_out_images: likewise; they choose when to stop, nothing else.
    """

    codes: np.ndarray
    images: np.ndarray
    held_out_codes: np.ndarray
    held_out_images: np.ndarray


@dataclasses.dataclass(frozen=True)
class DecoderSettings:
    """Size and training of an attacking decoder (see `models.build_decoder`).

    `mu` weighs the perceptual against the pixel loss; `seed` draws weights and order; rates decay as a cosine.
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
        held_out_loss: the attacker's own loss on held-out public images, after every STEPS_BETWEEN_CHECKS steps.
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
) -> AttackResult:
    """Black-box inversion: trains a new decoder on public pairs and applies it to the codes of unseen images.

    The weights with the best held-out loss are kept.

    Args:
        pairs: public codes and images.
        target_codes: float32 [M, ...], the codes to invert.
        name: of the attack in the report.
        settings: of the decoder and its training.
        perceptual_features: the frozen network g; image -> feature maps of unit-length channels.
    """
    started = time.perf_counter()
    keras.utils.set_random_seed(settings.seed)
    scale = code_scale(pairs.codes)
    decoder = models.build_decoder(
        pairs.codes.shape[1:],
        image_size=pairs.images.shape[1],
        width=settings.width,
        depth=settings.depth,
        name="attacker",
    )
    steps_per_check = min(STEPS_BETWEEN_CHECKS, settings.steps)
    checks = -(-settings.steps // steps_per_check)
    rate = keras.optimizers.schedules.CosineDecay(
        settings.learning_rate, settings.steps, alpha=0.01, warmup_steps=0
    )
    decoder.compile(
        keras.optimizers.Adam(rate, global_clipnorm=5.0),
        loss=reconstruction_loss(perceptual_features, settings.mu),
        jit_compile=False,
    )
    history = decoder.fit(
        attack_batches(scale(pairs.codes), pairs.images, settings.batch_size, settings.seed),
        validation_data=held_out_batches(scale(pairs.held_out_codes), pairs.held_out_images),
        epochs=checks,
        steps_per_epoch=steps_per_check,
        shuffle=False,
        verbose="auto",
        callbacks=[
            keras.callbacks.EarlyStopping(patience=max(3, checks // 3), restore_best_weights=True),
            keras.callbacks.TerminateOnNaN(),
        ],
    )
    held_out_loss = tuple(float(value) for value in history.history["val_loss"])
    if not np.isfinite(held_out_loss).all():
        raise ValueError(
            f"Attack {name} diverged (held-out loss {held_out_loss[-1]}); lower --attacker_learning_rate."
        )
    reconstructions = decoder.predict(scale(target_codes), batch_size=DECODED_AT_ONCE, verbose=0)
    return AttackResult(
        name=name,
        knowledge="black-box",
        settings={**dataclasses.asdict(settings), "parameters": decoder.count_params()},
        seconds=time.perf_counter() - started,
        held_out_loss=held_out_loss,
        reconstructions=reconstructions,
    )


def code_scale(codes: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """A function that shifts and scales every channel to the public codes' mean 0 and deviation 1.

    Channels that hardly vary are only shifted: a constant code must not be blown up into noise.
    """
    axes = tuple(range(codes.ndim - 1))
    mean, deviation = codes.mean(axis=axes), codes.std(axis=axes)
    deviation = np.where(deviation > 1e-6, deviation, 1.0)
    return lambda values: ((values - mean) / deviation).astype(np.float32)


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
