"""The encoder as TFLite files for phones and gateways, each proved on images before it is kept."""

import contextlib
import dataclasses
import io
import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from arl_tf.data import image_sets
from arl_tf.exporting import tflite_checks
from arl_tf.exporting.tflite_checks import Expected, Figures, Proof
from arl_tf.metrics.equivalence import ExportError
from arl_tf.metrics.tasks.definition import Task, TaskDecisions
from arl_tf.metrics.tasks.multi_label import MultiLabel
from arl_tf.models import code_layers
from arl_tf.utils import progress, saved_model_loading

Inputs = list[dict[str, np.ndarray]]
Tensors = dict[str, tuple[str, tuple[int, ...]]]


def keep_float32(converter: tf.lite.TFLiteConverter, calibration: Inputs) -> None:
    """Leaves a converter as it comes: float32 throughout."""


def store_float16(converter: tf.lite.TFLiteConverter, calibration: Inputs) -> None:
    """Stores weights as float16; input, output and (on a CPU) arithmetic stay float32."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


def compute_int8(converter: tf.lite.TFLiteConverter, calibration: Inputs) -> None:
    """Weights and arithmetic in 8-bit integers; input and output stay float32."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.representative_dataset = lambda: (list(each.values()) for each in calibration)


@dataclasses.dataclass(frozen=True)
class Precision:
    """A precision in which the encoder ships.

    Attributes:
        bytes_per_weight: bytes that a weight takes in the file.
        configure: sets a converter's options.
        judge: compares a file with Keras; ExportError where it computes something else.
    """

    bytes_per_weight: int
    configure: Callable[[tf.lite.TFLiteConverter, Inputs], None]
    judge: Callable[[tflite_checks.Encode, str, Proof, Expected], Figures]


PRECISIONS = {
    "float32": Precision(4, keep_float32, tflite_checks.judge_float),
    "float16": Precision(2, store_float16, tflite_checks.judge_float),
    "int8": Precision(1, compute_int8, tflite_checks.judge_int8),
}


def file_path(precision: str) -> pathlib.Path:
    """A precision's file, in the export's folder."""
    return pathlib.Path(f"tflite/encoder_{precision}.tflite")


def write_files(
    encoder: keras.Model,
    task_head: keras.Model,
    proof: Proof,
    folder: pathlib.Path,
    precisions: Sequence[str] = tuple(PRECISIONS),
    task: Task | None = None,
    decisions: TaskDecisions | None = None,
) -> dict[str, Figures]:
    """Writes the encoder in every precision, each file after it has passed its checks.

    Args:
        encoder: float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].
        task_head: code -> logits float32 [B, A].
        proof: images.
        folder: where the files go, each at its `file_path`.
        precisions: keys of PRECISIONS.
        task: of the task head; None: several attributes, each {0, 1}.
        decisions: of the task head, such as thresholds; None: thresholds of 0.

    Returns:
        Precision -> figures of the comparison with Keras, each beside its bound.

    Raises:
        ExportError: see `convert_and_check`; the file at fault is not written.
    """
    expected = tflite_checks.keras_expectations(
        encoder, task_head, proof, task or MultiLabel(), decisions
    )
    figures = {}
    with progress.bar("TFLite files", len(precisions)) as advance:
        for precision in precisions:
            content, figures[precision] = convert_and_check(encoder, precision, proof, expected)
            path = folder / file_path(precision)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            advance()
    return figures


def convert_and_check(
    encoder: keras.Model, precision: str, proof: Proof, expected: Expected
) -> tuple[bytes, Figures]:
    """Converts an encoder and compares the result with the Keras models.

    Args:
        encoder: float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].
        precision: a key of PRECISIONS.
        proof: images.
        expected: what the Keras models make of them.

    Returns:
        The file's contents (input `image` float32 [1, S, S, 3] in [0, 1], output `code`; where the
        encoder adds noise it is a second input `noise`, float32 [1, ...] standard normal, which
        the client draws for every code), and the figures of the comparison.

    Raises:
        ExportError: the file is too small to hold the weights, has another interface, or computes
            something else.
    """
    content = convert(encoder, precision, proof)
    check_size(content, precision, sum(int(np.prod(weight.shape)) for weight in encoder.weights))
    runner = open_model(content, precision)
    code_shape = (1, *expected.codes.shape[1:])
    inputs = {"image": ("float32", (1, *proof.samples.shape[1:]))}
    if code_layers.bounding_layers(encoder)[0] is not None:
        inputs["noise"] = ("float32", code_shape)
    check_interface(runner, precision, inputs, code_shape)
    judge = PRECISIONS[precision].judge
    return content, judge(lambda images: run_images(runner, images), precision, proof, expected)


