"""stdin, stdout and stderr that the caller closed, or that nobody reads any more."""

import contextlib
import os
import select
import signal
import sys
from collections.abc import Iterator

STREAMS = (("stdin", "r"), ("stdout", "w"), ("stderr", "w"))


def reopen_closed() -> None:
    """Opens /dev/null in place of streams that the caller closed, as by `>&-`.

    Otherwise the next file that is opened gets the number of a stream, and what libraries print
    goes into it. To be called first of all.
    """
    for number, (name, mode) in enumerate(STREAMS):
        try:
            os.fstat(number)
        except OSError:
            # The lowest number that is free: those below are open by now.
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(number, mode, closefd=False, errors="replace"))


def is_unread() -> bool:
    """Whether what is written to stdout reaches nobody, as after `| head`."""
    try:
        poll = select.poll()
        poll.register(sys.stdout.fileno(), 0)
    except (OSError, ValueError):
        return False
    return any(event & select.POLLERR for _, event in poll.poll(0))


@contextlib.contextmanager
def ending_unread() -> Iterator[None]:
    """Ends the process without a word where nobody reads stdout any more.

    With the exit code that a shell gives for SIGPIPE. Other broken pipes are raised.
    """
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        if not is_unread():
            raise
        # Python flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
