"""The REST client against a stub of TF Serving: protocol, batches, repeats, errors, folders."""

import base64
import contextlib
import io
import json
import threading

import numpy as np
import pytest
import serving_stub
import urllib3
from PIL import Image
from serving_stub import (
    CODE_SHAPE,
    NAMES,
    SIZE,
    refusing_address,
    rest_stub,
    sigmoid,
    stub_code,
    stub_logits,
)
from waiting import LONG, SOON, until

from serving.clients import contract
from serving.clients import rest_client as client_module
from serving.clients.contract import ENCODE
from serving.clients.errors import (
    AnswerError,
    DeadlineError,
    EncoderError,
    NotFoundError,
    RejectedError,
    ServerError,
    UnavailableError,
)
from serving.clients.rest_client import EncoderClient, PredictRetry

BUSY = (503, {"error": "queue is full"}, {})


@pytest.fixture
def stub():
    with rest_stub() as server:
        yield server


@pytest.fixture
def client(stub, monkeypatch):
    monkeypatch.setattr(client_module, "BACKOFF_FIRST_S", 0.001)
    with EncoderClient(stub.address, attribute_names=NAMES, timeout=LONG) as connected:
        yield connected


def pictures(count=5):
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def codes(count=5):
    return np.random.default_rng(1).normal(size=(count, *CODE_SHAPE)).astype(np.float32)


def predict_bodies(stub):
    return [json.loads(body) for method, _, body in stub.requests if method == "POST"]


def test_encode_returns_the_servers_codes_bit_for_bit(client):
    found = client.encode(pictures())
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, stub_code(pictures()))


def test_predict_call_is_tf_servings_column_format(stub, client):
    client.read_attributes(codes(2))
    assert stub.requests[-1][:2] == ("POST", "/v1/models/task_head:predict")
    (body,) = predict_bodies(stub)
    assert body["signature_name"] == "serving_default"
    assert list(body["inputs"]) == ["code"]
    np.testing.assert_array_equal(np.float32(body["inputs"]["code"]), codes(2))


@pytest.fixture
def bytes_client(client, monkeypatch):
    for name, signatures in serving_stub.BYTES_SIGNATURES.items():
        both = serving_stub.SIGNATURES[name] | signatures
        monkeypatch.setitem(serving_stub.SIGNATURES, name, both)
    return client


def test_codes_travel_as_bytes_where_the_task_head_takes_them(stub, bytes_client):
    found = bytes_client.read_attributes(codes(2))
    (body,) = predict_bodies(stub)
    assert body["signature_name"] == "read_bytes"
    sent = [base64.b64decode(item["b64"]) for item in body["inputs"]["code_bytes"]]
    assert sent == [code.astype("<f4").tobytes() for code in codes(2)]
    np.testing.assert_array_equal(found.logits, stub_logits(codes(2)))


@pytest.mark.parametrize("count", [1, 3])
def test_codes_come_as_bytes_where_the_encoder_gives_them(stub, bytes_client, count):
    found = bytes_client.encode(pictures(count))
    assert predict_bodies(stub)[0]["signature_name"] == "encode_to_bytes"
    assert (found.dtype, found.flags.writeable) == (np.float32, True)
    np.testing.assert_array_equal(found, stub_code(pictures(count)))


def test_codes_of_unknown_shape_come_as_numbers(stub, bytes_client, monkeypatch):
    outputs = {"code": serving_stub.tensor("DT_FLOAT", -1, -1, 2, 3)}
    encoder = serving_stub.SIGNATURES["encoder"]
    monkeypatch.setitem(encoder["encode_bytes"], "outputs", outputs)
    np.testing.assert_array_equal(bytes_client.encode(pictures(1)), stub_code(pictures(1)))
    assert predict_bodies(stub)[0]["signature_name"] == "encode_bytes"


@pytest.mark.parametrize("answer", ["x", {"b64": "no base64"}, {"b64": "AAAA"}, {}, 1.0], ids=str)
def test_bytes_that_are_no_code_are_an_error(stub, bytes_client, answer):
    stub.faults = [(200, {"outputs": [answer]}, {})]
    with pytest.raises(AnswerError, match="gives no code_bytes"):
        bytes_client.encode(pictures(1))


