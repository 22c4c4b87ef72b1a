"""Progress bars as tests see them: what was counted, how much of it was done."""

import contextlib

import pytest

from arl_tf.utils import progress


@pytest.fixture
def bars(monkeypatch):
    """Words of every bar -> [its total, what was done]; nothing is shown."""
    seen = {}

    @contextlib.contextmanager
    def bar(words, total):
        seen[words] = [total, 0]

        def advance(amount=1):
            seen[words][1] += amount

        yield advance

    monkeypatch.setattr(progress, "bar", bar)
    return seen
