"""One loaded version of a model: its signatures, and the requests that warm it up."""

import dataclasses
import pathlib
import sys
from collections.abc import Mapping

import grpc
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import get_model_metadata_pb2, prediction_log_pb2

from serving.common import files
from serving.server import layout, validation
from serving.server.errors import ServingError
from serving.server.signature import Signature
from serving.server.validation import Limits
from serving.utils import saved_model_loading

DEFAULT_SIGNATURE = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
WARMUP_REQUESTS = pathlib.Path("assets.extra/tf_serving_warmup_requests")
# TF Serving reads no more of them either.
MAX_WARMUP_REQUESTS = 1000
# The requests come with the model, from no stranger.
WARMUP_LIMITS = Limits(items=sys.maxsize, pixels=sys.maxsize, request_bytes=sys.maxsize)
REMEDY = "Copy the version again, with its folder variables, or export it again."


class UnknownSignature(ServingError):
    """The model has no such signature: INVALID_ARGUMENT by REST, FAILED_PRECONDITION by gRPC."""


@dataclasses.dataclass(frozen=True, eq=False)
class Servable:
    """A loaded version of a model.

    Attributes:
        name: of the model.
        version: number of its folder.
        path: its folder.
        signatures: by name.
        signature_defs: as the SavedModel's file describes them.
        module: the SavedModel; its variables live as long as it does.
    """

    name: str
    version: int
    path: pathlib.Path
    signatures: Mapping[str, Signature]
    signature_defs: get_model_metadata_pb2.SignatureDefMap
    module: object

    def signature(self, name: str) -> Signature:
        """The signature of that name; an empty name means `serving_default`."""
        name = name or DEFAULT_SIGNATURE
        if name not in self.signatures:
            raise UnknownSignature(
                grpc.StatusCode.INVALID_ARGUMENT,
                f'Serving signature name: "{name}" not found in signature def; model'
                f" {self.name!r} has {', '.join(sorted(self.signatures))}.",
            )
        return self.signatures[name]


def load(name: str, version: int, path: pathlib.Path) -> Servable:
    """Loads a version and runs its warm-up requests, if it has any.

    Raises:
        ValueError: the folder is no complete SavedModel with signatures.
    """
    if not (path / layout.SAVED_MODEL).is_file():
        raise ValueError(
            f"{path} can't be loaded as a SavedModel: it holds {layout.listed(path)}, expected"
            f" {layout.SAVED_MODEL} and variables."
        )
    for file in (path / layout.SAVED_MODEL, *path.glob("variables/*")):
        if file.is_file():
            files.require_whole(file, REMEDY)
    try:
        saved = saved_model_pb2.SavedModel.FromString((path / layout.SAVED_MODEL).read_bytes())
        module = saved_model_loading.load(path)
    # A half-copied folder fails in a dozen ways, from protobuf's errors to KeyError.
    except Exception as error:
        raise ValueError(
            f"{path} can't be loaded as a SavedModel: {files.one_line(error)}. {REMEDY}"
        ) from error
    signatures = {key: _signature(key, run) for key, run in module.signatures.items()}
    if not signatures:
        raise ValueError(f"{path} has no signature that could be served.")
    servable = Servable(name, version, path, signatures, _signature_defs(saved), module)
    warm_up(servable)
    return servable


def _signature(name: str, function) -> Signature:
    inputs = {
        key: spec
        for key, spec in function.structured_input_signature[1].items()
        if isinstance(spec, tf.TensorSpec)
    }
    return Signature(name, inputs, dict(function.structured_outputs), function)


def _signature_defs(
    saved: saved_model_pb2.SavedModel,
) -> get_model_metadata_pb2.SignatureDefMap:
    definitions = get_model_metadata_pb2.SignatureDefMap()
    for name, definition in saved.meta_graphs[0].signature_def.items():
        definitions.signature_def[name].CopyFrom(definition)
    return definitions


def warm_up(servable: Servable) -> int:
    """Runs the Predict requests that the version's folder brings along; returns their number.

    Raises:
        ValueError: the file is damaged, or a request of it fails.
    """
    path = servable.path / WARMUP_REQUESTS
    if not path.exists():
        return 0
    count = 0
    try:
        records = tf.data.TFRecordDataset(str(path)).take(MAX_WARMUP_REQUESTS)
        for record in records.as_numpy_iterator():
            log = prediction_log_pb2.PredictionLog.FromString(record)
            if log.WhichOneof("log_type") == "predict_log":
                request = log.predict_log.request
                signature = servable.signature(request.model_spec.signature_name)
                inputs = {k: tf.make_ndarray(v) for k, v in request.inputs.items()}
                validation.check_inputs(signature, inputs, WARMUP_LIMITS)
                signature.run(inputs)
                count += 1
    # A damaged file fails in a dozen ways, too.
    except Exception as error:
        raise ValueError(f"{path}: warm-up failed: {files.one_line(error)}") from error
    return count
