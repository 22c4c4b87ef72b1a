"""Errors over HTTP: always JSON, {"error": message}, whoever finds the fault."""

import json

import grpc
import starlette.responses

# As TF Serving translates them.
HTTP_STATUS = {
    # Nobody is there to read it.
    grpc.StatusCode.CANCELLED: 499,
    grpc.StatusCode.INVALID_ARGUMENT: 400,
    grpc.StatusCode.FAILED_PRECONDITION: 400,
    grpc.StatusCode.NOT_FOUND: 404,
    grpc.StatusCode.INTERNAL: 500,
    grpc.StatusCode.UNIMPLEMENTED: 501,
    grpc.StatusCode.UNAVAILABLE: 503,
    grpc.StatusCode.DEADLINE_EXCEEDED: 504,
}
MEDIA_TYPE = "application/json"


def error_body(message: str) -> bytes:
    """TF Serving's error body."""
    # In ASCII: a message may quote what no encoding can write.
    return json.dumps({"error": message}).encode()


def error_response(
    status: int, message: str, *, close: bool = False
) -> starlette.responses.Response:
    """An error as a response.

    Args:
        status: HTTP's.
        message: what was received and what was expected.
        close: end the connection after it; one with half a body on it is of no more use.
    """
    headers = {"Connection": "close"} if close else None
    return starlette.responses.Response(error_body(message), status, headers, MEDIA_TYPE)
