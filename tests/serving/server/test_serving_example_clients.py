"""What other people's gRPC clients do, with the official stubs: they read a field by its type.

TF Serving's own example clients (tensorflow_serving/example: resnet_client_grpc.py and
mnist_client.py) and two packages of PyPI (min-tfs-client 1.0.2, tensorflow-serving-client-grpc
2.3.0) read `float_val` and never `tensor_content`. Their behaviour, in words of our own.
"""

import threading

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving_models import CODE_SHAPE, NAMES, pictures, serving
from tensorflow.core.framework import tensor_pb2, tensor_shape_pb2, types_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

SECONDS = 20.0


@pytest.fixture(scope="module")
def stub(exported_models):
    with (
        serving(exported_models) as running,
        grpc.insecure_channel(f"127.0.0.1:{running.port}") as channel,
    ):
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module")
def expected(exported_models):
    signatures = tf.saved_model.load(str(exported_models / "encoder" / "1")).signatures
    return signatures["encode"](image=tf.constant(pictures(3)))["code"].numpy()


def request_of(model, signature, name, proto):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.model_spec.signature_name = signature
    request.inputs[name].CopyFrom(proto)
    return request


def test_resnet_example_takes_the_greatest_value_of_the_only_field_it_reads(stub, expected):
    request = request_of("encoder", "serving_default", "image", tf.make_tensor_proto(pictures(1)))
    result = stub.Predict(request, SECONDS).outputs["code"].float_val
    assert np.argmax(result) == np.argmax(expected[:1])


def test_mnist_example_reads_the_scores_in_a_callback(stub, expected):
    found, done = [], threading.Semaphore(0)

    def callback(future):
        found.append(np.array(future.result().outputs["probability"].float_val))
        done.release()

    for code in expected:
        tensor = tf.make_tensor_proto(code, shape=[1, *CODE_SHAPE])
        request = request_of("task_head", "serving_default", "code", tensor)
        stub.Predict.future(request, SECONDS).add_done_callback(callback)
    for _ in expected:
        assert done.acquire(timeout=SECONDS)
    assert [scores.shape for scores in found] == [(len(NAMES),)] * len(expected)
    assert all(scores.min() > 0 and scores.max() < 1 for scores in found)


# As min-tfs-client maps them: numpy's type, TensorFlow's, the field that is written and read.
TYPES = {
    types_pb2.DT_UINT8: (np.uint8, "int_val"),
    types_pb2.DT_FLOAT: (np.float32, "float_val"),
    types_pb2.DT_BOOL: (np.bool_, "bool_val"),
}


def written(array, dtype):
    """A tensor with a Python number a value in the field of its type."""
    sizes = [tensor_shape_pb2.TensorShapeProto.Dim(size=size) for size in array.shape]
    shape = tensor_shape_pb2.TensorShapeProto(dim=sizes)
    proto = tensor_pb2.TensorProto(dtype=dtype, tensor_shape=shape)
    getattr(proto, TYPES[dtype][1]).extend([value.item() for value in array.ravel()])
    return proto


def read(proto):
    """The array of the field of its type, whose length must fit the shape."""
    kind, field = TYPES[proto.dtype]
    values = np.array(list(getattr(proto, field)), dtype=kind)
    return values.reshape([size.size for size in proto.tensor_shape.dim])


def test_min_tfs_client_goes_from_pictures_to_attributes(stub, expected):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "encoder"
    request.inputs["image"].CopyFrom(written(pictures(3), types_pb2.DT_UINT8))
    codes = read(stub.Predict(request, SECONDS).outputs["code"])
    np.testing.assert_allclose(codes, expected, atol=1e-5)
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "task_head"
    request.model_spec.version.value = 1
    request.inputs["code"].CopyFrom(written(codes, types_pb2.DT_FLOAT))
    outputs = {name: read(proto) for name, proto in stub.Predict(request, SECONDS).outputs.items()}
    assert outputs["logits"].shape == outputs["probability"].shape == (3, len(NAMES))
    np.testing.assert_allclose(
        outputs["probability"], 1 / (1 + np.exp(-outputs["logits"])), atol=1e-6
    )


def test_strings_of_an_answer_are_in_string_val(stub, expected):
    files = [tf.io.encode_png(image).numpy() for image in pictures(3)]
    request = request_of("encoder", "encode_to_bytes", "image_bytes", tf.make_tensor_proto(files))
    found = stub.Predict(request, SECONDS).outputs["code_bytes"].string_val
    codes = [np.frombuffer(code, "<f4") for code in found]
    np.testing.assert_allclose(codes, expected.reshape(3, -1), atol=1e-5)
