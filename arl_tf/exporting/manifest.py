"""What an export's manifest.json says of the models, and of what a client must know."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from arl_tf.data import preprocessing
from arl_tf.data.task_kinds import REGRESSION, SINGLE_LABEL
from arl_tf.exporting import saved_model_checks, tflite
from arl_tf.metrics.tasks.definition import Task
from arl_tf.models import code_layers
from arl_tf.models.fingerprint import weights_hash

MANIFEST_FORMAT = 2
NOISE_WORDS = (
    "Every code carries{kind} noise. The SavedModel draws it. The TFLite files take it as a"
    " second input, noise, float32 of the code's shape: standard normal, new for every code, from a"
    " generator that nobody can predict. Noise of 0 would give the face away."
)
UNIT_WORDS = "that of the labels the task head was trained on"
FIT_WORDS = {
    preprocessing.CROP: "Cut out the largest centred square (an odd pixel stays right or below)",
    preprocessing.PAD: "Put the whole picture in the centre of a black square of its longer side"
    " (the odd pixel of a margin is right or below)",
}
FIT_FACTS = {
    preprocessing.CROP: {
        "crop": {"shape": "square", "share_of_shorter_side": 1.0, "centre": [0.5, 0.5]}
    },
    preprocessing.PAD: {
        "pad": {"shape": "square", "share_of_longer_side": 1.0, "colour": [0, 0, 0]}
    },
}
# An int8 file computes other codes on LiteRT's GPU accelerator (see serving/check_gpu.py).
DELEGATES = {"float32": ("cpu", "gpu"), "float16": ("cpu", "gpu"), "int8": ("cpu",)}


def describe_models(
    version: int, attribute_names: Sequence[str], image_size: int, encoder: keras.Model, fit: str
) -> dict[str, Any]:
    """The manifest's facts about the models and what made them."""
    return {
        "format": MANIFEST_FORMAT,
        "version": version,
        "encoder_sha256": weights_hash(encoder),
        "attribute_names": list(attribute_names),
        **describe_interface(image_size, encoder, fit),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def describe_task(task: Task, task_head: keras.Model, names: Sequence[str]) -> dict[str, Any]:
    """The manifest's facts about the task head's answers: their kind, their names, their units.

    `attribute_names` holds the same names, for older clients.
    """
    values = None
    if task.kind == REGRESSION:
        values = {name: value_words(task_head, place) for place, name in enumerate(names)}
    return {
        "task_kind": task.kind,
        "class_names": list(names) if task.kind == SINGLE_LABEL else None,
        "values": values,
        "task_head_outputs": list(task.outputs),
    }


def value_words(task_head: keras.Model, place: int) -> dict[str, Any]:
    """Of a regression's target: in what units its value is, and how the training labels were."""
    found: dict[str, Any] = {"unit": UNIT_WORDS}
    last = task_head.layers[-1]
    if isinstance(last, keras.layers.Rescaling):
        found |= {"mean": last.offset[place], "deviation": last.scale[place]}
    return found


def describe_comparisons(
    saved_model_errors: Mapping[str, float],
    tflite_figures: Mapping[str, Mapping[str, float]],
    num_samples: int,
    encoder: keras.Model,
) -> dict[str, Any]:
    """The manifest's facts about the comparison with the Keras models.

    What a noisy encoder adds to its mean code is compared with its noise, in standard errors.
    """
    bounds = {"bound": saved_model_checks.SAVED_MODEL_BOUND}
    if code_layers.bounding_layers(encoder)[0] is not None:
        bounds["bound_of_encode_in_standard_errors"] = saved_model_checks.NOISE_ERRORS
    return {
        "parity": {
            "samples": num_samples,
            "saved_model": {**bounds, **saved_model_errors},
            "tflite": {precision: dict(found) for precision, found in tflite_figures.items()},
        },
        "tflite": {
            precision: {
                "file": tflite.file_path(precision).as_posix(),
                "delegates": list(DELEGATES[precision]),
            }
            for precision in tflite_figures
        },
    }


def training_data(
    dataset: str, images: int, *, of_images: int, photographs: bool, faces: bool = True
) -> dict[str, Any]:
    """The manifest's `trained_on`: whoever reads figures must know what images they are of.

    Args:
        dataset: --dataset.
        images: how many of them the encoder learned from.
        of_images: how many there are in all parts.
        photographs: whether they are no drawn faces.
        faces: whether they show faces.
    """
    kind = "photographs" if photographs else "drawn faces, no photographs"
    if not faces:
        kind = "images that show no faces"
    return {
        "dataset": dataset,
        "images": images,
        "of_images": of_images,
        "photographs": photographs,
        "faces": faces,
        "words": f"{images:,} of {of_images:,} {kind} (--dataset={dataset})",
    }


def noise_words(noisy: code_layers.DrawnNoise | None) -> str | None:
    """Who draws an encoder's noise, and of what; None where it adds none."""
    if noisy is None:
        return None
    return NOISE_WORDS.format(kind=" Gaussian" if noisy.is_gaussian else "")


def describe_interface(image_size: int, encoder: keras.Model, fit: str) -> dict[str, Any]:
    """What a client must know of images and codes, for the manifest."""
    code_shape = encoder.output_shape[1:]
    noisy, quantised = code_layers.bounding_layers(encoder)
    return {
        "image_size": image_size,
        "preprocessing": {
            "version": preprocessing.PREPROCESS_VERSION,
            "words": "Decode JPEG, PNG, BMP, GIF (first frame) or WebP to 8-bit RGB, turn it"
            f" upright by EXIF, put transparent parts on black. {FIT_WORDS[fit]}, resize it with an"
            " antialiased bilinear filter, round to whole numbers. encode_bytes does all of it,"
            " encode and TFLite take the result; TFLite takes it divided by 255.",
            "fit": fit,
            **FIT_FACTS[fit],
            "resize": {"size": [image_size, image_size], "method": "bilinear", "antialias": True},
            "tflite_scale": 1 / 255,
        },
        "code": {
            "shape": list(code_shape),
            "dtype": "float32",
            "bytes": 4 * math.prod(code_shape),
            "levels": quantised.levels if quantised else None,
            "outer": quantised.outermost if quantised else None,
            "noise": noise_words(noisy),
        },
    }
