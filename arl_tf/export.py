"""Ships an encoder and its task head: SavedModels as TF Serving wants them, TFLite, a manifest.

Everything is built and compared with the Keras models in a hidden folder beside its destination,
then renamed into place, the manifest last. One export at a time may write to a folder.
"""

import contextlib
import dataclasses
import json
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf import data, publishing, tflite
from arl_tf.tflite import ExportError

MANIFEST_FORMAT = 1
MANIFEST = pathlib.Path("manifest.json")
# Largest absolute difference of a reloaded SavedModel's outputs to the Keras model's.
SAVED_MODEL_BOUND = 1e-5


@dataclasses.dataclass(frozen=True)
class ExportResult:
    """What an export wrote.

    Attributes:
        encoder_dir: the encoder's SavedModel, .../encoder/<version>.
        task_head_dir: the task head's SavedModel, .../task_head/<version>.
        tflite_files: one file a precision.
        manifest_path: the manifest.
        version: of both SavedModels.
        parity: largest difference of each artefact's outputs to the Keras model's: absolute for
            SavedModels, in standard deviations of the code for TFLite.
    """

    encoder_dir: pathlib.Path
    task_head_dir: pathlib.Path
    tflite_files: tuple[pathlib.Path, ...]
    manifest_path: pathlib.Path
    version: int
    parity: dict[str, float]


@dataclasses.dataclass(frozen=True)
class Batch:
    """What the Keras models make of some images.

    Images are uint8 [n, S, S, 3], codes float32 [n, ...], the task head's outputs float32 [n, A].
    """

    images: np.ndarray
    codes: np.ndarray
    logits: np.ndarray


