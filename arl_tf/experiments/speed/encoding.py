"""How fast one picture is encoded by each form of the encoder, on this machine."""

import functools
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from arl_tf.data import image_sets
from arl_tf.data.faces import generation
from arl_tf.experiments.speed.timing import seconds_of
from arl_tf.exporting import tflite
from arl_tf.exporting.tflite_checks import Proof
from arl_tf.models import architectures

ENCODED, ROUNDS = 40, 5


def measure_tflite() -> dict[str, float]:
    """How much faster one picture is encoded by a .tflite file than by Keras, on the CPU.

    A small encoder, 64 pixels; every form encodes the same pictures in turn, the medians count.
    """
    encoder, _ = architectures.build_encoder_and_task_head(
        "small", image_size=64, cut="middle", code_channels=32, num_attributes=40
    )
    pictures = generation.generate_faces(ENCODED, 64, seed=2).images
    proof = Proof(pictures, pictures, pictures, np.zeros((ENCODED, 40), np.uint8))
    floats = image_sets.to_float(pictures).numpy()
    compiled = tf.function(lambda image: encoder(image, training=False), autograph=False)
    encoders: dict[str, Callable[[np.ndarray], object]] = {
        "keras_predict": lambda image: encoder.predict(image, verbose=0),
        "keras_compiled": lambda image: compiled(tf.constant(image)).numpy(),
    }
    for precision in tflite.PRECISIONS:
        runner = tflite.open_model(tflite.convert(encoder, precision, proof), precision)
        encoders[precision] = lambda image, runner=runner: runner(image=image)
    times: dict[str, list[float]] = {name: [] for name in encoders}
    for _ in range(ROUNDS):
        for name, encode in encoders.items():
            encode(floats[:1])
            times[name] += [seconds_of(functools.partial(encode, one)) for one in floats[:, None]]
    medians = {name: float(np.median(taken)) for name, taken in times.items()}
    return {
        f"tflite_{name}_speedup_to_{keras}": medians[keras] / medians[name]
        for name in tflite.PRECISIONS
        for keras in ("keras_predict", "keras_compiled")
    }
