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
    words = [module, *map(str, arguments)]
    if sys.platform != "linux":
        return run_afresh(*words)
    with tempfile.TemporaryDirectory() as folder:
        stdout, stderr = (pathlib.Path(folder) / name for name in ("stdout", "stderr"))
        command = {"module": module, "arguments": words[1:]}
        code = _ask(command | {"stdout": str(stdout), "stderr": str(stderr)})
        return subprocess.CompletedProcess(words, code, stdout.read_text(), stderr.read_text())


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


def _ask(command: dict) -> int:
    """Has the server run a command; its exit code."""
    if not _servers:
        _servers.append(_start_server())
        atexit.register(_stop_server)
    (server,) = _servers
    server.stdin.write(json.dumps(command) + "\n")
    server.stdin.flush()
    if not select.select([server.stdout], [], [], OF_A_PROCESS)[0]:
        _stop_server()
        raise subprocess.TimeoutExpired(command["module"], OF_A_PROCESS)
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
    """Ends the server, and the command that it may be running."""
    while _servers:
        with _servers.pop() as server:
            os.killpg(server.pid, signal.SIGKILL)
