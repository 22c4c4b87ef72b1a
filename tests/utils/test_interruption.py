"""Ctrl-C and SIGTERM end a command with one line and the shell's exit code."""

import signal
import subprocess
import sys

import pytest

# The command with stages that wait for a signal instead of TensorFlow.
COMMAND = """
import pathlib, signal, sys, threading, types
from arl_tf import main
# Tests that a shell runs in the background would hand on that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
stages = types.ModuleType("arl_tf.experiments.stages")

def run_stages(config, run):
    print("begun", flush=True)
    {wait}

stages.run_stages = run_stages
sys.modules["arl_tf.experiments.stages"] = stages
sys.argv = ["arl_tf", "--workdir=x", *sys.argv[1:]]
main.console()
"""
WAITS = "threading.Event().wait()"
WRAPS = """
    try:
        threading.Event().wait()
    except KeyboardInterrupt as error:
        raise RuntimeError("an operation failed") from error"""
IGNORES = """
    while True:
        try:
            print("waits", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            pass"""


def start(wait, *arguments):
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(wait=wait), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    return process


@pytest.mark.parametrize("wait", [WAITS, WRAPS], ids=["in Python", "wrapped by TensorFlow"])
@pytest.mark.parametrize(
    ("number", "code", "name"), [(signal.SIGINT, 130, "Ctrl-C"), (signal.SIGTERM, 143, "SIGTERM")]
)
def test_a_signal_ends_it_with_one_line_and_the_shells_exit_code(number, code, name, wait):
    process = start(wait)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == code
    said = f"arl_tf: stopped by {name}; the same command goes on from here."
    assert error.strip() == said


def test_after_overwrite_the_command_goes_on_without_it():
    process = start(WAITS, "--overwrite")
    process.send_signal(signal.SIGINT)
    assert "the same command without --overwrite goes on" in process.communicate()[1]


def test_a_second_signal_ends_it_at_once():
    process = start(IGNORES)
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130 and "Traceback" not in error
