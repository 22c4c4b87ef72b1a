"""Figures of the benchmark: least, median and greatest of the repeats."""

import json
import sys

import pytest

from arl_tf import bench
from arl_tf.experiments.speed import benchmark
from arl_tf.experiments.speed.groups import GROUPS, LONG


def test_the_spread_is_that_of_each_figure_alone():
    runs = [{"a": 3.0, "b": 1.0}, {"a": 1.0, "b": 1.0}, {"a": 2.5, "b": 4.0}]
    assert benchmark.spread(runs) == {
        "a": {"min": 1.0, "median": 2.5, "max": 3.0},
        "b": {"min": 1.0, "median": 1.0, "max": 4.0},
    }


def test_json_is_one_object_of_what_the_repeats_gave(monkeypatch, capsys):
    values = iter((2.0, 4.0))
    monkeypatch.setattr(benchmark, "measure", lambda data_dir, only: {"ratio": next(values)})
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--repeats=2"])
    bench.main()
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line) == {"ratio": {"min": 2.0, "median": 3.0, "max": 4.0}}


def test_no_repeats_are_refused(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--repeats=0"])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert "--repeats must be >= 1, got 0" in capsys.readouterr().err


@pytest.fixture
def fakes(monkeypatch):
    """Groups whose one figure is how many groups were measured before; notes their order."""
    order = []

    def measuring(group):
        order.append(group)
        return {f"of_{group}": float(len(order))}

    def measurements(data_dir, scratch):
        return {group: lambda group=group: measuring(group) for group in GROUPS}

    monkeypatch.setattr(benchmark, "measurements", measurements)
    return order


def test_all_but_what_takes_long_is_measured_unless_told_otherwise(fakes, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--json", "--repeats=1"])
    bench.main()
    quick = [group for group in GROUPS if group not in LONG]
    assert fakes == quick == ["drawing", "reading", "training", "encoding"]
    assert list(json.loads(capsys.readouterr().out)) == [f"of_{group}" for group in quick]


def test_only_the_groups_asked_for_are_measured(fakes, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--only=sweep, audit", "--repeats=2"])
    bench.main()
    assert fakes == ["audit", "sweep"] * 2
    *_, last = capsys.readouterr().out.splitlines()
    assert json.loads(last) == {
        "of_audit": {"min": 1.0, "median": 2.0, "max": 3.0},
        "of_sweep": {"min": 2.0, "median": 3.0, "max": 4.0},
    }


def test_every_group_has_a_measurement(tmp_path):
    assert tuple(benchmark.measurements("", tmp_path)) == GROUPS


def test_an_unknown_group_is_refused_with_the_choices_before_anything_is_measured(
    fakes, monkeypatch, capsys
):
    monkeypatch.setattr(sys, "argv", ["bench", "--only=audit,sweeps"])
    with pytest.raises(SystemExit, match="2"):
        bench.console()
    refusal = capsys.readouterr().err
    assert f"--only must name some of {', '.join(GROUPS)}; got 'sweeps'." in refusal
    assert not fakes


def test_groups_are_no_part_of_growth(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--growth", "--only=audit"])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert "--growth measures none of what --only names" in capsys.readouterr().err
