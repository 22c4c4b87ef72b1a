"""Ctrl-C, SIGTERM and streams that are gone: a line at most, the shell's code, no traceback."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType

from serving.utils.streams import ending_unread, reopen_closed

SIGNALS = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
_received: list[int] = []
# What the user can do from some point of the command on: the last one counts.
_advice: list[str] = []


class Interrupted(KeyboardInterrupt):
    """Raised in the main thread by the first of SIGNALS; libraries take it for a Ctrl-C."""


def at_once(program: str) -> None:
    """Until `in_one_line` takes over, one of SIGNALS ends the process with a line.

    For the first lines of a command: what it imports takes seconds, in which nothing can be lost.

    Args:
        program: that the line begins with.
    """

    def stop(number: int, _: FrameType | None) -> None:
        name = SIGNALS[signal.Signals(number)]
        os.write(2, f"\n{program}: stopped by {name}; nothing had begun.\n".encode())
        os._exit(128 + number)

    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, stop)


@contextlib.contextmanager
def in_one_line(program: str, hint: str) -> Iterator[None]:
    """Ends the process with 128 + the signal's number, and a line, where one of SIGNALS comes.

    Without a line where nobody reads stdout any more. Streams that are closed are opened.

    Args:
        program: that the line begins with.
        hint: what the user can do, as long as `advise` says nothing else.
    """
    for number in SIGNALS:
        # A shell that starts a process in the background may have it ignore Ctrl-C.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, on_signal)
    reopen_closed()
    for stream in (sys.stdout, sys.stderr):
        # A terminal or log that can't show a sign is no reason to lose what was done.
        with contextlib.suppress(AttributeError):
            stream.reconfigure(errors="backslashreplace")
    try:
        with ending_unread():
            yield
    except KeyboardInterrupt:
        end(program, hint)
    except Exception:
        # TensorFlow wraps what is raised while it calls back into Python.
        if not _received:
            raise
        end(program, hint)


def advise(hint: str) -> None:
    """Says what the user can do from now on, in place of the hint of `in_one_line`."""
    _advice[:] = [hint]


def on_signal(number: int, _: FrameType | None) -> None:
    """Raises Interrupted; the second signal ends the process at once."""
    if _received:
        os._exit(128 + number)
    _received.append(number)
    raise Interrupted


def came() -> bool:
    """Whether a signal has come: an error that follows may be no more than its consequence."""
    return bool(_received)


def end(program: str, hint: str) -> None:
    """Says why the process ends and what the user can do, and ends it."""
    hint = _advice[-1] if _advice else hint
    number = _received[0] if _received else signal.SIGINT
    print(f"\n{program}: stopped by {SIGNALS[signal.Signals(number)]}; {hint}", file=sys.stderr)
    sys.exit(128 + number)
