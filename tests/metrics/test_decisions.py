"""Thresholds by MCC, temperature, calibration error: hand-computed values and identities."""

import numpy as np
import pytest
from scipy import special

from arl_tf.metrics import decisions, measures


def normal_logits(rng, shift, count=4000, share=0.2):
    """Logits N(0, 1) of negatives and N(2, 1) of positives, all moved by `shift`; and labels."""
    labels = (rng.random(count) < share).astype(np.uint8)
    return rng.normal(size=count) + 2 * labels + shift, labels


def mcc(logits, labels, threshold):
    counts = measures.confusion_counts((logits > threshold)[:, None], labels[:, None])
    return float(measures.matthews_correlation(counts.sum(axis=0))[0])


def test_mcc_at_thresholds_is_that_of_the_decisions():
    rng = np.random.default_rng(0)
    logits, labels = normal_logits(rng, 0.0, count=50)
    thresholds = np.array([-10.0, 0.0, 0.7, 10.0])
    expected = [mcc(logits, labels, threshold) for threshold in thresholds]
    np.testing.assert_allclose(decisions.mcc_at(thresholds, logits, labels), expected)


def test_a_logit_on_its_threshold_is_decided_against():
    found = decisions.Decisions(np.array([0.5], np.float32), 1.0)
    assert found.decide(np.array([[0.5], [0.6]])).ravel().tolist() == [False, True]
    assert decisions.above(np.array([0.5]), np.array([0.5, 0.6])).tolist() == [1]


def test_threshold_follows_logits_that_are_all_moved_by_a_constant():
    logits, labels = normal_logits(np.random.default_rng(1), 0.0)
    here = decisions.best_threshold(logits, labels)
    moved = decisions.best_threshold(logits - 3.0, labels)
    assert here == pytest.approx(moved + 3.0, abs=0.15)
    # Where both densities weigh the same, .8 phi(t) = .2 phi(t - 2): 1 + log(4) / 2; the MCC's
    # best threshold is a little lower.
    assert 1.1 < here < 1.75


def test_threshold_is_better_than_zero_where_all_logits_are_low():
    logits, labels = normal_logits(np.random.default_rng(2), -3.0)
    chosen = decisions.choose_thresholds(logits[:, None], labels[:, None])[0]
    assert mcc(logits, labels, chosen) > mcc(logits, labels, 0.0) + 0.2


@pytest.mark.parametrize("positives", [0, decisions.FEWEST_OF_A_CLASS - 1])
@pytest.mark.parametrize("label", [0, 1])
def test_rare_class_keeps_the_threshold_zero(positives, label):
    labels = np.full(200, 1 - label, np.uint8)
    labels[:positives] = label
    logits = np.random.default_rng(0).normal(size=200) - 5
    assert decisions.best_threshold(logits, labels) == 0.0


def test_logits_that_tell_nothing_keep_the_threshold_zero():
    labels = np.arange(100, dtype=np.uint8) % 2
    assert decisions.best_threshold(np.full(100, -1.0), labels) == 0.0


def test_temperature_is_found_again():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (4000, 3))
    labels = rng.random(logits.shape) < special.expit(logits / 2.5)
    found = decisions.fit_temperature(logits, labels)
    assert found == pytest.approx(2.5, rel=0.1)
    calibrated = decisions.Decisions(np.zeros(3, np.float32), found).probability(logits)
    plain = decisions.undecided(3).probability(logits)
    assert decisions.calibration_error(calibrated, labels) < 0.03
    assert decisions.calibration_error(plain, labels) > 0.1


def test_calibration_error_by_hand():
    # Two bins: 0.1 with a share of 0.5 (distance .4, 2 values), 0.9 with 1 (distance .1, 3 values).
    probability = np.array([0.1, 0.1, 0.9, 0.9, 0.9])
    labels = np.array([0, 1, 1, 1, 1])
    expected = (2 * 0.4 + 3 * 0.1) / 5
    assert decisions.calibration_error(probability, labels) == pytest.approx(expected)
    assert decisions.calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0.0


def test_decisions_survive_their_file():
    found = decisions.Decisions(np.array([0.25, -1.5], np.float32), 1.25)
    again = decisions.from_json(found.as_json(["a", "b"]), ["b", "a"])
    assert again.thresholds.tolist() == [-1.5, 0.25] and again.temperature == 1.25


@pytest.mark.parametrize(
    "content",
    [
        {"thresholds": {"a": 0.0}, "temperature": 1.0},
        {"thresholds": {"a": 0.0, "b": "x"}, "temperature": 1.0},
        {"thresholds": {"a": 0.0, "b": float("nan")}, "temperature": 1.0},
        {"thresholds": {"a": 0.0, "b": 0.0}, "temperature": 0.0},
        {"thresholds": {"a": 0.0, "b": 0.0}},
        {"thresholds": 3, "temperature": 1.0},
    ],
)
def test_decisions_of_others_or_without_numbers_are_refused(content):
    with pytest.raises(ValueError, match=r"decisions of the attributes a, b|expected finite"):
        decisions.from_json(content, ["a", "b"])


def test_each_half_of_the_people_gets_the_thresholds_of_the_other():
    rng = np.random.default_rng(0)
    identities = np.repeat([7, 3, 9, 1], 50)
    labels = rng.integers(0, 2, (200, 1))
    logits = 2.0 * labels + rng.normal(size=(200, 1)) - 3.0
    found = decisions.halves_thresholds(logits, labels, identities)
    first = np.isin(identities, [1, 7])
    for half, other in ((first, ~first), (~first, first)):
        expected = decisions.choose_thresholds(logits[other], labels[other])
        np.testing.assert_array_equal(found[half], np.broadcast_to(expected, (100, 1)))
