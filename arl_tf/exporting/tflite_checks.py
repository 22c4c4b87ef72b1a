"""Whether a TFLite file computes what its Keras model does: what is compared, and within what."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data import image_sets
from arl_tf.metrics import equivalence
from arl_tf.metrics.equivalence import ExportError
from arl_tf.metrics.tasks.definition import Task
from arl_tf.models import code_layers

Figures = dict[str, float]
Encode = Callable[[np.ndarray], np.ndarray]
# Relative errors that pass in any encoder. Deep ones magnify rounding more: there the bound is
# ROUNDING_SHARE of what the Keras encoder's own codes change by when its kernels are float16.
RELATIVE_ERROR = {"float32": 1e-5, "float16": 1e-3}
# Measured in 16 untrained encoders and 3 trained ones: 0.0005 to 0.002, and 1.0 to 1.4.
ROUNDING_SHARE = {"float32": 4e-3, "float16": 2.0}
INT8_COSINE = 0.95
INT8_UTILITY_LOSS = 0.05


@dataclasses.dataclass(frozen=True)
class Proof:
    """What files are made and judged with; all images uint8 [n, S, S, 3], none of them of T.

    Attributes:
        samples: public images that every file is compared with Keras on.
        calibration: public images from which int8 learns the ranges of its tensors.
        validation: images for what the task head reads from int8 codes.
        attributes: labels [n, A] of `validation`.
    """

    samples: np.ndarray
    calibration: np.ndarray
    validation: np.ndarray
    attributes: np.ndarray


@dataclasses.dataclass(frozen=True)
class Expected:
    """What the Keras models make of a Proof's images.

    Attributes:
        codes: float32 [n, ...], of the samples.
        rounded: relative change of `codes` where the encoder's kernels are rounded to float16.
        levels: values that the code can take; 0: any.
        task_head: code -> logits or values.
        task: what those are.
        decisions: of the task head, such as thresholds; None: thresholds of 0.
        utility: the task head's on the validation images, by the task's headline.
        validation_codes: float32 [n, ...], of the validation images.
    """

    codes: np.ndarray
    rounded: float
    levels: int
    task_head: keras.Model
    task: Task
    decisions: Any
    utility: float
    validation_codes: np.ndarray

    def score(self, codes: np.ndarray, labels: np.ndarray) -> float:
        """The headline of what the task head reads from codes [n, ...], as the product decides."""
        return read_score(self.task_head, self.task, self.decisions, codes, labels)


def read_score(
    task_head: keras.Model, task: Task, decisions: Any, codes: np.ndarray, labels: np.ndarray
) -> float:
    """The task's headline, with decisions, of what a head reads from codes [n, ...]."""
    return task.score(task_head.predict(codes, verbose=0), labels, decisions)


def keras_expectations(
    encoder: keras.Model, task_head: keras.Model, proof: Proof, task: Task, decisions: Any = None
) -> Expected:
    """Runs the Keras models, compiled and on the CPU as their files will be.

    `decisions` are those of the task head; None: thresholds of 0.
    """
    _, quantised = code_layers.bounding_layers(encoder)
    rounded = keras.models.clone_model(encoder)
    rounded.set_weights([in_float16(weight) for weight in encoder.get_weights()])
    codes = keras_codes(encoder, proof.samples)
    validation_codes = keras_codes(encoder, proof.validation)
    return Expected(
        codes=codes,
        rounded=equivalence.relative_error(keras_codes(rounded, proof.samples), codes),
        levels=quantised.levels if quantised else 0,
        task_head=task_head,
        task=task,
        decisions=decisions,
        utility=read_score(task_head, task, decisions, validation_codes, proof.attributes),
        validation_codes=validation_codes,
    )


def in_float16(weight: np.ndarray) -> np.ndarray:
    """A kernel [..., n] rounded to float16; a vector as it is.

    That may hold variances beyond float16's range.
    """
    return weight.astype(np.float16).astype(weight.dtype) if weight.ndim > 1 else weight


def keras_codes(encoder: keras.Model, images: np.ndarray) -> np.ndarray:
    """Codes float32 [n, ...] of uint8 images [n, S, S, 3], with fixed noise if there is any."""
    inputs = image_sets.to_float(images).numpy()
    if code_layers.bounding_layers(encoder)[0] is not None:
        noise = code_layers.fixed_noise(len(images), encoder.output_shape[1:])
        encoder, inputs = (
            code_layers.encoder_with_noise_input(encoder),
            {"image": inputs, "noise": noise},
        )
    with tf.device("/CPU:0"):
        return encoder.predict(inputs, verbose=0)


def judge_float(encode: Encode, precision: str, proof: Proof, expected: Expected) -> Figures:
    """Relative error of the codes; of a code of few levels, the share of values that are equal."""
    codes = encode(proof.samples)
    relative = equivalence.relative_error(codes, expected.codes)
    if expected.levels:
        share = equivalence.equal_share(codes, expected.codes)
        require(
            share >= equivalence.EQUAL_SHARE,
            precision,
            "share of equal values",
            share,
            ">=",
            equivalence.EQUAL_SHARE,
        )
        return {"equal_share": share, "bound": equivalence.EQUAL_SHARE, "relative_error": relative}
    bound = max(RELATIVE_ERROR[precision], ROUNDING_SHARE[precision] * expected.rounded)
    require(relative <= bound, precision, "relative error of the codes", relative, "<=", bound)
    return {
        "relative_error": relative,
        "bound": bound,
        "largest_error": equivalence.largest_error(codes, expected.codes),
        "error_of_float16_kernels_in_keras": expected.rounded,
    }


def judge_int8(encode: Encode, precision: str, proof: Proof, expected: Expected) -> Figures:
    """Cosine of the codes with Keras', and what the task head still reads from them."""
    codes = encode(proof.validation)
    cosines = equivalence.cosines(codes, expected.validation_codes)
    cosine = float(cosines.mean())
    require(cosine >= INT8_COSINE, precision, "mean cosine of the codes", cosine, ">=", INT8_COSINE)
    task = expected.task
    utility = expected.score(codes, proof.attributes)
    loss, words = expected.utility - utility, f"loss of {task.headline_name}"
    require(loss <= INT8_UTILITY_LOSS, precision, words, loss, "<=", INT8_UTILITY_LOSS)
    figures = {
        "cosine": cosine,
        "cosine_bound": INT8_COSINE,
        "least_cosine": float(cosines.min()),
        task.headline: utility,
        f"{task.headline}_of_keras": expected.utility,
        f"{task.headline}_loss_bound": INT8_UTILITY_LOSS,
        "validation_images": len(codes),
        "calibration_images": len(proof.calibration),
    }
    if expected.levels:
        figures["equal_share"] = equivalence.equal_share(codes, expected.validation_codes)
    return figures


def require(holds: bool, precision: str, what: str, found: float, sign: str, bound: float) -> None:
    """Raises ExportError where a comparison does not hold: NaN never does."""
    if not holds:
        raise ExportError(
            f"TFLite {precision}: the {what}, compared with the Keras encoder, is {found:.3g},"
            f" expected {sign} {bound:.3g}; a layer was converted wrongly or bears no such"
            " precision. No file was written; --tflite_precisions leaves a precision out."
        )
