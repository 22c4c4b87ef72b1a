"""A stub that speaks TF Serving's REST protocol and records the bytes that clients send it."""

import base64
import contextlib
import http.server
import io
import json
import socket
import threading

import numpy as np
from PIL import Image
from waiting import LONG

SIZE = 8
CODE_SHAPE = (2, 2, 3)
NAMES = ("Smiling", "Eyeglasses")


def stub_code(images):
    """Code float32 [N, 2, 2, 3] of images uint8 [N, 8, 8, 3]: means of quarters, in [0, 1]."""
    quarters = images.reshape(len(images), 2, SIZE // 2, 2, SIZE // 2, 3)
    return (quarters.mean((2, 4)) / 255).astype(np.float32)


def stub_logits(codes):
    """Logits float32 [N, 2]: sum of a code, and the negative sum."""
    total = codes.reshape(len(codes), -1).sum(1, dtype=np.float64).astype(np.float32)
    return np.stack([total, -total], 1)


def sigmoid(values):
    return 1 / (1 + np.exp(-values))


def tensor(dtype, *sides):
    shape = {"dim": [{"size": str(side), "name": ""} for side in sides], "unknown_rank": False}
    return {"dtype": dtype, "tensor_shape": shape, "name": "tensor:0"}


SIGNATURES = {
    "encoder": {
        "encode": {"inputs": {"image": tensor("DT_UINT8", -1, SIZE, SIZE, 3)}},
        "encode_bytes": {"inputs": {"image_bytes": tensor("DT_STRING", -1)}},
        "__saved_model_init_op": {"inputs": {}},
    },
    "task_head": {"serving_default": {"inputs": {"code": tensor("DT_FLOAT", -1, *CODE_SHAPE)}}},
}


# What exports have besides.
BYTES_SIGNATURES = {
    "encoder": {
        "encode_to_bytes": {"inputs": {"image_bytes": tensor("DT_STRING", -1)}},
        "encode_bytes": {
            "inputs": {"image_bytes": tensor("DT_STRING", -1)},
            "outputs": {"code": tensor("DT_FLOAT", -1, *CODE_SHAPE)},
        },
    },
    "task_head": {"read_bytes": {"inputs": {"code_bytes": tensor("DT_STRING", -1)}}},
}


class RecordingSocket(io.RawIOBase):
    """Reads from a connection and keeps what came."""

    def __init__(self, connection, recorded):
        self.connection, self.recorded = connection, recorded

    def readable(self):
        return True

    def readinto(self, buffer):
        count = self.connection.recv_into(buffer)
        self.recorded.extend(buffer[:count])
        return count


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = LONG

    def setup(self):
        super().setup()
        self.rfile = io.BufferedReader(RecordingSocket(self.connection, self.server.recorded))

    def log_message(self, *_):
        pass

    def do_GET(self):
        self.answer(None)

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["Content-Length"])))

    def answer(self, body):
        self.server.requests.append((self.command, self.path, body))
        planned = self.server.faults and body is not None and self.server.faults.pop(0)
        if planned == "drop":
            self.close_connection = True
            return
        if callable(planned):
            planned()
            planned = None
        status, content, headers = planned or self.usual(body)
        text = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(text)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(text)

    def usual(self, body):
        model = self.path.split("/")[3].split(":")[0]
        if model not in SIGNATURES:
            return 404, {"error": f"Servable not found for request: Latest({model})"}, {}
        if body is None:
            return 200, {"metadata": {"signature_def": {"signature_def": SIGNATURES[model]}}}, {}
        request = json.loads(body)
        try:
            return 200, {"outputs": ANSWERS[request["signature_name"]](request["inputs"])}, {}
        except ValueError as error:
            return 400, {"error": str(error)}, {}


def encode_bytes(inputs):
    contents = [base64.b64decode(item["b64"]) for item in inputs["image_bytes"]]
    if any(content.startswith(b"bad") for content in contents):
        raise ValueError("Unknown image file format.")
    return [one_code(content).tolist() for content in contents]


def one_code(content):
    """Of a PNG the code of its pixels, of anything else its length in every value."""
    if content.startswith(b"\x89PNG"):
        with Image.open(io.BytesIO(content)) as image:
            return stub_code(np.asarray(image)[None])[0]
    return np.full(CODE_SHAPE, len(content))


def read(inputs):
    logits = stub_logits(np.asarray(inputs["code"], np.float32))
    return {"logits": logits.tolist(), "probability": sigmoid(logits).tolist()}


def encode_to_bytes(inputs):
    contents = np.array(encode_bytes(inputs), "<f4")
    return [{"b64": base64.b64encode(content.tobytes()).decode()} for content in contents]


def read_bytes(inputs):
    contents = [base64.b64decode(item["b64"]) for item in inputs["code_bytes"]]
    return read({"code": [np.frombuffer(c, "<f4").reshape(CODE_SHAPE) for c in contents]})


ANSWERS = {
    "encode_bytes": encode_bytes,
    "encode_to_bytes": encode_to_bytes,
    "serving_default": read,
    "read_bytes": read_bytes,
}


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, *_):
        """Clients that leave are part of the tests."""


@contextlib.contextmanager
def rest_stub():
    """A running stub: `address`, `requests` (method, path, body), `recorded` bytes.

    `faults` are spent one a predict call: (status, content, headers), "drop", or a function that is
    called first.
    """
    with Server(("127.0.0.1", 0), Handler) as server:
        server.requests, server.recorded, server.faults = [], bytearray(), []
        server.address = f"127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()


@contextlib.contextmanager
def refusing_address():
    """An address of this machine that refuses connections, and that nobody else can take."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"