def test_images_travel_as_png_without_loss(stub, client):
    client.encode(pictures(2))
    (body,) = predict_bodies(stub)
    assert body["signature_name"] == "encode_bytes"
    files = [base64.b64decode(item["b64"]) for item in body["inputs"]["image_bytes"]]
    for content, picture in zip(files, pictures(2), strict=True):
        with Image.open(io.BytesIO(content)) as image:
            assert image.format == "PNG"
            np.testing.assert_array_equal(np.asarray(image), picture)


@pytest.mark.parametrize(
    ("chosen", "path"),
    [
        ({"version": 3}, "/v1/models/encoder/versions/3:predict"),
        ({"label": "canary"}, "/v1/models/encoder/labels/canary:predict"),
    ],
)
def test_version_or_label_is_asked_for(stub, chosen, path):
    with EncoderClient(stub.address, **chosen) as client:
        client.encode(pictures(1))
    assert stub.requests[-1][1] == path


def test_read_attributes_gives_probabilities_by_name(client):
    found = client.read_attributes(codes())
    np.testing.assert_allclose(found.logits, stub_logits(codes()), rtol=1e-6)
    expected = sigmoid(stub_logits(codes()))
    np.testing.assert_allclose(found.probability, expected, rtol=1e-6)
    assert found.as_dicts()[2] == dict(zip(NAMES, found.probability[2].tolist(), strict=True))


def test_decision_of_an_older_task_head_is_whether_the_probability_is_above_a_half(client):
    found = client.read_attributes(codes())
    np.testing.assert_array_equal(found.decision, found.probability > 0.5)


def test_decisions_are_the_task_heads_where_it_gives_them(client, monkeypatch):
    def read(inputs):
        answer = serving_stub.read(inputs)
        decided = [[value > 0.9 for value in row] for row in answer["probability"]]
        return {**answer, "decision": decided}

    monkeypatch.setitem(serving_stub.ANSWERS, "serving_default", read)
    spec = serving_stub.SIGNATURES["task_head"]["serving_default"]
    outputs = {"decision": serving_stub.tensor("DT_BOOL", -1, len(NAMES))}
    monkeypatch.setitem(spec, "outputs", outputs)
    found = client.read_attributes(codes())
    np.testing.assert_array_equal(found.decision, found.probability > 0.9)
    assert found.decision.dtype == bool
    assert found.decisions_as_dicts()[1] == dict(zip(NAMES, found.decision[1], strict=True))


def test_values_are_read_where_the_task_head_gives_them_instead(client, monkeypatch):
    read = {"value": [[20.5, 1.75]] * 5}
    # A server gives an only output without its name.
    monkeypatch.setitem(serving_stub.ANSWERS, "serving_default", lambda inputs: read["value"])
    spec = serving_stub.SIGNATURES["task_head"]["serving_default"]
    monkeypatch.setitem(spec, "outputs", {"value": serving_stub.tensor("DT_FLOAT", -1, 2)})
    found = client.read_attributes(codes())
    np.testing.assert_allclose(found.value, read["value"])
    assert (found.logits, found.probability, found.decision) == (None, None, None)
    assert found.as_dicts()[1] == dict(zip(NAMES, (20.5, 1.75), strict=True))
    assert found.decisions_as_dicts() == [{}] * 5


def test_attributes_without_names_are_numbered(stub):
    with EncoderClient(stub.address) as client:
        assert client.read_attributes(codes(1)).names == ("attribute_0", "attribute_1")


def test_names_of_another_export_are_refused(stub):
    with (
        EncoderClient(stub.address, attribute_names=["Smiling"]) as client,
        pytest.raises(AnswerError, match="reads 2 attributes, 1 names"),
    ):
        client.read_attributes(codes(1))


def test_floats_on_the_wire_become_the_same_float32_in_fewer_digits():
    values = np.random.default_rng(2).normal(size=20000).astype(np.float32)
    values[:4] = [0.0, np.finfo(np.float32).tiny, np.finfo(np.float32).max, 0.1]
    short = client_module.shortest_decimals(values)
    np.testing.assert_array_equal(np.array(short).astype(np.float32), values)
    assert len(json.dumps(short)) < 0.65 * len(json.dumps(values.tolist()))


