"""What networks see of noisy codes, by values whose signal and noise are known."""

import dataclasses
import itertools

import numpy as np
import pytest

from arl_tf.attacks import noise_views
from arl_tf.attacks.evidence import CodeNoise, PublicPairs
from arl_tf.models.standardisation import standardisation

COUNT = 4000
SIGNAL = np.array([2.0, 1.0, 0.0], np.float32)
DEVIATION = np.array([1.0, 3.0, 1.0], np.float32)
RNG = np.random.default_rng(0)
MEANS = (5 + SIGNAL * RNG.standard_normal((COUNT, 3))).astype(np.float32)
IMAGES = np.zeros((COUNT, 2, 2, 3), np.uint8)


def noisy(means):
    return means + DEVIATION * RNG.standard_normal(means.shape).astype(np.float32)


PAIRS = PublicPairs(noisy(MEANS), IMAGES, noisy(MEANS[:9]), IMAGES[:9])
KNOWN = CodeNoise(DEVIATION, MEANS)
ASKED = CodeNoise(DEVIATION, (noisy(MEANS) + noisy(MEANS)) / 2, answers=2, remaining=0.5)


@pytest.mark.parametrize("noise", [KNOWN, ASKED])
def test_signal_variance_leaves_out_the_noise_that_means_still_carry(noise):
    found = noise_views.signal_variance(noise)
    np.testing.assert_allclose(found, np.square(SIGNAL), atol=0.5)
    assert noise_views.signal_to_noise(noise) == pytest.approx((4 + 1 / 9) / 3, rel=0.1)


def test_each_value_is_seen_with_the_variance_of_its_signal_s_share():
    seen = noise_views.seen_codes(PAIRS, KNOWN)(PAIRS.codes)
    np.testing.assert_allclose(seen.var(axis=0), [4 / 5, 1 / 10, 0], atol=0.06)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=0.06)


def test_without_noise_codes_are_standardised():
    np.testing.assert_array_equal(
        noise_views.seen_codes(PAIRS, None)(PAIRS.codes), standardisation(PAIRS.codes)(PAIRS.codes)
    )


@pytest.mark.parametrize("noise", [KNOWN, ASKED])
def test_fresh_codes_have_the_noise_of_codes_and_new_noise_each_time(noise):
    draw, rng, rows = (
        noise_views.fresh_codes(PAIRS, noise),
        np.random.default_rng(3),
        np.arange(COUNT),
    )
    first, second = draw(rows, rng), draw(rows, rng)
    assert (first != second).all()
    np.testing.assert_allclose((first - MEANS).std(axis=0), DEVIATION, rtol=0.06)


def test_without_noise_or_means_the_codes_at_hand_are_drawn():
    rows, rng = np.array([3, 1]), np.random.default_rng(0)
    for noise in (None, KNOWN.of_single_answers(PAIRS.codes)):
        drawn = noise_views.fresh_codes(PAIRS, noise)(rows, rng)
        np.testing.assert_array_equal(drawn, PAIRS.codes[rows])


def test_codes_of_few_levels_are_drawn_as_they_are_where_nobody_is_asked():
    rounded = dataclasses.replace(PAIRS, codes=np.round(PAIRS.codes))
    drawn = noise_views.fresh_codes(rounded, KNOWN)(np.array([2]), np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, rounded.codes[[2]])


def test_codes_with_dropped_values_are_drawn_as_they_are_where_nobody_is_asked():
    kept = RNG.random(MEANS.shape) < 0.5
    dropped = dataclasses.replace(PAIRS, codes=np.where(kept, 2 * MEANS, 0).astype(np.float32))
    drawn = noise_views.fresh_codes(dropped, KNOWN)(np.array([2]), np.random.default_rng(0))
    np.testing.assert_array_equal(drawn, dropped.codes[[2]])
    # Values that are 0 without noise as well are no sign of it.
    silent = np.array([1, 1, 0], np.float32)
    pairs = dataclasses.replace(PAIRS, codes=silent * PAIRS.codes)
    noise = dataclasses.replace(KNOWN, public_means=silent * MEANS)
    drawn = noise_views.fresh_codes(pairs, noise)(np.array([2]), np.random.default_rng(0))
    assert (drawn != pairs.codes[[2]]).all()


@pytest.mark.parametrize(("noise", "different"), [(KNOWN, 4), (ASKED, 2)])
def test_codes_of_few_levels_are_drawn_from_several_answers(noise, different):
    rounded = dataclasses.replace(PAIRS, codes=np.round(PAIRS.codes))
    number = itertools.count(1)

    def query(images):
        assert len(images) == len(PAIRS.images)
        return np.full_like(rounded.codes, 100 * next(number))

    draw = noise_views.fresh_codes(rounded, noise, query)
    rng = np.random.default_rng(0)
    drawn = np.stack([draw(np.array([2, 5]), rng) for _ in range(60)])
    for place, row in enumerate((2, 5)):
        own = {tuple(code) for code in drawn[:, place]}
        expected = [rounded.codes[row], *(np.full(3, 100.0 * n) for n in range(1, different))]
        assert own == {tuple(code) for code in expected}
    # The two rows are drawn apart.
    assert any((drawn[:, 0] == 100).all(axis=1) != (drawn[:, 1] == 100).all(axis=1))


@pytest.mark.parametrize(("limit", "at_limit"), [(2.5, (0.001, 0.05)), (1.0, (0.1, 0.5))])
def test_no_fresh_code_lies_beyond_the_channel_s_limit(limit, at_limit):
    rng = np.random.default_rng(5)
    signal = rng.standard_normal((200, 30))

    def sent(images=None):
        noisy = signal + 0.5 * rng.standard_normal(signal.shape)
        return np.clip(noisy, -limit, limit).astype(np.float32)

    codes = sent()
    pairs = PublicPairs(codes, np.zeros((200, 8, 8, 3), np.uint8), codes[:0], codes[:0])
    means = np.mean([sent() for _ in range(100)], axis=0)
    noise = CodeNoise(np.full(30, 0.5, np.float32), means)
    drawn = noise_views.fresh_codes(pairs, noise, sent)(np.arange(200), rng)
    assert np.abs(drawn).max() == np.float32(limit)
    least, most = at_limit
    assert least < (np.abs(drawn) == np.float32(limit)).mean() < most


def test_noise_of_some_images_is_that_of_their_rows():
    some = KNOWN.of(np.array([4, 2]))
    np.testing.assert_array_equal(some.public_means, MEANS[[4, 2]])
    assert some.deviation is KNOWN.deviation
    single = KNOWN.of_single_answers(PAIRS.codes)
    assert single.remaining == 1.0 and single.public_means is PAIRS.codes


def test_in_units_of_the_noise_it_has_variance_one():
    np.testing.assert_allclose((KNOWN.in_units(PAIRS.codes - MEANS)).std(axis=0), 1, rtol=0.05)
