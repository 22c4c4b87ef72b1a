"""TF Serving's REST API on a Predictor, as a Starlette application.

Source: tensorflow/serving, g3doc/api_rest.md.
"""

import asyncio
import dataclasses
import functools
import time
from collections.abc import Callable

import anyio
import anyio.to_thread
import starlette.applications
import starlette.requests
import starlette.responses
import starlette.routing
from absl import logging
from google.protobuf import json_format, message

from serving.server import example_calls, grpc_service, prometheus
from serving.server.errors import ServingError
from serving.server.predict import Caller, ModelSpec, Predictor
from serving.server.rest import bodies, json_tensors, rest_paths
from serving.server.rest.http_errors import HTTP_STATUS, error_response

Request, Response = starlette.requests.Request, starlette.responses.Response
INTERNAL = "Internal error; the server's log says more."
# For the metrics.
METHODS = {
    rest_paths.STATUS: "GetModelStatus",
    rest_paths.METADATA: "GetModelMetadata",
    "predict": "Predict",
    "classify": "Classify",
    "regress": "Regress",
}
# Anything but GET and POST is malformed in TF Serving, too, and not an unknown method.
HTTP_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE")
# Letter case does not count in paths (rest_paths); these are the spellings of its first part.
ROOTS = ("/v1", "/V1")
# As TF Serving sends them with --rest_api_enable_cors_support.
CORS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "POST, GET",
    "Access-Control-Allow-Headers": "Content-Type",
}


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
        return error_response(500, INTERNAL)


async def leave_with_client(request: Request, caller: Caller) -> None:
    """Has the caller leave when the client of a request, read to its end, closes its connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    caller.leave()


def target_of(request: Request) -> str:
    """A request's path as it was sent, percent-encoded, with its query."""
    target, query = request.scope["raw_path"], request.scope["query_string"]
    return (target + b"?" * bool(query) + query).decode("latin-1")


class RestApi:
    """Answers /v1/models/... and the metrics."""

    def __init__(self, predictor: Predictor, *, threads: int, timeout: float, cors: bool = False):
        """Answers on at most so many threads, within `timeout` seconds.

        `cors`: pages of other origins may call it.
        """
        self._predictor = predictor
        self._threads = threads
        self._timeout = timeout
        self._cors = cors
        self._limiter: anyio.CapacityLimiter | None = None

    def routes(self) -> list[starlette.routing.BaseRoute]:
        """For a Starlette application."""
        return [
            *(
                starlette.routing.Route(f"{root}/{{rest:path}}", self.answer, methods=HTTP_METHODS)
                for root in ROOTS
            ),
            starlette.routing.Route(prometheus.PATH, self.metrics),
        ]

    async def metrics(self, request: Request) -> Response:
        """Prometheus' text format."""
        return Response(self._predictor.metrics.text(), media_type=prometheus.CONTENT_TYPE)

    async def answer(self, request: Request) -> Response:
        """One request of TF Serving's REST API."""
        if not self._cors:
            return await self._answered(request)
        # A browser asks first whether it may call.
        preflight = request.method == "OPTIONS"
        response = Response() if preflight else await self._answered(request)
        response.headers.update(CORS)
        return response

    async def _answered(self, request: Request) -> Response:
        return await self.with_body(
            request, functools.partial(self._answer, request.method, target_of(request))
        )

    async def with_body(self, request: Request, function: Callable[..., Response]) -> Response:
        """Reads a request's body and runs `function(body, caller)` on it in a thread."""
        caller = Caller(time.monotonic() + self._timeout)
        try:
            body = await bodies.read_body(
                request,
                max_bytes=self._predictor.limits.request_bytes,
                seconds=self._timeout,
            )
        except bodies.BodyError as error:
            return error_response(error.status, str(error), close=error.unread)
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

    def _answer(self, method: str, target: str, body: bytes, caller: Caller) -> Response:
        try:
            call = rest_paths.read_path(method, target)
        except ServingError:
            with self._predictor.counted("rest", "unknown", ""):
                raise
        with self._predictor.counted("rest", METHODS[call.verb], call.spec.name):
            if call.verb == "predict":
                return self._predict(call.spec, body, caller)
            if call.verb == rest_paths.METADATA:
                return self._metadata(call.spec)
            if call.verb == rest_paths.STATUS:
                return self._status(call.spec)
            name = example_calls.check_body(body)
            spec = dataclasses.replace(call.spec, signature_name=name)
            return example_calls.refuse(self._predictor.store, spec, call.verb)

    def _predict(self, spec: ModelSpec, body: bytes, caller: Caller) -> Response:
        caller.check()
        parsed = json_tensors.parse(body)
        prediction = self._predictor.predict(
            dataclasses.replace(spec, signature_name=parsed.signature_name),
            functools.partial(json_tensors.read_inputs, parsed),
            caller=caller,
        )
        return json_response(
            json_tensors.write_outputs(prediction.outputs, rows=parsed.rows, items=prediction.items)
        )

    def _status(self, spec: ModelSpec) -> Response:
        statuses = self._predictor.store.status(spec.name, spec.version, spec.label)
        return message_response(grpc_service.status_message(statuses))

    def _metadata(self, spec: ModelSpec) -> Response:
        return message_response(grpc_service.metadata_message(self._predictor, spec))


def application(routes: list[starlette.routing.BaseRoute]) -> starlette.applications.Starlette:
    """The application; what no route takes gets TF Serving's error body, too."""

    async def internal(request: Request, error: Exception) -> Response:
        return error_response(500, INTERNAL)

    async def not_found(request: Request, error: Exception) -> Response:
        return error_response(404, f"Not found: {request.method} {request.url.path}")

    async def not_allowed(request: Request, error: Exception) -> Response:
        return error_response(405, f"Method not allowed: {request.method} {request.url.path}")

    app = starlette.applications.Starlette(
        routes=routes,
        exception_handlers={404: not_found, 405: not_allowed, Exception: internal},
    )
    # What TF Serving does not know, it does not look for under another name.
    app.router.redirect_slashes = False
    return app
