"""Tells the log of requests that were refused for want of room: a line a second, with a count."""

import threading

from absl import logging


class BusyLog:
    """Counts refusals; a line for each second in which there were any. Any thread may call it.

    A line for each of them would fill the disk when the server has the least time for it.
    """

    def __init__(self, seconds: float = 1.0):
        """`seconds`: that a line stands for."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._count = 0
        self._reason = ""
        self._timer: threading.Timer | None = None

    def note(self, reason: str) -> None:
        """Counts a refused request; the line follows when its second is over."""
        with self._lock:
            self._count += 1
            self._reason = reason
            if self._timer is None:
                self._timer = threading.Timer(self._seconds, self.flush)
                self._timer.daemon = True
                self._timer.start()

    def flush(self) -> None:
        """Writes the line now, if there is anything to tell."""
        with self._lock:
            count, reason = self._count, self._reason
            if self._timer is not None:
                self._timer.cancel()
            self._count, self._timer = 0, None
        if count:
            logging.warning(
                "%d request%s refused (503, UNAVAILABLE) within %g s; the last one: %s",
                count,
                " was" if count == 1 else "s were",
                self._seconds,
                reason,
            )
