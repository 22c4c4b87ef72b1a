"""Runs commands as forks of one process that has TensorFlow imported already.

Started by `commands`, never by hand. A line of JSON on standard input is a command to start, and
its process' number on standard output the answer; or the number of a process to wait for, and its
exit code the answer. Every command is a process of its own: no flag, no TensorFlow
setting and no crash of one reaches another.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import sys
import traceback

import kept_readouts

# As `python -m` has it.
sys.path[0] = os.getcwd()


def serve() -> None:
    """Answers requests one after another, until standard input ends."""
    # Its imports are the seconds that every command saves; no operation may run before the forks.
    kept_readouts.keep()
    for module in importlib.import_module("arl_tf.experiments.stages").STAGES.values():
        importlib.import_module(module)
    # Collections in the forks pass over what they share, and copy none of it.
    gc.freeze()
    for line in sys.stdin:
        print(answer(json.loads(line)), flush=True)


def answer(request: dict) -> int:
    """Starts a command or waits for one; its exit code is negative where a signal ended it."""
    if "wait_for" in request:
        return os.waitstatus_to_exitcode(os.waitpid(request["wait_for"], 0)[1])
    child = os.fork()
    if child == 0:
        become(request)
    return child


def become(command: dict) -> None:
    """Turns this process into `python -m MODULE ARGUMENTS`; doesn't return."""
    new = os.O_WRONLY | os.O_CREAT
    paths = ((os.devnull, os.O_RDONLY), (command["stdout"], new), (command["stderr"], new))
    for descriptor, (path, flags) in enumerate(paths):
        os.dup2(os.open(path, flags, 0o600), descriptor)
    os.environ.update(command["env"])
    sys.argv = [command["module"], *command["arguments"]]
    code = exit_code(command["module"])
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def exit_code(module: str) -> int:
    """Runs a module as Python's -m does, up to the exit code that the interpreter would give."""
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    # What the interpreter does with whatever nobody caught.
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


if __name__ == "__main__":
    serve()
