"""Warm-up requests for TF Serving: what it runs through a model before it lets clients in.

The images in them are drawn faces: requests travel with the model, and photographs should not.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from arl_tf.data.faces import generation
from arl_tf.metrics.equivalence import ExportError
from arl_tf.utils import saved_model_loading

REQUESTS = pathlib.Path("assets.extra") / "tf_serving_warmup_requests"
BATCHES = (1, 8)
FACES_SEED = 0
Inputs = Mapping[str, np.ndarray]


def drawn_faces(image_size: int) -> np.ndarray:
    """As many drawn faces as the largest batch takes; uint8 [8, S, S, 3]."""
    return generation.generate_faces(max(BATCHES), image_size, seed=FACES_SEED).images


def encoder_inputs(images: np.ndarray) -> dict[str, Inputs]:
    """Signature -> inputs by name, for the encoder; uint8 [n, S, S, 3], or as PNG files [n]."""
    files = np.array([tf.io.encode_png(image).numpy() for image in images], object)
    return {
        "serving_default": {"image": images},
        "encode": {"image": images},
        "encode_bytes": {"image_bytes": files},
        "encode_to_bytes": {"image_bytes": files},
    }


def task_head_inputs(codes: np.ndarray) -> dict[str, Inputs]:
    """Signature -> inputs by name, for the task head; float32 [n, ...], or as bytes [n]."""
    files = np.array([code.astype("<f4").tobytes() for code in codes], object)
    return {"serving_default": {"code": codes}, "read_bytes": {"code_bytes": files}}


def write_requests(folder: pathlib.Path, model_name: str, inputs: Mapping[str, Inputs]) -> None:
    """Writes requests for every signature, in batches of every size of BATCHES.

    Args:
        folder: of a SavedModel's version.
        model_name: under which TF Serving serves it.
        inputs: signature -> inputs by name, each with max(BATCHES) rows.
    """
    path = folder / REQUESTS
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for signature, arrays in inputs.items():
            for size in BATCHES:
                rows = {name: array[:size] for name, array in arrays.items()}
                writer.write(prediction_log(model_name, signature, rows).SerializeToString())


def prediction_log(model_name: str, signature: str, inputs: Inputs) -> PredictionLog:
    """One request as TF Serving logs it."""
    log = PredictionLog()
    request = log.predict_log.request
    request.model_spec.name = model_name
    request.model_spec.signature_name = signature
    for name, array in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    return log


def read_requests(folder: pathlib.Path) -> list[PredictionLog]:
    """The requests that a SavedModel's version carries."""
    records = tf.data.TFRecordDataset(str(folder / REQUESTS))
    return [PredictionLog.FromString(record) for record in records.as_numpy_iterator()]


def run_requests(folder: pathlib.Path) -> list[tuple[str, dict[str, np.ndarray]]]:
    """Runs every request of a SavedModel's version through it.

    Returns:
        (signature, outputs [n, ...] by name) of each request, in order.

    Raises:
        ExportError: a request fails, or an output is not a row of finite values each.
    """
    model = saved_model_loading.load(folder)
    return [run_request(model.signatures, log, folder) for log in read_requests(folder)]


def run_request(
    signatures: Mapping, log: PredictionLog, folder: pathlib.Path
) -> tuple[str, dict[str, np.ndarray]]:
    """Runs one request: signature, outputs [n, ...] by name; raises as `run_requests`."""
    request = log.predict_log.request
    name = request.model_spec.signature_name
    inputs = {key: tf.constant(tf.make_ndarray(proto)) for key, proto in request.inputs.items()}
    try:
        outputs = {key: value.numpy() for key, value in signatures[name](**inputs).items()}
    except (KeyError, TypeError, tf.errors.OpError) as error:
        raise ExportError(f"Warm-up request for {name} of {folder.parent.name}: {error}") from error
    rows = len(next(iter(inputs.values())))
    check_outputs(outputs, rows, f"Warm-up request for {name} of {folder.parent.name}")
    return name, outputs


def check_outputs(outputs: Mapping[str, np.ndarray], rows: int, what: str) -> None:
    """Raises ExportError unless every output has a row of finite values for each input.

    `outputs` are [rows, ...] by name; strings [rows] are float32 values.
    """
    for key, values in outputs.items():
        if values.dtype == object:
            values = np.frombuffer(b"".join(values), "<f4").reshape(len(values), -1)
        if len(values) != rows or not np.isfinite(values).all():
            raise ExportError(
                f"{what}: {key} has {len(values)} rows for {rows}, and"
                f" {np.count_nonzero(~np.isfinite(values))} values that are not finite."
            )
