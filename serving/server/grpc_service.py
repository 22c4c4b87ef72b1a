"""TF Serving's gRPC services on a Predictor, and gRPC's health service."""

import concurrent.futures
import contextlib
import time
from collections.abc import Callable, Iterator

import grpc
import numpy as np
from absl import logging
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    inference_pb2,
    model_management_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
    regression_pb2,
    status_pb2,
)

from serving.server import example_calls, model_config, tensor_protos
from serving.server.errors import ServingError, invalid
from serving.server.model_store import VersionStatus
from serving.server.predict import Caller, ModelSpec, Predictor
from serving.server.servable import UnknownSignature

SIGNATURE_DEF = "signature_def"
HEALTH_NAMES = ("", "tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")
# What is allowed on the wire beyond a request's tensors: names, shapes, framing.
ENVELOPE_BYTES = 2**16
ToProto = Callable[[np.ndarray], tensor_pb2.TensorProto]
UNKNOWN_ERROR = grpc.StatusCode.UNKNOWN.value[0]


def spec_of(proto: model_pb2.ModelSpec) -> ModelSpec:
    """What a ModelSpec message means.

    Raises:
        ServingError: it names no model.
    """
    if not proto.name:
        raise invalid("Missing ModelSpec: the request names no model.")
    choice = proto.WhichOneof("version_choice")
    return ModelSpec(
        name=proto.name,
        version=proto.version.value if choice == "version" else None,
        label=proto.version_label if choice == "version_label" else None,
        signature_name=proto.signature_name,
    )


def status_message(
    statuses: tuple[VersionStatus, ...],
) -> get_model_status_pb2.GetModelStatusResponse:
    """The states of a model's versions as TF Serving's message."""
    response = get_model_status_pb2.GetModelStatusResponse()
    for status in statuses:
        entry = response.model_version_status.add(version=status.version)
        entry.state = get_model_status_pb2.ModelVersionStatus.State.Value(status.state)
        code = UNKNOWN_ERROR if status.error else 0
        entry.status.CopyFrom(status_pb2.StatusProto(error_code=code, error_message=status.error))
    return response


def metadata_message(
    predictor: Predictor, spec: ModelSpec
) -> get_model_metadata_pb2.GetModelMetadataResponse:
    """A version's signatures as TF Serving's message.

    Raises:
        ServingError: no such model, version or label.
    """
    response = get_model_metadata_pb2.GetModelMetadataResponse()
    with predictor.store.lease(spec.name, spec.version, spec.label) as servable:
        response.model_spec.name = servable.name
        response.model_spec.version.value = servable.version
        response.metadata[SIGNATURE_DEF].Pack(servable.signature_defs)
    return response


class _Service:
    """What both services share: counting, and errors as gRPC's status."""

    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    @contextlib.contextmanager
    def _answering(self, method: str, model: str, context: grpc.ServicerContext) -> Iterator[None]:
        try:
            with self._predictor.counted("grpc", method, model):
                yield
        except UnknownSignature as error:
            # Only TF Serving's REST looks at the signature before it runs.
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, error.message)
        except ServingError as error:
            context.abort(error.code, error.message)
        # Anything else is a fault of the server: the client is told so, the log why.
        except Exception:
            logging.exception("A request failed.")
            context.abort(grpc.StatusCode.INTERNAL, "Internal error; the server's log says more.")


