"""A tiny encoder, task head and decoder, and pictures for them, for the tests of the export."""

import io
import types

import keras
import numpy as np
from keras import layers
from PIL import Image

from arl_tf.exporting.tflite_checks import Proof
from arl_tf.models import architectures

SIZE = 16
NAMES = ("Smiling", "Eyeglasses", "Wearing Hat")
# Weights of noise keep their values: a random scale or share would be no noise that is meant.
OF_NOISE = ("share_logit", "scale_logit", "sensitivity", "steps", "noise_scale", "drop_rate")


def build_models(seed=0, bounds=None):
    """A tiny encoder, task head and decoder; all variables random, moving statistics included."""
    image = keras.Input((SIZE, SIZE, 3), name="picture")
    features = layers.Conv2D(8, 3, 2, padding="same", use_bias=False, name="stem")(image)
    features = layers.ReLU(name="relu")(layers.BatchNormalization(name="stem_norm")(features))
    features = layers.Conv2D(4, 1, name="bottleneck")(features)
    code = layers.BatchNormalization(center=False, scale=False, name="code_norm")(features)
    code = architectures.bounded(code, bounds or architectures.CodeBounds())
    encoder = keras.Model(image, code, name="encoder")
    head_input = keras.Input(code.shape[1:], name="code")
    pooled = layers.GlobalAveragePooling2D(name="pooled")(head_input)
    logits = layers.Dense(len(NAMES), name="logits")(layers.Dropout(0.5, name="dropout")(pooled))
    task_head = keras.Model(head_input, logits, name="task_head")
    decoded = layers.Conv2DTranspose(3, 3, 2, padding="same", name="up")(head_input)
    decoder = keras.Model(head_input, decoded, name="decoder")
    rng = np.random.default_rng(seed)
    for model in (encoder, task_head, decoder):
        for weight in model.weights:
            is_kernel = weight.path.endswith("kernel")
            values = (
                rng.normal(0, 0.4, weight.shape) if is_kernel else rng.uniform(0.5, 1, weight.shape)
            )
            if not weight.path.endswith(OF_NOISE):
                weight.assign(values)
    return types.SimpleNamespace(encoder=encoder, task_head=task_head, decoder=decoder)


def pictures(count=5, size=SIZE):
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3), np.uint8)


def attributes(count):
    """{0, 1} [count, A], both values in every column."""
    return (np.arange(count)[:, None] + np.arange(len(NAMES))) % 2


def proof(**changes):
    """Few images to make and judge files with."""
    parts = {
        "samples": pictures(),
        "calibration": pictures(16),
        "validation": pictures(20),
        "attributes": attributes(20),
    }
    return Proof(**(parts | changes))


def contents(folder):
    """Every file and folder below `folder`, hidden ones too, with what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def as_bytes(pixels, image_format, mode="RGB"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, image_format)
    return buffer.getvalue()
