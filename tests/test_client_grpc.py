"""The gRPC client against the official servicer of tensorflow-serving-api."""

import concurrent.futures
import time

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving_stub import CODE_SHAPE, NAMES, SIZE, sigmoid, stub_code, stub_logits
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from serving import grpc_client
from serving.client_errors import (
    AnswerError,
    DeadlineError,
    NotFoundError,
    RejectedError,
    ServerError,
    UnavailableError,
)
from serving.contract import ENCODE, InputSpec
from serving.grpc_client import GrpcEncoderClient

INPUTS = {
    "encoder": {
        "encode": ("image", tf.uint8, (None, SIZE, SIZE, 3)),
        "encode_bytes": ("image_bytes", tf.string, (None,)),
    },
    "task_head": {"serving_default": ("code", tf.float32, (None, *CODE_SHAPE))},
}
Code = grpc.StatusCode


class Servicer(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Answers as the exported models do; `faults` (status, message) go first, one a call."""

    def __init__(self):
        self.requests, self.faults, self.delay = [], [], 0.0

    def Predict(self, request, context):
        self.requests.append(request)
        time.sleep(self.delay)
        if self.faults:
            context.abort(*self.faults.pop(0))
        ((name, tensor),) = request.inputs.items()
        values = tf.make_ndarray(tensor)
        if name == "image_bytes" and any(content.startswith(b"bad") for content in values):
            context.abort(Code.INVALID_ARGUMENT, "Unknown image file format.")
        answer = predict_pb2.PredictResponse()
        for key, output in ANSWERS[name](values).items():
            answer.outputs[key].CopyFrom(tf.make_tensor_proto(output))
        return answer

    def GetModelMetadata(self, request, context):
        if request.model_spec.name not in INPUTS:
            context.abort(Code.NOT_FOUND, "Servable not found")
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


@pytest.fixture
def servicer():
    return Servicer()


@pytest.fixture
def address(servicer):
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(0).wait()


@pytest.fixture
def client(address):
    with GrpcEncoderClient(address, attribute_names=NAMES, timeout=20) as connected:
        yield connected


def pictures(count=5):
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def test_encode_returns_the_servers_codes_bit_for_bit(client):
    np.testing.assert_array_equal(client.encode(pictures()), stub_code(pictures()))


def test_read_attributes_gives_probabilities_by_name(client):
    codes = stub_code(pictures())
    found = client.read_attributes(codes)
    assert found.names == NAMES
    np.testing.assert_array_equal(found.logits, stub_logits(codes))
    np.testing.assert_array_equal(found.probability, sigmoid(stub_logits(codes)))


def test_request_names_model_signature_and_wanted_outputs(servicer, client):
    client.encode(pictures(2))
    (request,) = servicer.requests
    spec = request.model_spec
    assert (spec.name, spec.signature_name, spec.HasField("version")) == (
        "encoder",
        "encode",
        False,
    )
    assert list(request.output_filter) == ["code"]
    np.testing.assert_array_equal(tf.make_ndarray(request.inputs["image"]), pictures(2))


@pytest.mark.parametrize("chosen", [{"version": 3}, {"label": "canary"}])
def test_version_or_label_is_asked_for(address, chosen):
    with GrpcEncoderClient(address, **chosen) as client:
        spec = client.predict_request("encoder", ENCODE, pictures(1)).model_spec
    assert (spec.version.value, spec.version_label) == (
        chosen.get("version", 0),
        chosen.get("label", ""),
    )


def test_many_images_go_in_batches_in_order(servicer, address):
    with GrpcEncoderClient(address, batch_size=2) as client:
        np.testing.assert_array_equal(client.encode(pictures(5)), stub_code(pictures(5)))
    sizes = [len(tf.make_ndarray(request.inputs["image"])) for request in servicer.requests]
    assert sizes == [2, 2, 1]


def test_folder_gives_codes_and_names_files_that_give_none(client, tmp_path):
    for name, content in {"a.jpg": b"1", "b.jpg": b"bad", "c.jpg": b"333"}.items():
        (tmp_path / name).write_bytes(content)
    reasons = {}
    found = client.encode_folder(
        tmp_path, on_unreadable=lambda path, reason: reasons.update({path.name: reason})
    )
    assert {path.name: code.max() for path, code in found} == {"a.jpg": 1, "c.jpg": 3}
    assert list(reasons) == ["b.jpg"]
    assert "Unknown image file format" in reasons["b.jpg"]


def test_unavailable_server_is_asked_again(servicer, client):
    servicer.faults = [(Code.UNAVAILABLE, "busy")] * 2
    np.testing.assert_array_equal(client.encode(pictures(1)), stub_code(pictures(1)))
    assert len(servicer.requests) == 3


def test_repeats_are_bounded(servicer, address):
    servicer.faults = [(Code.UNAVAILABLE, "queue is full")] * 9
    with (
        GrpcEncoderClient(address, retries=1) as client,
        pytest.raises(UnavailableError, match="answers UNAVAILABLE: queue is full") as raised,
    ):
        client.encode(pictures(1))
    assert raised.value.status == "UNAVAILABLE"
    assert len(servicer.requests) == 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.INVALID_ARGUMENT, RejectedError),
        (Code.RESOURCE_EXHAUSTED, RejectedError),
        (Code.NOT_FOUND, NotFoundError),
        (Code.INTERNAL, ServerError),
    ],
)
def test_other_errors_are_not_repeated(servicer, client, code, kind):
    servicer.faults = [(code, "the server's own words")] * 2
    with pytest.raises(kind, match=f"answers {code.name}: the server's own words"):
        client.encode(pictures(1))
    assert len(servicer.requests) == 1


def test_deadline_ends_a_call_without_a_repeat(servicer, address):
    with GrpcEncoderClient(address, timeout=5) as client:
        client.encode(pictures(1))
        servicer.delay, client._timeout = 0.5, 0.1
        with pytest.raises(DeadlineError, match="DEADLINE_EXCEEDED"):
            client.encode(pictures(1))
    assert len(servicer.requests) == 2


def test_images_that_do_not_fit_are_not_sent(servicer, client):
    with pytest.raises(ValueError, match=r"\[8, 8, 3\]; encoder expects \[N, 8, 8, 3\]"):
        client.encode(pictures(1)[0])
    assert not servicer.requests


def test_unknown_model_is_named_by_the_server(address):
    with (
        GrpcEncoderClient(address, encoder="none") as client,
        pytest.raises(NotFoundError, match="Servable not found"),
    ):
        client.encode(pictures(1))


@pytest.mark.parametrize("answer", [{"other": np.zeros((1, 3))}, {"code": np.array([[b"text"]])}])
def test_answer_that_breaks_the_contract_is_an_error(client, monkeypatch, answer):
    monkeypatch.setitem(ANSWERS, "image", lambda _: answer)
    with pytest.raises(AnswerError, match="encoder gives no code as tensors of numbers"):
        client.encode(pictures(1))


@pytest.mark.parametrize("retries", [-1, 5])
def test_repeats_that_grpc_will_not_make_are_refused(retries):
    with pytest.raises(ValueError, match=f"retries must be from 0 to 4, got {retries}"):
        GrpcEncoderClient("127.0.0.1:1", retries=retries)


def test_version_and_label_together_are_refused():
    with pytest.raises(ValueError, match="a version or a label, not both"):
        GrpcEncoderClient("127.0.0.1:1", version=1, label="stable")


def test_shape_of_unknown_rank_is_left_to_the_server():
    info = meta_graph_pb2.TensorInfo(dtype=tf.float32.as_datatype_enum)
    info.tensor_shape.unknown_rank = True
    assert grpc_client.input_spec(info) == InputSpec("float32", None)
