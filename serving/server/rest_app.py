"""TF Serving's REST API on a Predictor, as a Starlette application.

Source: tensorflow/serving, g3doc/api_rest.md.
"""

import asyncio
import functools
import json
import re
import time
from collections.abc import Callable

import anyio
import anyio.to_thread
import grpc
import starlette.applications
import starlette.requests
import starlette.responses
import starlette.routing
from absl import logging
from google.protobuf import json_format, message

from serving.server import grpc_service, json_tensors, prometheus
from serving.server.errors import ServingError, invalid
from serving.server.predict import Caller, ModelSpec, Predictor

Request, Response = starlette.requests.Request, starlette.responses.Response
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
PATH = re.compile(
    r"/v1/models/(?P<name>[^/:]+)"
    r"(?:/versions/(?P<version>[0-9]{1,18})|/labels/(?P<label>[^/:]+))?"
    r"(?P<verb>/metadata|:predict|:classify|:regress)?"
)
TOO_LARGE, TOO_SLOW, UNSUPPORTED_ENCODING = 413, 408, 415
# Answered with the body still on its way.
UNREAD = (TOO_LARGE, TOO_SLOW, UNSUPPORTED_ENCODING)
METHODS = {"": "GetModelStatus", "/metadata": "GetModelMetadata", ":predict": "Predict"}


class BodyError(Exception):
    """A body that was not read to its end, with HTTP's own status for it."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


def error_response(status: int, message: str) -> Response:
    """TF Serving's error body."""
    # A connection with half a body on it is of no more use.
    headers = {"Connection": "close"} if status in UNREAD else None
    # In ASCII: a message may quote what no encoding can write.
    content = json.dumps({"error": message})
    return Response(content, status, headers, media_type="application/json")


def json_response(content: bytes) -> Response:
    """An answer that is JSON already."""
    return Response(content, media_type="application/json")


