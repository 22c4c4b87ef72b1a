"""The channel: noise, then a limited range, then few levels; gradients pass straight through."""

import json

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.auditing.channel import Channel


def random_codes(shape=(50, 4, 4, 3), deviation=2.0):
    return np.random.default_rng(0).normal(0, deviation, shape).astype(np.float32)


def test_default_channel_leaves_codes_untouched():
    codes = random_codes()
    assert Channel().is_identity
    np.testing.assert_array_equal(Channel().send(codes, 0), codes)
    np.testing.assert_array_equal(Channel().differentiable(tf.constant(codes)), codes)


@pytest.mark.parametrize("settings", [{"clip": 1.0}, {"clip": 1.0, "levels": 2}, {"noise": 0.1}])
def test_any_setting_makes_it_no_identity(settings):
    assert not Channel(**settings).is_identity


def test_clip_limits_values_by_hand():
    sent = Channel(clip=1.5).send(np.array([[-4.0, -1.5, 0.2, 1.6]], np.float32), 0)
    np.testing.assert_array_equal(sent, np.array([[-1.5, -1.5, 0.2, 1.5]], np.float32))


def test_levels_round_by_hand():
    # Five levels of [-2, 2]: -2, -1, 0, 1, 2.
    sent = Channel(clip=2.0, levels=5).send(
        np.array([[-9.0, -1.4, -0.6, 0.4, 0.6, 1.8]], np.float32), 0
    )
    assert sent.tolist() == [[-2.0, -1.0, -1.0, 0.0, 1.0, 2.0]]


def test_two_levels_keep_the_sign_only():
    codes = random_codes()
    np.testing.assert_array_equal(Channel(clip=0.5, levels=2).send(codes, 0), np.sign(codes) / 2)


@pytest.mark.parametrize("levels", [2, 3, 16, 256])
def test_quantised_codes_have_that_many_distinct_values_within_the_range(levels):
    codes = np.linspace(-3, 3, 20000, dtype=np.float32)[:, None]
    values = np.unique(Channel(clip=0.7, levels=levels).send(codes, 0))
    assert len(values) == levels
    assert values[0] == np.float32(-0.7) and values[-1] == np.float32(0.7)
    np.testing.assert_allclose(np.diff(values), 1.4 / (levels - 1), atol=1e-6)


def test_most_levels_are_still_distinct_in_float32():
    codes = np.linspace(-1, 1, 65536, dtype=np.float64).astype(np.float32)[:, None]
    assert len(np.unique(Channel(clip=1.0, levels=65536).send(codes, 0))) == 65536


@pytest.mark.parametrize("levels", [2, 7, 256, 65536])
def test_sending_twice_through_levels_changes_nothing_more(levels):
    channel = Channel(clip=1.3, levels=levels)
    once = channel.send(random_codes(), 0)
    np.testing.assert_array_equal(channel.send(once, 1), once)


def test_rounding_moves_a_value_in_range_by_at_most_half_a_step():
    codes = np.random.default_rng(1).uniform(-1, 1, (1000, 2)).astype(np.float32)
    sent = Channel(clip=1.0, levels=9).send(codes, 0)
    assert np.abs(sent - codes).max() <= 0.125 + 1e-6


def test_noise_has_the_given_deviation_and_mean_zero():
    codes = np.full((1000, 100), 3.0, np.float32)
    noise = Channel(noise=0.25).send(codes, 5).astype(np.float64) - 3.0
    # Five standard errors of a mean and of a deviation over n values.
    assert abs(noise.mean()) < 5 * 0.25 / np.sqrt(noise.size)
    assert abs(noise.std() - 0.25) < 5 * 0.25 / np.sqrt(2 * noise.size)


def test_noise_is_the_seeds():
    codes, channel = random_codes(), Channel(noise=0.1)
    np.testing.assert_array_equal(channel.send(codes, 1), channel.send(codes, 1))
    assert np.mean(channel.send(codes, 1) != channel.send(codes, 2)) > 0.99
    assert np.mean(channel.send(codes, [1, 2]) != channel.send(codes, [1, 3])) > 0.99


