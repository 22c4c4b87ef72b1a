"""Exported task heads of classes and of values: signatures, assets, comparison, manifest."""

import json

import keras
import numpy as np
import pytest
from keras import layers

from arl_tf.exporting import manifest, saved_model_checks, saved_models
from arl_tf.metrics.equivalence import ExportError
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.metrics.tasks.single_label import ClassDecisions
from arl_tf.utils import saved_model_loading

CODE = (2, 2, 3)
CODES = np.random.default_rng(0).normal(size=(5, *CODE)).astype(np.float32)
AGES = np.random.default_rng(1).uniform(20, 60, (40, 2)).astype(np.float32)


def head_of(outputs):
    keras.utils.set_random_seed(0)
    code = keras.Input(CODE)
    return keras.Model(code, layers.Dense(outputs)(layers.Flatten()(code)), name="task_head")


def saved(folder, kind, head, names, decisions):
    task = task_of(kind)
    saved_models.save_task_head(head, CODE, names, folder, task=task, decisions=decisions)
    logits = head(CODES, training=False).numpy()
    batches = {"all": saved_model_checks.Batch(CODES, CODES, logits)}
    return task, batches, saved_model_loading.load(folder).signatures["serving_default"]


def test_task_head_of_classes_serves_one_decision_a_row(tmp_path):
    decisions, names = ClassDecisions(2.0), ("cat", "dog", "owl")
    task, batches, serve = saved(tmp_path / "1", "single_label", head_of(3), names, decisions)
    found = serve(code=CODES)
    assert set(found) == {"logits", "probability", "decision"}
    np.testing.assert_array_equal(found["decision"].numpy().sum(axis=1), 1)
    logits = batches["all"].logits
    np.testing.assert_array_equal(found["decision"].numpy().argmax(axis=1), logits.argmax(axis=1))
    errors = saved_model_checks.task_head_differences(tmp_path / "1", batches, task, decisions)
    assert len(errors) == 6 and max(errors.values()) <= saved_model_checks.SAVED_MODEL_BOUND
    kept = json.loads((tmp_path / "1" / "assets" / "decisions.json").read_text())
    assert kept == {"temperature": 2.0, "rule": "argmax"}


def test_task_head_of_a_regression_serves_values_in_the_labels_units(tmp_path):
    task = task_of("regression")
    head, names = task.scale(AGES).finished(head_of(2)), ("age", "height")
    _, batches, serve = saved(tmp_path / "1", "regression", head, names, None)
    found = serve(code=CODES)
    assert set(found) == {"value"}
    np.testing.assert_allclose(found["value"], batches["all"].logits, rtol=1e-5)
    errors = saved_model_checks.task_head_differences(tmp_path / "1", batches, task, None)
    assert set(errors) == {"value_all", "read_bytes_value_all"}


def test_large_values_may_be_rounded_as_their_size_allows_and_wrong_ones_are_found(tmp_path):
    task = task_of("regression")
    head = task.scale(1e4 * AGES).finished(head_of(2))
    _, batches, _ = saved(tmp_path / "1", "regression", head, ("age", "height"), None)
    assert saved_model_checks.task_head_differences(tmp_path / "1", batches, task, None)
    wrong = saved_model_checks.Batch(CODES, CODES, batches["all"].logits * 1.001)
    with pytest.raises(ExportError, match="task head's value"):
        saved_model_checks.task_head_differences(tmp_path / "1", {"all": wrong}, task, None)


def test_manifest_names_the_kind_the_classes_and_the_values():
    classes = manifest.describe_task(task_of("single_label"), head_of(2), ("cat", "dog"))
    assert (classes["task_kind"], classes["class_names"]) == ("single_label", ["cat", "dog"])
    head = task_of("regression").scale(AGES).finished(head_of(2))
    found = manifest.describe_task(task_of("regression"), head, ("age", "height"))
    assert found["class_names"] is None and found["task_head_outputs"] == ["value"]
    assert found["values"]["height"]["mean"] == pytest.approx(AGES[:, 1].mean())
    assert found["values"]["height"]["deviation"] == pytest.approx(AGES[:, 1].std())
    json.dumps(found)
