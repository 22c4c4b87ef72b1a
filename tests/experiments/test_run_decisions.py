"""Decisions of a run: kept in its directory, and made anew for another encoder."""

import dataclasses
import json

import numpy as np
import pytest

from arl_tf.experiments import decisions
from arl_tf.metrics.decisions import Decisions


@pytest.fixture
def calls(monkeypatch):
    """What was chosen so far; every choice has other thresholds."""
    made = []

    def chosen(experiment, audited_encoder):
        made.append(audited_encoder.sha256)
        return Decisions(np.array([len(made), 0.5], np.float32), 2.0)

    monkeypatch.setattr(decisions, "chosen_decisions", chosen)
    return made


@dataclasses.dataclass
class Stand:
    """Has the attributes that `of_run` reads."""

    decisions: object = None
    attribute_names: tuple = ("a", "b")
    task_kind: str = "multi_label"
    sha256: str = "one"
    run: object = None
    images: object = None


def experiment(tmp_path):
    return Stand(run=Stand(decisions=tmp_path / "decisions.json"), images=Stand())


def test_decisions_are_chosen_once_for_an_encoder(tmp_path, calls):
    first = decisions.of_run(experiment(tmp_path), Stand())
    again = decisions.of_run(experiment(tmp_path), Stand())
    assert calls == ["one"]
    assert first.thresholds.tolist() == again.thresholds.tolist() == [1.0, 0.5]
    assert again.temperature == 2.0


def test_decisions_of_another_encoder_are_chosen_again(tmp_path, calls):
    decisions.of_run(experiment(tmp_path), Stand())
    found = decisions.of_run(experiment(tmp_path), Stand(sha256="two"))
    assert calls == ["one", "two"] and found.thresholds[0] == 2.0


@pytest.mark.parametrize("damage", ["", "[]", '{"encoder_sha256": "one", "thresholds": {}}'])
def test_damaged_decisions_are_refused_with_the_remedy(tmp_path, calls, damage):
    path = tmp_path / "decisions.json"
    path.write_text(damage)
    with pytest.raises(ValueError, match=r"decisions\.json.*Delete it: it is made again"):
        decisions.of_run(experiment(tmp_path), Stand())
    assert not calls


def test_file_says_whose_decisions_they_are(tmp_path, calls):
    decisions.of_run(experiment(tmp_path), Stand())
    content = json.loads((tmp_path / "decisions.json").read_text())
    expected = {"encoder_sha256": "one", "temperature": 2.0, "thresholds": {"a": 1.0, "b": 0.5}}
    assert content == expected
