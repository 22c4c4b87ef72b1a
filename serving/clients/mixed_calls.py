"""Calls as a server meets them in the field: good ones over both protocols, and bad ones.

Each call is a function that raises `Unexpected` where the answer is not the one it has to be.
"""

import base64
import json
import pathlib
import socket
import urllib.parse
from collections.abc import Callable, Sequence

import numpy as np
import urllib3

from serving.clients.base import CodeClient
from serving.clients.contract import READ
from serving.clients.errors import EncoderError
from serving.clients.grpc_client import GrpcEncoderClient
from serving.clients.rest_client import EncoderClient

ENCODER, TASK_HEAD, NOBODY = "encoder", "task_head", "no_such_model"
# Bytes that a caller announces and never sends.
ANNOUNCED = 100_000
WAIT_S = 60.0

Call = Callable[[], None]


class Unexpected(Exception):
    """An answer that is not the one that a call has to get."""


def all_calls(
    rest: EncoderClient, grpc: GrpcEncoderClient, files: Sequence[pathlib.Path]
) -> dict[str, Call]:
    """Name -> call; good ones first.

    Args:
        rest: client that repeats nothing.
        grpc: likewise.
        files: JPEGs that the encoder takes.

    Raises:
        EncoderError: the server does not answer for `files`.
    """
    codes = encoded(grpc, files)
    return {**good_calls(rest, grpc, files, codes), **bad_calls(rest, grpc, files, codes)}


def good_calls(
    rest: EncoderClient, grpc: GrpcEncoderClient, files: Sequence[pathlib.Path], codes: np.ndarray
) -> dict[str, Call]:
    """Calls that have to be answered: files to codes, codes [N, ...] to attributes, the status."""
    return {
        "REST encode_files": lambda: check_codes(encoded(rest, files), codes),
        "gRPC encode_files": lambda: check_codes(encoded(grpc, files), codes),
        "REST read_attributes": lambda: check_attributes(rest, codes),
        "gRPC read_attributes": lambda: check_attributes(grpc, codes),
        "REST status": lambda: check_status(rest),
    }


def bad_calls(
    rest: EncoderClient, grpc: GrpcEncoderClient, files: Sequence[pathlib.Path], codes: np.ndarray
) -> dict[str, Call]:
    """Calls that have to be refused, each with its own status, and one that hangs up.

    Arguments are `good_calls`'s; `codes` are float32 [N, ...].
    """
    file = files[0].read_bytes()
    cut_file = base64.b64encode(file[: len(file) // 2]).decode()
    damaged = {"signature_name": "encode_bytes", "instances": [{"b64": cut_file}]}
    narrow = {"instances": codes[..., :-1].tolist()}
    pool = urllib3.PoolManager(timeout=WAIT_S, retries=False)

    def refused(name: str, model: str, body: bytes, status: int) -> tuple[str, Call]:
        url = f"{rest.address}/v1/models/{model}:predict"
        return f"REST {name}", lambda: check_refusal(pool, url, body, status)

    return dict(
        [
            refused("body that is no JSON", ENCODER, b'{"instances": [', 400),
            refused("JPEG that is cut off", ENCODER, json.dumps(damaged).encode(), 400),
            refused("codes of another shape", TASK_HEAD, json.dumps(narrow).encode(), 400),
            refused("unknown model", NOBODY, b'{"instances": [1]}', 404),
            ("REST caller that hangs up", lambda: hang_up(rest.address)),
            (
                "gRPC codes of another shape",
                lambda: check_grpc_refusal(grpc, TASK_HEAD, codes[..., :-1], "INVALID_ARGUMENT"),
            ),
            (
                "gRPC unknown model",
                lambda: check_grpc_refusal(grpc, NOBODY, codes, "NOT_FOUND"),
            ),
        ]
    )


def encoded(client: CodeClient, files: Sequence[pathlib.Path]) -> np.ndarray:
    """The codes float32 [N, ...] of N files; raises Unexpected where the server refuses one."""

    def refused(path: pathlib.Path, reason: str) -> None:
        raise Unexpected(f"{path.name} was refused: {reason}")

    return np.array([code for _, code in client.encode_files(files, on_unreadable=refused)])


def check_codes(codes: np.ndarray, shaped_like: np.ndarray) -> None:
    """Raises Unexpected unless codes [N, ...] are finite and of that shape.

    Their values may differ from call to call: a defence may draw noise.
    """
    if codes.shape != shaped_like.shape or not np.isfinite(codes).all():
        raise Unexpected(f"codes {codes.shape}, expected finite ones {shaped_like.shape}")


def check_attributes(client: CodeClient, codes: np.ndarray) -> None:
    """Raises Unexpected unless a task head answers for codes [N, ...] with finite numbers."""
    found = client.read_attributes(codes)
    numbers = next(each for each in (found.logits, found.value) if each is not None)
    if len(numbers) != len(codes) or not np.isfinite(numbers).all():
        raise Unexpected(f"attributes {numbers.shape} for {len(codes)} codes")


def check_status(rest: EncoderClient) -> None:
    """Raises Unexpected unless a version of the encoder is AVAILABLE."""
    versions = rest.call("GET", f"/v1/models/{ENCODER}")["model_version_status"]
    if not any(version["state"] == "AVAILABLE" for version in versions):
        raise Unexpected(f"no version is AVAILABLE: {versions}")


def check_refusal(pool: urllib3.PoolManager, url: str, body: bytes, status: int) -> None:
    """Raises Unexpected unless a body is refused with a status and {"error": ...}."""
    answer = pool.request("POST", url, body=body, headers={"Content-Type": "application/json"})
    try:
        has_reason = bool(json.loads(answer.data)["error"])
    except (ValueError, KeyError, TypeError):
        has_reason = False
    if answer.status != status or not has_reason:
        raise Unexpected(f"answer {answer.status} {answer.data[:200]!r}, expected {status}")


def check_grpc_refusal(grpc: GrpcEncoderClient, model: str, codes: np.ndarray, status: str) -> None:
    """Raises Unexpected unless codes [N, ...] are refused with a gRPC status."""
    request = grpc.predict_request(TASK_HEAD, READ, codes)
    request.model_spec.name = model
    try:
        grpc.call("Predict", request)
    except EncoderError as error:
        if error.status == status:
            return
        raise
    raise Unexpected(f"an answer, expected {status}")


def hang_up(address: str) -> None:
    """Announces a long body, sends a part of it, and closes the connection."""
    parsed = urllib.parse.urlsplit(address)
    head = (
        f"POST /v1/models/{ENCODER}:predict HTTP/1.1\r\nHost: {parsed.netloc}\r\n"
        f"Content-Length: {ANNOUNCED}\r\n\r\n"
    )
    with socket.create_connection((parsed.hostname, parsed.port), WAIT_S) as connection:
        connection.sendall(head.encode() + b'{"instances": [')


def outcome(call: Call) -> str:
    """What went wrong in a call; empty where it got what it has to get."""
    try:
        call()
    except (Unexpected, EncoderError, urllib3.exceptions.HTTPError, OSError) as error:
        return f"{type(error).__name__}: {error}"
    return ""
