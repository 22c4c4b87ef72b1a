"""The command line as tests run it: processes, with TensorFlow imported once and not in each."""

import atexit
import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence

from waiting import OF_A_PROCESS

ROOT = pathlib.Path(__file__).parents[2]
_servers: list[subprocess.Popen] = []


def run_module(module: str, *arguments: object) -> subprocess.CompletedProcess:
    """Runs `python -m MODULE ARGUMENTS` from the repository's root to its end.

    TensorFlow's import takes longer than most commands that tests run: here the command is a fork
    of a process that has it. Only on Linux is that safe; elsewhere Python is started anew.

    Returns:
        As subprocess.run: `returncode`, `stdout` and `stderr`.
    """
    return run_together([(module, *arguments)])[0]


def run_together(
    commands: Sequence[tuple], env: Sequence[dict[str, str]] = ()
) -> list[subprocess.CompletedProcess]:
    """Runs several commands as `run_module`, all at once, until the last has ended.

    Args:
        commands: (module, *arguments) of each.
        env: variables of each, in addition to ours.
    """
    words = [list(map(str, command)) for command in commands]
    run = _as_forks if sys.platform == "linux" else _as_processes
    return run(words, env or [{}] * len(words))


def _as_forks(commands: list[list[str]], env: Sequence[dict[str, str]]) -> list:
    """Has the server run the commands side by side; their CompletedProcesses."""
    with tempfile.TemporaryDirectory() as folder:
        texts = [
            {name: pathlib.Path(folder) / f"{name}_{number}" for name in ("stdout", "stderr")}
            for number in range(len(commands))
        ]
        started = []
        for words, own, paths in zip(commands, env, texts, strict=True):
            request = {"module": words[0], "arguments": words[1:], "env": own}
            request |= {name: str(path) for name, path in paths.items()}
            started.append(_ask(request, words[0]))
        ended = []
        for words, number, paths in zip(commands, started, texts, strict=True):
            code = _ask({"wait_for": number}, words[0])
            said = {name: path.read_text() for name, path in paths.items()}
            ended.append(subprocess.CompletedProcess(words, code, **said))
        return ended


def _as_processes(commands: list[list[str]], env: Sequence[dict[str, str]]) -> list:
    """Runs the commands side by side, each in a Python of its own; their CompletedProcesses."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    started = [
        subprocess.Popen([sys.executable, "-m", *words], cwd=ROOT, env=os.environ | own, **pipes)
        for words, own in zip(commands, env, strict=True)
    ]
    # The first may wait for the others, but none of them says enough to fill a pipe.
    said = [process.communicate(timeout=OF_A_PROCESS) for process in started]
    return [
        subprocess.CompletedProcess(words, process.returncode, *texts)
        for words, process, texts in zip(commands, started, said, strict=True)
    ]


def run_afresh(
    module: str, *arguments: object, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess:
    """The same in a Python of its own: for what is about the start itself."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)],
        cwd=ROOT,
        env=env,
        capture_output=True,
        text=True,
        timeout=OF_A_PROCESS,
        check=False,
    )


def _ask(request: dict, module: str) -> int:
    """Has the server start a command, or wait for one; the number that it answers."""
    if not _servers:
        _servers.append(_start_server())
        atexit.register(_stop_server)
    (server,) = _servers
    server.stdin.write(json.dumps(request) + "\n")
    server.stdin.flush()
    if not select.select([server.stdout], [], [], OF_A_PROCESS)[0]:
        _stop_server()
        raise subprocess.TimeoutExpired(module, OF_A_PROCESS)
    return int(server.stdout.readline())


def _start_server() -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, pathlib.Path(__file__).with_name("command_server.py")],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def _stop_server() -> None:
    """Ends the server, and the commands that it may be running."""
    while _servers:
        with _servers.pop() as server:
            os.killpg(server.pid, signal.SIGKILL)
