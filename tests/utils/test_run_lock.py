"""A run directory has one owner, or several that share it; dead owners keep nobody out."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

import pytest
from waiting import LONG

from arl_tf.utils import run_lock

HOLDER = """
import sys
from arl_tf.utils import run_lock
import pathlib
with run_lock.owned(pathlib.Path(sys.argv[1]), shared=sys.argv[2] == "shared"):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def said(monkeypatch):
    """What is logged, whatever other tests have made of absl's handlers."""
    lines = []
    for level in ("info", "warning"):
        monkeypatch.setattr(
            run_lock.logging, level, lambda text, *values: lines.append(text % values)
        )
    return lines


@pytest.fixture
def hold(tmp_path):
    """Starts processes that hold a directory until they are told to end."""
    started = []

    def start(folder, kind="alone"):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, str(folder), kind],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def end(process):
    process.communicate("")
    assert process.returncode == 0


def test_a_second_process_is_told_who_works_there(tmp_path, hold):
    run = tmp_path / "runs" / "a"
    first = hold(run)
    with pytest.raises(run_lock.InUseError) as refused, run_lock.owned(run):
        pass
    said = str(refused.value)
    assert f"{run} is in use by another process: process {first.pid} on " in said
    assert socket.gethostname() in said
    assert "started 20" in said
    end(first)
    with run_lock.owned(run):
        assert run_lock.notes(run)


def test_a_killed_owner_keeps_nobody_out(tmp_path, hold, said):
    first = hold(tmp_path)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    with run_lock.owned(tmp_path):
        notes = list(run_lock.notes(tmp_path).values())
    assert [note["pid"] for note in notes] == [os.getpid()]
    assert len(said) == 1 and f"left by process {first.pid}" in said[0]
    assert list(tmp_path.iterdir()) == []


def test_a_note_of_another_host_keeps_nobody_out_when_nobody_holds_the_lock(tmp_path):
    note = tmp_path / f"{run_lock.NOTE}elsewhere_1.json"
    note.write_text(json.dumps({"pid": 1, "host": "elsewhere", "started": "then", "command": "x"}))
    (tmp_path / f"{run_lock.NOTE}broken_2.json").write_text("")
    (tmp_path / run_lock.LOCK).touch()
    with run_lock.owned(tmp_path):
        assert not note.exists()
    assert list(tmp_path.iterdir()) == []


def test_processes_that_share_work_side_by_side_and_keep_others_out(tmp_path, hold):
    first, second = hold(tmp_path, "shared"), hold(tmp_path, "shared")
    with run_lock.owned(tmp_path, shared=True):
        pass
    with pytest.raises(run_lock.InUseError) as refused, run_lock.owned(tmp_path):
        pass
    assert str(first.pid) in str(refused.value) and str(second.pid) in str(refused.value)
    end(first)
    with pytest.raises(run_lock.InUseError), run_lock.owned(tmp_path):
        pass
    end(second)
    with run_lock.owned(tmp_path):
        pass


def test_an_owner_keeps_those_out_that_would_share(tmp_path, hold):
    hold(tmp_path)
    with pytest.raises(run_lock.InUseError), run_lock.owned(tmp_path, shared=True):
        pass


def test_one_that_waits_gets_it_when_the_owner_ends(tmp_path, hold, monkeypatch):
    first = hold(tmp_path)
    told = threading.Event()
    monkeypatch.setattr(run_lock.logging, "info", lambda *_: told.set())
    got = threading.Event()

    def wait():
        with run_lock.owned(tmp_path, wait=True):
            got.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    assert told.wait(LONG) and not got.is_set()
    end(first)
    waiting.join(LONG)
    assert got.is_set()


def test_the_owner_may_ask_again(tmp_path):
    with run_lock.owned(tmp_path), run_lock.owned(tmp_path, wait=True):
        pass
    with run_lock.owned(tmp_path):
        pass


def test_a_directory_that_stayed_empty_is_gone_again_and_one_with_files_stays(tmp_path):
    run = tmp_path / "a" / "b" / "c"
    with pytest.raises(ValueError, match="no data"), run_lock.owned(run):
        raise ValueError("no data")
    assert list(tmp_path.iterdir()) == []
    with run_lock.owned(run):
        (run / "config.json").touch()
    assert [path.name for path in run.iterdir()] == ["config.json"]


def test_a_lock_file_that_its_last_owner_removed_locks_nothing(tmp_path, monkeypatch):
    """Opened before the owner let go of it, and locked after: it must be opened anew."""
    path = tmp_path / run_lock.LOCK
    opened = []

    def opens_late(lock):
        opened.append(os.open(lock, os.O_RDWR | os.O_CREAT))
        if len(opened) == 1:
            lock.unlink()
        return opened[-1]

    monkeypatch.setattr(run_lock, "open_lock", opens_late)
    descriptor = run_lock.try_lock(path, shared=False)
    assert descriptor == opened[-1] and len(opened) == 2
    assert run_lock.is_at(descriptor, path)
    run_lock.release(path, descriptor)


@pytest.mark.parametrize("below", ["", "/run"])
def test_a_file_is_no_run_directory(tmp_path, below):
    file = tmp_path / "file"
    file.write_text("x")
    folder = pathlib.Path(f"{file}{below}")
    with pytest.raises(ValueError, match=r"is a file|can't be made"), run_lock.owned(folder):
        pass
    assert file.read_text() == "x"


def test_a_file_system_without_locks_is_warned_of_and_used(tmp_path, monkeypatch, said):
    def refuses(*_):
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(run_lock.fcntl, "flock", refuses)
    with run_lock.owned(tmp_path):
        pass
    assert "can't be locked (Function not implemented)" in said[0]
