"""REST as TF Serving speaks it: formats, codes, and every fault a client can commit."""

import asyncio
import base64
import contextlib
import gzip
import http.client
import io
import json
import socket
import struct
import textwrap
import zlib

import grpc
import numpy as np
import pytest
import starlette.routing
import tensorflow as tf
from serving_models import (
    CODE_SHAPE,
    SIZE,
    b64,
    hold_up,
    picture_file,
    pictures,
    predict,
    rest,
    serving,
    submissions,
)
from waiting import LONG, SOON, until

from serving.server.errors import ServingError
from serving.server.rest import bodies, rest_app
from serving.server.validation import Limits

BYTES = {"signature_name": "encode_bytes"}


@pytest.fixture(scope="module")
def server(exported_models):
    limits = Limits(items=64, pixels=4_000_000, request_bytes=2_000_000)
    with serving(exported_models, limits=limits) as running:
        yield running
        # Whatever the tests above did to it, it still answers.
        assert predict(running, "encoder", {"instances": pictures().tolist()})[0] == 200


@pytest.fixture(scope="module")
def encode(exported_models):
    signatures = tf.saved_model.load(str(exported_models / "encoder" / "1")).signatures
    return lambda images: signatures["encode"](image=tf.constant(images))["code"].numpy()


def refused(answer, status, *words):
    """Asserts an error body of this status that holds these words."""
    assert answer[0] == status, answer
    assert set(answer[1]) == {"error"}
    assert all(word in answer[1]["error"] for word in words), answer[1]
    return True


def test_status_has_state_and_code_of_every_version(server):
    status = {"error_code": "OK", "error_message": ""}
    expected = {"version": "1", "state": "AVAILABLE", "status": status}
    for path in ("/v1/models/encoder", "/v1/models/encoder/versions/1"):
        assert rest(server, "GET", path) == (200, {"model_version_status": [expected]})


def test_metadata_describes_every_signature(server):
    status, answer = rest(server, "GET", "/v1/models/encoder/versions/1/metadata")
    assert status == 200
    assert answer["model_spec"]["name"] == "encoder"
    assert answer["model_spec"]["version"] == "1"
    signatures = answer["metadata"]["signature_def"]["signature_def"]
    assert {"encode", "encode_bytes", "serving_default"} <= set(signatures)
    image = signatures["encode"]["inputs"]["image"]
    assert image["dtype"] == "DT_UINT8"
    sizes = [dimension["size"] for dimension in image["tensor_shape"]["dim"]]
    assert sizes == ["-1", str(SIZE), str(SIZE), "3"]


@pytest.mark.parametrize(
    "body",
    [
        {"instances": pictures(3).tolist()},
        {"instances": [{"image": image} for image in pictures(3).tolist()]},
    ],
    ids=["plain", "named"],
)
def test_rows_return_the_models_codes_as_predictions(server, encode, body):
    status, answer = predict(server, "encoder", body)
    assert status == 200
    assert list(answer) == ["predictions"]
    np.testing.assert_allclose(answer["predictions"], encode(pictures(3)), atol=1e-5)


@pytest.mark.parametrize(
    "body",
    [{"inputs": pictures(3).tolist()}, {"inputs": {"image": pictures(3).tolist()}}],
    ids=["plain", "named"],
)
def test_columns_return_the_models_codes_as_outputs(server, encode, body):
    status, answer = predict(server, "encoder", body, "/versions/1")
    assert status == 200
    assert list(answer) == ["outputs"]
    np.testing.assert_allclose(answer["outputs"], encode(pictures(3)), atol=1e-5)


def test_several_outputs_come_by_name(server):
    codes = np.ones((2, *CODE_SHAPE)).tolist()
    rows = predict(server, "task_head", {"instances": codes})[1]["predictions"]
    columns = predict(server, "task_head", {"inputs": codes})[1]["outputs"]
    assert [set(row) for row in rows] == [{"logits", "probability", "decision"}] * 2
    assert all(isinstance(value, bool) for row in rows for value in row["decision"])
    assert set(columns) == {"logits", "probability", "decision"}
    assert columns["logits"] == [row["logits"] for row in rows]


