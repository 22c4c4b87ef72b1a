"""Degraded copies: which way they differ from the photo, and that they are the same each time."""

import numpy as np
import pytest

from arl_tf.auditing.candidates import copies

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3)).astype(np.uint8)
FLAT = np.full((1, 32, 32, 3), 100, np.uint8)


@pytest.mark.parametrize("name", copies.DEGRADATIONS)
def test_copies_are_pictures_of_the_same_size_that_differ_and_are_the_same_each_time(name):
    change, words = copies.DEGRADATIONS[name]
    changed = change(IMAGES)
    assert changed.shape == IMAGES.shape and changed.dtype == np.uint8 and words
    assert (changed != IMAGES).any()
    np.testing.assert_array_equal(change(IMAGES), changed)


def test_shift_is_by_one_pixel_of_a_small_picture_and_two_of_a_larger():
    np.testing.assert_array_equal(copies.shifted(IMAGES)[:, 1:, 1:], IMAGES[:, :-1, :-1])
    large = np.repeat(np.repeat(IMAGES, 4, axis=1), 4, axis=2)
    np.testing.assert_array_equal(copies.shifted(large)[:, 2:, 2:], large[:, :-2, :-2])


def test_brighter_is_by_a_tenth_and_stops_at_white():
    assert (copies.brighter(FLAT) == 110).all()
    assert (copies.brighter(np.full_like(FLAT, 250)) == 255).all()


def test_resizing_and_recompressing_leave_an_even_picture_nearly_as_it_is():
    for change in (copies.resized, copies.recompressed):
        assert np.abs(change(FLAT).astype(int) - 100).max() <= 1
