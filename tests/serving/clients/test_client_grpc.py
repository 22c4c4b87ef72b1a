"""The gRPC client against the official servicer of tensorflow-serving-api."""

import contextlib

import grpc
import numpy as np
import pytest
import tensorflow as tf
from serving_grpc_stub import ANSWERS, grpc_stub
from serving_stub import NAMES, SIZE, sigmoid, stub_code, stub_logits
from tensorflow.core.protobuf import meta_graph_pb2
from waiting import LONG, SOON, until

from serving.clients import grpc_client
from serving.clients.contract import ENCODE, TensorSpec
from serving.clients.errors import (
    AnswerError,
    DeadlineError,
    NotFoundError,
    RejectedError,
    ServerError,
    UnavailableError,
)
from serving.clients.grpc_client import GrpcEncoderClient

Code = grpc.StatusCode


@pytest.fixture
def stub():
    with grpc_stub() as servicer:
        yield servicer


@pytest.fixture
def client(stub):
    with GrpcEncoderClient(stub.address, attribute_names=NAMES, timeout=LONG) as connected:
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


def test_request_names_model_signature_and_wanted_outputs(stub, client):
    client.encode(pictures(2))
    (request,) = stub.requests
    spec = request.model_spec
    assert (spec.name, spec.signature_name, spec.HasField("version")) == (
        "encoder",
        "encode",
        False,
    )
    assert list(request.output_filter) == ["code"]
    np.testing.assert_array_equal(tf.make_ndarray(request.inputs["image"]), pictures(2))


@pytest.mark.parametrize("chosen", [{"version": 3}, {"label": "canary"}])
def test_version_or_label_is_asked_for(stub, chosen):
    with GrpcEncoderClient(stub.address, **chosen) as client:
        spec = client.predict_request("encoder", ENCODE, pictures(1)).model_spec
    assert (spec.version.value, spec.version_label) == (
        chosen.get("version", 0),
        chosen.get("label", ""),
    )


def test_many_images_go_in_batches_in_order(stub):
    with GrpcEncoderClient(stub.address, batch_size=2) as client:
        np.testing.assert_array_equal(client.encode(pictures(5)), stub_code(pictures(5)))
    sizes = [len(tf.make_ndarray(request.inputs["image"])) for request in stub.requests]
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


def test_unavailable_server_is_asked_again(stub, client):
    stub.faults = [(Code.UNAVAILABLE, "busy")] * 2
    np.testing.assert_array_equal(client.encode(pictures(1)), stub_code(pictures(1)))
    assert len(stub.requests) == 3


def test_repeats_are_bounded(stub):
    stub.faults = [(Code.UNAVAILABLE, "queue is full")] * 9
    with (
        GrpcEncoderClient(stub.address, retries=1) as client,
        pytest.raises(UnavailableError, match="answers UNAVAILABLE: queue is full") as raised,
    ):
        client.encode(pictures(1))
    assert raised.value.status == "UNAVAILABLE"
    assert len(stub.requests) == 2


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (Code.INVALID_ARGUMENT, RejectedError),
        (Code.NOT_FOUND, NotFoundError),
        (Code.INTERNAL, ServerError),
    ],
)
def test_other_errors_are_not_repeated(stub, client, code, kind):
    stub.faults = [(code, "the server's own words")] * 2
    with pytest.raises(kind, match=f"answers {code.name}: the server's own words"):
        client.encode(pictures(1))
    assert len(stub.requests) == 1


def test_too_many_calls_at_a_time_are_repeated_and_blame_no_photo(stub, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"1")
    stub.faults = [(Code.RESOURCE_EXHAUSTED, "Concurrent RPC limit exceeded!")] * 9
    with (
        GrpcEncoderClient(stub.address, retries=1) as client,
        pytest.raises(UnavailableError, match="Concurrent RPC limit"),
    ):
        list(client.encode_folder(tmp_path))
    assert len(stub.requests) == 2


def test_message_that_is_too_large_is_refused_for_good(stub):
    stub.faults = [(Code.RESOURCE_EXHAUSTED, "Received message larger than max (9 vs. 4)")] * 9
    with (
        GrpcEncoderClient(stub.address, retries=0) as client,
        pytest.raises(RejectedError, match="larger than max"),
    ):
        client.encode(pictures(1))


def test_deadline_ends_a_call_without_a_repeat(stub):
    stub.go_on.clear()
    try:
        with (
            GrpcEncoderClient(stub.address, timeout=SOON) as client,
            pytest.raises(DeadlineError, match="DEADLINE_EXCEEDED"),
        ):
            until_it_knows(client)
            client.encode(pictures(1))
    finally:
        stub.go_on.set()
    # None where the time was over before the call had left.
    assert len(stub.requests) <= 1


def until_it_knows(client):
    """Has a client whose time is short ask for the encoder's signatures until it gets them."""

    def knows():
        with contextlib.suppress(DeadlineError):
            return client.predict_request("encoder", ENCODE, pictures(1))

    until(knows)


def test_images_that_do_not_fit_are_not_sent(stub, client):
    with pytest.raises(ValueError, match=r"\[8, 8, 3\]; encoder expects \[N, 8, 8, 3\]"):
        client.encode(pictures(1)[0])
    assert not stub.requests


def test_unknown_model_is_named_by_the_server(stub):
    with (
        GrpcEncoderClient(stub.address, encoder="none") as client,
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
    assert grpc_client.tensor_spec(info) == TensorSpec("float32", None)