class PredictionService(_Service, prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict and GetModelMetadata; the calls on tf.Example are refused."""

    def __init__(self, predictor: Predictor, timeout: float, to_proto: ToProto):
        """`timeout`: seconds for a request whose client sets no deadline."""
        super().__init__(predictor)
        self._timeout = timeout
        self._to_proto = to_proto

    def Predict(
        self, request: predict_pb2.PredictRequest, context: grpc.ServicerContext
    ) -> predict_pb2.PredictResponse:
        """Runs a signature on tensors."""
        remaining = context.time_remaining()
        seconds = self._timeout if remaining is None else min(remaining, self._timeout)
        caller = Caller(time.monotonic() + seconds)
        if not context.add_callback(caller.leave):
            # The call has ended meanwhile.
            caller.leave()
        with self._answering("Predict", request.model_spec.name, context):
            prediction = self._predictor.predict(
                spec_of(request.model_spec),
                lambda signature: tensor_protos.read_inputs(
                    dict(request.inputs), signature, self._predictor.limits
                ),
                caller=caller,
                output_filter=tuple(request.output_filter),
            )
        response = predict_pb2.PredictResponse()
        response.model_spec.name = prediction.servable.name
        response.model_spec.version.value = prediction.servable.version
        response.model_spec.signature_name = prediction.signature.name
        for name, array in prediction.outputs.items():
            response.outputs[name].CopyFrom(self._to_proto(array))
        return response

    def GetModelMetadata(
        self,
        request: get_model_metadata_pb2.GetModelMetadataRequest,
        context: grpc.ServicerContext,
    ) -> get_model_metadata_pb2.GetModelMetadataResponse:
        """A version's signatures."""
        with self._answering("GetModelMetadata", request.model_spec.name, context):
            wrong = [field for field in request.metadata_field if field != SIGNATURE_DEF]
            if wrong or not request.metadata_field:
                raise invalid(
                    f"metadata_field must be {SIGNATURE_DEF!r}, got {wrong or 'nothing'}."
                )
            return metadata_message(self._predictor, spec_of(request.model_spec))

    def Classify(
        self, request: classification_pb2.ClassificationRequest, context: grpc.ServicerContext
    ) -> None:
        """Refused."""
        self._refuse("Classify", request.model_spec, example_calls.CLASSIFY, context)

    def Regress(
        self, request: regression_pb2.RegressionRequest, context: grpc.ServicerContext
    ) -> None:
        """Refused."""
        self._refuse("Regress", request.model_spec, example_calls.REGRESS, context)

    def _refuse(
        self, method: str, spec: model_pb2.ModelSpec, kind: str, context: grpc.ServicerContext
    ) -> None:
        with self._answering(method, spec.name, context):
            example_calls.refuse(self._predictor.store, spec_of(spec), kind)

    def MultiInference(
        self, request: inference_pb2.MultiInferenceRequest, context: grpc.ServicerContext
    ) -> None:
        """Refused."""
        with self._answering("MultiInference", "", context):
            tasks = ((spec_of(task.model_spec), task.method_name) for task in request.tasks)
            example_calls.refuse_tasks(self._predictor.store, tasks)


class ModelService(_Service, model_service_pb2_grpc.ModelServiceServicer):
    """States of versions, and changing what is served."""

    def GetModelStatus(
        self,
        request: get_model_status_pb2.GetModelStatusRequest,
        context: grpc.ServicerContext,
    ) -> get_model_status_pb2.GetModelStatusResponse:
        """States of one or all versions of a model."""
        with self._answering("GetModelStatus", request.model_spec.name, context):
            spec = spec_of(request.model_spec)
            return status_message(self._predictor.store.status(spec.name, spec.version, spec.label))

    def HandleReloadConfigRequest(
        self,
        request: model_management_pb2.ReloadConfigRequest,
        context: grpc.ServicerContext,
    ) -> model_management_pb2.ReloadConfigResponse:
        """Serves the models of another config from now on; answers when they are loaded."""
        with self._answering("HandleReloadConfigRequest", "", context):
            try:
                sources = model_config.sources_of(request.config)
            except ValueError as error:
                raise invalid(str(error)) from error
            self._predictor.store.replace_sources(sources)
        return model_management_pb2.ReloadConfigResponse()


class GrpcServer:
    """The services on a port."""

    def __init__(
        self,
        predictor: Predictor,
        *,
        address: str,
        threads: int,
        timeout: float,
        as_tensor_content: bool = False,
    ):
        """Binds the port; `start` begins to answer.

        Args:
            predictor: answers.
            address: "host:port"; port 0 takes any that is free.
            threads: requests answered at once.
            timeout: seconds for a request whose client sets no deadline, and at most.
            as_tensor_content: answers hold tensors as bytes, not in fields such as `float_val`.

        Raises:
            OSError: the port can't be bound.
        """
        limit = predictor.limits.request_bytes + ENVELOPE_BYTES
        self._server = grpc.server(
            concurrent.futures.ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            options=[
                ("grpc.max_receive_message_length", limit),
                ("grpc.max_send_message_length", -1),
                ("grpc.so_reuseport", 0),
            ],
            # More than that wait in nobody's interest: they would only time out.
            maximum_concurrent_rpcs=16 * threads,
        )
        to_proto = tensor_protos.to_content if as_tensor_content else tensor_protos.to_fields
        self._health = health.HealthServicer()
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
            PredictionService(predictor, timeout, to_proto), self._server
        )
        model_service_pb2_grpc.add_ModelServiceServicer_to_server(
            ModelService(predictor), self._server
        )
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        try:
            self.port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"gRPC can't listen at {address}: {error}") from error

    def start(self) -> None:
        """Answers from now on."""
        self._server.start()
        for name in HEALTH_NAMES:
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace: float) -> Callable[[], None]:
        """Takes no more requests; returns a function that waits for those under way.

        Args:
            grace: seconds after which they are broken off.
        """
        self._health.enter_graceful_shutdown()
        stopped = self._server.stop(grace)
        logging.info("gRPC takes no more requests.")
        return stopped.wait
