"""No test depends on how fast the machine is: clocks, sleeps and time limits, read from the code.

Time limits come from waiting.py: LONG or OF_A_PROCESS for what must come, SOON where the end of a
limit is the claim. What is waited for is an event or a condition, never a number of seconds.
"""

import ast
import pathlib

import pytest

TESTS = pathlib.Path(__file__).parent
CLOCKS = {"monotonic", "perf_counter", "time", "process_time"}
WAITS = {"wait", "result", "exception", "acquire", "join", "communicate", "settimeout"}
FILES = sorted(path for path in TESTS.rglob("*.py") if path.name != "waiting.py")


def is_clock(node):
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in CLOCKS
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id == "time"
    )


def is_number(node):
    return isinstance(node, ast.Constant) and type(node.value) in (int, float) and node.value != 0


def told_in_seconds(call):
    """Whether a call waits, or lets wait, for a number that it states itself."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
    limits = [keyword.value for keyword in call.keywords if keyword.arg == "timeout"]
    if name in WAITS:
        limits += call.args[:1]
    if name == "WebDriverWait":
        limits += call.args[1:]
    # Of no seconds: that others have their turn.
    sleeps = name == "sleep" and ast.unparse(call.args[0]) != "0"
    return sleeps or any(map(is_number, limits))


def at_import(tree):
    """The nodes that run when a file is imported: all but the insides of functions."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield node
            waiting += ast.iter_child_nodes(node)


def faults(text):
    """(line, what is wrong) of a file's code."""
    tree = ast.parse(text)
    for node in at_import(tree):
        if is_clock(node):
            yield node.lineno, "a clock is read at import"
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assert, ast.Compare)) and any(map(is_clock, ast.walk(node))):
            yield node.lineno, "a clock decides"
        if isinstance(node, ast.Call) and told_in_seconds(node):
            yield node.lineno, "seconds are stated"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(TESTS).as_posix())
def test_nothing_is_counted_from_import_asserted_on_a_clock_or_slept_for(path):
    found = [f"{path.name}:{line}: {fault}" for line, fault in faults(path.read_text())]
    assert not found, "take the limit from waiting.py, or wait for an event"


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("import time\nLATER = time.monotonic() + 1000", "a clock is read at import"),
        ("def f():\n    assert time.time() - started < 5", "a clock decides"),
        ("def f():\n    while time.monotonic() < end: pass", "a clock decides"),
        ("def f():\n    time.sleep(0.1)", "seconds are stated"),
        ("def f():\n    future.result(20)", "seconds are stated"),
        ("def f():\n    subprocess.run([], timeout=120)", "seconds are stated"),
        ("def f():\n    wait.WebDriverWait(page, 30).until(shown)", "seconds are stated"),
    ],
)
def test_every_such_fault_is_found(text, fault):
    assert {found for _, found in faults(text)} == {fault}


def test_limits_by_name_clocks_that_measure_and_no_wait_at_all_are_none():
    text = "def f():\n    lock.acquire(timeout=0)\n    future.result(LONG)\n    x = time.time()"
    assert not list(faults(text))
