"""Ctrl-C and SIGTERM end a command with one line and the shell's exit code."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import ROOT

# The command with stages that wait for a signal instead of TensorFlow.
COMMAND = """
import pathlib, signal, sys, threading, types
from arl_tf import main
# Tests that a shell runs in the background would hand on that Ctrl-C is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)
stages = types.ModuleType("arl_tf.experiments.stages")

def run_stages(config, run):
    {before}
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
ADVISES = """
    main.interruption.advise("try it again.")
    main.interruption.advise("try without it.")"""
IGNORES = """
    while True:
        try:
            print("waits", flush=True)
            threading.Event().wait()
        except KeyboardInterrupt:
            pass"""


def start(wait, *arguments, before="pass"):
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND.format(wait=wait, before=before), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "begun\n"
    return process


def test_a_stream_that_cannot_show_a_name_shows_its_numbers():
    code = (
        "from arl_tf.utils import interruption\n"
        "with interruption.in_one_line('x', 'y'):\n"
        "    print('caf\\udce9.png \\u4eba')\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONIOENCODING": "ascii:strict"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "caf\\udce9.png \\u4eba\n"


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


def test_before_anything_is_replaced_the_same_command_goes_on_with_overwrite_too():
    process = start(WAITS, "--overwrite")
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1].strip().endswith("; the same command goes on from here.")


def test_what_a_stage_advises_is_what_is_said():
    process = start(WAITS, before=ADVISES)
    process.send_signal(signal.SIGINT)
    assert process.communicate()[1].strip() == "arl_tf: stopped by Ctrl-C; try without it."


def test_a_second_signal_ends_it_at_once():
    process = start(IGNORES)
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGINT)
    assert process.stdout.readline() == "waits\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130 and "Traceback" not in error


# Packages of others that a command imports first; here each is a Ctrl-C in the middle of imports.
FIRST_IMPORTS = ("absl", "numpy", "PIL", "urllib3", "requests")
COMMANDS = (
    "arl_tf.main",
    "arl_tf.bench",
    "arl_tf.summary some_run",
    "arl_tf.example_folder",
    "serving.client",
    "serving.local_server",
    "serving.load_test",
    "serving.soak",
    "serving.check_gpu",
)


@pytest.fixture(scope="module")
def interrupting(tmp_path_factory):
    """A folder of packages that send their process a Ctrl-C when they are imported."""
    folder = tmp_path_factory.mktemp("interrupting")
    text = "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise ImportError('late')\n"
    for name in FIRST_IMPORTS:
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_ctrl_c_among_the_imports_ends_a_command_with_one_line(command, interrupting):
    # A shell that runs tests in the background hands on that Ctrl-C is ignored.
    module, *arguments = command.split()
    run = (
        "import runpy, signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
        f" runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", run, *arguments],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(interrupting)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 128 + signal.SIGINT, done.stderr
    (line,) = done.stderr.splitlines()[1:]
    assert "stopped by Ctrl-C; noth" in line
    assert done.stderr.startswith("\n")
