"""Attackers that can be shipped: functions of a new code, small enough for a SavedModel.

The audit's attackers work on the codes that they are given; these two are kept as what they have
learned: the best linear map, with fewer numbers, and the convolutional decoder.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers
from scipy import linalg

from arl_tf.attacks import decoder_attacks, noise_aware, noise_views
from arl_tf.attacks.closed_form import MOST_PAIRS, LinearMap, sample_rows, within_limit
from arl_tf.attacks.decoder_training import DECODED_AT_ONCE
from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs
from arl_tf.attacks.objectives import held_out_loss, reconstruction_loss
from arl_tf.attacks.registry import DECODER
from arl_tf.attacks.regression import code_maps
from arl_tf.models.standardisation import channel_moments, flattened, with_position

LINEAR, CONVOLUTIONAL = "linear", "decoder"
# What a Wiener map has among its facts.
NOISE_FACTOR = "noise_factor"
# (shift, weight) of every value or channel of a code, as an attacker sees it.
Scale = tuple[np.ndarray, np.ndarray]
LARGEST_RANK = 256
# Of a linear map's numbers; a map of an 8 x 8 x 32 code to 64 pixels has 15 million bytes at rank
# 256, and would have 100 million without.
MOST_BYTES = 20_000_000


@dataclasses.dataclass(frozen=True)
class ShippedAttacker:
    """An attacker that has learned.

    Attributes:
        name: of the attack in the report.
        model: codes float32 [N, ...] as they leave the encoder -> reconstructions float32
            [N, S, S, 3] in [0, 1].
        held_out_loss: formula (1) on the held-out public images.
        facts: for attackers.json.
    """

    name: str
    model: keras.Model
    held_out_loss: float
    facts: Mapping[str, Any]


def fit_linear(evidence: Evidence, settings: AttackerOptions) -> ShippedAttacker:
    """The audit's linear map (`noise_aware.linear_attack`) with as few numbers as can be shipped.

    Like the audit's it knows of the noise what the evidence does. Where its kernel would be larger,
    it is the product of two of rank LARGEST_RANK at most, less where MOST_BYTES ask for it: the
    predictions of the public codes change least (`truncated`).

    Args:
        evidence: public pairs; `noise` where something is known of it; `perceptual_features` for
            the loss.
        settings: seed and mu.
    """
    pairs, noise = within_limit(evidence.pairs, evidence.noise, settings.seed)
    error = code_maps.pixel_error(pairs.held_out_images)
    found = code_maps.best_code_map(
        pairs, noise, noise_aware.pixels(pairs), error, seed=settings.seed
    )
    whole = found.linear
    factors = (whole.kernel,)
    rank = shipped_rank(*whole.kernel.shape)
    if rank:
        rows = sample_rows(len(pairs.codes), MOST_PAIRS, settings.seed)
        centred = (found.seen(pairs.codes[rows]) - whole.centre).astype(np.float32)
        factors = truncated(centred, whole.kernel, rank)
    is_wiener = NOISE_FACTOR in found.facts
    scale = noise_scale(evidence.noise) if is_wiener else channel_scale(pairs.codes)
    model = linear_model(pairs, scale, whole, factors)
    held_out = run(model, pairs.held_out_codes)
    return ShippedAttacker(
        name=LINEAR,
        model=model,
        held_out_loss=loss_of(held_out, evidence, settings),
        facts={
            "words": "the best linear map from the code to pixels",
            **found.facts,
            "rank": rank,
            "held_out_pixel_loss": error(flattened(held_out)),
            "held_out_pixel_loss_of_full_rank": found.score,
        },
    )


def shipped_rank(inputs: int, outputs: int) -> int | None:
    """The rank that a kernel [inputs, outputs] is shipped with; None: as it is, in one piece."""
    rank = min(LARGEST_RANK, MOST_BYTES // (4 * (inputs + outputs)))
    is_smaller = rank * (inputs + outputs) < inputs * outputs
    return max(1, rank) if is_smaller else None


def truncated(inputs: np.ndarray, kernel: np.ndarray, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Two factors of a kernel that keep as much as `rank` allows of its predictions.

    By the singular value decomposition of the predictions, not of the kernel: directions in which
    codes hardly vary cost nothing (reduced-rank regression; Izenman 1975, eq. 2.9 with identity
    weights).

    Args:
        inputs: float [N, D], centred codes.
        kernel: float [D, K].
        rank: at least 1; at most min(N, D) of it are used.

    Returns:
        float [D, rank] and [rank, K], whose product replaces the kernel.
    """
    if len(inputs) > inputs.shape[1]:
        # Has the predictions' singular values, in D rows.
        (inputs,) = linalg.qr(inputs, mode="r", check_finite=False)
        inputs = inputs[: inputs.shape[1]]
    predictions = inputs @ kernel
    rows = len(predictions)
    _, left = linalg.eigh(
        predictions @ predictions.T,
        subset_by_index=(max(0, rows - rank), rows - 1),
        check_finite=False,
    )
    right, _ = linalg.qr(predictions.T @ left, mode="economic", check_finite=False)
    return kernel @ right, right.T


