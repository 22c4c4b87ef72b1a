"""Attackers that can be shipped: functions of a new code, small enough for a SavedModel.

The audit's attackers work on the codes that they are given; these two are kept as what they have
learned: the best linear map, with fewer numbers, and the convolutional decoder.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from scipy import linalg

from arl_tf.attacks import closed_form, decoder_attacks
from arl_tf.attacks.closed_form import LinearMap
from arl_tf.attacks.decoder_training import DECODED_AT_ONCE
from arl_tf.attacks.evidence import AttackerOptions, Evidence, PublicPairs
from arl_tf.attacks.objectives import held_out_loss, reconstruction_loss
from arl_tf.attacks.registry import DECODER
from arl_tf.models.standardisation import channel_moments, with_position

LINEAR, CONVOLUTIONAL = "linear", "decoder"
LARGEST_RANK = 256
# Of a linear map's numbers; a map of an 8 x 8 x 32 code to 64 pixels has 15 million bytes at rank
# 256, and would have 100 million without.
MOST_BYTES = 20_000_000
Pictures = Callable[[tf.Tensor], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class ShippedAttacker:
    """An attacker that has learned.

    Attributes:
        name: of the attack in the report.
        pictures: codes float32 [N, ...] as they leave the encoder -> reconstructions float32
            [N, S, S, 3] in [0, 1].
        variables: all that `pictures` has learned.
        held_out_loss: formula (1) on the held-out public images.
        facts: for attackers.json.
    """

    name: str
    pictures: Pictures
    variables: Sequence[tf.Variable]
    held_out_loss: float
    facts: Mapping[str, Any]


def fit_linear(evidence: Evidence, settings: AttackerOptions) -> ShippedAttacker:
    """The audit's linear map (`closed_form.linear_attack`) with as few numbers as can be shipped.

    Where its kernel would be larger, it is the product of two of rank LARGEST_RANK at most, less
    where MOST_BYTES ask for it: the predictions of the public codes change least (`truncated`).

    Args:
        evidence: public pairs; `perceptual_features` for the loss.
        settings: seed and mu.
    """
    pairs = evidence.pairs
    problem = closed_form.regression_problem(pairs, settings.seed)
    penalty, whole = closed_form.best_linear_map(problem)
    factors = (whole.kernel,)
    rank = shipped_rank(*whole.kernel.shape)
    if rank:
        centred = (problem.inputs - whole.centre).astype(np.float32)
        factors = truncated(centred, whole.kernel, rank)
    variables = [tf.Variable(factor, dtype=tf.float32) for factor in factors]
    pictures = linear_pictures(pairs, whole, variables)
    held_out = run(pictures, pairs.held_out_codes)
    truth = problem.truth.reshape(held_out.shape)
    return ShippedAttacker(
        name=LINEAR,
        pictures=pictures,
        variables=variables,
        held_out_loss=loss_of(held_out, evidence, settings),
        facts={
            "words": "the best linear map from the code to pixels",
            "penalty": penalty,
            "rank": rank,
            "held_out_pixel_loss": float(np.square(held_out - truth).mean()),
            "held_out_pixel_loss_of_full_rank": float(
                np.square(np.clip(whole(problem.held_out), 0, 1) - problem.truth).mean()
            ),
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


def linear_pictures(
    pairs: PublicPairs, whole: LinearMap, factors: Sequence[tf.Variable]
) -> Pictures:
    """The map as a function of tensors: standardise, centre, multiply, add the mean, clip."""
    shape = pairs.images.shape[1:]
    standardise = standardising(pairs.codes)

    def pictures(codes: tf.Tensor) -> tf.Tensor:
        standard = standardise(codes)
        values = tf.reshape(standard, (-1, len(whole.centre))) - whole.centre.astype(np.float32)
        for factor in factors:
            values = values @ factor
        values = tf.reshape(values + whole.mean.astype(np.float32), (-1, *shape))
        return tf.clip_by_value(values, 0.0, 1.0)

    return pictures


def fit_decoder(evidence: Evidence, settings: AttackerOptions) -> ShippedAttacker:
    """The audit's convolutional decoder, with the scale and the position that it sees codes with.

    Args:
        evidence: public pairs and `perceptual_features`.
        settings: of the audit's decoder.

    Raises:
        ValueError: the training diverged, or the codes' shape can't be decoded.
    """
    trained = decoder_attacks.train_attacker(evidence, settings, name=CONVOLUTIONAL, recipe=DECODER)
    pairs, decoder = evidence.pairs, trained.decoder
    standardise = standardising(pairs.codes)
    channels = pairs.codes.shape[-1]
    place = with_position(np.zeros((1, *pairs.codes.shape[1:]), np.float32))[..., channels:]

    def pictures(codes: tf.Tensor) -> tf.Tensor:
        places = tf.repeat(tf.constant(place), tf.shape(codes)[0], axis=0)
        return decoder(tf.concat([standardise(codes), places], axis=-1), training=False)

    return ShippedAttacker(
        name=CONVOLUTIONAL,
        pictures=pictures,
        variables=[variable.value for variable in decoder.variables],
        held_out_loss=loss_of(run(pictures, pairs.held_out_codes), evidence, settings),
        facts={"words": DECODER.words, "steps_taken": trained.curve.steps},
    )


FITTED: dict[str, Callable[[Evidence, AttackerOptions], ShippedAttacker]] = {
    LINEAR: fit_linear,
    CONVOLUTIONAL: fit_decoder,
}


def standardising(codes: np.ndarray) -> Pictures:
    """`code_scale.code_scale` of public codes as a function of tensors."""
    mean, deviation = (values.astype(np.float32) for values in channel_moments(codes))
    return lambda values: (values - mean) / deviation


def run(pictures: Pictures, codes: np.ndarray) -> np.ndarray:
    """Reconstructions float32 [N, S, S, 3] of codes float32 [N, ...], some at a time."""
    graph = tf.function(pictures, reduce_retracing=True)
    return np.concatenate(
        [
            graph(tf.constant(codes[start : start + DECODED_AT_ONCE])).numpy()
            for start in range(0, len(codes), DECODED_AT_ONCE)
        ]
    )


def loss_of(reconstructions: np.ndarray, evidence: Evidence, settings: AttackerOptions) -> float:
    """Formula (1) on the held-out public images."""
    loss = reconstruction_loss(evidence.perceptual_features, settings.mu)
    return held_out_loss(reconstructions, evidence.pairs.held_out_images, loss)
