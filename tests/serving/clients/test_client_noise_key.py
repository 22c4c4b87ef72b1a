"""A device's secret: made once, kept for its owner, and what its noise is like."""

import hashlib
import hmac
import stat

import numpy as np
import pytest

from serving.device import noise_key

IMAGE = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)


def test_key_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "key"
    key = noise_key.read_or_make_key(path)
    assert len(key) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert noise_key.read_or_make_key(path) == key
    assert noise_key.read_or_make_key(tmp_path / "other") != key


def test_of_two_processes_that_make_a_key_the_first_one_s_stays(tmp_path):
    path = tmp_path / "key"
    noise_key.make_key(path)
    first = path.read_bytes()
    noise_key.make_key(path)
    assert path.read_bytes() == first
    assert [file.name for file in tmp_path.iterdir()] == ["key"]


def test_file_that_holds_no_key_is_refused_and_left_as_it_is(tmp_path):
    path = tmp_path / "key"
    path.write_text("hello")
    with pytest.raises(ValueError, match="key holds 5 bytes; expected a secret of 32"):
        noise_key.read_or_make_key(path)
    assert path.read_text() == "hello"


def test_noise_is_standard_normal_and_seeded_with_the_keyed_hash_of_encoder_and_pixels():
    found = noise_key.keyed_noise(b"k" * 32, b"e" * 32, IMAGE, (100, 200))
    assert found.dtype == np.float32
    # 20,000 values: the mean's deviation is 0.007, the deviation's own 0.005.
    assert abs(found.mean()) < 0.03
    assert found.std() == pytest.approx(1, abs=0.02)
    message = b"e" * 32 + bytes(range(12))
    seed = int.from_bytes(hmac.new(b"k" * 32, message, hashlib.sha256).digest(), "big")
    expected = np.random.default_rng(seed).standard_normal((100, 200), np.float32)
    np.testing.assert_array_equal(found, expected)


def test_noise_does_not_depend_on_how_the_pixels_lie_in_memory():
    strided = np.repeat(IMAGE, 2, axis=1)[:, ::2]
    assert not strided.flags.c_contiguous
    key = bytes(32)
    np.testing.assert_array_equal(
        noise_key.keyed_noise(key, key, strided, (3,)),
        noise_key.keyed_noise(key, key, IMAGE, (3,)),
    )


def test_another_encoder_gets_noise_of_its_own_or_two_codes_would_cancel_it():
    key = bytes(32)
    one, other = (
        noise_key.keyed_noise(key, bytes([digit]) * 32, IMAGE, (10_000,)) for digit in (1, 2)
    )
    # Independent: the deviation of a correlation of 10,000 is 0.01.
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.06
