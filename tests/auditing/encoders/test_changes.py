"""Which differences between two answers are noise of an encoder, and which are rounding errors."""

import numpy as np

from arl_tf.auditing.encoders.changes import has_changed


def answers(change):
    """Two answers [8, 5] of codes whose last value is nearly 0; they differ there by `change`."""
    rng = np.random.default_rng(0)
    first = (rng.normal(size=(8, 5)) * [1, 1, 1, 1, 1e-9]).astype(np.float32)
    second = first.copy()
    second[:, 4] += np.float32(change) * rng.choice([-1, 1], 8)
    return first, second


def test_rounding_errors_of_a_value_near_zero_are_no_noise():
    # Large terms that cancel leave errors of float32 in their own size.
    assert not has_changed(*answers(2e-7))


def test_noise_of_such_a_value_is_seen():
    assert has_changed(*answers(1e-3))


def test_the_same_codes_have_not_changed():
    assert not has_changed(*answers(0))
    assert not has_changed(np.zeros((8, 2), np.float32), np.zeros((8, 2), np.float32))
