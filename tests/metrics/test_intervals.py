"""Intervals of maxima and tails: hand-worked cases, and the coverage they claim."""

import numpy as np
import pytest

from arl_tf.metrics import intervals, measures


def rng(seed=0):
    return np.random.default_rng(seed)


def test_interval_of_one_value_is_its_own_symmetric_one():
    resampled = rng().normal(0.5, 0.1, (4000, 1))
    low, high = intervals.simultaneous_interval(np.array([0.5]), resampled)
    assert (low + high) / 2 == pytest.approx(0.5)
    assert high - 0.5 == pytest.approx(1.96 * 0.1, rel=0.05)


def test_interval_of_a_maximum_is_wider_than_that_of_one_of_its_members():
    resampled = rng().normal(0.5, 0.1, (4000, 10))
    alone = intervals.simultaneous_interval(np.full(1, 0.5), resampled[:, :1])
    of_ten = intervals.simultaneous_interval(np.full(10, 0.5), resampled)
    assert of_ten[1] - of_ten[0] > 1.3 * (alone[1] - alone[0])


def test_values_that_never_vary_have_an_interval_of_no_width():
    found = intervals.simultaneous_interval(np.array([0.0, 0.25]), np.full((50, 2), [0.0, 0.25]))
    assert found == (0.25, 0.25)


def test_resamples_with_an_undefined_value_are_left_out():
    resampled = rng().normal(0.5, 0.1, (500, 2))
    holes = np.concatenate([resampled, np.full((20, 2), np.nan)])
    values = np.array([0.5, 0.5])
    assert intervals.simultaneous_interval(values, holes) == intervals.simultaneous_interval(
        values, resampled
    )


def maximum_trial(trial, attackers=8, people=60):
    """Whether the interval, and a naive one of the worst alone, cover the true maximum, 0."""
    values = rng([trial, 1]).normal(0, 1, (people, attackers))
    means = values.mean(axis=0)
    weights = measures.identity_weights(np.arange(people), 200, seed=trial)
    resampled = np.stack([measures.weighted_means(column, weights) for column in values.T], axis=1)
    low, high = intervals.simultaneous_interval(means, resampled)
    naive_low, naive_high = measures.interval(resampled[:, means.argmax()])
    return low <= 0 <= high, naive_low <= 0 <= naive_high


def test_interval_of_the_worst_of_equal_attackers_covers_the_truth_and_a_naive_one_does_not():
    covered, naive = np.array([maximum_trial(trial) for trial in range(300)]).mean(axis=0)
    # Three standard deviations of 300 trials at .95 are .038; few people cost the bootstrap ~.015.
    assert covered > 0.95 - 0.015 - 0.038
    assert naive < 0.9


@pytest.mark.parametrize(("count", "size"), [(1, 1), (100, 1), (101, 2), (1351, 14)])
def test_tail_is_a_hundredth_of_the_images_and_one_at_least(count, size):
    assert intervals.tail_size(count) == size


def test_tail_mean_by_hand():
    values = np.concatenate([np.zeros(198), [0.5, 0.9]])
    assert intervals.tail_mean(values) == pytest.approx(0.7)


def test_tail_of_a_resample_is_that_of_the_repeated_images():
    values, weights = rng().random(150), rng(1).integers(0, 4, (6, 150)).astype(float)
    expected = [intervals.tail_mean(values.repeat(row.astype(int))) for row in weights]
    np.testing.assert_allclose(intervals.resampled_tail_means(values, weights), expected)