def run_images(runner: Callable[..., dict], images: np.ndarray) -> np.ndarray:
    """A file's codes float32 [n, ...] of uint8 images [n, S, S, 3], one by one.

    A file that wants noise gets the fixed one of `code_layers.fixed_noise`.
    """
    details = runner.get_input_details()
    shape = details["noise"]["shape"][1:] if "noise" in details else None
    return np.concatenate([runner(**inputs)["code"] for inputs in named_inputs(images, shape)])


def named_inputs(images: np.ndarray, noise_shape: Sequence[int] | None) -> Inputs:
    """What a file takes for each of uint8 images [n, S, S, 3]; no noise for a shape of None."""
    inputs = [{"image": image_sets.to_float(image[None]).numpy()} for image in images]
    if noise_shape is not None:
        noise = code_layers.fixed_noise(len(images), tuple(noise_shape))
        for each, drawn in zip(inputs, noise, strict=True):
            each["noise"] = drawn[None]
    return inputs


def convert(encoder: keras.Model, precision: str, proof: Proof) -> bytes:
    """Converts an encoder at batch size 1.

    Only `from_keras_model` will do: `from_concrete_functions` yields, without a word, a tiny file
    that computes NaN.
    """
    named, noise_shape = named_model(encoder)
    converter = tf.lite.TFLiteConverter.from_keras_model(named)
    PRECISIONS[precision].configure(converter, named_inputs(proof.calibration, noise_shape))
    # Keras prints the signature of the converter's intermediate model, a temporary SavedModel.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        warnings.catch_warnings(),
        saved_model_loading.plain_temporary_folders(),
    ):
        # The input stays float32, so that there is nothing to be known of its integers.
        warnings.filterwarnings("ignore", "Statistics for quantized inputs were expected")
        return converter.convert()


def named_model(encoder: keras.Model) -> tuple[keras.Model, tuple[int, ...] | None]:
    """The encoder at batch size 1 with named inputs and output, and the shape of its noise."""
    image = keras.Input(encoder.input_shape[1:], batch_size=1, name="image")
    inputs, shape = {"image": image}, None
    if code_layers.bounding_layers(encoder)[0] is None:
        code = encoder(image, training=False)
    else:
        shape = tuple(encoder.output_shape[1:])
        inputs["noise"] = keras.Input(shape, batch_size=1, name="noise")
        code = code_layers.encoder_with_noise_input(encoder)(inputs, training=False)
    # The dictionary's key becomes the output's name in the file; a layer's name would be lost.
    # In a list: of a dictionary of inputs the converter knows no shapes.
    return keras.Model(list(inputs.values()), {"code": code}, name="tflite_encoder"), shape


def check_size(content: bytes, precision: str, num_weights: int) -> None:
    """Raises ExportError when the file has less than half the bytes of its weights."""
    weight_bytes = num_weights * PRECISIONS[precision].bytes_per_weight
    if 2 * len(content) < weight_bytes:
        raise ExportError(
            f"TFLite {precision}: {len(content)} bytes can't hold {num_weights} weights of"
            f" {weight_bytes} bytes; the converter lost them, no file was written."
        )


def open_model(content: bytes, precision: str) -> Callable[..., dict[str, np.ndarray]]:
    """The default signature of a TFLite file: arrays by name in and out, of the file's shapes.

    Raises:
        ExportError: the interpreter refuses the file.
    """
    try:
        return Interpreter(model_content=content).get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise ExportError(
            f"TFLite {precision}: the interpreter refuses the file ({error}), it was not written."
        ) from error


def check_interface(
    runner: Callable, precision: str, inputs: Tensors, code_shape: tuple[int, ...]
) -> None:
    """Raises ExportError unless the inputs are these and the one output is `code`, float32."""
    found = tensor_facts(runner.get_input_details()), tensor_facts(runner.get_output_details())
    expected = inputs, {"code": ("float32", code_shape)}
    if found != expected:
        raise ExportError(
            f"TFLite {precision}: input and output are {found}, expected {expected}; no file was"
            " written."
        )


def tensor_facts(details: Mapping[str, Mapping[str, Any]]) -> Tensors:
    """Name -> (type, shape) of a runner's inputs or outputs."""
    return {
        name: (np.dtype(tensor["dtype"]).name, tuple(int(size) for size in tensor["shape"]))
        for name, tensor in details.items()
    }
