"""Reads SavedModels back, and compares every signature with the Keras models."""

import contextlib
import dataclasses
import functools
import pathlib
from collections.abc import Mapping

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data import image_sets
from arl_tf.exporting.saved_models import bytes_to_code, code_to_bytes
from arl_tf.metrics import equivalence
from arl_tf.metrics.equivalence import LEVEL_WIDTH, ExportError
from arl_tf.metrics.tasks.definition import Task, TaskDecisions
from arl_tf.models import code_layers
from arl_tf.utils import saved_model_loading

# Largest absolute difference of a reloaded SavedModel's outputs to the Keras model's.
SAVED_MODEL_BOUND = 1e-5
# Of a noisy code's remainder; chance exceeds it once in 1.7 million.
NOISE_ERRORS = 5.0
# Variance of the square of standardised noise, at least; 2 where the noise is Gaussian.
LEAST_SPREAD = 0.5


@dataclasses.dataclass(frozen=True)
class Batch:
    """What the Keras models make of some images.

    Images are uint8 [n, S, S, 3], codes float32 [n, ...], the task head's outputs float32 [n, A].
    """

    images: np.ndarray
    codes: np.ndarray
    logits: np.ndarray


def keras_outputs(
    encoder: keras.Model, task_head: keras.Model, samples: np.ndarray
) -> dict[str, Batch]:
    """The Keras models' outputs for a batch of `one` image, the first, and for `all` of them.

    `samples` are uint8 [n, S, S, 3].
    Of an encoder that adds noise the codes are those without it.
    """

    # Compiled, as in `predict`, and at the artefact's batch size: eager layers round differently
    # from fused ones (by 1.7e-5 in a ResNet-50), one image differently from eight (by 7e-6).
    @tf.function(
        autograph=False, input_signature=[tf.TensorSpec((None, *samples.shape[1:]), tf.uint8)]
    )
    def run(images):
        code = noiseless_code(image_sets.to_float(images))
        return code, task_head(code, training=False)

    noiseless_code = code_layers.noiseless_encoder(encoder)
    with cpu():
        return {
            name: Batch(images, *(output.numpy() for output in run(tf.constant(images))))
            for name, images in (("one", samples[:1]), ("all", samples))
        }


def cpu() -> contextlib.AbstractContextManager:
    """Where artefacts are compared: a GPU's TF32 would drown in rounding what is looked for."""
    return tf.device("/CPU:0")


