"""Streams that are closed or unread end no run, and in no traceback."""

import io
import os
import signal

import pytest

from arl_tf.utils import streams


def in_a_child(work) -> int:
    """The exit code of a process that does some work."""
    child = os.fork()
    if not child:
        code = 99
        try:
            work()
            code = 0
        except SystemExit as ended:
            code = ended.code
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def write_to_closed_streams():
    for number in range(3):
        os.close(number)
    streams.sys.stdin = streams.sys.stdout = streams.sys.stderr = None
    streams.reopen_closed()
    print("nobody reads this")
    print("nor this", file=streams.sys.stderr)
    assert streams.sys.stdin.read() == ""
    with open(os.devnull, "rb") as file:
        assert file.fileno() > 2


def test_closed_streams_are_opened_again_and_no_file_takes_their_numbers():
    assert in_a_child(write_to_closed_streams) == 0


def test_open_streams_stay_as_they_are(monkeypatch):
    before = streams.sys.stdout
    streams.reopen_closed()
    assert streams.sys.stdout is before


@pytest.mark.parametrize("length", [1, 100_000])
@pytest.mark.parametrize("ends", [False, True])
def test_a_stdout_that_nobody_reads_ends_the_process_without_a_word(monkeypatch, ends, length):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as unread:
        monkeypatch.setattr(streams.sys, "stdout", unread)
        with pytest.raises(SystemExit) as ended, streams.ending_unread():
            print("x" * length)
            if ends:
                raise SystemExit(0)
        assert ended.value.code == 128 + signal.SIGPIPE
        print("flushed without an error", flush=True)
        monkeypatch.undo()


def test_other_broken_pipes_are_raised(monkeypatch):
    monkeypatch.setattr(streams.sys, "stdout", io.StringIO())
    with pytest.raises(BrokenPipeError, match="of a socket"), streams.ending_unread():
        raise BrokenPipeError("of a socket")
