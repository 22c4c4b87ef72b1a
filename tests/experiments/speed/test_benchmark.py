"""Figures of the benchmark: least, median and greatest of the repeats."""

import json
import sys

import pytest

from arl_tf import bench
from arl_tf.experiments.speed import benchmark


def test_the_spread_is_that_of_each_figure_alone():
    runs = [{"a": 3.0, "b": 1.0}, {"a": 1.0, "b": 1.0}, {"a": 2.5, "b": 4.0}]
    assert benchmark.spread(runs) == {
        "a": {"min": 1.0, "median": 2.5, "max": 3.0},
        "b": {"min": 1.0, "median": 1.0, "max": 4.0},
    }


def test_json_is_one_object_of_what_the_repeats_gave(monkeypatch, capsys):
    values = iter((2.0, 4.0))
    monkeypatch.setattr(benchmark, "measure", lambda _: {"ratio": next(values)})
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--repeats=2"])
    bench.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"ratio": {"min": 2.0, "median": 3.0, "max": 4.0}}


def test_no_repeats_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--repeats=0"])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert "--repeats must be >= 1, got 0" in capsys.readouterr().err
