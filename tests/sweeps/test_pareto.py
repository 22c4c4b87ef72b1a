"""Fronts and hypervolumes, by hand."""

import itertools

import numpy as np
import pytest

from arl_tf.experiments.sweeps import pareto

# (utility, leakage): A and B are on the front, C is beaten by A, D equals B in leakage alone.
UTILITY = np.array([0.6, 0.4, 0.5, 0.3])
LEAKAGE = np.array([0.5, 0.2, 0.7, 0.2])
WORST = (0.0, 1.0)


def test_front_holds_the_points_that_no_other_beats():
    np.testing.assert_array_equal(pareto.front(UTILITY, LEAKAGE), [True, True, False, False])


def test_equal_points_stand_on_the_front_together():
    both = pareto.front(np.array([0.4, 0.4, 0.3]), np.array([0.2, 0.2, 0.3]))
    np.testing.assert_array_equal(both, [True, True, False])


def test_no_points_have_an_empty_front_and_no_hypervolume():
    nothing = np.zeros(0)
    assert pareto.front(nothing, nothing).shape == (0,)
    assert pareto.hypervolume(nothing, nothing, WORST) == 0


def test_domination_needs_one_better_figure_and_no_worse_one():
    found = pareto.dominates(UTILITY, LEAKAGE, np.array([0.5, 0.6]), np.array([0.6, 0.5]))
    np.testing.assert_array_equal(found, [[True, False], [False, False]] + 2 * [[False, False]])


def test_intervals_that_overlap_leave_it_open_who_is_beaten():
    utility = np.array([[0.55, 0.65], [0.50, 0.60], [0.30, 0.40]])
    leakage = np.array([[0.40, 0.50], [0.50, 0.60], [0.60, 0.70]])
    # By values the first beats both; at its worst (0.55, 0.5) it beats the third's best alone.
    np.testing.assert_array_equal(
        pareto.front(utility.mean(1), leakage.mean(1)), [True, False, False]
    )
    np.testing.assert_array_equal(pareto.surely_dominated(utility, leakage), [False, False, True])


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_hypervolume_of_two_steps_is_the_area_below_them_in_any_order(order):
    order = list(order)
    # A covers 0.6 * (1 - 0.5); B adds 0.4 * (0.5 - 0.2); C and D add nothing.
    assert pareto.hypervolume(UTILITY[order], LEAKAGE[order], WORST) == pytest.approx(0.3 + 0.12)


def test_hypervolume_counts_from_the_reference():
    one = pareto.hypervolume(np.array([0.6]), np.array([0.5]), (0.2, 0.9))
    assert one == pytest.approx(0.4 * 0.4)


def test_points_no_better_than_the_reference_add_nothing():
    utility, leakage = np.array([0.6, -0.1, 0.0]), np.array([1.0, 0.1, 0.1])
    assert pareto.hypervolume(utility, leakage, WORST) == 0


def test_leakage_below_zero_counts_for_more_than_zero():
    assert pareto.hypervolume(np.array([0.5]), np.array([-0.2]), WORST) == pytest.approx(0.6)


def test_hypervolume_agrees_with_counting_cells():
    random = np.random.default_rng(0)
    utility, leakage = random.integers(0, 20, (2, 30)) / 20
    centres = (np.arange(20) + 0.5) / 20
    covered = (utility[:, None, None] > centres[:, None]) & (leakage[:, None, None] < centres)
    expected = covered.any(axis=0).mean()
    assert pareto.hypervolume(utility, leakage, WORST) == pytest.approx(expected)


def test_bounds_are_the_hypervolumes_of_worst_and_best_ends():
    utility, leakage = np.array([[0.4, 0.6]]), np.array([[0.3, 0.5]])
    low, high = pareto.hypervolume_bounds(utility, leakage, WORST)
    assert (low, high) == pytest.approx((0.4 * 0.5, 0.6 * 0.7))
