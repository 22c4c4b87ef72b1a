"""Soak test: python -m serving.soak --saved_model_dir=RUN/export/saved_model [--minutes=20].

Starts the development server on a copy of a run's models, and keeps it under mixed load: photos and
codes over both protocols, requests that have to be refused, callers that hang up. Beside it new
versions appear and old ones vanish, so that the server loads and unloads. No call may be lost or
answered otherwise than it has to be, and the server's memory has to stay flat.
"""

import argparse
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from serving.utils import interruption

if __name__ == "__main__":
    interruption.at_once("soak")

from serving.clients.errors import EncoderError
from serving.load_test import bounded
from serving.utils.path_argument import path_argument

READY = re.compile(r"gRPC at (\S+), REST and a demo page at (http://\S+); models: (.*)\.")
MODELS = ("encoder", "task_head")
FILES, SIDE = 2, 128
SAMPLE_S = 1.0
# The memory of the last quarter may be above that of the second one by this share.
GROWTH = 0.05
# Older versions go when there are more.
KEPT_VERSIONS = 2
END_S = 120.0


@dataclasses.dataclass
class Report:
    """What a soak test found.

    Attributes:
        seconds: that the load lasted.
        calls: name -> how many calls were made.
        failures: name -> how many of them got another answer than they have to get, or none.
        first_failure: name -> the first one's words.
        reloads: new versions of all models that appeared.
        versions: newest version of the encoder that the server had AVAILABLE at the end.
        memory: (seconds since the start, resident memory of the server, MiB).
        growth_mib: median memory of the last quarter of the time less that of the second quarter;
            None where the system does not tell, or with less than four samples.
        is_flat: whether the growth is at most GROWTH of the memory; None likewise.
        exit_code: of the server after SIGTERM.
    """

    seconds: float = 0.0
    calls: dict[str, int] = dataclasses.field(default_factory=dict)
    failures: dict[str, int] = dataclasses.field(default_factory=dict)
    first_failure: dict[str, str] = dataclasses.field(default_factory=dict)
    reloads: int = 0
    versions: int = 0
    memory: list[tuple[float, float]] = dataclasses.field(default_factory=list)
    growth_mib: float | None = None
    is_flat: bool | None = None
    exit_code: int | None = None

    @property
    def is_good(self) -> bool:
        """Whether nothing was lost, memory stayed flat, and the server ended as it has to."""
        return not self.failures and self.is_flat is not False and self.exit_code == 0


def main(arguments: list[str] | None = None) -> None:
    """The command line; exits with 0, 1 (something was lost, or memory grew) or 2 (wrong usage)."""
    parser, options = parse(arguments)
    with tempfile.TemporaryDirectory() as scratch:
        base = pathlib.Path(scratch) / "models"
        try:
            copy_newest(options.saved_model_dir, base)
            report = soak(base, pathlib.Path(scratch) / "server.log", options)
        except (ValueError, OSError, RuntimeError, EncoderError) as error:
            parser.exit(2, f"error: {error}\n")
    if not options.json:
        print("\n".join(table(report)))
    print(json.dumps(dataclasses.asdict(report) | {"is_good": report.is_good}))
    if not report.is_good:
        parser.exit(1)


def parse(arguments: list[str] | None) -> tuple[argparse.ArgumentParser, argparse.Namespace]:
    """Reads the command line; exits with 2 where it can't be meant."""
    parser = argparse.ArgumentParser(
        prog="python -m serving.soak",
        description="Keeps the development server under mixed good and bad load, with new versions"
        " that appear, and watches its memory.",
        allow_abbrev=False,
    )
    add = parser.add_argument
    add(
        "--saved_model_dir",
        required=True,
        type=path_argument("saved_model_dir"),
        metavar="DIR",
        help="a run's export/saved_model; it is copied and stays as it is",
    )
    add(
        "--minutes",
        type=bounded(float, 0.0, 10_000.0),
        default=20.0,
        help="how long; each call is made once at least (default: %(default)g)",
    )
    add(
        "--rate",
        type=bounded(float, 0.1, 10_000.0),
        default=20.0,
        help="calls a second, of all callers together (default: %(default)g)",
    )
    add(
        "--callers",
        type=bounded(int, 1, 256),
        default=4,
        help="callers at a time (default: %(default)s)",
    )
    add(
        "--reload_seconds",
        type=bounded(float, 1.0, 100_000.0),
        default=60.0,
        help="between two new versions (default: %(default)g)",
    )
    add("--json", action="store_true", help="print the JSON object only")
    return parser, parser.parse_args(arguments)