def test_many_images_go_in_batches_in_order(stub):
    with EncoderClient(stub.address, batch_size=2) as client:
        np.testing.assert_array_equal(client.encode(pictures(5)), stub_code(pictures(5)))
    assert [len(body["inputs"]["image_bytes"]) for body in predict_bodies(stub)] == [2, 2, 1]


def test_no_body_is_larger_than_the_limit(stub):
    limit = 18 * 2 * codes(1).size
    with EncoderClient(stub.address, max_request_bytes=limit) as client:
        client.read_attributes(codes(5) * np.float32(-1e-20))
    sizes = [len(body) for _, _, body in stub.requests if body]
    assert len(sizes) == 3
    assert max(sizes) <= limit


def test_noise_as_png_is_within_what_is_counted_for_it():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    counted = EncoderClient.bytes_per_value["uint8"] * noise.size
    assert len(base64.b64encode(client_module.png(noise))) <= counted


@pytest.mark.parametrize(
    "fault",
    [
        BUSY,
        (429, {"error": "slower"}, {}),
        "drop",
        (200, {}, {"Content-Length": "1000", "Connection": "close"}),
    ],
    ids=["busy", "too many", "dropped", "answer cut off"],
)
def test_call_is_repeated_where_that_is_safe(stub, client, fault):
    stub.faults = [fault, fault]
    np.testing.assert_array_equal(client.encode(pictures(1)), stub_code(pictures(1)))
    assert len(predict_bodies(stub)) == 3


def test_repeats_are_bounded_and_end_in_the_servers_words(stub, client):
    stub.faults = [BUSY] * 10
    with pytest.raises(UnavailableError, match=r"answers 503: queue is full") as raised:
        client.encode(pictures(1))
    assert raised.value.status == 503
    assert len(predict_bodies(stub)) == 4


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, RejectedError), (404, NotFoundError), (413, RejectedError), (500, ServerError)],
)
def test_other_errors_are_not_repeated(stub, client, status, kind):
    stub.faults = [(status, {"error": "the server's own words"}, {})] * 2
    with pytest.raises(kind, match=f"answers {status}: the server's own words") as raised:
        client.encode(pictures(1))
    assert raised.value.status == status
    assert len(predict_bodies(stub)) == 1


def test_timed_out_call_is_not_repeated(stub):
    released = threading.Event()
    stub.faults = [released.wait] * 4
    with EncoderClient(stub.address, timeout=SOON) as client:
        until_it_knows(client)
        try:
            with pytest.raises(DeadlineError, match="timed out"):
                client.encode(pictures(1))
        finally:
            released.set()
    # The stub may read what was sent after the client has given up.
    until(lambda: predict_bodies(stub))
    assert len(predict_bodies(stub)) == 1


def until_it_knows(client):
    """Has a client whose time is short ask for the encoder's signatures until it gets them."""

    def knows():
        with contextlib.suppress(DeadlineError):
            return client.predict_call("encoder", ENCODE, pictures(1))

    until(knows)


def test_redirection_is_not_followed(stub, client):
    stub.faults = [(307, {}, {"Location": f"http://{stub.address}/elsewhere"})]
    with pytest.raises(ServerError, match="answers 307"):
        client.encode(pictures(1))
    assert len(predict_bodies(stub)) == 1


def test_absent_server_is_unavailable_after_the_repeats(monkeypatch):
    waits = []
    monkeypatch.setattr(PredictRetry, "sleep", lambda retry, *_: waits.append(retry.total))
    with (
        refusing_address() as address,
        EncoderClient(address, retries=1) as client,
        pytest.raises(UnavailableError, match=r"\(tries: 2\): .*refused"),
    ):
        client.encode(pictures(1))
    assert waits == [0]


def test_delays_double_up_to_a_limit_and_are_drawn_below_it(monkeypatch):
    monkeypatch.setattr("random.uniform", lambda low, high: (low, high))
    retry = PredictRetry(20, allowed_methods={"POST"})
    highest = []
    for _ in range(8):
        retry = retry.increment("POST", "/", error=urllib3.exceptions.ProtocolError("broken"))
        highest.append(retry.get_backoff_time())
    assert highest == [(0, s) for s in (0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0)]


