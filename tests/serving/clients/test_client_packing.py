"""Packed codes: hand-computed bytes, round trips, what is refused."""

import numpy as np
import pytest

from serving.device import packing


def test_two_levels_take_a_bit_a_value_the_first_value_highest():
    codes = np.array([[-1, 1, 1, -1, 1, -1, -1, -1, 1]], np.float32)
    assert packing.pack(codes, 2, 1.0) == bytes([0b01101000, 0b10000000])


def test_two_levels_are_numpys_packbits():
    signs = np.random.default_rng(0).choice([-1, 1], (5, 4, 4, 8)).astype(np.float32)
    expected = np.packbits(signs.reshape(5, -1) > 0, axis=1).tobytes()
    assert packing.pack(signs, 2, 1.0) == expected


def test_five_levels_take_three_bits():
    # Levels -2, -1, 0, 1, 2 are 000, 001, 010, 011, 100.
    codes = np.array([[2, -1, 0]], np.float32)
    assert packing.pack(codes, 5, 2.0) == bytes([0b10000101, 0b00000000])


def test_each_code_begins_at_a_whole_byte():
    codes = np.array([[1, 1, 1], [-1, -1, 1]], np.float32)
    assert packing.pack(codes, 2, 1.0) == bytes([0b11100000, 0b00100000])


@pytest.mark.parametrize("levels", [2, 3, 4, 5, 16, 17, 255, 256, 257, 65536])
def test_round_trip_gives_the_levels_back(levels):
    outer = 1.5
    rng = np.random.default_rng(levels)
    numbers = rng.integers(0, levels, (7, 3, 5))
    numbers[0, 0, :2] = 0, levels - 1
    codes = (numbers * (2 * outer / (levels - 1)) - outer).astype(np.float32)
    content = packing.pack(codes, levels, outer)
    assert len(content) == 7 * packing.packed_bytes((3, 5), levels)
    unpacked = packing.unpack(content, (3, 5), levels, outer)
    assert unpacked.dtype == np.float32
    np.testing.assert_array_equal(unpacked, codes)


@pytest.mark.parametrize(
    ("levels", "bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (256, 8), (257, 9), (65536, 16)]
)
def test_bits_are_the_logarithm_rounded_up(levels, bits):
    assert packing.bits_per_value(levels) == bits
    assert packing.packed_bytes((8, 8, 32), levels) == 256 * bits


def test_value_near_its_level_becomes_the_level():
    codes = np.array([[-1.2, 0.8, 0.1]], np.float32)
    unpacked = packing.unpack(packing.pack(codes, 3, 1.0), (3,), 3, 1.0)
    np.testing.assert_array_equal(unpacked, [[-1, 1, 0]])


@pytest.mark.parametrize("value", [0.5, 1.3, -40, np.nan, np.inf])
def test_value_that_is_no_level_is_refused(value):
    codes = np.array([[1, value, -1]], np.float32)
    with pytest.raises(ValueError, match="1 of 3 values are none of 3 levels from -1 to 1"):
        packing.pack(codes, 3, 1.0)


@pytest.mark.parametrize("levels", [-1, 0, 1, 65537])
def test_impossible_number_of_levels_is_refused(levels):
    with pytest.raises(ValueError, match=f"levels must be from 2 to 65536, got {levels}"):
        packing.pack(np.zeros((1, 1), np.float32), levels, 1.0)


@pytest.mark.parametrize("outer", [0.0, -1.0, np.nan, np.inf])
def test_impossible_range_is_refused(outer):
    with pytest.raises(ValueError, match="outer must be finite and > 0"):
        packing.pack(np.zeros((1, 1), np.float32), 2, outer)


@pytest.mark.parametrize("content", [b"", b"1", b"123"])
def test_bytes_that_are_no_whole_codes_are_refused(content):
    with pytest.raises(ValueError, match="no whole number of codes; one of shape "):
        packing.unpack(content, (9,), 2, 1.0)


def test_packed_number_beyond_the_levels_is_refused():
    with pytest.raises(ValueError, match="Level 3 was packed; expected 0 to 2"):
        packing.unpack(bytes([0b11000000]), (1,), 3, 1.0)


@pytest.mark.parametrize(("levels", "outer"), [(2, 1.0), (4, 1.5), (8, 2.0), (16, 2.5)])
def test_outermost_level_grows_by_half_a_bit(levels, outer):
    assert packing.outermost_level(levels) == outer
