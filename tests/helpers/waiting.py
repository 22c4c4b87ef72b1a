"""How long tests wait, in one place.

Nothing that a test claims may depend on how fast the machine is. What must come is waited for until
LONG is over, which only a fault uses up. Where the end of a time limit is the claim, the limit is
SOON, and the test holds however late whatever should run in the meantime.
"""

import threading
import time
from collections.abc import Callable

# Seconds for what must come within this process, and for a whole process.
LONG = 900.0
OF_A_PROCESS = 3600.0
# Seconds of a limit that is meant to run out.
SOON = 0.1
_PAUSE = 0.02


def until(condition: Callable[[], object]) -> None:
    """Waits for a condition that something else brings about; fails when LONG is over."""
    end = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < end, f"{condition} did not come in {LONG:.0f} s"
        pause()


def pause() -> None:
    """Gives other threads a turn between two looks."""
    time.sleep(_PAUSE)


def wait_for(event: threading.Event) -> None:
    """Waits for an event; fails when LONG is over."""
    assert event.wait(LONG), f"{event} was not set in {LONG:.0f} s"
