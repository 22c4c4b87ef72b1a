"""Losses: hand-computed values, bounds, and where gradients vanish."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from arl_tf.models import losses

PIXEL, PERCEPTUAL = tf.constant(0.3), tf.constant(2.0)


def objective(form, **settings):
    defaults = {"lambda_pixel": 1.0, "lambda_perceptual": 1.0}
    return losses.PrivacyObjective(form, **(defaults | settings))


def gradient(function, value):
    """Derivative of a function of a scalar at `value`."""
    point = tf.constant(value)
    with tf.GradientTape() as tape:
        tape.watch(point)
        result = function(point)
    return float(tape.gradient(result, point))


@pytest.mark.parametrize("attributes", [np.zeros((4, 3)), np.ones((4, 3))])
def test_task_loss_of_zero_logits_is_log_two(attributes):
    loss = losses.task_loss(tf.zeros((4, 3)), tf.constant(attributes, tf.float32))
    assert float(loss) == pytest.approx(math.log(2))


def test_task_loss_by_hand():
    logits = tf.constant([[math.log(3.0), -math.log(4.0)]])
    loss = losses.task_loss(logits, tf.constant([[1.0, 1.0]]))
    # Probabilities 3/4 and 1/5 of what is true.
    assert float(loss) == pytest.approx((math.log(4 / 3) + math.log(5)) / 2, rel=1e-6)


def test_task_loss_of_certain_and_right_logits_is_zero():
    attributes = tf.constant([[1.0, 0.0]])
    assert float(losses.task_loss(200 * attributes - 100, attributes)) == pytest.approx(0)


def test_pixel_loss_by_hand():
    image = np.zeros((1, 2, 2, 3), np.float32)
    reconstruction = image.copy()
    reconstruction[0, 0, 0] = [1.0, 0.5, 0.0]
    assert float(losses.pixel_loss(reconstruction, image)) == pytest.approx(1.25 / 12)


def test_pixel_loss_lies_between_zero_and_one():
    black, white = tf.zeros((2, 4, 4, 3)), tf.ones((2, 4, 4, 3))
    assert float(losses.pixel_loss(white, white)) == 0
    assert float(losses.pixel_loss(black, white)) == 1


def test_pixel_loss_to_one_image_is_that_to_its_copies():
    images = np.random.default_rng(0).random((3, 4, 4, 3), np.float32)
    mean = images.mean(axis=0, keepdims=True)
    to_one = losses.pixel_loss(images, mean)
    assert float(to_one) == pytest.approx(float(losses.pixel_loss(images, mean.repeat(3, axis=0))))


def test_perceptual_loss_by_hand():
    # Layer one: two positions, squared distances 2 and 0. Layer two: one position, distance 0.4.
    one = tf.constant([[[[1.0, 0.0], [1.0, 0.0]]]])
    other = tf.constant([[[[0.0, 1.0], [1.0, 0.0]]]])
    second = tf.constant([[[[0.6, 0.8]]]])
    second_other = tf.constant([[[[0.8, 0.6]]]])
    loss = losses.perceptual_loss([one, second], [other, second_other])
    assert float(loss) == pytest.approx((2 + 0) / 2 + 0.08, rel=1e-6)


def unit_features(seed, layers=3):
    rng = np.random.default_rng(seed)
    features = [rng.normal(size=(2, 4, 4, 8)).astype(np.float32) for _ in range(layers)]
    return [tf.constant(f / np.linalg.norm(f, axis=-1, keepdims=True)) for f in features]


def test_perceptual_loss_of_opposite_unit_features_is_four_for_each_layer():
    features = unit_features(0)
    opposite = [-feature for feature in features]
    assert float(losses.perceptual_loss(features, opposite)) == pytest.approx(12, rel=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_perceptual_loss_of_unit_features_lies_within_its_bound(seed):
    loss = float(losses.perceptual_loss(unit_features(seed), unit_features(seed + 100)))
    assert 0 < loss < 12
    assert float(losses.perceptual_loss(unit_features(seed), unit_features(seed))) == 0


def test_perceptual_loss_refuses_different_numbers_of_layers():
    with pytest.raises(ValueError, match="shorter"):
        losses.perceptual_loss(unit_features(0, layers=2), unit_features(0, layers=1))


def test_negative_is_minus_the_distance():
    assert float(losses.negative(PIXEL, 0.1)) == pytest.approx(-0.3)
    assert gradient(lambda distance: losses.negative(distance, 0.1), 5.0) == -1


def test_hinge_equals_the_negative_before_its_margin():
    assert float(losses.hinge(PIXEL, 0.4)) == float(losses.negative(PIXEL, 0.4))
    assert gradient(lambda distance: losses.hinge(distance, 0.4), 0.3) == -1


def test_hinge_has_no_gradient_beyond_its_margin():
    assert float(losses.hinge(PIXEL, 0.1)) == pytest.approx(-0.1)
    assert gradient(lambda distance: losses.hinge(distance, 0.1), 0.3) == 0


def test_toward_mean_is_zero_at_the_mean_image_and_grows_with_the_distance():
    mean = tf.fill((1, 4, 4, 3), 0.4)
    reconstruction = tf.repeat(mean, 3, axis=0)
    features = unit_features(0)
    pixel = losses.pixel_loss(reconstruction, mean)
    perceptual = losses.perceptual_loss(features, features)
    assert float(objective("toward_mean").loss(pixel, perceptual)) == 0
    assert gradient(lambda distance: losses.toward_target(distance, 0.0), 0.3) == 1


@pytest.mark.parametrize("form", sorted(losses.FORMS))
def test_weights_act_linearly(form):
    margins = {"margin_pixel": 0.2, "margin_perceptual": 3.0}

    def loss(pixel, perceptual):
        weighted = objective(form, lambda_pixel=pixel, lambda_perceptual=perceptual, **margins)
        return float(weighted.loss(PIXEL, PERCEPTUAL))

    assert loss(0.0, 0.0) == 0
    assert loss(2.0, 0.0) == pytest.approx(2 * loss(1.0, 0.0))
    assert loss(0.5, 3.0) == pytest.approx(0.5 * loss(1.0, 0.0) + 3 * loss(0.0, 1.0))
    assert loss(1.0, 0.0) != 0 and loss(0.0, 1.0) != 0


def test_each_distance_has_its_own_margin():
    hinged = objective("hinge", margin_pixel=0.1, margin_perceptual=1.5)
    assert float(hinged.loss(PIXEL, PERCEPTUAL)) == pytest.approx(-0.1 - 1.5)
    assert float(hinged.loss(tf.constant(0.05), tf.constant(1.0))) == pytest.approx(-0.05 - 1)


def test_unknown_form_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"toward_mean, toward_task; got 'positive'"):
        objective("positive")


@pytest.mark.parametrize("kind", ["pixel", "perceptual"])
def test_hinge_that_rewards_nothing_is_refused(kind):
    margins = {"margin_pixel": 0.1, "margin_perceptual": 1.5, f"margin_{kind}": 0.0}
    with pytest.raises(ValueError, match=rf"lambda_{kind}=1.0 and margin_{kind}=0 rewards nothing"):
        objective("hinge", **{f"lambda_{kind}": 1.0}, **margins)
    objective("hinge", **{f"lambda_{kind}": 0.0}, **margins)
    objective("negative", **margins)


def test_balanced_loss_is_the_weighted_mean_of_what_the_labels_cost():
    # Attribute 0: one positive of four; attribute 1: three.
    labels = np.array([[1, 1], [0, 1], [0, 1], [0, 0]])
    loss = losses.BalancedBinary.of_labels(labels)
    assert loss.positive == pytest.approx([4 / 2, 4 / 6])
    assert loss.negative == pytest.approx([4 / 6, 4 / 2])
    logits = np.log(np.array([[3.0, 1.0], [1.0, 1.0], [3.0, 1.0], [1.0, 7.0]]))
    # Costs: log(1 + e^-z) = log 4/3 for a positive at log 3; log(1 + e^z) = log 8 for a negative
    # at log 7; log 2 at 0 and log 4 for a negative at log 3.
    first = 2 * np.log(4 / 3) + 2 / 3 * (np.log(2) + np.log(4) + np.log(2))
    second = 2 / 3 * 3 * np.log(2) + 2 * np.log(8)
    found = losses.named_task_loss(loss)(tf.constant(logits, tf.float32), tf.constant(labels))
    assert float(found) == pytest.approx((first + second) / 8, rel=1e-5)


def test_balanced_loss_of_balanced_labels_is_the_plain_one():
    rng = np.random.default_rng(0)
    labels = np.stack([np.arange(8) % 2, np.arange(8) < 4], axis=1).astype(np.float32)
    logits = tf.constant(rng.normal(size=(8, 2)), tf.float32)
    balanced = losses.named_task_loss(losses.BalancedBinary.of_labels(labels))
    plain = losses.named_task_loss("binary")
    assert float(balanced(logits, labels)) == pytest.approx(float(plain(logits, labels)), rel=1e-6)


def test_attribute_that_nobody_has_keeps_finite_weights():
    loss = losses.BalancedBinary.of_labels(np.zeros((10, 1)))
    assert (loss.positive, loss.negative) == ([5.0], [0.5])


def test_balanced_loss_survives_being_saved():
    loss = losses.BalancedBinary([2.0, 1.0], [0.5, 1.0])
    kept = keras.saving.serialize_keras_object(loss)
    again = keras.saving.deserialize_keras_object(kept)
    assert (again.positive, again.negative) == (loss.positive, loss.negative)
