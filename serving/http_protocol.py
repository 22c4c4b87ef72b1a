"""uvicorn's HTTP protocol with a limit on how long a request's head may take."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol


class TimedProtocol(H11Protocol):
    """Closes a connection whose next request's head is not there in time.

    uvicorn itself waits for ever for the first request, and for one that has begun. Such
    connections hold no thread, but would fill the number of those that are allowed.
    """

    # Seconds from the connection, or from a head's first byte, to its end.
    head_seconds = 10.0
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Starts the time for the first head."""
        super().connection_made(transport)
        self._start()

    def data_received(self, data: bytes) -> None:
        """Stops the time when a head is complete, and starts it for the next."""
        super().data_received(data)
        if self._in_request():
            self._stop()
        elif self._timer is None:
            self._start()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the time."""
        self._stop()
        super().connection_lost(exc)

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