def test_b64_png_and_jpeg_give_codes_of_the_pictures_in_them(server, encode):
    files = [picture_file(image) for image in pictures(2)]
    status, answer = predict(server, "encoder", BYTES | {"instances": list(map(b64, files))})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], encode(pictures(2)), atol=1e-5)
    jpeg = {"inputs": {"image_bytes": [b64(picture_file(pictures()[0], "JPEG"))]}}
    assert predict(server, "encoder", BYTES | jpeg)[0] == 200


@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_codes_as_bytes_are_encoded_and_read_like_numbers(server, encode, key):
    files = [b64(picture_file(image)) for image in pictures(2)]
    answers = {"instances": "predictions", "inputs": "outputs"}
    asked = {"signature_name": "encode_to_bytes", key: files}
    encoded = predict(server, "encoder", asked)[1][answers[key]]
    found = [np.frombuffer(base64.b64decode(item["b64"]), "<f4") for item in encoded]
    codes = encode(pictures(2))
    np.testing.assert_allclose(found, codes.reshape(2, -1), atol=1e-5)
    asked = {"signature_name": "read_bytes", key: [b64(code.tobytes()) for code in codes]}
    read = predict(server, "task_head", asked)
    assert read == predict(server, "task_head", {key: codes.tolist()})
    assert read[0] == 200


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", ["code_bytes must hold float32 [4, 4, 3], 192 bytes"]),
        (bytes(191), ["code_bytes must hold float32 [4, 4, 3], 192 bytes"]),
        (bytes(384), ["code_bytes must hold float32 [4, 4, 3], 192 bytes"]),
        (np.full(48, np.inf, "<f4").tobytes(), ["code_bytes must hold finite values"]),
    ],
    ids=["empty", "short", "double", "inf"],
)
def test_bytes_that_are_no_code_are_refused_with_the_reason(server, content, words):
    body = {"signature_name": "read_bytes", "instances": [b64(bytes(192)), b64(content)]}
    assert refused(predict(server, "task_head", body), 400, *words)


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/v1/models/nobody:predict", 404, ["Servable not found for request: Latest(nobody)"]),
        ("/v1/models/encoder/versions/9:predict", 404, ["Specific(encoder, 9)"]),
        ("/v1/models/encoder/labels/canary:predict", 400, ["version label: canary"]),
        ("/v1/models/encoder/versions/x:predict", 400, ["Malformed request"]),
        ("/v1/models/encoder:explain", 400, ["Malformed request"]),
        ("/v1/models/encoder", 400, ["Malformed request: POST"]),
        ("/v1/models/encoder:classify", 400, ["key 'examples' is expected"]),
        ("/v1/models/encoder:regress", 400, ["key 'examples' is expected"]),
        # TF Serving takes any case of the path, but none other of the verb.
        ("/v1/models/encoder:Predict", 400, ["Malformed request: POST /v1/models/encoder:Predict"]),
        ("/v1/models/ENCODER:predict", 404, ["Latest(ENCODER)"]),
        ("/v1/models/encoder:predict?key=1", 400, ["Malformed request", "?key=1"]),
        ("/v1/models/encoder%3Apredict", 400, ["Malformed request"]),
        ("/v1/models/en%63oder/labels/can%61ry:predict", 400, ["version label: canary"]),
        (f"/v1/models/encoder/versions/{2**63}:predict", 400, ["Failed to convert version"]),
        (f"/v1/models/encoder/versions/{'9' * 5000}:predict", 400, ["Failed to convert version"]),
        (f"/v1/models/encoder/versions/{'0' * 5000}9:predict", 404, ["Specific(encoder, 9)"]),
        ("/v2/models", 404, ["Not found"]),
        ("/v1", 404, ["Not found"]),
        ("/v1/models/encoder:predict/", 400, ["Malformed request"]),
    ],
)
def test_unknown_model_version_label_and_verb_have_their_codes(server, path, status, words):
    assert refused(rest(server, "POST", path, {"instances": pictures().tolist()}), status, *words)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/encoder",
        "/V1/Models/encoder",
        "/v1/MODELS/encoder/Versions/1",
        "/v1/models/%65ncoder",
        # Not the metadata: TF Serving takes any case of the path, then compares the word.
        "/v1/models/encoder/Metadata",
    ],
)
def test_status_is_found_by_any_case_of_the_path(server, path):
    status, answer = rest(server, "GET", path)
    assert (status, list(answer)) == (200, ["model_version_status"])