def test_servers_wish_to_wait_is_kept_up_to_the_limit(stub, client):
    waiting = urllib3.HTTPResponse(headers={"Retry-After": "3600"}, status=503)
    retry = client._pool.connection_pool_kw["retries"]
    assert retry.get_retry_after(waiting) == client_module.BACKOFF_MAX_S


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((1, SIZE, SIZE, 3)), "float64, expected uint8"),
        (np.zeros((1, SIZE, 9, 3), np.uint8), r"\[1, 8, 9, 3\]; encoder expects \[N, 8, 8, 3\]"),
        (np.zeros((SIZE, SIZE, 3), np.uint8), r"\[8, 8, 3\]; encoder expects \[N, 8, 8, 3\]"),
        (np.zeros((0, SIZE, SIZE, 3), np.uint8), "N >= 1"),
    ],
)
def test_images_that_do_not_fit_are_not_sent(stub, client, images, message):
    with pytest.raises(ValueError, match=message):
        client.encode(images)
    assert not predict_bodies(stub)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (np.full((1, *CODE_SHAPE), np.nan, np.float32), "NaN"),
        (np.ones((1, *CODE_SHAPE), np.int64), "int64, expected floats"),
        (np.ones((1, 3), np.float32), r"\[1, 3\]; task_head expects \[N, 2, 2, 3\]"),
    ],
)
def test_codes_that_do_not_fit_are_not_sent(stub, client, changed, message):
    with pytest.raises(ValueError, match=message):
        client.read_attributes(changed)
    assert not predict_bodies(stub)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "something else than JSON"),
        ([1], "answers with a list"),
        ({"predictions": []}, "gives no code"),
        ({"outputs": [[1.0, "x"]]}, "gives no code"),
        ({"outputs": [[1.0], [2.0]]}, r"code of shape \[2, 1\]"),
        ({"outputs": [[float("nan")]]}, "holds NaN"),
    ],
)
def test_answer_that_breaks_the_contract_is_an_error(stub, client, content, message):
    stub.faults = [(200, content, {})]
    with pytest.raises(AnswerError, match=message):
        client.encode(pictures(1))


def test_unknown_model_is_named_by_the_server(stub):
    with (
        EncoderClient(stub.address, encoder="no/such") as client,
        pytest.raises(NotFoundError, match="Servable not found"),
    ):
        client.encode(pictures(1))
    assert stub.requests[0][1] == "/v1/models/no%2Fsuch/metadata"


def test_signature_the_model_lacks_is_named_beside_those_it_has(stub):
    with (
        EncoderClient(stub.address, encoder="task_head") as client,
        pytest.raises(NotFoundError, match="has the signatures serving_default; expected encode"),
    ):
        client.encode(pictures(1))


def test_model_with_another_input_is_refused(stub, monkeypatch):
    other = {"encode": {"inputs": {"image": serving_stub.tensor("DT_FLOAT", -1, SIZE, SIZE, 3)}}}
    monkeypatch.setitem(serving_stub.SIGNATURES, "encoder", other)
    with (
        EncoderClient(stub.address) as client,
        pytest.raises(AnswerError, match=r"takes \{'image': 'float32'\}; expected image of type"),
    ):
        client.encode(pictures(1))


@pytest.mark.parametrize("metadata", [{}, {"metadata": 1}, {"metadata": {"signature_def": []}}])
def test_metadata_that_is_none_is_an_error(client, monkeypatch, metadata):
    monkeypatch.setattr(client, "call", lambda *_: metadata)
    with pytest.raises(AnswerError, match="metadata has no signatures"):
        client.encode(pictures(1))


def test_shape_of_unknown_rank_is_left_to_the_server():
    spec = {"dtype": "DT_FLOAT", "tensor_shape": {"dim": [], "unknown_rank": True}}
    assert client_module.tensor_spec(spec) == contract.TensorSpec("float32", None)


@pytest.fixture
def folder(tmp_path):
    for place, content in enumerate([b"1", b"22", b"bad", b"", b"55555", b"bad too", b"7777777"]):
        (tmp_path / f"{place}.jpg").write_bytes(content)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "last.PNG").write_bytes(b"deeper")
    return tmp_path


