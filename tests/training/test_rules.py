"""Metrics and optimizers of `compile`: forms that Keras takes, and what is refused."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from arl_tf.training import rules

LABELS, LOGITS = tf.constant([[1.0, 0.0]]), tf.constant([[0.2, -3.0]])


def mean_logit(labels, logits):
    return tf.reduce_mean(logits, axis=-1)


def test_one_name_or_one_metric_is_taken_without_a_list():
    assert [each.name for each in rules.task_metrics("accuracy", "binary")] == ["accuracy"]
    metric = keras.metrics.MeanSquaredError()
    assert rules.task_metrics(metric, "binary") == [metric]
    assert rules.task_metrics(None, "binary") == []


def test_a_function_becomes_a_mean_of_its_name():
    for given in (mean_logit, [mean_logit]):
        (metric,) = rules.task_metrics(given, "binary")
        assert metric.name == "mean_logit"
        metric.update_state(LABELS, LOGITS)
        metric.update_state(LABELS, LOGITS + 2)
        np.testing.assert_allclose(metric.result(), -0.4, rtol=1e-5)


def test_the_function_of_binary_accuracy_decides_at_0():
    (metric,) = rules.task_metrics([keras.metrics.binary_accuracy], "binary")
    metric.update_state(LABELS, LOGITS)
    assert float(metric.result()) == 1.0


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ({"a": "accuracy"}, "metrics must be a list.* got a dict"),
        ([None], "metrics must be names, .* got None"),
        ([keras.metrics.binary_crossentropy], "from_logits=True"),
        (["accuracy", "acc"], "has a value 'accuracy' already"),
        ([keras.metrics.Mean(name="task_loss")], "has a value 'task_loss' already"),
        ([keras.metrics.Mean(name="critic_loss")], "has a value 'critic_loss' already"),
    ],
)
def test_metrics_that_would_be_misread_are_refused(metrics, message):
    with pytest.raises(ValueError, match=message):
        rules.task_metrics(metrics, "binary")


def test_one_optimizer_for_both_sides_is_refused():
    both = keras.optimizers.SGD(0.1)
    with pytest.raises(ValueError, match="are the same object"):
        rules.optimizers(None, both, both)
