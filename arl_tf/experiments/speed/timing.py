"""Wall times of calls, and of several calls in turn."""

import time
from collections.abc import Callable


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started
