"""The progress bar is for terminals; logs and results stay as they are."""

import io
import sys

from arl_tf.utils import progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_nothing_is_shown_where_stderr_is_not_a_terminal(capsys):
    with progress.bar("Shards", 3) as advance:
        advance()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_how_much_is_done_and_stdout_nothing(monkeypatch, capsys):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    with progress.bar("Shards encoded", 2) as advance:
        advance()
        advance()
    assert "Shards encoded:" in shown.getvalue() and "2/2" in shown.getvalue()
    assert capsys.readouterr().out == ""
