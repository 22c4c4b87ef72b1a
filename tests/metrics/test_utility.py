"""Utility of codes: agreement with scikit-learn, and what happens where a measure is undefined."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, matthews_corrcoef, roc_auc_score

from arl_tf.metrics import measures, utility

NAMES = ("Smiling", "Male", "Young")


@pytest.fixture(scope="module")
def sample():
    """(logits, attributes, weights) of 240 pictures of 80 people."""
    rng = np.random.default_rng(0)
    attributes = (rng.random((240, 3)) < [0.5, 0.2, 0.8]).astype(np.uint8)
    logits = (2.0 * attributes - 1 + rng.normal(0, 1.5, (240, 3))).astype(np.float32)
    weights = measures.identity_weights(np.arange(240) // 3, 300, seed=0)
    return logits, attributes, weights


def columns(logits, attributes):
    return list(zip(attributes.T, logits.T, strict=True))


def test_values_are_scikit_learns(sample):
    logits, attributes, weights = sample
    found = utility.measure_utility(logits, attributes, NAMES, weights)
    pairs = columns(logits, attributes)
    mccs = [matthews_corrcoef(actual, scores > 0) for actual, scores in pairs]
    accuracies = [accuracy_score(actual, scores > 0) for actual, scores in pairs]
    aucs = [roc_auc_score(actual, scores) for actual, scores in pairs]
    assert found["mean_mcc"]["value"] == pytest.approx(np.mean(mccs))
    assert found["accuracy"]["value"] == pytest.approx(np.mean(accuracies))
    assert found["roc_auc"]["value"] == pytest.approx(np.mean(aucs))
    for name, mcc, accuracy, actual in zip(NAMES, mccs, accuracies, attributes.T, strict=True):
        assert found["attributes"][name] == {
            "mcc": pytest.approx(mcc),
            "mcc_at_0": pytest.approx(mcc),
            "accuracy": pytest.approx(accuracy),
            "positives": actual.sum(),
        }
    assert found["undefined_mcc"] == []


def test_thresholds_are_those_of_moved_logits_and_leave_the_order_of_images(sample):
    logits, attributes, weights = sample
    thresholds = np.linspace(-0.5, 0.5, len(NAMES))
    found = utility.measure_utility(logits, attributes, NAMES, weights, thresholds)
    moved = utility.measure_utility(logits - thresholds, attributes, NAMES, weights)
    plain = utility.measure_utility(logits, attributes, NAMES, weights)
    for measure in ("mean_mcc", "accuracy"):
        assert found[measure] == moved[measure] != plain[measure]
    assert found["mean_mcc_at_0"] == plain["mean_mcc"]
    assert found["roc_auc"] == plain["roc_auc"]
    each = utility.measure_utility(
        logits, attributes, NAMES, weights, np.broadcast_to(thresholds, logits.shape)
    )
    assert each == found


@pytest.mark.parametrize("measure", ["mean_mcc", "accuracy", "roc_auc"])
def test_interval_contains_the_value_and_is_not_empty(sample, measure):
    found = utility.measure_utility(*sample[:2], NAMES, sample[2])[measure]
    low, high = found["ci95"]
    assert low < found["value"] < high


def test_resamples_are_measured_as_if_their_pictures_were_repeated(sample):
    logits, attributes, weights = sample
    row = weights[0].astype(int)
    again = utility.measure_utility(
        logits.repeat(row, axis=0), attributes.repeat(row, axis=0), NAMES, np.ones((1, row.sum()))
    )
    found = utility.measure_utility(logits, attributes, NAMES, weights[:1])
    for measure in ("mean_mcc", "accuracy", "roc_auc"):
        assert found[measure]["ci95"] == pytest.approx([again[measure]["value"]] * 2)


def test_result_is_json(sample):
    found = utility.measure_utility(*sample[:2], NAMES, sample[2])
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("only", [0, 1])
def test_attribute_of_one_class_is_named_and_counts_zero(sample, only):
    logits, attributes, weights = sample
    changed = attributes.copy()
    changed[:, 1] = only
    found = utility.measure_utility(logits, changed, NAMES, weights)
    others = [matthews_corrcoef(attributes[:, k], logits[:, k] > 0) for k in (0, 2)]
    aucs = [roc_auc_score(attributes[:, k], logits[:, k]) for k in (0, 2)]
    assert found["undefined_mcc"] == ["Male"]
    assert found["attributes"]["Male"]["mcc"] == 0
    assert found["mean_mcc"]["value"] == pytest.approx(sum(others) / 3)
    assert found["roc_auc"]["value"] == pytest.approx(np.mean(aucs))


def test_prediction_of_one_class_is_named_and_counts_zero(sample):
    logits, attributes, weights = sample
    changed = logits.copy()
    changed[:, 2] = np.abs(changed[:, 2]) + 1
    found = utility.measure_utility(changed, attributes, NAMES, weights)
    assert found["undefined_mcc"] == ["Young"]
    assert found["attributes"]["Young"]["mcc"] == 0


def test_roc_auc_is_none_where_no_attribute_has_two_classes(sample):
    logits, attributes, weights = sample
    found = utility.measure_utility(logits, np.ones_like(attributes), NAMES, weights)
    assert found["roc_auc"] == {"value": None, "ci95": None}
    assert found["undefined_mcc"] == list(NAMES)


def test_resamples_that_lose_every_attribute_are_left_out_without_a_warning():
    logits = np.array([[-1.0], [2.0], [1.0]], np.float32)
    attributes = np.array([[0], [1], [1]], np.uint8)
    weights = np.array([[1.0, 1, 1], [0, 1, 2], [3, 0, 0]])
    found = utility.measure_utility(logits, attributes, ("Bald",), weights)
    assert found["roc_auc"] == {"value": 1, "ci95": [1, 1]}


def test_estimate_without_resamples_has_no_interval():
    assert utility.estimate(0.5) == {"value": 0.5, "ci95": None}
    assert utility.estimate(0.5, np.array([np.nan, np.nan])) == {"value": 0.5, "ci95": None}
    assert utility.estimate(None, np.array([0.5])) == {"value": None, "ci95": None}


def test_attributes_of_one_class_are_named_and_left_out_of_the_mean_of_the_others(sample):
    logits, attributes, weights = sample
    lacking = attributes.copy()
    lacking[:, 1] = 0
    found = utility.measure_utility(logits, lacking, NAMES, weights)
    assert found["one_class"] == ["Male"] and "Male" in found["undefined_mcc"]
    kept = utility.measure_utility(logits[:, ::2], attributes[:, ::2], NAMES[::2], weights)
    for key in ("value", "ci95"):
        assert found["mean_mcc_two_classes"][key] == pytest.approx(kept["mean_mcc"][key])
    # The key that conditions read keeps its meaning: what is undefined counts as 0.
    assert found["mean_mcc"]["value"] == pytest.approx(2 / 3 * kept["mean_mcc"]["value"])


def test_head_that_always_says_the_same_is_no_attribute_of_one_class(sample):
    logits, attributes, weights = sample
    stubborn = logits.copy()
    stubborn[:, 2] = 1.0
    found = utility.measure_utility(stubborn, attributes, NAMES, weights)
    assert found["undefined_mcc"] == ["Young"] and found["one_class"] == []
    assert found["mean_mcc_two_classes"] == found["mean_mcc"]


def test_mean_over_no_attribute_is_undefined(sample):
    logits, attributes, weights = sample
    found = utility.measure_utility(logits, np.zeros_like(attributes), NAMES, weights)
    assert found["mean_mcc_two_classes"] == {"value": None, "ci95": None}
    assert found["one_class"] == list(NAMES)
