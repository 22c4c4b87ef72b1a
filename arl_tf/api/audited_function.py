"""A function from images to codes as an audited encoder: its codes are checked at every call."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.data.image_sets import ImageSet
from arl_tf.models.architectures import check_decodable

Encode = Callable[[np.ndarray], np.ndarray]
NOT_DIFFERENTIABLE = "no differentiable function was given"


def audited_encoder_of(
    encode: Encode,
    images: ImageSet,
    task_output: Encode | None,
    differentiable: Callable[[tf.Tensor], tf.Tensor] | None,
    noise: Any = None,
) -> AuditedEncoder:
    """The function as an audited encoder; codes are flattened where no decoder takes their grid.

    Args:
        encode: uint8 [N, S, S, 3] -> codes [N, ...].
        images: the data set; some of its images are encoded to learn the codes' shape and hash.
        task_output: codes [N, ...] -> outputs [N, A], or None.
        differentiable: float32 [B, S, S, 3] in [0, 1] -> codes [B, ...], or None.
        noise: the deviation of the Gaussian noise that encode adds, a number or of a code's shape;
            None: not told.

    Raises:
        ValueError: codes of another number than images, or that are no finite numbers, or noise
            that is not theirs.
    """
    sample = images.images[:4]
    found = checked_codes(encode(sample), len(sample))
    shape = found.shape[1:]
    deviation = None if noise is None else deviation_of(noise, shape)
    if deviation is not None and np.array_equal(found, checked_codes(encode(sample), len(sample))):
        raise ValueError(
            "noise tells the deviation of the noise that encode adds itself, but encode gave the"
            " same codes of the same images again. Add the noise in encode, or leave noise out."
        )
    flat = not decodable(shape, images.images.shape[1])

    def codes(pictures: np.ndarray) -> np.ndarray:
        found = checked_codes(encode(pictures), len(pictures))
        return found.reshape(len(found), -1) if flat else found

    # A function has no weights to name it by: its codes do.
    digest = hashlib.sha256(np.ascontiguousarray(codes(images.images[:32])).tobytes())
    return AuditedEncoder(
        words=f"the function {getattr(encode, '__name__', type(encode).__name__)}",
        sha256=digest.hexdigest(),
        code_shape=shape,
        channel=Channel(),
        encoder=codes,
        differentiable=differentiable and flattened_code(differentiable, shape, flat),
        not_white_box="" if differentiable else NOT_DIFFERENTIABLE,
        task_output=task_output and head_of(task_output, shape),
        noise_deviation=deviation.ravel() if flat and deviation is not None else deviation,
    )


def deviation_of(noise: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A deviation as it was told, as float64 of a code's shape; ValueError where it is none."""
    try:
        told = np.asarray(noise, np.float64)
        deviation = np.broadcast_to(told, shape)
    except (TypeError, ValueError):
        deviation = np.zeros(0)
    if not (deviation.size and np.isfinite(deviation).all() and deviation.min() >= 0):
        got = list(np.shape(noise)) or repr(noise)
        raise ValueError(
            "noise must be the deviation of the noise that encode adds: a finite number >= 0, or"
            f" such numbers in the shape of a code, {list(shape)}; got {got}."
        )
    return deviation


def head_of(task_output: Encode, shape: tuple[int, ...]) -> Encode:
    """A task head for codes [n, ...] that may be flattened: it gets the encoder's own shape.

    It gives float32 [n, A].
    """

    def outputs(codes: np.ndarray) -> np.ndarray:
        found = np.asarray(task_output(codes.reshape(len(codes), *shape)), np.float32)
        if found.ndim != 2 or len(found) != len(codes):
            raise ValueError(
                f"task_output must give logits [n, A], got {list(found.shape)} for"
                f" {len(codes)} codes."
            )
        return found

    return outputs


def flattened_code(
    differentiable: Callable[[tf.Tensor], tf.Tensor], shape: tuple[int, ...], flat: bool
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The differentiable function with codes as attackers see them.

    Args:
        differentiable: float32 [B, S, S, 3] in [0, 1] -> codes [B, *shape].
        shape: of a code.
        flat: whether attackers see codes as vectors.

    Returns:
        float32 [B, S, S, 3] in [0, 1] -> float32 [B, *shape]; [B, D] where `flat`.
    """

    def encode(pictures: tf.Tensor) -> tf.Tensor:
        code = tf.cast(tf.convert_to_tensor(differentiable(pictures)), tf.float32)
        return tf.reshape(code, (tf.shape(code)[0], int(np.prod(shape)))) if flat else code

    return encode


def checked_codes(codes: Any, count: int) -> np.ndarray:
    """Codes float32 [count, ...]; ValueError for others, or for numbers that are not finite."""
    if isinstance(codes, dict):
        raise ValueError(
            f"encode gave a dict with {', '.join(map(str, codes))}; it must give one array of codes"
            " [N, ...]."
        )
    found = np.asarray(codes)
    if found.dtype.name == "bfloat16":
        # NumPy does not know it for a number.
        found = found.astype(np.float32)
    if found.ndim < 2 or len(found) != count or found.dtype.kind not in "fiub":
        raise ValueError(
            f"encode must give codes [N, ...], got {found.dtype} {list(found.shape)} for {count}"
            " images."
        )
    found = found.astype(np.float32)
    if not np.isfinite(found).all():
        raise ValueError("encode gave codes that are not finite (NaN or infinite).")
    return found


def decodable(shape: tuple[int, ...], image_size: int) -> bool:
    """Whether a decoder takes codes of this shape as they are."""
    try:
        check_decodable(shape, image_size)
    except ValueError:
        return False
    return True
