"""Bits by hand: levels, noise, entropies."""

import math

import numpy as np
import pytest

from arl_tf.models import capacity


def test_two_levels_are_the_signs_and_four_end_near_the_best_quantisers():
    np.testing.assert_array_equal(capacity.code_levels(2), [-1, 1])
    np.testing.assert_allclose(capacity.code_levels(4), [-1.5, -0.5, 0.5, 1.5])
    np.testing.assert_allclose(capacity.code_levels(3)[1], 0, atol=1e-7)


def test_one_level_is_refused():
    with pytest.raises(ValueError, match="at least 2 levels, got 1"):
        capacity.code_levels(1)


@pytest.mark.parametrize(
    ("values", "levels", "bits", "size"),
    [(256, 2, 256, 32), (2048, 4, 4096, 512), (3, 2, 3, 1), (10, 3, 10 * math.log2(3), 3)],
)
def test_bits_and_bytes_of_quantised_codes(values, levels, bits, size):
    assert capacity.quantised_bits(values, levels) == pytest.approx(bits)
    assert capacity.packed_bytes(values, levels) == size


def test_a_value_with_three_times_the_noises_power_carries_one_bit():
    # 0.5 log2(1 + 3) = 1; a limit of 2 has the power 4, so the noise's must be 4/3 of the signal's.
    share = 3 / 7
    assert capacity.noisy_bits(np.array([share]), limit=2.0) == pytest.approx(1.0)
    assert capacity.noisy_bits(np.full((2, 2), share), limit=2.0) == pytest.approx(4.0)


def test_four_codes_carry_what_one_with_a_quarter_of_the_noise_does():
    share, quarter = np.array([0.3, 0.8]), np.array([0.3 / 0.475, 0.8 / 0.85])
    assert capacity.noisy_bits(share, codes=4) == pytest.approx(capacity.noisy_bits(quarter))
    signals = np.random.default_rng(2).normal(size=(50, 2))
    assert capacity.gaussian_rate_bits(signals, share, codes=4) == pytest.approx(
        capacity.gaussian_rate_bits(signals, quarter)
    )


def test_a_value_whose_noise_is_0_in_float32_carries_what_its_type_does():
    share = np.array([1.0, 3 / 7])
    assert capacity.noisy_bits(share) == pytest.approx(32 + 1)
    assert capacity.noisy_bits(share[:1], codes=4) == 4 * 32
    signals = np.array([[-1.0, 0.0], [1.0, 0.0]])
    assert capacity.gaussian_rate_bits(signals, share) == 32
    assert capacity.gaussian_rate_bits(np.ones((2, 2)), share) == 0


def test_pure_noise_carries_nothing():
    assert capacity.noisy_bits(np.zeros(5)) == 0


def test_rate_is_below_the_ceiling_for_every_signal_within_its_limit():
    rng = np.random.default_rng(0)
    share = rng.uniform(0.01, 0.99, 6)
    for signals in (np.sign(rng.normal(size=(500, 6))) * 2, rng.uniform(-2, 2, (500, 6))):
        assert capacity.gaussian_rate_bits(signals, share) <= capacity.noisy_bits(share)


def test_rate_of_a_signal_of_variance_three_beside_noise_of_variance_one_is_one_bit():
    signals = math.sqrt(3) * np.array([[-1.0], [1.0]])
    assert capacity.gaussian_rate_bits(signals, np.array([0.5])) == pytest.approx(1.0)


def test_entropy_counts_fair_bits_as_one_and_constant_ones_as_nothing():
    codes = np.array([[1, 1, -1], [1, -1, -1], [1, 1, 1], [1, -1, -1]], np.float32)
    quarter = -(0.25 * math.log2(0.25) + 0.75 * math.log2(0.75))
    assert capacity.entropy_bits(codes) == pytest.approx(0 + 1 + quarter)


def test_entropy_is_at_most_the_bits_of_the_levels():
    rng = np.random.default_rng(1)
    codes = rng.choice(capacity.code_levels(4), (300, 7))
    assert capacity.entropy_bits(codes) <= capacity.quantised_bits(7, 4)
