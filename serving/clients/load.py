"""Callers that repeat an action side by side, and what they got: throughput and percentiles."""

import concurrent.futures
import dataclasses
import itertools
import threading
import time
from collections.abc import Callable, Mapping

import numpy as np

from serving.clients.errors import EncoderError

IN_PROCESS = "in_process"
WARMUP_CALLS = 3
PARTS = 4


@dataclasses.dataclass(frozen=True)
class Load:
    """What a number of callers got out of one endpoint.

    Attributes:
        protocol: rest, grpc or in_process.
        concurrency: callers at a time.
        calls: that were answered.
        errors: calls that failed.
        first_error: the first one's message; empty where there is none.
        items_per_second: images or codes that were answered for.
        p50_ms: milliseconds that half of the answered calls took at most, from the caller's side.
        p95_ms: the same of 95 %.
        p99_ms: the same of 99 %.
    """

    protocol: str
    concurrency: int
    calls: int
    errors: int
    first_error: str
    items_per_second: float
    p50_ms: float
    p95_ms: float
    p99_ms: float


def measure(
    actions: Mapping[str, Callable[[], object]],
    concurrency: int,
    *,
    calls: int,
    longest_s: float,
    batch_size: int,
) -> list[Load]:
    """Has a number of callers repeat each of some actions, in turns.

    Each measurement is cut into parts that take turns with the others', so that whatever else the
    machine does hits all alike. The first calls, which open connections and trace graphs, are not
    counted.

    Args:
        actions: by protocol, each one call; raises EncoderError where it fails.
        concurrency: callers at a time.
        calls: most calls of an action.
        longest_s: seconds of an action after which no further call of it begins.
        batch_size: images or codes in a call.
    """
    durations, errors = {name: [] for name in actions}, {name: [] for name in actions}
    seconds = dict.fromkeys(actions, 0.0)
    for action in actions.values():
        for _ in range(WARMUP_CALLS):
            action()
    for part in range(PARTS):
        part_calls = calls * (part + 1) // PARTS - calls * part // PARTS
        for name, action in actions.items():
            started = time.perf_counter()
            answered, failed = call_in_turns(
                action, concurrency, part_calls, deadline=started + longest_s / PARTS
            )
            seconds[name] += time.perf_counter() - started
            durations[name] += answered
            errors[name] += failed
    return [
        summed_up(name, concurrency, durations[name], errors[name], seconds[name], batch_size)
        for name in actions
    ]


def summed_up(
    protocol: str,
    concurrency: int,
    durations: list[float],
    errors: list[str],
    seconds: float,
    batch_size: int,
) -> Load:
    """The figures of calls that took `durations` and together, side by side, `seconds`."""
    p50, p95, p99 = np.percentile(durations, [50, 95, 99]) * 1000 if durations else (0.0, 0.0, 0.0)
    return Load(
        protocol=protocol,
        concurrency=concurrency,
        calls=len(durations),
        errors=len(errors),
        first_error=errors[0] if errors else "",
        items_per_second=len(durations) * batch_size / seconds,
        p50_ms=float(p50),
        p95_ms=float(p95),
        p99_ms=float(p99),
    )


def call_in_turns(
    action: Callable[[], object], concurrency: int, calls: int, deadline: float
) -> tuple[list[float], list[str]]:
    """Runs an action in threads: seconds of each call that was answered, messages of the others.

    Args:
        action: raises EncoderError where it fails.
        concurrency: threads.
        calls: most calls in all.
        deadline: on time.perf_counter's clock, when no further call begins.
    """
    durations: list[float] = []
    errors: list[str] = []
    turns, lock = itertools.count(), threading.Lock()

    def caller() -> None:
        while time.perf_counter() < deadline:
            with lock:
                turn = next(turns)
            if turn >= calls:
                return
            started = time.perf_counter()
            try:
                action()
            except EncoderError as error:
                errors.append(str(error))
            else:
                durations.append(time.perf_counter() - started)

    with concurrent.futures.ThreadPoolExecutor(concurrency) as pool:
        for finished in [pool.submit(caller) for _ in range(concurrency)]:
            finished.result()
    return durations, errors


def ratios(results: list[Load]) -> dict[str, float]:
    """Throughput through an endpoint over that of as many callers in this process."""
    in_process = {
        result.concurrency: result.items_per_second
        for result in results
        if result.protocol == IN_PROCESS
    }
    return {
        f"{result.protocol}_{result.concurrency}": result.items_per_second
        / in_process[result.concurrency]
        for result in results
        if result.protocol != IN_PROCESS
    }
