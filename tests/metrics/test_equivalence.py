"""Measures of how near an exported model comes to its Keras model."""

import math

import numpy as np
import pytest

from arl_tf.metrics import equivalence


def test_relative_error_is_the_differences_norm_over_the_expecteds():
    expected = np.array([[3.0, 4.0]], np.float32)
    assert equivalence.relative_error(expected * 1.1, expected) == pytest.approx(0.1)
    assert equivalence.relative_error(expected, expected) == 0
    assert equivalence.relative_error(1000 * expected + 1000, 1000 * expected) == pytest.approx(
        math.sqrt(2) / 5, rel=1e-6
    )


def test_largest_error_is_relative_to_the_largest_expected_value():
    expected = np.array([[1.0, -4.0]], np.float32)
    assert equivalence.largest_error(np.array([[1.1, -4.0]]), expected) == pytest.approx(0.025)


@pytest.mark.parametrize("measure", [equivalence.relative_error, equivalence.largest_error])
@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_values_that_are_not_finite_pass_no_bound(measure, wrong):
    assert not measure(np.array([[wrong, 1.0]]), np.ones((1, 2), np.float32)) <= 1e30


def test_any_difference_to_a_code_of_zeros_is_infinitely_large():
    assert equivalence.relative_error(np.full((1, 2), 1e-3), np.zeros((1, 2), np.float32)) > 1e30


def test_cosine_is_each_rows_own():
    found = np.array([[[1.0, 0.0]], [[1.0, 1.0]], [[0.0, 0.0]], [[2.0, 0.0]]])
    expected = np.array([[[2.0, 0.0]], [[1.0, 0.0]], [[1.0, 0.0]], [[-1.0, 0.0]]])
    np.testing.assert_allclose(equivalence.cosines(found, expected), [1, math.sqrt(0.5), 0, -1])


def test_equal_share_counts_values_on_the_very_level():
    expected = np.array([[-1.0, 1.0, 1.0, 1.0]], np.float32)
    found = np.array([[-1.0, 1.0 + 1e-6, -1.0, np.nan]])
    assert equivalence.equal_share(found, expected) == 0.5
