"""uvicorn's HTTP protocol with limits on clients, and errors in JSON."""

import asyncio
import re
import urllib.parse
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from serving.server.rest.http_errors import MEDIA_TYPE, error_body, error_response

Scope = MutableMapping[str, Any]
Application = Callable[[Scope, Callable, Callable], Awaitable[None]]
ABSOLUTE = re.compile(rb"https?://[^/]*", re.I)
MALFORMED = "Invalid HTTP request received."
# Of a request's head.
MAX_HEAD_BYTES = 64 * 1024


class ConnectionLimit:
    """An application that answers 503 while more connections are open than are allowed.

    uvicorn's own limit answers in text, and logs every request that it refuses.
    """

    def __init__(self, application: Application, most: int, on_refusal: Callable[[str], None]):
        """`on_refusal` is called with the reason for each request that is refused."""
        self._application = application
        self._most = most
        self._on_refusal = on_refusal
        # uvicorn's set of open connections, known when its server is there.
        self.connections: Collection = ()

    async def __call__(self, scope: Scope, receive: Callable, send: Callable) -> None:
        """One request."""
        application = self._application
        if len(self.connections) > self._most:
            reason = f"More than {self._most} connections are open; try later."
            self._on_refusal(reason)
            application = error_response(503, reason, close=True)
        await application(origin_form(scope), receive, send)


def origin_form(scope: Scope) -> Scope:
    """A request whose target is a whole URL, as clients send it to a proxy, with its path alone.

    A server has to take such a target (RFC 9112, 3.2.2).
    """
    found = ABSOLUTE.match(scope.get("raw_path") or b"")
    if not found:
        return scope
    raw_path = scope["raw_path"][found.end() :] or b"/"
    return {**scope, "raw_path": raw_path, "path": urllib.parse.unquote(raw_path.decode("ascii"))}


class TimedProtocol(H11Protocol):
    """Closes a connection whose next request's head is not there in time, or whose answer stands.

    uvicorn itself waits for ever for the first request, for one that has begun, and for a client
    that reads nothing of its answer. Such connections hold no thread, but would fill the number of
    those that are allowed.
    """

    # Seconds from the connection, or from a head's first byte, to its end.
    head_seconds = 10.0
    # Seconds in which some of an answer that waits must be read.
    read_seconds = 30.0
    _timer: asyncio.TimerHandle | None = None
    _writing: asyncio.TimerHandle | None = None
    # After what is no HTTP nothing more is read as a request.
    _discarding = False

    def send_400_response(self, msg: str) -> None:
        """Answers what is no HTTP, unless an answer is on its way already, and ends the connection.

        Written without h11, which lets nothing be sent once it has seen what it can't read. What
        the client is still sending is read and dropped, for as long as a head may take: to close at
        once would reset the connection, and the client would lose the answer.
        """
        if self._in_request() and self.cycle.response_started:
            self.transport.close()
            return
        body = error_body(MALFORMED)
        self.transport.write(
            b"HTTP/1.1 400 Bad Request\r\n"
            b"Content-Type: %b\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (MEDIA_TYPE.encode(), len(body), body)
        )
        self._discarding = True
        self._stop()
        if self._in_request():
            # Its application is waiting for a body that will not come.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def handle_events(self) -> None:
        """Passes over blank lines before a request, as a server should (RFC 9112, 2.2)."""
        waiting = self.conn.trailing_data[0]
        if self.conn.their_state is h11.IDLE and waiting.startswith((b"\r", b"\n")):
            self.conn = h11.Connection(h11.SERVER, MAX_HEAD_BYTES)
            if rest := waiting.lstrip(b"\r\n"):
                self.conn.receive_data(rest)
        super().handle_events()

    def _unsupported_upgrade_warning(self) -> None:
        """Says nothing: Java's client asks for an upgrade to HTTP/2 with every request."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Starts the time for the first head."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Stops the time when a head is complete, and starts it for the next."""
        if self._discarding:
            return
        super().data_received(data)
        if self._discarding:
            return
        if self._in_request():
            self._stop()
        elif self._timer is None:
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the time."""
        self._stop()
        self._stop_writing()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        """The client reads more slowly than the answer is written: from now on it must go on."""
        super().pause_writing()
        self._watch(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._stop_writing()
        super().resume_writing()

    def _watch(self, size: int) -> None:
        self._stop_writing()
        self._writing = self.loop.call_later(self.read_seconds, self._look, size)

    def _look(self, before: int) -> None:
        size = self.transport.get_write_buffer_size()
        if size < before:
            self._watch(size)
        else:
            self.transport.abort()

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

    def _in_request(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start(self) -> None:
        self._timer = self.loop.call_later(self.head_seconds, self._give_up)

    def _stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        self._timer = None
        if not self._in_request():
            self.transport.close()
