"""An unprotected encoder and its attacker as one TFLite file, for the demo page's browser."""

import contextlib
import io

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter

from arl_tf.data import image_sets
from arl_tf.metrics.equivalence import ExportError
from arl_tf.utils import saved_model_loading

# Of a pixel in [0, 1]: weights are stored as float16, the picture is shown with 8 bits.
BOUND = 0.01


def convert_and_check(encoder: keras.Model, attacker: keras.Model, samples: np.ndarray) -> bytes:
    """Converts image -> reconstruction and compares the file with the Keras models.

    Args:
        encoder: float32 [B, S, S, 3] in [0, 1] -> code, without noise.
        attacker: code -> reconstruction float32 [B, S, S, 3] in [0, 1].
        samples: uint8 [n, S, S, 3] to compare on.

    Returns:
        The file's contents: input `image` float32 [1, S, S, 3] in [0, 1], output `reconstruction`
        float32 [1, S, S, 3].

    Raises:
        ExportError: a pixel differs by more than BOUND.
    """
    content = convert(encoder, attacker)
    run = Interpreter(model_content=content).get_signature_runner()
    images = [image_sets.to_float(image[None]) for image in samples]
    found = np.concatenate([run(image=image.numpy())["reconstruction"] for image in images])
    expected = np.concatenate(
        [attacker(encoder(image, training=False), training=False).numpy() for image in images]
    )
    error = float(np.abs(found - expected).max())
    if not error <= BOUND:
        raise ExportError(
            f"TFLite, attack on the unprotected code: differs by {error:.2g} from the Keras models,"
            f" expected at most {BOUND:g}; nothing was written."
        )
    return content


def convert(encoder: keras.Model, attacker: keras.Model) -> bytes:
    """The file's contents; weights as float16, arithmetic in float32."""
    image = keras.Input(encoder.input_shape[1:], batch_size=1, name="image")
    picture = attacker(encoder(image, training=False), training=False)
    # The dictionary's key becomes the output's name in the file.
    model = keras.Model([image], {"reconstruction": picture}, name="unprotected_attack")
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    # Keras prints the signature of the converter's intermediate model, a temporary SavedModel.
    with (
        contextlib.redirect_stdout(io.StringIO()),
        saved_model_loading.plain_temporary_folders(),
    ):
        return converter.convert()
