"""A progress bar with the time left, on terminals alone: logs keep their lines."""

import contextlib
import sys
from collections.abc import Callable, Iterator

# Work that is counted in more pieces than a bar can show, such as multiply-adds, is scaled to this.
PIECES = 1000


@contextlib.contextmanager
def bar(words: str, total: float) -> Iterator[Callable[..., None]]:
    """Shows how much of some work is done, and about how long the rest takes.

    Args:
        words: what is counted.
        total: how much work there is, > 0.

    Yields:
        A function to call with the work that was done, 1 unless given. It shows nothing where
        stderr is not a terminal.
    """
    if not sys.stderr.isatty() or total <= 0:
        yield lambda amount=1: None
        return
    # Imported late: Keras takes seconds.
    from keras.utils import Progbar

    print(f"{words}:", file=sys.stderr)
    shown = ToStderr(Progbar, total)
    yield shown.advance


class ToStderr:
    """Keras' progress bar, which writes to stdout, on stderr: results on stdout stay whole."""

    def __init__(self, kind: Callable, total: float):
        """Takes keras.utils.Progbar and how much work there is."""
        self.total, self.done = total, 0.0
        self.pieces = total if isinstance(total, int) else PIECES
        # It asks whether stdout is a terminal.
        with contextlib.redirect_stdout(sys.stderr):
            self.shown = kind(self.pieces)

    def advance(self, amount: float = 1) -> None:
        """Adds work that was done."""
        self.done = min(self.total, self.done + amount)
        with contextlib.redirect_stdout(sys.stderr):
            self.shown.update(round(self.done / self.total * self.pieces))
