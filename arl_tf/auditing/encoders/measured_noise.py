"""The noise of an encoder that is only a file, from its answers before any channel."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from arl_tf.attacks.evidence import drops_values
from arl_tf.auditing.encoders.external import ExternalEncoder
from arl_tf.auditing.encoders.saved_model_gradients import random_images
from arl_tf.models.code_layers import STRATA

ASKED_IMAGES = 16
ANSWERS = 32


def spread_of(external: ExternalEncoder) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """The encoder's codes with noise that stands for all of its noise, value by value.

    Image float32 [B, S, S, 3] -> float32 [STRATA, B, ...], as of `code_layers.spread_encoder`. The
    noise is measured, so of any law. It is taken to be the same for every image, but where values
    are dropped: what that changes grows with the value. None where codes are not random or the
    encoder's inside is not at hand.
    """
    if external.differentiable is None or not external.random_codes:
        return None
    images = random_images(ASKED_IMAGES, external.image_size)
    answers = np.stack([external.encode(images) for _ in range(ANSWERS)])
    if drops_values(answers[0], answers.mean(axis=0)):
        factors = drop_factors(answers).reshape(-1, *(1,) * (answers.ndim - 1))
        return lambda image: external.differentiable(image) * factors
    noise = noise_strata(answers)
    return lambda image: external.differentiable(image) + noise[:, None]


def noise_strata(answers: np.ndarray) -> np.ndarray:
    """For each value of a code, means of STRATA equally likely parts of its noise, ascending.

    Args:
        answers: float32 [k, n, ...], k codes of each of n images; k n is a multiple of STRATA.

    Returns:
        float32 [STRATA, ...], of mean 0.
    """
    count = len(answers)
    # The mean of a few answers is nearer to each of them than the truth.
    noise = (answers - answers.mean(axis=0)) * np.float32(np.sqrt(count / (count - 1)))
    ordered = np.sort(noise.reshape(-1, *answers.shape[2:]), axis=0)
    parts = ordered.reshape(STRATA, -1, *answers.shape[2:])
    return parts.mean(axis=1, dtype=np.float64).astype(np.float32)


def drop_factors(answers: np.ndarray) -> np.ndarray:
    """By what mean codes are multiplied where values are dropped: 0, or more than 1.

    Args:
        answers: float32 [k, n, ...], k codes of each of n images.

    Returns:
        float32 [STRATA], of mean 1; as many of them 0 as values are dropped.
    """
    # A value that is always 0 was not dropped.
    share = (answers != 0)[:, (answers != 0).any(axis=0)].mean()
    left = max(1, round(STRATA * float(share)))
    return np.repeat(np.float32([0, STRATA / left]), [STRATA - left, left])