def attacker_difference(path: pathlib.Path, codes: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference of a saved attacker to the reconstructions expected of these codes.

    Codes float32 [n, ...], reconstructions float32 [n, S, S, 3]. Raises ExportError where it is not
    within SAVED_MODEL_BOUND.
    """
    with cpu():
        attack = saved_model_loading.load(path).signatures["serving_default"]
        return difference(attack(code=tf.constant(codes))["reconstruction"], expected, "attacker")


def encoder_differences(
    path: pathlib.Path, batches: Mapping[str, Batch], encoder: keras.Model
) -> dict[str, float]:
    """Compares every signature of a saved encoder with the Keras codes.

    Those that take files get the images as PNG. Of a code of few levels the share of unequal values
    counts, not the largest difference; of a noisy one, whether what is left is its noise.
    """
    noisy, quantised = code_layers.bounding_layers(encoder)
    compare = unequal_share if quantised else difference
    errors = {}
    with cpu():
        signatures = saved_model_loading.load(path).signatures
        for name, batch in batches.items():
            if noisy is not None:
                compare = functools.partial(noise_excess, images=batch.images, encoder=encoder)
            files = tf.stack([tf.io.encode_png(image) for image in batch.images])
            for signature, inputs in (
                ("encode", {"image": tf.constant(batch.images)}),
                ("encode_bytes", {"image_bytes": files}),
                ("encode_to_bytes", {"image_bytes": files}),
            ):
                outputs = signatures[signature](**inputs)
                code = (
                    bytes_to_code(outputs["code_bytes"], batch.codes.shape[1:])
                    if signature == "encode_to_bytes"
                    else outputs["code"]
                )
                errors[f"{signature}_{name}"] = compare(code, batch.codes, signature)
    return errors


def task_head_differences(
    path: pathlib.Path, batches: Mapping[str, Batch], task: Task, decisions: TaskDecisions
) -> dict[str, float]:
    """Compares both signatures of a saved task head with what Keras makes of the same codes."""
    errors = {}
    with cpu():
        signatures = saved_model_loading.load(path).signatures
        for name, batch in batches.items():
            code = tf.constant(batch.codes)
            for prefix, outputs in (
                ("", signatures["serving_default"](code=code)),
                ("read_bytes_", signatures["read_bytes"](code_bytes=code_to_bytes(code))),
            ):
                for output, expected in expected_outputs(task, decisions, batch, outputs).items():
                    unit = np.float32(task.unit(expected))
                    errors[f"{prefix}{output}_{name}"] = difference(
                        tf.cast(outputs[output], tf.float32) / unit,
                        expected.astype(np.float32) / unit,
                        f"task head's {prefix}{output}",
                    )
    return errors


def expected_outputs(
    task: Task, decisions: TaskDecisions, batch: Batch, outputs: Mapping[str, tf.Tensor]
) -> dict[str, np.ndarray]:
    """What a saved task head should give, arrays [n, A] by name.

    Decisions are those by the saved model's own logits: one on a threshold may fall to either side
    by rounding.
    """
    expected = task.served(batch.logits, decisions)
    if "decision" in expected:
        expected["decision"] = task.served(outputs["logits"].numpy(), decisions)["decision"]
    return expected


def difference(outputs: tf.Tensor, expected: np.ndarray, what: str) -> float:
    """Largest absolute difference of outputs [n, ...] to those that are expected.

    Raises:
        ExportError: it is not within SAVED_MODEL_BOUND, or the shapes differ.
    """
    check_shape(outputs, expected, what)
    error = float(np.abs(outputs.numpy() - expected).max())
    # Written so that NaN fails.
    if not error <= SAVED_MODEL_BOUND:
        raise ExportError(
            f"SavedModel, {what}: differs from the Keras model by {error:.3g} for a batch of"
            f" {len(expected)}, expected at most {SAVED_MODEL_BOUND:g}; nothing was exported."
        )
    return error


def unequal_share(outputs: tf.Tensor, expected: np.ndarray, what: str) -> float:
    """Share of a code's values [n, ...] on another level than is expected.

    Raises:
        ExportError: it is more than 1 - EQUAL_SHARE, or the shapes differ.
    """
    check_shape(outputs, expected, what)
    equal = equivalence.equal_share(outputs.numpy(), expected)
    if equal < equivalence.EQUAL_SHARE:
        raise ExportError(
            f"SavedModel, {what}: {equal:.3%} of the values are on the Keras model's level,"
            f" expected at least {equivalence.EQUAL_SHARE:.1%}; nothing was exported."
        )
    return 1 - equal


def noise_excess(
    outputs: tf.Tensor,
    expected: np.ndarray,
    what: str,
    *,
    images: np.ndarray,
    encoder: keras.Model,
) -> float:
    """How far what remains beside the mean code is from the encoder's own noise.

    The mean and the mean square of the standardised remainder are 0 and 1 but for chance; of a
    rounded code, the share of values that the noise takes to another level is the Keras encoder's.

    Args:
        outputs: codes with noise.
        expected: float32 [n, ...], the Keras encoder's without.
        what: for the message.
        images: uint8 [n, S, S, 3], what they are codes of.
        encoder: the Keras encoder.

    Returns:
        The larger distance, in standard errors.

    Raises:
        ExportError: it is more than NOISE_ERRORS of them: other noise, or none.
    """
    check_shape(outputs, expected, what)
    noisy, quantised = code_layers.bounding_layers(encoder)
    codes, count = outputs.numpy(), expected.size
    if quantised is None:
        rest = noisy.standardised(codes, expected)
        # Of some noise the square hardly varies; a rounding is no other noise.
        spread = max(noisy.kurtosis - 1, LEAST_SPREAD)
        distances = (
            abs(rest.mean()) * np.sqrt(count),
            abs(np.square(rest).mean() - 1) * np.sqrt(count / spread),
        )
    else:
        drawn = encoder(image_sets.to_float(images), training=False).numpy()
        flips = [(np.abs(each - expected) > LEVEL_WIDTH).mean() for each in (codes, drawn)]
        # A share's variance is at most a quarter, and two shares are compared.
        distances = (abs(flips[0] - flips[1]) * np.sqrt(2 * count),)
    distance = float(max(distances))
    if not distance <= NOISE_ERRORS:
        raise ExportError(
            f"SavedModel, {what}: what it adds to the Keras encoder's mean code is {distance:.1f}"
            f" standard errors from the encoder's noise, expected at most {NOISE_ERRORS:g}; nothing"
            " was exported."
        )
    return distance


def check_shape(outputs: tf.Tensor, expected: np.ndarray, what: str) -> None:
    """Raises ExportError where shapes differ."""
    if outputs.shape != expected.shape:
        raise ExportError(
            f"SavedModel, {what}: shape {tuple(outputs.shape)}, the Keras model gives"
            f" {expected.shape}."
        )