def linear_model(
    pairs: PublicPairs, scale: Scale, whole: LinearMap, factors: Sequence[np.ndarray]
) -> keras.Model:
    """The map as a network: scale, multiply, add what centre and mean come to, clip.

    Args:
        pairs: what it was fitted to, for the shape of codes and pictures.
        scale: of the codes that the map takes.
        whole: the map, of which centre and mean are used.
        factors: float [D, R] and [R, K], or one [D, K]: the kernel.
    """
    code = keras.Input(pairs.codes.shape[1:], name="code")
    values = layers.Flatten(name="flat")(scaled(code, scale))
    offset = -whole.centre.astype(np.float64)
    for number, factor in enumerate(factors):
        offset = offset @ factor
        is_last = number == len(factors) - 1
        dense = layers.Dense(factor.shape[1], use_bias=is_last, name=f"factor_{number}")
        values = dense(values)
        dense.set_weights([factor, whole.mean + offset] if is_last else [factor])
    pixels = layers.Reshape(pairs.images.shape[1:], name="pixels")(values)
    return keras.Model(code, layers.ReLU(max_value=1.0, name="clip")(pixels), name=LINEAR)


def fit_decoder(evidence: Evidence, settings: AttackerOptions) -> ShippedAttacker:
    """The audit's convolutional decoder, with the scale and the position that it sees codes with.

    Args:
        evidence: public pairs, `perceptual_features`, and `noise` where something is known of it.
        settings: of the audit's decoder.

    Raises:
        ValueError: the training diverged, or the codes' shape can't be decoded.
    """
    trained = decoder_attacks.train_attacker(evidence, settings, name=CONVOLUTIONAL, recipe=DECODER)
    codes, noise = evidence.pairs.codes, evidence.noise
    scale = channel_scale(codes) if noise is None else noise_views.mean_and_weight(noise)
    model = decoder_model(codes, scale, trained.decoder)
    return ShippedAttacker(
        name=CONVOLUTIONAL,
        model=model,
        held_out_loss=loss_of(run(model, evidence.pairs.held_out_codes), evidence, settings),
        facts={"words": DECODER.words, "steps_taken": trained.curve.steps},
    )


def decoder_model(codes: np.ndarray, scale: Scale, decoder: keras.Model) -> keras.Model:
    """A decoder behind the scale and the position of codes of the shape of `codes` [N, ..., c]."""
    code = keras.Input(codes.shape[1:], name="code")
    place = with_position(np.zeros((1, *codes.shape[1:]), np.float32))[..., codes.shape[-1] :]
    seen = scaled(code, scale)
    # The position is the same for every code of the batch, whose size is not known here.
    places = keras.ops.zeros_like(seen[..., :1]) + place
    seen = layers.Concatenate(name="with_position")([seen, places])
    return keras.Model(code, decoder(seen, training=False), name=CONVOLUTIONAL)


FITTED: dict[str, Callable[[Evidence, AttackerOptions], ShippedAttacker]] = {
    LINEAR: fit_linear,
    CONVOLUTIONAL: fit_decoder,
}


def scaled(code: keras.KerasTensor, scale: Scale) -> keras.KerasTensor:
    """A symbolic code [B, ..., c] as an attacker sees it: (code - shift) weight."""
    shift, weight = (np.asarray(each, np.float32) for each in scale)
    return (code - shift) * weight


def channel_scale(codes: np.ndarray) -> Scale:
    """The standardisation of public codes [N, ..., c]; [c] each."""
    mean, deviation = channel_moments(codes)
    return mean, 1 / deviation


def noise_scale(noise: CodeNoise) -> Scale:
    """`CodeNoise.in_units` as a scale; of a code's shape."""
    return np.zeros_like(noise.deviation), 1 / noise.deviation


def run(model: keras.Model, codes: np.ndarray) -> np.ndarray:
    """Reconstructions float32 [N, S, S, 3] of codes float32 [N, ...], some at a time."""
    graph = tf.function(
        lambda some: model(some, training=False), autograph=False, reduce_retracing=True
    )
    return np.concatenate(
        [
            graph(tf.constant(codes[start : start + DECODED_AT_ONCE])).numpy()
            for start in range(0, len(codes), DECODED_AT_ONCE)
        ]
    )


def loss_of(reconstructions: np.ndarray, evidence: Evidence, settings: AttackerOptions) -> float:
    """Formula (1) of reconstructions float32 [N, S, S, 3] of the held-out public images."""
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    return held_out_loss(reconstructions, evidence.pairs.held_out_images, loss)
