"""The same client on TF Serving's gRPC API.

A module of its own: the stubs of tensorflow-serving-api import tensorflow. Take
serving/clients/rest_client.py where that is too much.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving.clients import tensor_protos
from serving.clients.base import CodeClient
from serving.clients.contract import ServedSignature, Signature, TensorSpec
from serving.clients.errors import (
    AnswerError,
    DeadlineError,
    EncoderError,
    NotFoundError,
    RejectedError,
    ServerError,
    UnavailableError,
)

ERRORS: dict[grpc.StatusCode, type[EncoderError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: RejectedError,
    # Beyond the calls that a server takes at a time; but see TOO_LARGE.
    grpc.StatusCode.RESOURCE_EXHAUSTED: UnavailableError,
    grpc.StatusCode.NOT_FOUND: NotFoundError,
    grpc.StatusCode.UNAVAILABLE: UnavailableError,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineError,
}
# In grpc's words for RESOURCE_EXHAUSTED where it is the message that is too large.
TOO_LARGE = "larger than max"
# grpc counts tries, and never makes more than five.
MOST_RETRIES = 4


class GrpcEncoderClient(CodeClient):
    """A gRPC client with EncoderClient's methods; threads may share one."""

    bytes_per_value: ClassVar[dict[str, float]] = {"uint8": 1, "float32": 4, "bytes": 1}

    def __init__(
        self, address: str, *, credentials: grpc.ChannelCredentials | None = None, **shared: Any
    ):
        """Nothing is sent yet.

        Args:
            address: HOST:PORT.
            credentials: of a TLS connection; None: not encrypted.
            shared: see CodeClient. `timeout`: seconds until a call's deadline, repeats included.
                `retries`: 0 to 4, while the server is UNAVAILABLE.

        Raises:
            ValueError: an argument can't be meant.
        """
        super().__init__(address, **shared)
        options = channel_options(self.retries)
        self._channel = (
            grpc.secure_channel(address, credentials, options)
            if credentials
            else grpc.insecure_channel(address, options)
        )
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def close(self) -> None:
        """Closes the connections."""
        self._channel.close()

    def predict_request(
        self, model: str, signature: Signature, rows: Sequence
    ) -> predict_pb2.PredictRequest:
        """The message of a predict call; rows are an array, or byte strings."""
        request = predict_pb2.PredictRequest(output_filter=self._wanted(model, signature))
        self._choose(request.model_spec, model)
        request.model_spec.signature_name = signature.name
        dtype = tf.string if signature.dtype == "bytes" else signature.dtype
        tensor = tf.make_tensor_proto(rows, dtype=dtype)
        request.inputs[signature.input_name].CopyFrom(tensor)
        return request

    def call(self, method: str, request: object) -> object:
        """One call of the prediction service, repeated while the server is UNAVAILABLE.

        Args:
            method: Predict or GetModelMetadata.
            request: its message.

        Returns:
            The answer's message.

        Raises:
            EncoderError: the call failed.
        """
        try:
            return getattr(self._stub, method)(request, timeout=self.timeout)
        except grpc.RpcError as error:
            kind = ERRORS.get(error.code(), ServerError)
            if kind is UnavailableError and TOO_LARGE in (error.details() or ""):
                kind = RejectedError
            name = error.code().name
            message = f"{self.address} answers {name}: {error.details()}"
            raise kind(message, name) from error

    def _predict(self, model: str, signature: Signature, rows: Sequence) -> dict[str, np.ndarray]:
        answer = self.call("Predict", self.predict_request(model, signature, rows))
        try:
            return {
                name: tensor_protos.to_array(answer.outputs[name]).astype(np.float32)
                for name in self._wanted(model, signature)
            }
        except (KeyError, ValueError, TypeError) as error:
            raise AnswerError(
                f"{model} gives no {' and '.join(signature.outputs)} as tensors of numbers: {error}"
            ) from error

    def _signatures(self, model: str) -> dict[str, ServedSignature]:
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._choose(request.model_spec, model)
        answer = self.call("GetModelMetadata", request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        if not answer.metadata["signature_def"].Unpack(signatures):
            raise AnswerError(f"{model}'s metadata has no signatures.")
        return {
            name: ServedSignature(tensor_specs(signature.inputs), tensor_specs(signature.outputs))
            for name, signature in signatures.signature_def.items()
            # A model lists its initialiser as a signature without inputs.
            if signature.inputs
        }

    def _choose(self, spec: object, model: str) -> None:
        """Fills in a ModelSpec's model and version."""
        spec.name = model
        if self.label is not None:
            spec.version_label = self.label
        elif self.version is not None:
            spec.version.value = self.version


def channel_options(retries: int) -> list[tuple[str, object]]:
    """Options of a channel: no limit to answers; grpc's own repeats, with backoff and jitter.

    Raises:
        ValueError: grpc can't repeat so often.
    """
    if not 0 <= retries <= MOST_RETRIES:
        raise ValueError(f"retries must be from 0 to {MOST_RETRIES}, got {retries}.")
    options: list[tuple[str, object]] = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.enable_retries", int(retries > 0)),
        # Codes go to the address that was given, whatever the environment says of proxies.
        ("grpc.enable_http_proxy", 0),
    ]
    if retries:
        policy = {
            "maxAttempts": retries + 1,
            "initialBackoff": "0.1s",
            "maxBackoff": "5s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
        }
        service = {"service": "tensorflow.serving.PredictionService"}
        config = {"methodConfig": [{"name": [service], "retryPolicy": policy}]}
        options.append(("grpc.service_config", json.dumps(config)))
    return options


def tensor_specs(tensors: Mapping[str, object]) -> dict[str, TensorSpec]:
    """Reads inputs or outputs (TensorInfo by name) of a model's metadata."""
    return {name: tensor_spec(tensor) for name, tensor in tensors.items()}


def tensor_spec(tensor: object) -> TensorSpec:
    """Reads one of them."""
    dtype = tf.dtypes.as_dtype(tensor.dtype)
    name = "bytes" if dtype == tf.string else dtype.name
    shape = tensor.tensor_shape
    if shape.unknown_rank:
        return TensorSpec(name, None)
    return TensorSpec(name, tuple(None if side.size < 0 else side.size for side in shape.dim))
