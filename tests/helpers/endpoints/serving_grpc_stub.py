"""A stub on the official gRPC servicer of tensorflow-serving-api that keeps the requests."""

import concurrent.futures
import contextlib
import threading

import grpc
import numpy as np
import tensorflow as tf
from serving_stub import CODE_SHAPE, SIZE, sigmoid, stub_code, stub_logits
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)
from waiting import wait_for

INPUTS = {
    "encoder": {
        "encode": ("image", tf.uint8, (None, SIZE, SIZE, 3)),
        "encode_bytes": ("image_bytes", tf.string, (None,)),
    },
    "task_head": {"serving_default": ("code", tf.float32, (None, *CODE_SHAPE))},
}


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers as the exported models do; `faults` (status, message) go first, one a call."""

    def __init__(self):
        self.requests, self.faults = [], []
        # A test that clears it holds up the answers.
        self.go_on = threading.Event()
        self.go_on.set()

    def Predict(self, request, context):
        self.requests.append(request)
        wait_for(self.go_on)
        if self.faults:
            context.abort(*self.faults.pop(0))
        ((name, tensor),) = request.inputs.items()
        values = tf.make_ndarray(tensor)
        if name == "image_bytes" and any(content.startswith(b"bad") for content in values):
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "Unknown image file format.")
        answer = predict_pb2.PredictResponse()
        for key, output in ANSWERS[name](values).items():
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(output))
        return answer

    def GetModelMetadata(self, request, context):
        if request.model_spec.name not in INPUTS:
            context.abort(grpc.StatusCode.NOT_FOUND, "Servable not found")
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, (key, dtype, shape) in INPUTS[request.model_spec.name].items():
            info = signatures.signature_def[name].inputs[key]
            info.dtype = dtype.as_datatype_enum
            info.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
        signatures.signature_def["__saved_model_init_op"].method_name = "no inputs"
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.metadata["signature_def"].Pack(signatures)
        return answer


def read(codes):
    logits = stub_logits(codes)
    return {"logits": logits, "probability": sigmoid(logits)}


ANSWERS = {
    "image": lambda images: {"code": stub_code(images)},
    "image_bytes": lambda contents: {
        "code": np.stack([np.full(CODE_SHAPE, len(content), np.float32) for content in contents])
    },
    "code": read,
}


@contextlib.contextmanager
def grpc_stub():
    """A running servicer, with its `address`."""
    servicer = Servicer()
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    servicer.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield servicer
    finally:
        server.stop(0).wait()