def export_models(
    encoder: keras.Model,
    task_head: keras.Model,
    *,
    image_size: int,
    attribute_names: Sequence[str],
    samples: np.ndarray,
    export_dir: pathlib.Path,
    provenance: Mapping[str, Any],
) -> ExportResult:
    """Writes the next version of both models.

    Earlier versions stay; TFLite files and manifest are replaced.

    Args:
        encoder: float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].
        task_head: code -> logits float32 [B, A].
        image_size: S, pixels.
        attribute_names: A names.
        samples: uint8 [n, S, S, 3], n >= 1, public images that the comparisons run on.
        export_dir: made if missing.
        provenance: facts for the manifest, as JSON can hold them (no NaN).

    Raises:
        ValueError: the models, names, samples or facts don't fit together; nothing was written.
        ExportError: an artefact computes something else than its Keras model; nothing was written.
    """
    check_arguments(encoder, task_head, image_size, attribute_names, samples, provenance)
    export_dir = pathlib.Path(export_dir)
    with publishing.unfinished_folders(export_dir) as (built, replaced):
        version = publishing.next_version(export_dir / "saved_model")
        encoder_dir, task_head_dir = (
            pathlib.Path("saved_model") / name / str(version) for name in ("encoder", "task_head")
        )
        batches = keras_outputs(encoder, task_head, samples)
        codes = batches["all"].codes
        save_encoder(encoder, image_size, built / encoder_dir)
        save_task_head(task_head, codes.shape[1:], attribute_names, built / task_head_dir)
        parity = {
            **encoder_parity(built / encoder_dir, batches),
            **task_head_parity(built / task_head_dir, batches),
            **tflite.write_files(encoder, samples, codes, built),
        }
        manifest = {
            **describe_models(version, attribute_names, image_size, codes.shape[1:]),
            **describe_parity(parity, len(samples)),
            "provenance": dict(provenance),
            "files": publishing.describe_files(built),
        }
        (built / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
        publishing.publish(
            [encoder_dir, task_head_dir, *tflite.FILES.values(), MANIFEST],
            built=built,
            replaced=replaced,
            export_dir=export_dir,
        )
    return ExportResult(
        encoder_dir=export_dir / encoder_dir,
        task_head_dir=export_dir / task_head_dir,
        tflite_files=tuple(export_dir / path for path in tflite.FILES.values()),
        manifest_path=export_dir / MANIFEST,
        version=version,
        parity=parity,
    )


def check_arguments(
    encoder: keras.Model,
    task_head: keras.Model,
    image_size: int,
    attribute_names: Sequence[str],
    samples: np.ndarray,
    provenance: Mapping[str, Any],
) -> None:
    """Raises ValueError for arguments of `export_models` that don't fit together."""
    image_shape = (image_size, image_size, 3)
    num_attributes = len(attribute_names)
    for what, found, expected in (
        ("the encoder's input", encoder.input_shape[1:], image_shape),
        ("the encoder's output type", encoder.output.dtype, "float32"),
        ("the task head's input", task_head.input_shape, encoder.output_shape),
        ("the task head's output", task_head.output_shape, (None, num_attributes)),
        ("the task head's output type", task_head.output.dtype, "float32"),
        ("an image of samples", samples.shape[1:], image_shape),
        ("the type of samples", samples.dtype, "uint8"),
    ):
        if found != expected:
            raise ValueError(
                f"Export: {what} is {found}, expected {expected} for image_size={image_size} and"
                f" {num_attributes} attributes."
            )
    if not len(samples):
        raise ValueError("Export: samples is empty; give at least one public image.")
    if len(set(attribute_names)) < num_attributes or any(
        not name or name.splitlines() != [name] for name in attribute_names
    ):
        raise ValueError(
            f"Export: attribute names must differ and fill one line each, got {attribute_names!r}."
        )
    shared = {id(weight) for weight in encoder.variables} & {id(w) for w in task_head.variables}
    if shared:
        raise ValueError(
            f"Export: encoder and task head share {len(shared)} variables; the encoder must ship"
            " without the task head's."
        )
    try:
        json.dumps(dict(provenance), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"Export: provenance can't be written as JSON ({error}); give strings, finite numbers,"
            " lists and dictionaries, and None for what is not known."
        ) from error


def keras_outputs(
    encoder: keras.Model, task_head: keras.Model, samples: np.ndarray
) -> dict[str, Batch]:
    """The Keras models' outputs for a batch of `one` image, the first, and for `all` of them."""

    # Compiled, as in `predict`, and at the artefact's batch size: eager layers round differently
    # from fused ones (by 1.7e-5 in a ResNet-50), one image differently from eight (by 7e-6).
    @tf.function(input_signature=[tf.TensorSpec((None, *samples.shape[1:]), tf.uint8)])
    def run(images):
        code = encoder(data.to_float(images), training=False)
        return code, task_head(code, training=False)

    with cpu():
        return {
            name: Batch(images, *(output.numpy() for output in run(tf.constant(images))))
            for name, images in (("one", samples[:1]), ("all", samples))
        }


def cpu() -> contextlib.AbstractContextManager:
    """Where artefacts are compared: a GPU's TF32 would drown in rounding what is looked for."""
    return tf.device("/CPU:0")


def save_encoder(encoder: keras.Model, image_size: int, path: pathlib.Path) -> None:
    """Writes the encoder's SavedModel: signatures serving_default (= encode) and encode_bytes.

    The module holds the variables and not the Keras model, which would store every weight twice.
    """
    module = tf.Module(name="encoder")
    module.model_variables = [variable.value for variable in encoder.variables]
    image_shape = (image_size, image_size, 3)

    @tf.function(input_signature=[tf.TensorSpec((None, *image_shape), tf.uint8, name="image")])
    def encode(image):
        return {"code": encoder(data.to_float(image), training=False)}

    @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image_bytes")])
    def encode_bytes(image_bytes):
        image = tf.map_fn(
            lambda one: data.preprocess(data.decode_image(one), image_size),
            image_bytes,
            fn_output_signature=tf.TensorSpec(image_shape, tf.uint8),
        )
        return encode(image)

    module.encode, module.encode_bytes = encode, encode_bytes
    signatures = {"serving_default": encode, "encode": encode, "encode_bytes": encode_bytes}
    tf.saved_model.save(module, str(path), signatures=signatures)


def save_task_head(
    task_head: keras.Model,
    code_shape: tuple[int, ...],
    attribute_names: Sequence[str],
    path: pathlib.Path,
) -> None:
    """Writes the task head's SavedModel; its asset attributes.txt has an attribute name a line."""
    module = tf.Module(name="task_head")
    module.model_variables = [variable.value for variable in task_head.variables]

    @tf.function(input_signature=[tf.TensorSpec((None, *code_shape), tf.float32, name="code")])
    def classify(code):
        logits = task_head(code, training=False)
        return {"logits": logits, "probability": tf.sigmoid(logits)}

    module.classify = classify
    asset = path.parent / "attributes.txt"
    asset.parent.mkdir(parents=True, exist_ok=True)
    asset.write_text("".join(f"{name}\n" for name in attribute_names), encoding="utf-8")
    module.attributes = tf.saved_model.Asset(str(asset))
    tf.saved_model.save(module, str(path), signatures={"serving_default": classify})
    # The SavedModel has its own copy.
    asset.unlink()


def encoder_parity(path: pathlib.Path, batches: Mapping[str, Batch]) -> dict[str, float]:
    """Compares both signatures of a saved encoder with the Keras codes.

    `encode_bytes` takes the images as PNG.
    """
    parity = {}
    with cpu():
        signatures = tf.saved_model.load(str(path)).signatures
        for name, batch in batches.items():
            files = tf.stack([tf.io.encode_png(image) for image in batch.images])
            for signature, inputs in (
                ("encode", {"image": tf.constant(batch.images)}),
                ("encode_bytes", {"image_bytes": files}),
            ):
                code = signatures[signature](**inputs)["code"]
                parity[f"{signature}_{name}"] = difference(code, batch.codes, signature)
    return parity


def task_head_parity(path: pathlib.Path, batches: Mapping[str, Batch]) -> dict[str, float]:
    """Compares a saved task head with the Keras logits of the same codes."""
    parity = {}
    with cpu():
        classify = tf.saved_model.load(str(path)).signatures["serving_default"]
        for name, batch in batches.items():
            outputs = classify(code=tf.constant(batch.codes))
            probability = tf.sigmoid(batch.logits).numpy()
            for output, expected in (("logits", batch.logits), ("probability", probability)):
                parity[f"{output}_{name}"] = difference(
                    outputs[output], expected, f"task head's {output}"
                )
    return parity


def difference(outputs: tf.Tensor, expected: np.ndarray, what: str) -> float:
    """Largest absolute difference; raises ExportError when it is not within SAVED_MODEL_BOUND."""
    if outputs.shape != expected.shape:
        raise ExportError(
            f"SavedModel, {what}: shape {tuple(outputs.shape)}, the Keras model gives"
            f" {expected.shape}."
        )
    error = float(np.abs(outputs.numpy() - expected).max())
    # Written so that NaN fails.
    if not error <= SAVED_MODEL_BOUND:
        raise ExportError(
            f"SavedModel, {what}: differs from the Keras model by {error:.3g} for a batch of"
            f" {len(expected)}, expected at most {SAVED_MODEL_BOUND:g}; nothing was exported."
        )
    return error


def describe_models(
    version: int, attribute_names: Sequence[str], image_size: int, code_shape: tuple[int, ...]
) -> dict[str, Any]:
    """The manifest's facts about the models and what made them."""
    return {
        "format": MANIFEST_FORMAT,
        "version": version,
        "attribute_names": list(attribute_names),
        **describe_interface(image_size, code_shape),
        "versions": {"tensorflow": tf.__version__, "keras": keras.__version__},
    }


def describe_parity(parity: Mapping[str, float], num_samples: int) -> dict[str, Any]:
    """The manifest's facts about the comparison with the Keras models."""
    return {
        "parity": dict(parity),
        "parity_bounds": {"saved_model": SAVED_MODEL_BOUND, **tflite.BOUNDS},
        "parity_samples": num_samples,
    }


def describe_interface(image_size: int, code_shape: tuple[int, ...]) -> dict[str, Any]:
    """What a client must know of images and codes, for the manifest."""
    return {
        "image_size": image_size,
        "preprocessing": {
            "version": data.PREPROCESS_VERSION,
            "words": "Decode to 8-bit RGB, cut out the largest centred square (an odd pixel stays"
            " right or below), resize it with an antialiased bilinear filter, round to whole"
            " numbers. encode_bytes does all of it, encode and TFLite take the result; TFLite takes"
            " it divided by 255.",
            "crop": {"shape": "square", "share_of_shorter_side": 1.0, "centre": [0.5, 0.5]},
            "resize": {"size": [image_size, image_size], "method": "bilinear", "antialias": True},
            "tflite_scale": 1 / 255,
        },
        "code": {
            "shape": list(code_shape),
            "dtype": "float32",
            "bytes": 4 * math.prod(code_shape),
        },
    }