def message_response(proto: message.Message) -> Response:
    """A protobuf message as TF Serving writes it: names as in the proto, defaults included."""
    fields = json_format.MessageToDict(
        proto, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    for value in fields.get("metadata", {}).values():
        # TF Serving unpacks what is packed.
        value.pop("@type", None)
    return starlette.responses.JSONResponse(fields)


async def read_body(request: Request, *, max_bytes: int, seconds: float) -> bytes:
    """Reads a request's body.

    Raises:
        BodyError: it is too large or comes too slowly.
        starlette.requests.ClientDisconnect: the client is gone.
    """
    chunks, size = [], 0
    try:
        async with asyncio.timeout(seconds):
            async for chunk in request.stream():
                size += len(chunk)
                if size > max_bytes:
                    raise BodyError(TOO_LARGE, f"The body has more than {max_bytes} bytes.")
                chunks.append(chunk)
    except TimeoutError:
        raise BodyError(TOO_SLOW, f"The body took more than {seconds:g} seconds.") from None
    return b"".join(chunks)


def response_of(function: Callable[[], Response]) -> Response:
    """What a function returns; its ServingError becomes a response.

    In the function's own thread: an exception that crossed to the event loop would keep the
    request's arrays alive until the garbage collector's rarest round.
    """
    try:
        return function()
    except ServingError as error:
        return error_response(HTTP_STATUS.get(error.code, 500), error.message)
    # Anything else is a fault of the server: the client is told so, the log why.
    except Exception:
        logging.exception("A request failed.")
        return error_response(500, "Internal error; the server's log says more.")


async def leave_with_client(request: Request, caller: Caller) -> None:
    """Has the caller leave when the client of a request, read to its end, closes its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    caller.leave()


class RestApi:
    """Answers /v1/models/... and the metrics."""

    def __init__(self, predictor: Predictor, *, threads: int, timeout: float):
        """Answers on at most so many threads, within `timeout` seconds."""
        self._predictor = predictor
        self._threads = threads
        self._timeout = timeout
        self._limiter: anyio.CapacityLimiter | None = None

    def routes(self) -> list[starlette.routing.BaseRoute]:
        """For a Starlette application."""
        route = functools.partial(starlette.routing.Route, methods=["GET", "POST"])
        return [
            route("/v1/{rest:path}", self.answer),
            starlette.routing.Route(prometheus.PATH, self.metrics),
        ]

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        return Response(self._predictor.metrics.text(), media_type=prometheus.CONTENT_TYPE)

    async def answer(self, request: Request) -> Response:
        """One request of TF Serving's REST API."""
        return await self.with_body(
            request, functools.partial(self._answer, request.method, request.url.path)
        )

    async def with_body(self, request: Request, function: Callable[..., Response]) -> Response:
        """Reads a request's body and runs `function(body, caller)` on it in a thread."""
        caller = Caller(time.monotonic() + self._timeout)
        encoding = request.headers.get("content-encoding", "identity")
        if encoding != "identity":
            message = f"Content-Encoding {encoding!r} is not undone by this server; send it plain."
            return error_response(UNSUPPORTED_ENCODING, message)
        try:
            body = await read_body(
                request,
                max_bytes=self._predictor.limits.request_bytes,
                seconds=self._timeout,
            )
        except BodyError as error:
            return error_response(error.status, str(error))
        except starlette.requests.ClientDisconnect:
            return Response(status_code=400)
        watch = asyncio.create_task(leave_with_client(request, caller))
        try:
            return await self._in_thread(functools.partial(function, body, caller))
        finally:
            watch.cancel()

    async def _in_thread(self, function: Callable[[], Response]) -> Response:
        """Runs a function that blocks."""
        # Made here, since a limiter belongs to the event loop it was made in.
        self._limiter = self._limiter or anyio.CapacityLimiter(self._threads)
        answer = functools.partial(response_of, function)
        return await anyio.to_thread.run_sync(answer, limiter=self._limiter)

    def _answer(self, method: str, path: str, body: bytes, caller: Caller) -> Response:
        found = PATH.fullmatch(path)
        verb = found["verb"] or "" if found else ""
        if not found or method != ("POST" if verb.startswith(":") else "GET"):
            with self._predictor.counted("rest", "unknown", ""):
                raise invalid(f"Malformed request: {method} {path}")
        spec = ModelSpec(
            found["name"], int(found["version"]) if found["version"] else None, found["label"]
        )
        with self._predictor.counted("rest", METHODS.get(verb, "unknown"), spec.name):
            if verb == ":predict":
                return self._predict(spec, body, caller)
            if verb == "/metadata":
                return self._metadata(spec)
            if verb:
                raise ServingError(
                    grpc.StatusCode.UNIMPLEMENTED,
                    f"{verb} is not implemented by this server; use :predict.",
                )
            statuses = self._predictor.store.status(spec.name, spec.version, spec.label)
            return message_response(grpc_service.status_message(statuses))

    def _predict(self, spec: ModelSpec, body: bytes, caller: Caller) -> Response:
        caller.check()
        parsed = json_tensors.parse(body)
        prediction = self._predictor.predict(
            ModelSpec(spec.name, spec.version, spec.label, parsed.signature_name),
            functools.partial(json_tensors.read_inputs, parsed),
            caller=caller,
        )
        return json_response(
            json_tensors.write_outputs(prediction.outputs, rows=parsed.rows, items=prediction.items)
        )

    def _metadata(self, spec: ModelSpec) -> Response:
        return message_response(grpc_service.metadata_message(self._predictor, spec))


def application(routes: list[starlette.routing.BaseRoute]) -> starlette.applications.Starlette:
    """The application; what no route takes gets TF Serving's error body, too."""

    async def not_found(request: Request, error: Exception) -> Response:
        return error_response(404, f"Not found: {request.method} {request.url.path}")

    async def not_allowed(request: Request, error: Exception) -> Response:
        return error_response(405, f"Method not allowed: {request.method} {request.url.path}")

    return starlette.applications.Starlette(
        routes=routes, exception_handlers={404: not_found, 405: not_allowed}
    )
