"""Whatever bytes, JSON and protos come in: an answer goes out, and the next request is served."""

import http.client
import json
import math

import grpc
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from serving_models import CODE_SHAPE, SIZE, b64, picture_file, pictures, predict, serving
from tensorflow.core.framework import tensor_pb2
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc
from waiting import LONG

bounded = settings(
    max_examples=60,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
CODE_SIZE = math.prod(CODE_SHAPE)
# A refusal by gRPC itself, for a message that is none, is UNKNOWN or INTERNAL; ours never is.
REFUSALS = {
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
}
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
json_values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["image", "code", "b64", "x"]), inner, max_size=3)
    ),
    max_leaves=12,
)
bodies = st.fixed_dictionaries(
    {},
    optional={
        "instances": json_values,
        "inputs": json_values,
        "signature_name": st.sampled_from(
            ["encode", "encode_bytes", "encode_to_bytes", "read_bytes", "nothing"]
        )
        | json_values,
    },
)


@pytest.fixture(scope="module")
def server(exported_models):
    with serving(exported_models) as running:
        yield running


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield prediction_service_pb2_grpc.PredictionServiceStub(channel)


@pytest.fixture(scope="module", autouse=True)
def served_afterwards(server):
    yield
    assert predict(server, "encoder", {"instances": pictures().tolist()})[0] == 200


def answered(server, body, model="encoder"):
    """Asserts a good answer or a refusal with a reason; returns whether it was refused."""
    status, answer = predict(server, model, body)
    assert status in (200, 400)
    assert status == 200 or answer["error"]
    return status == 400


@pytest.mark.slow
@bounded
@given(body=bodies, model=st.sampled_from(["encoder", "task_head"]))
def test_any_json_is_answered(server, body, model):
    answered(server, json.dumps(body).encode(), model)


@bounded
@given(body=st.binary(max_size=200))
def test_any_bytes_as_body_are_refused(server, body):
    assert answered(server, body)


@bounded
@given(contents=st.lists(st.binary(max_size=8) | st.just(bytes(4 * CODE_SIZE)), max_size=3))
def test_any_bytes_as_codes_are_answered(server, contents):
    body = {"signature_name": "read_bytes", "inputs": {"code_bytes": list(map(b64, contents))}}
    refused = answered(server, json.dumps(body).encode(), "task_head")
    right = bool(contents) and all(len(content) == 4 * CODE_SIZE for content in contents)
    assert refused == (not right)


@pytest.mark.slow
@bounded
@given(place=st.integers(0, 10**6), byte=st.integers(0, 255), cut=st.booleans())
def test_damaged_pictures_are_answered(server, place, byte, cut):
    for kind in ("PNG", "JPEG"):
        file = bytearray(picture_file(pictures()[0], kind))
        place %= len(file)
        file[place] = byte
        content = bytes(file[:place] if cut else file)
        request = predict_pb2.PredictRequest()
        request.model_spec.name, request.model_spec.signature_name = "encoder", "encode_bytes"
        request.inputs["image_bytes"].CopyFrom(tf.make_tensor_proto(np.array([content], object)))
        with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call_or_refusal(
                prediction_service_pb2_grpc.PredictionServiceStub(channel).Predict, request
            )


def call_or_refusal(call, request):
    try:
        call(request, timeout=LONG)
    except grpc.RpcError as error:
        assert error.code() in REFUSALS, error.details()


shapes = arrays.array_shapes(min_dims=0, max_dims=5, min_side=0, max_side=SIZE)
tensors = shapes.flatmap(
    lambda shape: arrays.arrays(
        st.sampled_from(["uint8", "float32", "int64", "bool"]), shape, fill=st.just(1)
    )
)
right = st.sampled_from(
    [pictures(2), np.zeros((1, *CODE_SHAPE), np.float32), np.zeros((0, *CODE_SHAPE), np.float32)]
)


@bounded
@given(
    array=tensors | right,
    model=st.sampled_from(["encoder", "task_head", "nobody"]),
    name=st.sampled_from(["image", "code", "image_bytes"]),
)
def test_any_tensor_is_answered(stub, array, model, name):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = model
    request.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    call_or_refusal(stub.Predict, request)


@bounded
@given(
    dtype=st.integers(-1, 140),
    sizes=st.lists(st.integers(-2, 2**62) | st.sampled_from([1, 3, SIZE]), max_size=6)
    | st.just([1, SIZE, SIZE, 3]),
    content=st.binary(max_size=SIZE),
    values=st.lists(st.integers(-(2**31), 2**31 - 1), max_size=4),
)
def test_any_tensor_proto_is_answered(stub, dtype, sizes, content, values):
    proto = tensor_pb2.TensorProto(dtype=dtype, tensor_content=content, int_val=values)
    for size in sizes:
        proto.tensor_shape.dim.add(size=size)
    for model, name in (("encoder", "image"), ("task_head", "code")):
        request = predict_pb2.PredictRequest()
        request.model_spec.name = model
        request.inputs[name].CopyFrom(proto)
        call_or_refusal(stub.Predict, request)


@bounded
@given(
    path=st.text("abz/:.%09-_~ü", max_size=30),
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
)
def test_any_path_is_answered_with_an_error_body(server, path, method):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=LONG)
    quoted = "".join(c if c.isascii() and c != " " else "%20" for c in path)
    connection.request(method, f"/v1/{quoted}", b"{}")
    response = connection.getresponse()
    assert response.status in (400, 404, 405)
    assert json.loads(response.read())["error"]
    connection.close()
