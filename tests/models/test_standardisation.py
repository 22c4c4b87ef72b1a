"""Codes as attackers see them: standardised whatever their scale, with their position."""

import numpy as np
import pytest

from arl_tf.models import standardisation


def codes_of(count=50, seed=0):
    return np.random.default_rng(seed).normal(2, 3, (count, 4, 4, 5)).astype(np.float32)


def test_every_channel_is_standardised_by_the_public_codes():
    codes = codes_of() * [1, 10, 0.1, 5, 2] + [0, -3, 7, 100, 1]
    scaled = standardisation.code_scale(codes)(codes)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, atol=1e-5)
    other = codes_of(seed=1).astype(np.float64)
    expected = (other - codes.mean(axis=(0, 1, 2))) / codes.std(axis=(0, 1, 2))
    np.testing.assert_allclose(standardisation.code_scale(codes)(other), expected, atol=1e-4)


@pytest.mark.parametrize("factor", [1e-9, 1e-4, 1e6])
def test_small_or_large_codes_are_no_protection(factor):
    codes = codes_of()
    scaled = standardisation.code_scale(codes * np.float32(factor))(codes * np.float32(factor))
    np.testing.assert_allclose(scaled, standardisation.code_scale(codes)(codes), atol=1e-4)


def test_constant_channel_stays_constant_and_is_not_blown_up():
    codes = np.full((20_000, 4, 4, 2), 3.3, np.float32)
    scale = standardisation.code_scale(codes)
    np.testing.assert_allclose(scale(codes[:2]), 0, atol=1e-5)
    # A target's last bit differs: still nothing.
    np.testing.assert_allclose(scale(np.nextafter(codes[:2], np.float32(4))), 0, atol=1e-5)


def test_rounding_of_a_large_constant_is_not_blown_up():
    codes = np.full((1000, 2), 1000.0, np.float32)
    codes[::50] = np.nextafter(codes[::50], np.float32(2000))
    assert np.abs(standardisation.code_scale(codes)(codes)).max() < 1e-3


def test_position_of_a_grids_code_is_appended():
    codes = codes_of(count=3)[:, :3, :3]
    placed = standardisation.with_position(codes)
    np.testing.assert_array_equal(placed[..., :5], codes)
    for place in placed:
        np.testing.assert_array_equal(place[..., 5], [[-1] * 3, [0] * 3, [1] * 3])
        np.testing.assert_array_equal(place[..., 6], [[-1, 0, 1]] * 3)
    assert placed.dtype == np.float32


def test_one_is_appended_to_a_vector():
    codes = codes_of()[:, 0, 0]
    np.testing.assert_array_equal(
        standardisation.with_position(codes), np.concatenate([codes, np.ones((50, 1))], axis=1)
    )