def test_predict_is_found_by_any_case_of_the_path(server):
    for path in ("/V1/models/encoder:predict", "/v1/Models/encoder/VERSIONS/1:predict"):
        assert rest(server, "POST", path, {"instances": pictures().tolist()})[0] == 200


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_malformed_as_in_tf_serving(server, method):
    answer = rest(server, method, "/v1/models/encoder:predict", {})
    assert refused(answer, 400, f"Malformed request: {method}")


def test_status_of_no_model_is_refused(server):
    assert refused(rest(server, "GET", "/v1/models"), 400, "Missing model name")


EXAMPLES = {"examples": [{"x": 1.0}]}


@pytest.mark.parametrize(
    ("model", "body", "status", "words"),
    [
        ("encoder", EXAMPLES, 400, "method_name to be tensorflow/serving/"),
        ("encoder", EXAMPLES | {"signature_name": "x"}, 400, "No signature was found with the"),
        ("nobody", EXAMPLES, 404, "Latest(nobody)"),
        ("encoder", {"examples": []}, 400, "'examples' value to be a list that is not empty"),
        ("encoder", {"examples": 3}, 400, "'examples' value to be a list"),
        ("encoder", b"{", 400, "JSON Parse error"),
    ],
)
@pytest.mark.parametrize("verb", ["classify", "regress"])
def test_calls_on_examples_are_refused_as_tf_serving_refuses_them(
    server, verb, model, body, status, words
):
    assert refused(rest(server, "POST", f"/v1/models/{model}:{verb}", body), status, words)


@pytest.mark.parametrize("path", ["/v1/models/nobody", "/v1/models/encoder/versions/9"])
def test_status_of_what_is_not_there_is_404(server, path):
    assert refused(rest(server, "GET", path), 404, "Could not find")


@pytest.mark.parametrize("body", [{}, {"instances": 1, "inputs": 1}, {"instances": []}])
def test_model_is_looked_for_before_the_body_is_judged_as_in_tf_serving(server, body):
    assert refused(predict(server, "nobody", body), 404, "Latest(nobody)")
    named = body | {"signature_name": "x"}
    assert refused(predict(server, "encoder", named), 400, '"x" not found in signature def')


def test_unknown_signature_is_named(server):
    body = {"signature_name": "decode", "instances": pictures().tolist()}
    assert refused(predict(server, "encoder", body), 400, '"decode" not found in signature def')


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", ["JSON Parse error"]),
        (b"{", ["JSON Parse error"]),
        (b'{"instances": NaN', ["JSON Parse error"]),
        (b"\xff\xfe", ["JSON Parse error"]),
        (b"[" * 100_000, ["JSON Parse error"]),
        (b"[NaN," + b"[" * 100_000, ["JSON Parse error"]),
        (b"3", ["must be a JSON object"]),
        (b"", ["The document is empty"]),
        (b"\xef\xbb\xbf", ["The document is empty"]),
        (b"{}", ["'instances' or 'inputs'"]),
        (b'{"instances": [1], "inputs": [1]}', ["either 'instances' or 'inputs'"]),
        (b'{"instances": [1], "signature_name": 7}', ["'signature_name' must be a string"]),
    ],
)
def test_malformed_json_is_refused_with_the_reason(server, body, words):
    assert refused(predict(server, "encoder", body), 400, *words)


