"""Wall times of calls, and of several calls in turn."""

import time
from collections.abc import Callable, Mapping

import numpy as np


def seconds_of(action: Callable[[], object]) -> float:
    """Wall time of one call."""
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def in_turn(actions: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Median wall time of each action, called in turn, so that a slow moment is everyone's.

    Every action is called once before, and that call does not count: it may build a graph.
    """
    for action in actions.values():
        action()
    times: dict[str, list[float]] = {name: [] for name in actions}
    for _ in range(rounds):
        for name, action in actions.items():
            times[name].append(seconds_of(action))
    return {name: float(np.median(taken)) for name, taken in times.items()}