def test_noise_comes_before_limit_and_levels():
    sent = Channel(clip=1.0, levels=3, noise=5.0).send(np.zeros((500, 4), np.float32), 0)
    assert set(np.unique(sent)) == {-1.0, 0.0, 1.0}


def test_send_leaves_its_argument_alone_and_returns_float32():
    codes = random_codes()
    before = codes.copy()
    for channel in (Channel(), Channel(clip=0.1, levels=4, noise=1.0)):
        sent = channel.send(codes, 0)
        assert sent.dtype == np.float32 and sent.shape == codes.shape
        assert not np.shares_memory(sent, codes)
    np.testing.assert_array_equal(codes, before)


@pytest.mark.parametrize("levels", [0, 2, 16, 255])
def test_differentiable_equals_what_is_sent_without_noise(levels):
    codes = random_codes()
    channel = Channel(clip=1.1, levels=levels)
    arrived = channel.differentiable(tf.constant(codes))
    np.testing.assert_array_equal(arrived, channel.send(codes, 0))


@pytest.mark.parametrize(
    "settings", [{"noise": 0.7}, {"noise": 0.4, "levels": 3}, {"noise": 0.4, "levels": 256}]
)
def test_differentiable_is_the_mean_of_what_is_sent_with_noise(settings):
    channel = Channel(clip=1.1, **settings)
    codes = np.repeat(np.linspace(-2, 2, 9, dtype=np.float32)[None], 20_000, axis=0)
    mean, sent = channel.differentiable(tf.constant(codes[:1])), channel.send(codes, 0)
    # Five standard errors.
    np.testing.assert_allclose(mean[0], sent.mean(axis=0), atol=5 * 0.7 / np.sqrt(len(codes)))


def test_noise_before_the_channel_counts_as_noise_of_its_own():
    codes = tf.constant(random_codes())
    inside = Channel(clip=1.1).differentiable(codes, np.full((4, 4, 3), 0.5, np.float32))
    np.testing.assert_allclose(inside, Channel(clip=1.1, noise=0.5).differentiable(codes))


@pytest.mark.parametrize("graph", [False, True])
def test_gradient_passes_straight_through(graph):
    channel = Channel(clip=1.0, levels=4, noise=0.3)
    call = tf.function(channel.differentiable) if graph else channel.differentiable
    code = tf.constant([[-5.0, -0.2, 0.4, 7.0]])
    with tf.GradientTape() as tape:
        tape.watch(code)
        total = tf.reduce_sum(call(code) * [[1.0, 2.0, 3.0, 4.0]])
    assert tape.gradient(total, code).numpy().tolist() == [[1.0, 2.0, 3.0, 4.0]]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"clip": -1.0}, "clip must be finite and >= 0, got -1"),
        ({"noise": float("nan")}, "noise must be finite"),
        ({"clip": float("inf")}, "clip must be finite"),
        ({"clip": 1.0, "levels": 1}, "from 2 to 65536, got 1"),
        ({"clip": 1.0, "levels": -2}, "from 2 to 65536, got -2"),
        ({"clip": 1.0, "levels": 65537}, "got 65537"),
        ({"levels": 8}, "8 levels need a range"),
    ],
)
def test_impossible_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        Channel(**settings)


def test_description_is_json_and_tells_the_order():
    described = json.loads(json.dumps(Channel(clip=2.0, levels=16, noise=0.5).describe()))
    assert described == {
        "clip": 2.0,
        "levels": 16,
        "noise": 0.5,
        "bits_per_value": 4,
        "words": "Gaussian noise of deviation 0.5 is added, then values are limited to ±2, then"
        " values are rounded to 16 levels",
    }
    assert Channel().describe()["words"] == "codes are sent as they are"
    assert Channel().describe()["bits_per_value"] == 32
