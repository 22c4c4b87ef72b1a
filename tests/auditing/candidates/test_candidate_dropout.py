"""Codes with dropped values: those that are left are exact, and tell candidates apart."""

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks.several_codes import SINGLE, SeveralCodes, join_codes
from arl_tf.auditing.candidates import codes as candidate_codes
from arl_tf.auditing.candidates import dropped, scores
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.metrics import candidates

PHOTOS, VALUES, SIDE = 400, 32, 4
RNG = np.random.default_rng(6)
MATRIX = RNG.normal(size=(3 * SIDE**2, VALUES)).astype(np.float32) / 6
PICTURES = RNG.integers(0, 256, (PHOTOS, SIDE, SIDE, 3)).astype(np.uint8)


def mean_codes(images):
    """float32 [B, S, S, 3] in [0, 1] -> [B, VALUES]."""
    return tf.reshape((images - 0.5) * 4, (-1, 3 * SIDE**2)) @ MATRIX


def rectified(images):
    return tf.nn.relu(mean_codes(images) - 1)


def encoder_of(rate, mean=mean_codes, *, channel=None, is_open=True, kept=None):
    drawn = np.random.default_rng(7)

    def encode(images):
        means = mean(tf.cast(images, tf.float32) / 255).numpy()
        stays = drawn.random(means.shape) >= rate
        return (means * stays / np.float32(1 - rate if kept is None else kept)).astype(np.float32)

    return AuditedEncoder(
        words="dropout",
        sha256="0",
        code_shape=(VALUES,),
        channel=channel or Channel(),
        encoder=encode,
        differentiable=mean if is_open else None,
        not_white_box="" if is_open else "it is a file",
    )


def rates_of(encoder, several=SINGLE):
    """Rank-1 rates by each way."""
    known = candidate_codes.codes_of(encoder, PICTURES, 0)
    each = ((encoder.query(PICTURES, 10 + n), 1) for n in range(several.count))
    target = join_codes(each, several.dropped)
    codes = scores.Codes(target, encoder.query(PICTURES, 1), None, None, several)
    right = np.arange(PHOTOS)
    return {
        way: candidates.hits(score, target, right, left_out=False).mean()
        for way, score in scores.code_scores(known, codes, None).items()
    }


def test_one_value_that_is_left_tells_the_photo_where_the_encoder_s_inside_is_known():
    rates = rates_of(encoder_of(0.8))
    # All values are dropped of .8^32, 8 in 10,000.
    assert rates["likelihood"] > 0.995 > 0.3 > rates["queries_1"]


def test_who_can_only_ask_finds_the_photo_if_one_value_is_left_in_both():
    rates = rates_of(encoder_of(0.8, is_open=False))
    assert "likelihood" not in rates
    for way, count in (("informed_1", 1), ("informed_4", 4)):
        answered = 1 - 0.8**count
        common = 1 - (1 - 0.2 * answered) ** VALUES
        assert common - 0.06 < rates[way] < common + 0.09
        assert rates[way] > rates[way.replace("informed", "queries")] + 0.3


def test_values_that_are_0_without_dropping_are_no_evidence_but_other_values_are():
    rates = rates_of(encoder_of(0.5, rectified))
    assert rates["likelihood"] > 0.95
    means = np.array([[1.0, 0.0, 2.0], [1.0, 3.0, 2.0]])
    answers = [np.array([[2.0, 0, 4], [0, 6, 4]]), np.array([[0, 0, 4.0], [2, 0, 0]])]
    score = scores.left_score(dropped.from_inside(answers, means))
    found = score.of(np.array([[2.0, 0, 0], [2, 6, 0], [0, 0, 0]]))
    assert found[0, 0] == found[0, 1] and found[2, 0] == found[2, 1]
    assert found[1, 1] > found[1, 0] + 1e6


def test_values_that_are_left_may_keep_their_size():
    """As of He et al.: codes are then smaller on average."""
    shrunk = encoder_of(0.8, kept=1.0)
    object.__setattr__(shrunk, "differentiable", lambda images: 0.2 * mean_codes(images))
    assert rates_of(shrunk)["likelihood"] > 0.995


def test_limited_values_are_compared_as_they_arrive():
    found = rates_of(encoder_of(0.8, channel=Channel(clip=2.0)))["likelihood"]
    # Each of the candidates that agree with all that is left of a code is as likely.
    values = np.clip(5 * mean_codes(tf.cast(PICTURES, tf.float32) / 255).numpy(), -2, 2)
    left = RNG.random(values.shape) >= 0.8
    is_same = np.abs(values[:, None] - values) < 1e-4
    agreeing = (is_same | ~left[:, None]).all(axis=-1).sum(axis=1)
    assert found == pytest.approx((1 / agreeing).mean(), abs=0.04) and found < 0.95


@pytest.mark.parametrize("channel", [Channel(noise=0.3), Channel(clip=4.0, levels=9)])
def test_behind_noise_or_rounding_values_of_a_photo_have_their_own_variance(channel):
    encoder = encoder_of(0.5, channel=channel)
    known = candidate_codes.codes_of(encoder, PICTURES, 0)
    assert not known.has_exact_rest and known.left is None
    # The mean is kept with the probability 1 / 2, twice as large.
    expected = np.square(known.model.means) + channel.noise**2
    np.testing.assert_allclose(known.model.variances, expected, rtol=0.01, atol=1e-4)
    rates = rates_of(encoder)
    assert rates["likelihood"] > rates["queries_4"] and "informed_1" not in rates


def test_means_of_several_codes_are_taken_for_gaussian():
    rates = rates_of(encoder_of(0.5), SeveralCodes(4))
    assert rates["likelihood"] > 0.9 and "informed_1" not in rates


@pytest.mark.parametrize("is_open", [True, False])
def test_united_codes_tell_the_photo_by_all_values_that_one_of_them_has_left(is_open):
    encoder = encoder_of(0.9, is_open=is_open)
    single, united = rates_of(encoder), rates_of(encoder, SeveralCodes(4, 0.9))
    mean = rates_of(encoder, SeveralCodes(4))
    for way in ("likelihood",) if is_open else ("informed_1", "informed_4"):
        # A value is left in one of four codes with the probability 1 - .9^4, .34.
        assert united[way] > single[way] and united[way] > max(0.5, mean.get(way, 0))


def test_gaussian_noise_drops_nothing_and_what_is_left_of_rectified_noise_is_not_exact():
    means = RNG.normal(size=(PHOTOS, VALUES))
    noisy = [means + RNG.normal(size=means.shape) for _ in range(4)]
    assert not dropped.has_exact_rest(noisy)
    assert not dropped.has_exact_rest([np.maximum(answer, 0) for answer in noisy])
    assert dropped.has_exact_rest([means * (RNG.random(means.shape) < 0.5) for _ in range(4)])
