"""What the page shows of the outputs of task heads of every kind."""

import json
import types

import numpy as np

from serving.web import answers


def read(folder, outputs, rule=None):
    """A task head's outputs, with its assets in `folder`."""
    (folder / "assets").mkdir()
    (folder / "assets" / "attributes.txt").write_text("cat\ndog\n")
    if rule is not None:
        (folder / "assets" / "decisions.json").write_text(rule)
    servable = types.SimpleNamespace(path=folder)
    return types.SimpleNamespace(servable=servable, outputs=outputs)


CLASSES = {
    "logits": np.float32([[2, 0]]),
    "probability": np.float32([[0.88, 0.12]]),
    "decision": np.array([[True, False]]),
}


def test_values_of_a_regression_are_shown_as_they_are(tmp_path):
    kind, found = answers.task_answers(read(tmp_path, {"value": np.float32([[31.25, 1.5]])}))
    assert kind == "regression"
    assert found == [{"name": "cat", "value": 31.25}, {"name": "dog", "value": 1.5}]


def test_classes_are_told_from_attributes_by_the_rule_of_the_decision(tmp_path):
    (tmp_path / "one").mkdir()
    kind, found = answers.task_answers(
        read(tmp_path / "one", CLASSES, json.dumps({"temperature": 1, "rule": "argmax"}))
    )
    assert (kind, found[0]) == (
        "single_label",
        {"name": "cat", "probability": 0.88, "decision": True},
    )
    for name, rule in (("two", None), ("three", "no JSON"), ("four", '{"temperature": 1}')):
        (tmp_path / name).mkdir()
        assert answers.task_answers(read(tmp_path / name, CLASSES, rule))[0] == "multi_label"


def test_an_attacker_on_the_task_output_gets_logits_or_values(tmp_path):
    assert answers.task_output(read(tmp_path, CLASSES)) is CLASSES["logits"]
    values = {"value": np.ones((1, 2), np.float32)}
    assert answers.task_output(types.SimpleNamespace(outputs=values)) is values["value"]
