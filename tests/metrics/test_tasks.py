"""Each kind of task: what is learned, decided, measured and served; by hand-computed values."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import special

from arl_tf.data.task_kinds import TASK_KINDS
from arl_tf.metrics import utility
from arl_tf.metrics.decisions import calibration_error
from arl_tf.metrics.tasks.definition import Measured
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.models import losses

NAMES = ("cat", "dog", "owl")
CLASSES = np.array([0, 0, 1, 1, 2, 2])
ONE_HOT = np.eye(3, dtype=np.uint8)[CLASSES]
# Five of six are right; the last owl is taken for a cat.
GUESSED = np.array([0, 0, 1, 1, 2, 0])
LOGITS = 4 * np.eye(3, dtype=np.float32)[GUESSED]
AGES = np.array([[20.0], [30], [40], [50]], np.float32)
ERRORS = np.array([[1], [-1], [3], [-3]], np.float32)


def measured(outputs, labels, names, **changes):
    weights = np.vstack([np.ones(len(labels)), np.arange(len(labels))])
    return Measured(outputs, labels, names, weights, **changes)


def test_every_kind_has_a_task_and_an_unknown_one_is_refused():
    assert [task_of(kind).kind for kind in TASK_KINDS] == list(TASK_KINDS)
    with pytest.raises(ValueError, match="multi_label, single_label, regression; got 'ranking'"):
        task_of("ranking")


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_training_and_fitted_heads_learn_by_the_same_loss(kind):
    task = task_of(kind)
    outputs, labels = tf.constant(LOGITS), tf.constant(ONE_HOT, tf.float32)
    trained = losses.named_task_loss(task.loss)(outputs, labels)
    assert float(trained) == pytest.approx(float(task.keras_loss()(labels, outputs)), rel=1e-6)


def test_accuracy_of_classes_is_the_share_of_right_answers_and_the_table_has_each_class():
    found = task_of("single_label").section(measured(LOGITS, ONE_HOT, NAMES))
    assert found["accuracy"]["value"] == pytest.approx(5 / 6)
    table = found["attributes"]
    assert (table["cat"]["precision"], table["cat"]["recall"]) == (pytest.approx(2 / 3), 1.0)
    assert (table["owl"]["precision"], table["owl"]["recall"]) == (1.0, 0.5)
    assert [row["positives"] for row in table.values()] == [2, 2, 2]
    # TP, FP, FN, TN: cat 2 1 0 3, dog 2 0 0 4, owl 1 0 1 4.
    macro = (6 / np.sqrt(3 * 2 * 4 * 3) + 1 + 4 / np.sqrt(1 * 2 * 4 * 5)) / 3
    assert found["mean_mcc"]["value"] == pytest.approx(macro)
    assert found["headline"] == {
        "measure": "mean_mcc",
        "name": "macro MCC",
        **found["mean_mcc"],
    }
    assert found["thresholds"] == {} and found["mean_mcc_at_0"]["value"] is None


def test_a_class_that_is_never_named_has_no_precision_and_one_without_images_no_recall():
    outputs = np.tile(np.float32([5, 0, 0]), (4, 1))
    found = task_of("single_label").section(measured(outputs, ONE_HOT[:4], NAMES))
    assert found["attributes"]["dog"]["precision"] is None
    assert found["attributes"]["owl"]["recall"] is None
    assert found["one_class"] == ["owl"]
    assert found["undefined_mcc"] == ["cat", "dog", "owl"]
    assert found["mean_mcc_two_classes"]["value"] == 0


def test_temperature_of_classes_is_the_one_that_was_divided_by():
    rng = np.random.default_rng(0)
    true = rng.normal(0, 2, (4000, 3))
    cumulated = np.cumsum(np.exp(true) / np.exp(true).sum(axis=1, keepdims=True), axis=1)
    labels = np.eye(3)[(rng.random((4000, 1)) > cumulated).sum(axis=1)]
    chosen = task_of("single_label").fit(3 * true, labels)
    assert chosen.temperature == pytest.approx(3, rel=0.1)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_served_tensors_are_those_of_the_arrays_and_decisions_survive_their_file(kind):
    task = task_of(kind)
    chosen = task.fit(LOGITS, ONE_HOT)
    again = task.read(chosen.as_json(NAMES), NAMES)
    assert again.as_json(NAMES) == chosen.as_json(NAMES)
    served, arrays = task.serve(tf.constant(LOGITS), chosen), task.served(LOGITS, chosen)
    assert tuple(served) == tuple(arrays) == task.outputs
    for name, expected in arrays.items():
        np.testing.assert_allclose(served[name].numpy(), expected, rtol=1e-5, atol=1e-7)


def test_a_decision_names_one_class_and_probabilities_sum_to_one():
    task = task_of("single_label")
    served = task.served(np.zeros((2, 3), np.float32), task.undecided(3))
    np.testing.assert_array_equal(served["decision"], [[True, False, False]] * 2)
    np.testing.assert_allclose(served["probability"].sum(axis=1), 1)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("single_label", {"temperature": 1.0}),
        ("single_label", {"rule": "argmax"}),
        ("regression", {"temperature": 1.0}),
    ],
)
def test_decisions_of_another_kind_are_refused(kind, content):
    with pytest.raises(ValueError, match=f"no decisions of a {kind} task"):
        task_of(kind).read(content, NAMES)


def test_regression_has_r2_of_1_for_the_truth_0_for_its_mean_and_below_0_for_worse():
    task = task_of("regression")
    for outputs, expected in ((AGES, 1.0), (AGES * 0 + 35, 0.0), (AGES[::-1], -3.0)):
        assert task.score(outputs, AGES) == pytest.approx(expected)
    found = task.section(measured(AGES + ERRORS, AGES, ("age",)))
    assert found["mae"]["value"] == found["targets"]["age"]["mae"]["value"] == 2
    # Squared errors 1 + 1 + 9 + 9 of a spread of 500.
    assert found["mean_r2"]["value"] == pytest.approx(1 - 20 / 500)
    assert found["headline"]["value"] == found["mean_r2"]["value"]
    assert found["mean_mcc"]["value"] is None


def test_regression_in_a_resample_is_that_of_the_images_it_drew():
    task = task_of("regression")
    outputs, weights = AGES + ERRORS, np.array([[2.0, 0, 1, 0]])
    drawn = task.resampled(Measured(outputs, AGES, ("age",), weights))
    rows = [0, 0, 2]
    assert drawn[0] == pytest.approx(task.score(outputs[rows], AGES[rows]))


def test_mean_error_of_several_targets_is_undefined_and_each_has_its_own():
    labels = np.concatenate([AGES, AGES / 100], axis=1)
    found = task_of("regression").section(measured(labels + 0.5, labels, ("age", "height")))
    assert found["mae"]["value"] is None
    assert found["targets"]["height"]["mae"]["value"] == pytest.approx(0.5)


def test_regression_learns_standardised_targets_and_its_finished_head_gives_values():
    scale = task_of("regression").scale(AGES)
    learned = scale.learned(AGES)
    np.testing.assert_allclose((learned.mean(), learned.std()), (0, 1), atol=1e-6)
    np.testing.assert_allclose(scale.values(learned), AGES, rtol=1e-5)
    code = keras.Input((1,))
    head = keras.Model(code, keras.layers.Activation("linear")(code), name="task_head")
    finished = scale.finished(head)
    assert finished.name == "task_head" and len(finished.get_weights()) == 0
    np.testing.assert_allclose(finished(learned), AGES, rtol=1e-5)


def test_a_target_that_never_varies_is_neither_divided_by_0_nor_told():
    constant = np.full((4, 1), 7, np.float32)
    task = task_of("regression")
    assert np.isfinite(task.scale(constant).learned(constant)).all()
    assert task.score(constant + 1, constant) == 0


@pytest.mark.parametrize("unit", [1e-12, 1.0, 1e12])
def test_a_target_is_learned_and_scored_alike_in_any_units(unit):
    task = task_of("regression")
    labels, weights = AGES * unit, np.array([[2.0, 0, 1, 0], [0, 4, 0, 0]])
    learned = task.scale(labels).learned(labels)
    np.testing.assert_allclose(learned, task.scale(AGES).learned(AGES), rtol=1e-5)
    outputs = (AGES + ERRORS) * unit
    assert task.score(outputs, labels) == pytest.approx(1 - 20 / 500)
    drawn = task.resampled(Measured(outputs, labels, ("age",), weights))
    # One person alone does not vary.
    np.testing.assert_allclose(drawn, [task.score(outputs[[0, 0, 2]], labels[[0, 0, 2]]), 0])


@pytest.mark.parametrize("kind", ["multi_label", "single_label"])
def test_labels_of_classes_are_learned_as_they_are(kind):
    assert task_of(kind).scale(ONE_HOT).learned(ONE_HOT) is ONE_HOT


def test_first_outputs_are_those_of_the_frequencies():
    found = task_of("single_label").first_outputs(np.eye(3)[[0, 0, 0, 0, 1, 2, 2]])
    np.testing.assert_allclose(np.exp(found), [0.5, 0.2, 0.3])


def test_a_guess_among_many_classes_is_no_divergence():
    assert task_of("single_label").loss_limit(1000) > np.log(1000)


@pytest.mark.parametrize("kind", TASK_KINDS)
def test_without_labels_every_figure_is_undefined_under_its_own_name(kind):
    task = task_of(kind)
    nothing = task.section(None)
    names = ("age",) if kind == "regression" else NAMES
    labels = AGES if kind == "regression" else ONE_HOT
    found = task.section(measured(labels.astype(np.float32), labels, names))
    assert set(nothing) == set(found)
    assert nothing["headline"]["value"] is None
    assert nothing[task.headline] == utility.estimate(None)


def test_bits_of_a_decision():
    bits = [task_of(kind).decision_bits(10) for kind in TASK_KINDS]
    assert bits == [10, 4, None]


def test_only_attributes_can_be_balanced():
    task = task_of("multi_label").balanced(np.array([[1, 0], [0, 0], [0, 1], [0, 1]]))
    assert task.keras_loss() is task.loss
    assert task.loss.positive == pytest.approx([2.0, 1.0])
    assert task_of("multi_label").loss == "binary"
    for kind in ("single_label", "regression"):
        with pytest.raises(ValueError, match=f"a {kind} task has no positives"):
            task_of(kind).balanced(ONE_HOT)


def test_a_balanced_head_is_calibrated_once_it_is_finished():
    # Attribute 0 is rare, 1 is frequent; each is likelier for one half of the images.
    shares = np.array([[0.02, 0.6], [0.2, 0.9]])
    labels = np.concatenate(
        [np.arange(100)[:, None] < np.round(100 * share)[None] for share in shares]
    ).astype(np.float64)
    task = task_of("multi_label").balanced(labels)
    count, positives = len(labels), labels.sum(axis=0)
    # The closed form of the least weighted loss, given the half: its gradient is 0.
    raw = np.repeat(special.logit(shares) + np.log((count - positives) / positives), 100, axis=0)
    logits = tf.Variable(raw, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(task.keras_loss()(labels, logits))
    gradient = tape.gradient(loss, logits).numpy().reshape(2, 100, 2).sum(axis=1)
    np.testing.assert_allclose(gradient, 0, atol=1e-6)
    code = keras.Input((2,))
    head = keras.Model(code, keras.layers.Activation("linear")(code), name="task_head")
    found = task.finish(labels).finished(head)(raw.astype(np.float32)).numpy()
    np.testing.assert_allclose(found, np.repeat(special.logit(shares), 100, axis=0), atol=1e-4)
    plain = task.undecided(2)
    np.testing.assert_allclose(plain.probability(found).mean(axis=0), labels.mean(axis=0), 1e-4)
    assert calibration_error(plain.probability(found), labels) < 1e-4
    # One temperature could not have done it.
    assert calibration_error(task.fit(raw, labels).probability(raw), labels) > 0.1
    assert task_of("multi_label").finish(labels).finished(head) is head
