"""Encoders and task heads of strangers' SavedModels, each in a process of its own."""

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.auditing.encoders import external
from arl_tf.auditing.encoders.confined.process import ConfinedProcess
from arl_tf.auditing.encoders.external import ExternalEncoder, ExternalTaskHead
from arl_tf.auditing.encoders.recorded_codes import kept_shape
from arl_tf.auditing.encoders.saved_model_io import version_folder
from arl_tf.utils import saved_model_loading

# Of one message.
ROWS = 1024


def load_saved_model(path: str | pathlib.Path, image_size: int | None = None) -> ExternalEncoder:
    """As `external.load_saved_model`, in a process of its own, which computes gradients, too."""
    process, facts = started(path, "open_encoder", image_size=image_size)
    code_shape = tuple(facts["code_shape"])
    kept = kept_shape(code_shape, facts["image_size"])

    def encode(images: np.ndarray) -> np.ndarray:
        return in_messages(process, "encode", external.checked_images(images))

    return ExternalEncoder(
        encode=encode,
        differentiable=differentiable(process, kept) if facts["white_box"] else None,
        why_not=facts["why_not"],
        random_codes=facts["random_codes"],
        image_size=facts["image_size"],
        code_shape=code_shape,
        sha256=facts["sha256"],
        mean_draws=facts["mean_draws"],
        straight_through=facts["straight_through"],
    )


def load_task_head(path: str | pathlib.Path) -> ExternalTaskHead:
    """As `external.load_task_head`, in a process of its own."""
    process, facts = started(path, "open_task_head")
    names = facts["attribute_names"]

    def classify(codes: np.ndarray) -> np.ndarray:
        return in_messages(process, "classify", codes.astype(np.float32))

    return ExternalTaskHead(classify, None if names is None else tuple(names), facts["sha256"])


def started(
    path: str | pathlib.Path, do: str, **values: int | None
) -> tuple[ConfinedProcess, dict[str, Any]]:
    """A process that has loaded the SavedModel, and what it says of it."""
    # A folder whose name TensorFlow takes for a pattern needs a link, which only we can make.
    with saved_model_loading.plain_path(version_folder(path)) as folder:
        process = ConfinedProcess(folder)
        return process, process.ask(do, **values)


def in_messages(process: ConfinedProcess, do: str, rows: np.ndarray) -> np.ndarray:
    """Rows [n, ...] -> float32 [n, ...], in several messages; no rows are one message."""
    starts = range(0, max(len(rows), 1), ROWS)
    return np.concatenate([process.compute(do, rows[start : start + ROWS]) for start in starts])


def differentiable(
    process: ConfinedProcess, code_shape: tuple[int, ...]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """Image float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...], whose gradients are asked."""

    @tf.custom_gradient
    def encode(image: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        code = asked(process, "mean_code", (None, *code_shape), image)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return asked(process, "gradient", image.shape, image, upstream)

        return code, gradient

    return encode


def asked(
    process: ConfinedProcess, do: str, shape: Sequence[int | None], *values: tf.Tensor
) -> tf.Tensor:
    """What the process makes of float32 tensors [B, ...]: float32 of the shape that is known."""

    def compute(*arrays: np.ndarray) -> np.ndarray:
        return process.compute(do, *arrays)

    return tf.ensure_shape(tf.numpy_function(compute, values, tf.float32), shape)