def copy_newest(source: pathlib.Path, base: pathlib.Path) -> None:
    """Copies the newest version of each of MODELS, as version 1.

    Raises:
        ValueError: `source` lacks one of them.
    """
    for model in MODELS:
        folder = pathlib.Path(source) / model
        versions = versions_of(folder)
        if not versions:
            raise ValueError(
                f"{folder} has no version folder, such as {folder / '1'}; expected a run's"
                " export/saved_model, with the models encoder and task_head."
            )
        shutil.copytree(folder / str(versions[-1]), base / model / "1")


def versions_of(folder: pathlib.Path) -> list[int]:
    """The version numbers in a model's folder, in order; empty where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(int(path.name) for path in folder.iterdir() if path.name.isdecimal())


def add_version(base: pathlib.Path) -> None:
    """Gives each model one more version, the same as the newest, and removes those too old."""
    for model in MODELS:
        folder = base / model
        versions = versions_of(folder)
        unfinished = folder / ".unfinished"
        shutil.copytree(folder / str(versions[-1]), unfinished)
        unfinished.rename(folder / str(versions[-1] + 1))
        for version in versions[: 1 - KEPT_VERSIONS]:
            shutil.rmtree(folder / str(version))


@contextlib.contextmanager
def served(base: pathlib.Path, log: pathlib.Path) -> Iterator[tuple[subprocess.Popen, str, str]]:
    """A server of those models: its process, its REST and its gRPC address.

    Raises:
        RuntimeError: it does not start.
    """
    command = [sys.executable, "-m", "serving.local_server", f"--model_base_path={base}"]
    with log.open("w", encoding="utf-8") as output:
        process = subprocess.Popen(
            [*command, "--port=0", "--rest_api_port=0"], stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while not (found := READY.search(log.read_text(encoding="utf-8"))):
                if process.poll() is not None:
                    raise RuntimeError(f"The server ended: {log.read_text()[-1000:]}")
                time.sleep(0.2)
            yield process, found[2], found[1]
        finally:
            process.kill()
            process.wait()


def soak(base: pathlib.Path, log: pathlib.Path, options: argparse.Namespace) -> Report:
    """Serves the models of `base`, and calls the server until the time is over."""
    # Late: --help is answered without TensorFlow and grpc.
    import numpy as np

    from serving.clients import mixed_calls
    from serving.clients.grpc_client import GrpcEncoderClient
    from serving.clients.rest_client import EncoderClient
    from serving.load_test import random_jpegs

    report, stop = Report(), threading.Event()
    with contextlib.ExitStack() as opened:
        process, rest_address, grpc_address = opened.enter_context(served(base, log))
        rest = opened.enter_context(
            EncoderClient(rest_address, retries=0, max_connections=options.callers)
        )
        grpc = opened.enter_context(GrpcEncoderClient(grpc_address, retries=0))
        files = []
        for number, content in enumerate(random_jpegs(np.random.default_rng(0), (FILES,))):
            files.append(log.with_name(f"{number}.jpg"))
            files[-1].write_bytes(content)
        calls = mixed_calls.all_calls(rest, grpc, files)
        report.calls = dict.fromkeys(calls, 0)
        names, lock = itertools.cycle(calls), threading.Lock()

        def caller() -> None:
            pause = options.callers / options.rate
            while not stop.is_set():
                with lock:
                    name = next(names)
                began = time.monotonic()
                words = mixed_calls.outcome(calls[name])
                with lock:
                    note(report, name, words)
                stop.wait(max(0.0, pause - (time.monotonic() - began)))

        callers = [threading.Thread(target=caller, daemon=True) for _ in range(options.callers)]
        for thread in callers:
            thread.start()
        watch(report, process.pid, base, options)
        stop.set()
        for thread in callers:
            thread.join(END_S)
        states = rest.call("GET", "/v1/models/encoder")["model_version_status"]
        report.versions = max(int(s["version"]) for s in states if s["state"] == "AVAILABLE")
        process.send_signal(signal.SIGTERM)
        report.exit_code = process.wait(END_S)
    report.growth_mib, report.is_flat = growth(report.memory)
    return report


def note(report: Report, name: str, words: str) -> None:
    """Counts a call, and what went wrong in it."""
    report.calls[name] += 1
    if words:
        report.failures[name] = report.failures.get(name, 0) + 1
        report.first_failure.setdefault(name, words)


def watch(report: Report, pid: int, base: pathlib.Path, options: argparse.Namespace) -> None:
    """Looks at the server's memory and adds versions, until time is over and all was called."""
    began = time.monotonic()
    end, next_version = began + options.minutes * 60, began + options.reload_seconds
    while time.monotonic() < end or not all(report.calls.values()):
        now = time.monotonic()
        if memory := resident_mib(pid):
            report.memory.append((round(now - began, 1), memory))
        if now >= next_version:
            add_version(base)
            report.reloads += 1
            next_version += options.reload_seconds
        time.sleep(SAMPLE_S)
    report.seconds = time.monotonic() - began