def test_byte_order_mark_and_keys_that_nobody_asked_for_are_passed_over(server):
    """As TF Serving's parser skips the mark, and looks only up what it needs."""
    rows = pictures(2).tolist()
    plain = predict(server, "encoder", {"instances": rows})
    extra = {"instances": rows, "client": "Android", "signature_names": 7}
    assert predict(server, "encoder", b"\xef\xbb\xbf" + json.dumps(extra).encode()) == plain
    columns = predict(server, "encoder", {"inputs": {"image": rows, "more": "x"}, "id": 3})
    assert columns == (200, {"outputs": plain[1]["predictions"]})


ZERO = np.zeros((1, SIZE, SIZE, 3), int).tolist()


@pytest.mark.parametrize(
    ("tensors", "words"),
    [
        (5, ["must be a list"]),
        ([], ["not empty"]),
        ({}, ["must be a list"]),
        ([1, 2], ["shape [2]", f"expected [?, {SIZE}, {SIZE}, 3]"]),
        (ZERO[0], [f"shape [{SIZE}, {SIZE}, 3]"]),
        ([ZERO], [f"shape [1, 1, {SIZE}, {SIZE}, 3]"]),
        (np.zeros((1, SIZE + 1, SIZE, 3), int).tolist(), [f"shape [1, {SIZE + 1}, {SIZE}, 3]"]),
        (np.zeros((1, SIZE, SIZE, 1), int).tolist(), ["shape"]),
        (np.zeros((65, SIZE, SIZE, 3), int).tolist(), ["65 items", "limit is 64"]),
        (np.full((1, SIZE, SIZE, 3), 0.5).tolist(), ["whole numbers", "uint8"]),
        (np.full((1, SIZE, SIZE, 3), 256).tolist(), ["256", "uint8: 0 to 255"]),
        (np.full((1, SIZE, SIZE, 3), -1).tolist(), ["-1", "uint8: 0 to 255"]),
        (np.full((1, SIZE, SIZE, 3), "x").tolist(), ["whole numbers"]),
        (np.full((1, SIZE, SIZE, 3), True).tolist(), ["whole numbers"]),
        (np.full((1, SIZE, SIZE, 3), None).tolist(), ["whole numbers"]),
        ([[1, [2]]], ["not a regular array"]),
        ([{"picture": 1}], ["takes the inputs 'image'", "'picture'"]),
        ([{"image": 1}, 2], ["same names"]),
        ([10**30], ["whole numbers"]),
        ([{"b64": "AAAA"}], ["whole numbers"]),
    ],
)
def test_wrong_rank_size_dtype_and_values_are_refused_with_the_reason(server, tensors, words):
    assert refused(predict(server, "encoder", {"instances": tensors}), 400, *words)


def test_empty_columns_are_refused(server):
    body = {"inputs": {"image": np.zeros((0, SIZE, SIZE, 3)).tolist()}}
    assert refused(predict(server, "encoder", body), 400, "shape [0]")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e39"])
def test_codes_that_are_not_finite_are_refused(server, value):
    code = np.zeros((1, *CODE_SHAPE)).tolist()
    body = json.dumps({"instances": code}).replace("0.0", value, 1).encode()
    assert refused(predict(server, "task_head", body), 400, "NaN or infinity")