@pytest.mark.parametrize("batch_size", [1, 3, 32])
def test_folder_gives_codes_in_order_and_names_files_that_give_none(stub, folder, batch_size):
    reasons = {}
    with EncoderClient(stub.address, batch_size=batch_size) as client:
        found = list(
            client.encode_folder(
                folder, on_unreadable=lambda path, reason: reasons.update({path.name: reason})
            )
        )
    assert [path.name for path, _ in found] == ["0.jpg", "1.jpg", "4.jpg", "6.jpg", "last.PNG"]
    for path, code in found:
        np.testing.assert_array_equal(code, np.full(CODE_SHAPE, path.stat().st_size, np.float32))
    assert sorted(reasons) == ["2.jpg", "3.jpg", "5.jpg"]
    assert "Unknown image file format" in reasons["2.jpg"]
    assert reasons["3.jpg"] == "0 bytes; expected from 1 to 12582912"


def test_refusal_that_no_picture_escapes_blames_no_file(stub, folder):
    refusal = (400, {"error": "Unrecognized servable version label: stable"}, {})
    stub.faults = [None, *[refusal] * 20]
    reasons = {}
    with EncoderClient(stub.address, batch_size=1) as client:
        stream = client.encode_folder(
            folder, on_unreadable=lambda path, reason: reasons.update({path.name: reason})
        )
        assert next(stream)[0].name == "0.jpg"
        with pytest.raises(RejectedError, match="version label"):
            list(stream)
    assert not reasons


def test_files_are_read_when_they_are_needed(stub, folder):
    with EncoderClient(stub.address, batch_size=2) as client:
        stream = client.encode_folder(folder)
        assert next(stream)[0].name == "0.jpg"
        (folder / "6.jpg").write_bytes(b"changed since")
        sizes = {path.name: int(code.max()) for path, code in stream}
    assert sizes["6.jpg"] == len(b"changed since")


def test_missing_and_too_large_files_are_reported_through_logging(stub, folder, caplog):
    with EncoderClient(stub.address, max_request_bytes=8) as client:
        found = list(client.encode_files([folder / "gone.jpg", folder / "1.jpg", folder / "6.jpg"]))
    assert [path.name for path, _ in found] == ["1.jpg"]
    assert "gone.jpg gave no code: [Errno 2]" in caplog.text
    assert "6.jpg gave no code: 7 bytes; expected from 1 to 6" in caplog.text


def test_failing_server_is_not_blamed_on_a_file(stub, client, folder):
    stub.faults = [(500, {"error": "broken"}, {})]
    with pytest.raises(ServerError, match="broken"):
        list(client.encode_folder(folder))


@pytest.mark.parametrize("place", ["gone", "empty"])
def test_folder_without_pictures_is_an_error(client, tmp_path, place):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"(is no folder|holds no picture); expected files"):
        client.encode_folder(tmp_path / place)


@pytest.mark.parametrize("address", ["", "http://", "ftp://host:1", "host:port", "http://:80"])
def test_address_that_names_no_server_is_refused(address):
    with pytest.raises(ValueError, match="names no server; expected HOST:PORT"):
        EncoderClient(address)


@pytest.mark.parametrize("address", ["http://ann:s3cret@host:1", "http://ann:12/s3cret@host"])
def test_an_address_with_a_password_is_refused_without_it(address):
    with pytest.raises(ValueError, match="holds a name or a password") as refused:
        EncoderClient(address)
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"batch_size": 0}, "batch_size must be >= 1, got 0"),
        ({"max_request_bytes": 0}, "max_request_bytes must be >= 1, got 0"),
        ({"version": 1, "label": "stable"}, "a version or a label, not both"),
    ],
)
def test_setting_that_can_not_be_meant_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        EncoderClient("localhost:8501", **arguments)


def test_long_and_odd_error_bodies_are_shown_in_part():
    assert client_module.error_message(b"x" * 600) == "x" * 500 + "..."
    assert client_module.error_message(b"") == "(no message)"
    assert client_module.error_message(b'["error"]') == '["error"]'


def test_every_error_is_an_encoder_error():
    kinds = {DeadlineError, *client_module.ERRORS.values(), ServerError, AnswerError}
    assert all(issubclass(kind, EncoderError) for kind in kinds)


def test_threads_may_share_a_client(client):
    expected = stub_code(pictures(1))
    results = []
    threads = [
        threading.Thread(target=lambda: results.append(client.encode(pictures(1))))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all(np.array_equal(result, expected) for result in results)
