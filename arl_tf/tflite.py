"""The encoder as TFLite files for phones and gateways, each proved on images before it is kept."""

import contextlib
import dataclasses
import io
import pathlib
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from arl_tf import data


class ExportError(RuntimeError):
    """An exported model is not what it was exported from."""


@dataclasses.dataclass(frozen=True)
class Variant:
    """A precision in which the encoder ships.

    Attributes:
        bytes_per_weight: bytes that a weight takes in the file.
        bound: largest difference to Keras that passes, in standard deviations of the code.
        configure: sets a converter's options.
    """

    bytes_per_weight: int
    bound: float
    configure: Callable[[tf.lite.TFLiteConverter], None]


def keep_float32(converter: tf.lite.TFLiteConverter) -> None:
    """Leaves a converter as it comes: float32 throughout."""


def store_float16(converter: tf.lite.TFLiteConverter) -> None:
    """Stores weights as float16; input, output and (on a CPU) arithmetic stay float32."""
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]


# Rounding measured: 5.4e-5 and 3.3e-2 in the deepest encoder (ResNet-50 cut late), 6.8e-6 and
# 7.3e-3 in `small`. A file that is wrong is off by a standard deviation or more.
VARIANTS = {
    "float32": Variant(bytes_per_weight=4, bound=1e-4, configure=keep_float32),
    "float16": Variant(bytes_per_weight=2, bound=5e-2, configure=store_float16),
}
FILES = {name: pathlib.Path(f"tflite/encoder_{name}.tflite") for name in VARIANTS}
BOUNDS = {f"tflite_{name}": variant.bound for name, variant in VARIANTS.items()}


def write_files(
    encoder: keras.Model, samples: np.ndarray, codes: np.ndarray, folder: pathlib.Path
) -> dict[str, float]:
    """Writes the encoder in every precision, each file after it has passed its checks.

    Args:
        encoder: float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].
        samples: uint8 [n, S, S, 3].
        codes: float32 [n, ...], the Keras model's codes of `samples`.
        folder: where FILES go.

    Returns:
        For each key of BOUNDS the largest difference to `codes`, in standard deviations of the
        code.

    Raises:
        ExportError: see `convert_and_check`; the file at fault is not written.
    """
    errors = {}
    for variant, path in FILES.items():
        content, errors[f"tflite_{variant}"] = convert_and_check(encoder, variant, samples, codes)
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    return errors


def convert_and_check(
    encoder: keras.Model, variant: str, samples: np.ndarray, codes: np.ndarray
) -> tuple[bytes, float]:
    """Converts an encoder and compares the result with the Keras model's codes.

    Args:
        encoder: float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].
        variant: a key of VARIANTS.
        samples: uint8 [n, S, S, 3].
        codes: float32 [n, ...], the Keras model's codes of `samples`.

    Returns:
        The file's contents (input `image` float32 [1, S, S, 3] in [0, 1], output `code`), and the
        largest difference of its codes to `codes` in standard deviations of the code.

    Raises:
        ExportError: the file is too small to hold the weights, has another interface, or computes
            something else.
    """
    content = convert(encoder, VARIANTS[variant])
    check_size(content, variant, sum(int(np.prod(weight.shape)) for weight in encoder.weights))
    runner = open_model(content, variant)
    check_interface(runner, variant, (1, *samples.shape[1:]), (1, *codes.shape[1:]))
    images = data.to_float(samples).numpy()
    outputs = np.concatenate([runner(image=image[None])["code"] for image in images])
    error = relative_error(outputs, codes)
    # Written so that NaN fails.
    if not error <= VARIANTS[variant].bound:
        raise ExportError(
            f"TFLite {variant}: its codes differ from the Keras encoder's by {error:.3g} standard"
            f" deviations, expected at most {VARIANTS[variant].bound:g}; a layer was converted"
            " wrongly or overflows, no file was written."
        )
    return content, error


def convert(encoder: keras.Model, variant: Variant) -> bytes:
    """Converts an encoder at batch size 1.

    Only `from_keras_model` will do: `from_concrete_functions` yields, without a word, a tiny file
    that computes NaN.
    """
    image = keras.Input(encoder.input_shape[1:], batch_size=1, name="image")
    # The dictionary's key becomes the output's name in the file; a layer's name would be lost.
    named = keras.Model(image, {"code": encoder(image, training=False)}, name="tflite_encoder")
    converter = tf.lite.TFLiteConverter.from_keras_model(named)
    variant.configure(converter)
    # Keras prints the signature of the converter's intermediate model.
    with contextlib.redirect_stdout(io.StringIO()):
        return converter.convert()


def check_size(content: bytes, variant: str, num_weights: int) -> None:
    """Raises ExportError when the file has less than half the bytes of its weights."""
    weight_bytes = num_weights * VARIANTS[variant].bytes_per_weight
    if 2 * len(content) < weight_bytes:
        raise ExportError(
            f"TFLite {variant}: {len(content)} bytes can't hold {num_weights} weights of"
            f" {weight_bytes} bytes; the converter lost them, no file was written."
        )


def open_model(content: bytes, variant: str) -> Callable[..., dict[str, np.ndarray]]:
    """The default signature of a TFLite file as a function with named inputs and outputs."""
    try:
        return Interpreter(model_content=content).get_signature_runner()
    except (ValueError, RuntimeError) as error:
        raise ExportError(
            f"TFLite {variant}: the interpreter refuses the file ({error}), it was not written."
        ) from error


def check_interface(
    runner: Callable, variant: str, image_shape: tuple[int, ...], code_shape: tuple[int, ...]
) -> None:
    """Raises ExportError unless the one input is `image` and the one output `code`.

    Both must be float32, of these shapes.
    """

    def described(details: dict) -> dict:
        return {
            name: (np.dtype(tensor["dtype"]).name, tuple(int(size) for size in tensor["shape"]))
            for name, tensor in details.items()
        }

    found = described(runner.get_input_details()), described(runner.get_output_details())
    expected = {"image": ("float32", image_shape)}, {"code": ("float32", code_shape)}
    if found != expected:
        raise ExportError(
            f"TFLite {variant}: input and output are {found}, expected {expected}; no file was"
            " written."
        )


def relative_error(outputs: np.ndarray, codes: np.ndarray) -> float:
    """Largest absolute difference in standard deviations of `codes`.

    NaN or inf where `outputs` are not finite.
    """
    # A constant code has no deviation: then any difference is infinitely large, and none is 0.
    deviation = max(float(codes.std()), float(np.finfo(np.float32).tiny))
    return float(np.abs(outputs.astype(np.float64) - codes).max()) / deviation