def png_header(width, height):
    """A PNG of a few bytes that claims to be huge."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    crc = struct.pack(">I", zlib.crc32(chunk))
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(header)) + chunk + crc


def black_png(side):
    """A true decompression bomb: every pixel is there, in few bytes."""
    rows = zlib.compress(bytes((3 * side + 1) * side), 9)
    chunks = [png_header(side, side)]
    for name, content in ((b"IDAT", rows), (b"IEND", b"")):
        crc = struct.pack(">I", zlib.crc32(name + content))
        chunks.append(struct.pack(">I", len(content)) + name + content + crc)
    return b"".join(chunks)


JPEG = picture_file(np.zeros((40, 40, 3), np.uint8), "JPEG")


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (b"", ["Picture 0", "an empty file"]),
        (b"not a picture", ["another type", "expected a JPEG, PNG, BMP, GIF or WebP"]),
        (b"GIF89a" + bytes(20), ["damaged GIF"]),
        (JPEG[:20], ["damaged JPEG"]),
        (JPEG[: len(JPEG) // 2], ["JPEG"]),
        (JPEG[:-200], ["JPEG"]),
        (picture_file(pictures()[0])[:-100], ["PNG"]),
        (picture_file(pictures()[0])[:20], ["damaged PNG"]),
        (png_header(0, 5), ["PNG"]),
        (png_header(50_000, 50_000), ["2500000000 pixels"]),
        (black_png(3000), ["9000000 pixels", "4000000"]),
    ],
    ids=lambda value: str(len(value)),
)
def test_empty_truncated_and_exploding_pictures_are_refused(server, file, words):
    answer = predict(server, "encoder", BYTES | {"instances": [b64(file)]})
    assert refused(answer, 400, *words)


def test_large_jpeg_is_refused_by_its_header(server):
    file = io.BytesIO(picture_file(np.zeros((8, 8, 3), np.uint8), "JPEG")).getvalue()
    marker = file.index(b"\xff\xc0")
    huge = file[: marker + 5] + struct.pack(">HH", 60_000, 60_000) + file[marker + 9 :]
    answer = predict(server, "encoder", BYTES | {"instances": [b64(huge)]})
    assert refused(answer, 400, "3600000000 pixels")


PNG_FILE = picture_file(pictures()[0])
WRAPPED = {
    "encodebytes": base64.encodebytes(PNG_FILE).decode(),
    "MIME": "\r\n".join(textwrap.wrap(base64.b64encode(PNG_FILE).decode(), 76)),
    "Android": base64.encodebytes(PNG_FILE).decode() + "\n",
    "blanks": " \t\v\f" + base64.b64encode(PNG_FILE).decode() + "  ",
    "no padding": base64.b64encode(PNG_FILE).decode().rstrip("="),
    "dots": base64.b64encode(PNG_FILE).decode().replace("=", "."),
}


@pytest.mark.parametrize("form", WRAPPED)
@pytest.mark.parametrize("key", ["instances", "inputs"])
def test_base64_passes_as_it_comes_from_other_languages(server, key, form):
    body = BYTES | {key: [{"b64": WRAPPED[form]}]}
    assert predict(server, "encoder", body) == predict(
        server, "encoder", BYTES | {key: [b64(PNG_FILE)]}
    )


def test_b64_beside_another_key_is_no_bytes(server):
    body = BYTES | {"inputs": [{"b64": "AAAA", "name": "x"}]}
    assert refused(predict(server, "encoder", body), 400, "must hold strings")


@pytest.mark.parametrize("value", ["???", "A", "AA=A", "AA=", "AAA==", "-_-_", "ä", 5, None])
def test_wrong_b64_is_refused(server, value):
    answer = predict(server, "encoder", BYTES | {"instances": [{"b64": value}]})
    assert refused(answer, 400, "Input 'image_bytes'")


def test_huge_json_is_refused_while_it_is_being_sent(server):
    with connected(server) as client:
        client.sendall(head(10**12))
        with contextlib.suppress(ConnectionError):
            for _ in range(100):
                client.sendall(b" " * 65536)
        assert b"413 " in client.recv(65536).split(b"\r\n")[0]


def test_client_that_asks_first_is_spared_sending_what_is_too_much(server):
    with connected(server) as client:
        client.sendall(head(10**12).replace(b"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"))
        assert client.recv(65536).startswith(b"HTTP/1.1 413 ")


def test_ten_thousand_items_are_refused(exported_models):
    files = [base64.b64encode(picture_file(np.zeros((1, 1, 3), np.uint8))).decode()] * 10_000
    body = BYTES | {"instances": [{"b64": file} for file in files]}
    with serving(exported_models) as running:
        answer = predict(running, "encoder", body)
    assert refused(answer, 400, "10000 items", "limit is 1024")


def post(server, body, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=LONG)
    with contextlib.closing(connection):
        connection.request("POST", "/v1/models/encoder:predict", body, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())


BODY = json.dumps({"instances": pictures(2).tolist()}).encode()


@pytest.mark.parametrize("coding", ["", "identity", "Identity", "IDENTITY", "identity, identity"])
def test_body_as_it_is_passes_with_any_word_for_it(server, coding):
    assert post(server, BODY, **{"Content-Encoding": coding}) == post(server, BODY)


@pytest.mark.parametrize("coding", ["gzip", "GZIP", "x-gzip", "identity, gzip"])
def test_gzip_body_is_inflated(server, coding):
    for body in (gzip.compress(BODY), gzip.compress(BODY[:50]) + gzip.compress(BODY[50:])):
        assert post(server, body, **{"Content-Encoding": coding}) == post(server, BODY)


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "gzip, gzip", "nonsense"])
def test_other_encodings_are_refused_by_name(server, coding):
    answer = post(server, BODY, **{"Content-Encoding": coding})
    assert refused(answer, 415, repr(coding), "send gzip")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (gzip.compress(bytes(50_000_000)), 413, "more than 2000000 bytes when inflated"),
        (gzip.compress(BODY)[:-9], 400, "cut off"),
        (gzip.compress(BODY) + b"tail", 400, "no gzip"),
        (BODY, 400, "no gzip"),
        (zlib.compress(BODY), 400, "no gzip"),
        (b"", 400, "The document is empty"),
    ],
    ids=["bomb", "cut off", "tail", "plain", "zlib", "empty"],
)
def test_gzip_that_explodes_or_is_none_is_refused(server, body, status, words):
    assert refused(post(server, body, **{"Content-Encoding": "gzip"}), status, words)


def test_as_many_bytes_as_are_allowed_may_be_inflated():
    assert bodies.inflate(gzip.compress(bytes(100)), 100) == bytes(100)
    with pytest.raises(bodies.BodyError, match="more than 99 bytes when inflated"):
        bodies.inflate(gzip.compress(bytes(60)) + gzip.compress(bytes(40)), 99)


def exchange(server, method, path, body=None, **headers):
    """Status, headers and content of an answer."""
    connection = http.client.HTTPConnection("127.0.0.1", server.rest_api_port, timeout=LONG)
    with contextlib.closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()


def test_pages_of_other_origins_may_call_only_with_the_flag(server, exported_models):
    path = "/v1/models/encoder"
    assert not set(rest_app.CORS) & {
        name.title() for name in exchange(server, "GET", path, Origin="https://x")[1]
    }
    with serving(exported_models, rest_api_enable_cors_support=True) as running:
        asked = {
            "Origin": "https://x",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "content-type",
        }
        answers = [
            exchange(running, "OPTIONS", path + ":predict", **asked),
            exchange(running, "GET", path, Origin="https://x"),
            exchange(running, "POST", path + ":predict", b"{", Origin="https://x"),
        ]
    assert [status for status, _, _ in answers] == [200, 200, 400]
    for _, headers, _ in answers:
        found = {name.title(): value for name, value in headers.items()}
        assert rest_app.CORS.items() <= found.items()


def test_fault_outside_of_any_handler_is_json_too():
    def page(request):
        raise KeyError("secret")

    app = rest_app.application([starlette.routing.Route("/", page)])
    sent = []

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "query_string": b""}
    with pytest.raises(KeyError):
        asyncio.run(app(scope, None, send))
    assert sent[0]["status"] == 500
    assert list(json.loads(sent[1]["body"])) == ["error"]
    assert b"secret" not in sent[1]["body"]


def test_message_may_quote_what_no_encoding_can_write(server):
    answer = post(server, b'{"signature_name": "\\ud800NaN", "instances": [1]}')
    assert refused(answer, 400, "not found")


def test_faults_become_answers_in_the_thread_they_happen_in(caplog):
    def fail(error):
        raise error

    answer = rest_app.response_of(lambda: fail(ServingError(grpc.StatusCode.NOT_FOUND, "gone")))
    assert (answer.status_code, json.loads(answer.body)) == (404, {"error": "gone"})
    answer = rest_app.response_of(lambda: fail(KeyError("secret")))
    assert answer.status_code == 500 and b"secret" not in answer.body


@contextlib.contextmanager
def connected(server):
    with socket.create_connection(("127.0.0.1", server.rest_api_port), timeout=LONG) as client:
        yield client


def head(length):
    return (
        "POST /v1/models/encoder:predict HTTP/1.1\r\nHost: here\r\n"
        f"Content-Length: {length}\r\n\r\n"
    ).encode()


def test_slow_clients_hold_no_thread(exported_models):
    with (
        serving(exported_models, rest_api_num_threads=1) as running,
        contextlib.ExitStack() as stack,
    ):
        for _ in range(20):
            stack.enter_context(connected(running)).sendall(head(100) + b"{")
        assert predict(running, "encoder", {"instances": pictures().tolist()})[0] == 200


def test_slow_client_ends_with_408(exported_models):
    with serving(exported_models, rest_api_timeout=SOON) as running, connected(running) as slow:
        slow.sendall(head(100) + b"{")
        assert b"408 " in slow.recv(4096).split(b"\r\n")[0]


def test_slow_headers_do_not_hold_up_others(server):
    with connected(server) as client:
        client.sendall(b"POST /v1/models/enc")
        assert predict(server, "encoder", {"instances": pictures().tolist()})[0] == 200


def test_client_that_is_gone_mid_request_leaves_the_server_well(server):
    body = json.dumps({"instances": pictures(8).tolist()}).encode()
    for sent in (head(len(body)), head(len(body)) + body[:100], head(len(body)) + body):
        with connected(server) as client:
            client.sendall(sent)
            # Reset, not closed: no orderly end.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert predict(server, "encoder", {"instances": pictures().tolist()})[0] == 200


def test_client_that_goes_takes_its_waiting_request_along(exported_models):
    def metric(code):
        return f'code="{code}"' in running.predictor.metrics.text().decode()

    ran = []
    with serving(exported_models) as running:
        release = hold_up(running)
        submitted = submissions(running)
        with contextlib.ExitStack() as clients:
            # One for each thread of the batcher, and one that waits behind them.
            for count in (1, 1, 7):
                body = json.dumps({"instances": pictures(count).tolist()}).encode()
                client = clients.enter_context(connected(running))
                client.sendall(head(len(body)) + body)
                assert submitted.acquire(timeout=LONG)
            client.close()
            until(lambda: metric("CANCELLED"))
            running._batcher._on_batch = ran.append
            release()
            until(lambda: metric("OK"))
        assert predict(running, "encoder", {"instances": pictures(2).tolist()})[0] == 200
    assert ran == [2]


def test_request_that_takes_too_long_is_504_and_the_next_is_answered(exported_models):
    with serving(exported_models, rest_api_timeout=0.5) as running:
        release = hold_up(running)
        answer = predict(running, "encoder", {"instances": pictures().tolist()})
        release()
        assert refused(answer, 504, "time is over")
        # On a slow machine its time may be over, too, once or twice.
        until(lambda: predict(running, "encoder", {"instances": pictures().tolist()})[0] == 200)


def test_metrics_count_requests_without_letting_clients_invent_labels(server):
    predict(server, "encoder", {"instances": pictures().tolist()})
    predict(server, "made_up_name", {"instances": []})
    with connected(server) as client:
        client.sendall(
            b"GET /monitoring/prometheus/metrics HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"
        )
        text = b"".join(iter(lambda: client.recv(65536), b"")).decode()
    labels = 'code="OK",method="Predict",model="encoder",protocol="rest"'
    assert f"serving_requests_total{{{labels}}}" in text
    assert "made_up_name" not in text
    assert "serving_request_seconds_bucket" in text