def resident_mib(pid: int) -> float:
    """Resident memory of a process, MiB; 0 where the system does not tell."""
    try:
        lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return 0.0
    found = [line for line in lines if line.startswith("VmRSS:")]
    return int(found[0].split()[1]) / 1024 if found else 0.0


def growth(memory: Sequence[tuple[float, float]]) -> tuple[float | None, bool | None]:
    """How much more memory the last quarter took than the second one, and whether that is flat.

    The first quarter does not count: models are traced and pools are filled in it.

    Args:
        memory: (seconds, MiB), in order.

    Returns:
        MiB between the medians, and whether they are at most GROWTH of the second quarter's; None
        and None with less than four samples.
    """
    if len(memory) < 4:
        return None, None
    quarter = len(memory) // 4
    before = statistics.median(mib for _, mib in memory[quarter : 2 * quarter])
    after = statistics.median(mib for _, mib in memory[-quarter:])
    return after - before, after - before <= GROWTH * before


def table(report: Report) -> list[str]:
    """The report for people."""
    lines = [f"{'call':30s} {'made':>7s} {'failed':>7s}"]
    for name, made in report.calls.items():
        lines.append(f"{name:30s} {made:7d} {report.failures.get(name, 0):7d}")
        if name in report.first_failure:
            lines.append(f"    first: {report.first_failure[name]}")
    lines += [
        "",
        f"{report.seconds / 60:.1f} minutes, {sum(report.calls.values())} calls,"
        f" {report.reloads} new versions of each model; version {report.versions} served at the"
        f" end; the server ended with {report.exit_code}.",
    ]
    if report.memory:
        lines.append(
            f"Memory of the server: {report.memory[0][1]:.0f} MiB at first,"
            f" {report.memory[-1][1]:.0f} MiB at the end."
        )
    if report.growth_mib is not None:
        words = "flat" if report.is_flat else "NOT flat"
        lines.append(
            f"From the second quarter of the time to the last one: {report.growth_mib:+.1f} MiB,"
            f" {words} (at most {GROWTH:.0%})."
        )
    return lines


if __name__ == "__main__":
    with interruption.in_one_line("soak", "nothing is kept; start the command again."):
        main()
