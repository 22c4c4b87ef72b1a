"""A frozen network computed by LiteRT, which takes less than half of TensorFlow's time for some.

TensorFlow's depthwise convolutions are slow on a CPU. There are no gradients in this form: whoever
needs them asks the Keras model.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from arl_tf.utils import saved_model_loading
from arl_tf.utils.cores import num_threads

# Of the largest value of the outputs. Rounding makes some 2e-5.
TOLERANCE = 1e-3
PROOF_SEED = 0


def lite_form(network: keras.Model, batch_size: int) -> Callable[[np.ndarray], np.ndarray]:
    """A network in LiteRT's form, compared with Keras' on one batch of random images.

    Args:
        network: image [B, S, S, 3] in [0, 1] -> output [B, D]; float32, without state.
        batch_size: images that are computed at once.

    Returns:
        A function: images float32 [N, S, S, 3] in [0, 1], N >= 1 -> outputs float32 [N, D].

    Raises:
        RuntimeError: LiteRT computes something else.
    """
    shape = (batch_size, *network.input_shape[1:])
    graph = tf.function(lambda images: network(images, training=False), autograph=False)
    traced = graph.get_concrete_function(tf.TensorSpec(shape, tf.float32))
    # The converter saves the graph with its variables. A Keras model does not show it any, and the
    # file would compute NaN.
    module = tf.Module()
    module.all_variables = [weight.value for weight in network.weights]
    converter = tf.lite.TFLiteConverter.from_concrete_functions([traced], module)
    with saved_model_loading.plain_temporary_folders():
        content = converter.convert()
    interpreter = Interpreter(model_content=content, num_threads=num_threads())
    interpreter.allocate_tensors()
    (source,), (sink,) = interpreter.get_input_details(), interpreter.get_output_details()

    def run(images: np.ndarray) -> np.ndarray:
        interpreter.set_tensor(source["index"], images)
        interpreter.invoke()
        return interpreter.get_tensor(sink["index"])

    def run_all(images: np.ndarray) -> np.ndarray:
        starts = range(0, len(images), batch_size)
        found = [run(filled(images[start : start + batch_size], shape)) for start in starts]
        return np.concatenate(found)[: len(images)]

    check_same(network, run, shape)
    return run_all


def filled(images: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A whole batch float32: images [n, ...], n <= shape[0], and zeros behind them."""
    if images.shape == shape:
        return images.astype(np.float32, copy=False)
    batch = np.zeros(shape, np.float32)
    batch[: len(images)] = images
    return batch


def check_same(
    network: keras.Model, run: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...]
) -> None:
    """Compares `run` with the network on random images.

    Args:
        network: image [B, S, S, 3] in [0, 1] -> output [B, D].
        run: the same of arrays float32.
        shape: of the images, [B, S, S, 3].

    Raises:
        RuntimeError: the outputs differ.
    """
    images = np.random.default_rng(PROOF_SEED).random(shape, np.float32)
    expected = np.asarray(network(images, training=False))
    difference = np.abs(run(images) - expected).max() / np.abs(expected).max()
    # A NaN is no small difference.
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"LiteRT's form of {network.name} differs from TensorFlow's by {difference:.2g} of the"
            f" largest output, expected at most {TOLERANCE}. Install the ai-edge-litert of"
            " requirements.txt."
        )
