"""The linear adversary's share: closed forms, what costs nothing, its gradient, its memory."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_learner import batch, build_learner

from arl_tf.defences import linear_adversary, registry
from arl_tf.defences.adversaries import moments
from arl_tf.defences.adversaries.moments import Moments, Rows
from arl_tf.training import phases

COUNT = 4000
# Keras 3.15 converts variables with np.array, of which NumPy 2.4 complains when weights are saved.
SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def rows(condition, codes, targets):
    ones = np.ones((len(codes), 1))
    joined = (np.concatenate([ones, condition], axis=1), codes, targets)
    return Rows(*(tf.constant(each, tf.float32) for each in joined))


def learned(given, noisy=True):
    memory = Moments(given.widths, noisy)
    memory.take(given)
    return memory


def share(memory, given):
    return float(moments.share(*moments.explained(memory.maps(), given)))


def gaussian(count=COUNT, seed=0):
    """Conditions [n, 2], codes [n, 3] that tell part of them, and targets [n, 2] of both."""
    rng = np.random.default_rng(seed)
    condition, hidden = rng.normal(size=(count, 2)), rng.normal(size=(count, 3))
    codes = 1.5 * hidden + condition @ rng.normal(size=(2, 3)) + 0.3
    targets = hidden @ rng.normal(size=(3, 2)) + condition @ rng.normal(size=(2, 2)) - 1
    return condition, codes, targets


def test_the_share_of_gaussian_codes_is_the_closed_form():
    # Codes 2 h + noise of variance 1, targets h: the filter explains 4 / (4 + 1) of the variance.
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(COUNT, 3))
    given = rows(rng.normal(size=(COUNT, 1)), 2 * hidden, hidden)
    assert share(learned(given), given) == pytest.approx(0.8, abs=0.01)


def test_the_share_is_that_of_a_regression_on_noisy_codes_and_condition():
    condition, codes, targets = gaussian(200_000)
    noisy = codes + np.random.default_rng(1).normal(size=codes.shape)
    known = np.concatenate([np.ones((len(codes), 1)), condition], axis=1)
    left = [
        np.square(targets - inputs @ np.linalg.lstsq(inputs, targets, rcond=None)[0]).sum()
        for inputs in (known, np.concatenate([known, noisy], axis=1))
    ]
    given = rows(condition, codes, targets)
    assert share(learned(given), given) == pytest.approx(1 - left[1] / left[0], abs=0.01)


def test_codes_that_tell_only_the_task_output_or_nothing_cost_nothing():
    condition, codes, targets = gaussian()
    told = condition @ np.array([[1.0, 2, 0], [0, 1, -3]])
    given = rows(condition, told, targets)
    assert share(learned(given), given) == pytest.approx(0, abs=1e-4)
    independent = rows(condition, np.random.default_rng(5).normal(size=codes.shape), targets)
    assert share(learned(independent), independent) == pytest.approx(0, abs=0.005)


def test_new_codes_are_not_explained_by_what_was_fitted_to_others():
    # Many values and few rows: a fit in sample would explain much of targets that are noise.
    rng = np.random.default_rng(3)
    first, second = (
        rows(rng.normal(size=(40, 1)), rng.normal(size=(40, 60)), rng.normal(size=(40, 2)))
        for _ in range(2)
    )
    memory = learned(first)
    assert share(memory, first) > 0.5
    assert share(memory, second) < 0.2


def test_codes_of_the_other_sign_are_explained_as_well_and_the_map_s_own_scale_is_the_best():
    condition, codes, targets = gaussian()
    # Without a condition beside the mean, turning the codes turns the guess alone.
    alone = rows(np.zeros_like(condition), codes - codes.mean(axis=0), targets)
    memory = learned(alone)
    turned = rows(np.zeros_like(condition), codes.mean(axis=0) - codes, targets)
    assert share(memory, turned) == pytest.approx(share(memory, alone), rel=1e-3)
    maps = memory.maps()
    guess = tf.matmul(alone.codes - tf.matmul(alone.condition, maps.codes), maps.rest)
    left = alone.targets - tf.matmul(alone.condition, maps.targets) - guess
    noise = tf.reduce_sum(tf.square(maps.rest), axis=0)
    wrong = tf.reduce_mean(tf.square(left), axis=0) + noise
    found, variance = moments.explained(maps, alone)
    np.testing.assert_allclose(found, variance - wrong, rtol=1e-3)


def test_the_gradient_with_the_map_held_is_that_of_the_minimum():
    condition, codes, targets = gaussian(50)
    given = rows(condition, codes, targets)
    memory = learned(given)
    with tf.GradientTape() as tape:
        tape.watch(given.codes)
        found = moments.share(*moments.explained(memory.maps(), given))
    gradient = tape.gradient(found, given.codes).numpy()
    direction = np.random.default_rng(2).normal(size=codes.shape)
    shares = []
    for move in (1e-2, -1e-2):
        moved = rows(condition, codes + move * direction, targets)
        # Solved anew for the moved codes.
        shares.append(share(learned(moved), moved))
    assert (shares[0] - shares[1]) / 2e-2 == pytest.approx((gradient * direction).sum(), rel=0.01)


def test_moments_are_means_at_first_and_forget_later():
    parts = [rows(*gaussian(8, seed)) for seed in range(3)]
    memory = Moments(parts[0].widths, True)
    products = []
    for each in parts:
        memory.take(each)
        joined = np.concatenate([each.condition, each.codes, each.targets], axis=1)
        products.append(joined.T @ joined / 8)
    np.testing.assert_allclose(memory.products, np.mean(products, axis=0), rtol=1e-5, atol=1e-6)
    memory.steps.assign(1000)
    before = memory.products.numpy()
    memory.take(parts[0])
    kept = moments.MEMORY
    expected = kept * before + (1 - kept) * products[0]
    np.testing.assert_allclose(memory.products, expected, rtol=1e-5, atol=1e-6)


def test_without_noise_a_share_of_the_variance_is_taken_for_it():
    rng = np.random.default_rng(0)
    hidden = 3 * rng.normal(size=(COUNT, 2))
    given = rows(rng.normal(size=(COUNT, 1)), hidden, hidden)
    expected = 1 / (1 + moments.UNKNOWN_NOISE)
    assert share(learned(given, noisy=False), given) == pytest.approx(expected, abs=0.01)


def test_long_codes_are_refused():
    with pytest.raises(ValueError, match="at most 8,192 values, got 8,193"):
        Moments([3, 8193, 5], True)


def test_code_of_96_pixel_images_is_not_too_long():
    # 12 x 12 x 32, by the default cut and width.
    memory = Moments([3, 4608, 5], True)
    assert memory.products.shape == (4616, 4616)


def test_cosine_components_are_orthonormal_and_begin_with_the_mean():
    found = linear_adversary.cosine_components(16)
    np.testing.assert_allclose(found @ found.T, np.eye(8), atol=1e-6)
    np.testing.assert_allclose(found[0], 0.25, rtol=1e-6)
    # By hand: row 1 of the orthonormal transform of 2 places is (1, -1) / sqrt(2).
    small = linear_adversary.cosine_components(2)
    np.testing.assert_allclose(small, np.array([[1, 1], [1, -1]]) / np.sqrt(2), atol=1e-6)


@pytest.mark.slow
def test_steps_against_the_share_take_the_target_out_of_the_code_and_leave_the_rest():
    rng = np.random.default_rng(7)
    told, other = tf.Variable([[1.0, 0.5]]), tf.Variable([[0.5, -1.0]])
    memory = Moments([2, 2, 1], True)
    before = other.numpy()
    for _ in range(120):
        hidden, noise, condition = (rng.normal(size=(64, 1)).astype(np.float32) for _ in range(3))
        with tf.GradientTape() as tape:
            given = rows(condition, hidden * told + noise * other, hidden)
            loss = moments.share(*moments.explained(memory.maps(), given))
        for variable, gradient in zip(
            (told, other), tape.gradient(loss, (told, other)), strict=True
        ):
            variable.assign_sub(0.1 * gradient)
        memory.take(given)
    # What is left of the target is in the direction that the rest of the code drowns.
    assert share(learned(given), given) < 0.05
    assert float(tf.norm(other)) > 0.8 * np.linalg.norm(before)


@pytest.mark.slow
def test_the_memory_learns_in_the_warm_up_and_the_encoder_is_charged_after_it():
    learner = build_learner(registry.choice_of("linear_adversary"), phase=phases.TASK)
    assert float(learner.train_step(batch())["privacy_loss"]) == 0
    assert float(learner.defence_memory.steps) == 1
    learner.phase = phases.DEFENCE
    # The same images once more: they are what the memory holds.
    assert float(learner.train_step(batch())["privacy_loss"]) > 0.05


@pytest.mark.slow
@SAVES
def test_the_memory_is_saved_with_the_learner_and_not_with_the_encoder(tmp_path):
    learner = build_learner(registry.choice_of("linear_adversary"))
    learner.train_step(batch())
    learner.save_weights(tmp_path / "learner.weights.h5")
    other = build_learner(registry.choice_of("linear_adversary"))
    assert float(other.defence_memory.steps) == 0
    other.load_weights(tmp_path / "learner.weights.h5")
    np.testing.assert_array_equal(other.defence_memory.products, learner.defence_memory.products)
    assert float(other.defence_memory.steps) == 1
    plain = build_learner(registry.choice_of("nopeek")).encoder
    assert len(learner.encoder.weights) == len(plain.weights)


def test_a_next_phase_keeps_the_memory():
    learner = build_learner(registry.choice_of("linear_adversary"))
    before = learner.defence_memory
    learner.compile(
        keras.optimizers.SGD(0.05),
        privacy=None,
        phase=phases.DEFENCE,
        defence=registry.choice_of("linear_adversary"),
    )
    assert learner.defence_memory is before
