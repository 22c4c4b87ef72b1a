"""What attackers learn of noise, from the inside and by asking, beside noise that is known."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks.evidence import CodeNoise, PublicPairs
from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.auditing import noise_knowledge
from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.sealed_images import Rows, SealedImages

COUNT, SIDE = 600, 4
NOTHING = np.empty(0, np.int64)
ROWS = Rows(np.arange(COUNT), NOTHING, NOTHING, NOTHING)
# Every third value has next to no noise.
DEVIATION = np.where(np.arange(SIDE) % 3, 0.5, 0.001).astype(np.float32)


def mean_code(image):
    return image[:, 0, :, 0]


class NoisyEncoder:
    """The first row of a picture, with noise of another deviation for each value."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.asked = 0

    def __call__(self, images):
        self.asked += len(images)
        noise = DEVIATION * self.rng.standard_normal((len(images), SIDE), np.float32)
        return mean_code(images / np.float32(255)) + noise


def world(tmp_path, **changes):
    """(encoder, cache, pairs) of a noisy encoder and its public images with mirror images."""
    audited_encoder = AuditedEncoder(
        words="noisy",
        sha256="noisy",
        code_shape=(SIDE,),
        channel=Channel(),
        encoder=NoisyEncoder(),
        differentiable=mean_code,
    )
    audited_encoder = dataclasses.replace(audited_encoder, **changes)
    images = np.random.default_rng(1).integers(0, 256, (COUNT, SIDE, SIDE, 3)).astype(np.uint8)
    cache = CodeCache(tmp_path, audited_encoder, SealedImages(images, NOTHING, "images"))
    codes = np.concatenate(
        [cache.codes(ROWS.attacker, 0), cache.query("mirrored", ROWS.attacker, 0)]
    )
    both = np.concatenate([images, images[:, :, ::-1]])
    return audited_encoder, cache, PublicPairs(codes, both, codes[:1], both[:1])


def asked(tmp_path, answers, codes_per_photo=1, **changes):
    audited_encoder, cache, pairs = world(tmp_path, **changes)
    found = noise_knowledge.asked_noise(
        ROWS,
        cache,
        audited_encoder,
        pairs,
        answers=answers,
        codes_per_photo=codes_per_photo,
        seed=0,
    )
    return found, mean_code(pairs.images / np.float32(255)), audited_encoder


@pytest.mark.parametrize("answers", [2, 8])
def test_answers_tell_the_deviation_of_every_value_and_the_means(tmp_path, answers):
    found, truth, _ = asked(tmp_path, answers)
    # Five standard errors of a deviation over 1,200 images.
    np.testing.assert_allclose(found.deviation, DEVIATION, rtol=5 / np.sqrt(2 * 2 * COUNT) * 1.5)
    assert found.answers == answers
    left = (found.public_means - truth).var(axis=0) / np.square(DEVIATION)
    np.testing.assert_allclose(left, found.remaining, rtol=0.3)
    assert found.remaining == pytest.approx(1 / answers)


def test_means_of_draws_from_the_inside_count_with_their_noise(tmp_path):
    rng, draws = np.random.default_rng(5), 16

    def mean_of_draws(image):
        noise = DEVIATION / 4 * rng.standard_normal((len(image), SIDE), np.float32)
        return mean_code(image) + noise

    def inside(image):
        return tf.numpy_function(mean_of_draws, [image], tf.float32)

    audited_encoder, _, pairs = world(tmp_path, differentiable=inside, mean_draws=draws)
    found = noise_knowledge.known_noise(audited_encoder, pairs, 1)
    assert found.answers == 0 and found.remaining == pytest.approx(1 / draws)
    # What the means are wrong by is in the distances, and is no noise of the codes at hand.
    distance = np.square(pairs.codes - found.public_means).mean(axis=0)
    np.testing.assert_allclose(np.square(found.deviation), distance / (1 + 1 / draws), rtol=1e-3)
    np.testing.assert_allclose(found.deviation, DEVIATION, rtol=0.1)
    truth = mean_code(pairs.images / np.float32(255))
    left = (found.public_means - truth).var(axis=0) / np.square(DEVIATION)
    np.testing.assert_allclose(left, found.remaining, rtol=0.3)


def test_answers_are_asked_for_once(tmp_path):
    _, _, audited_encoder = asked(tmp_path, 4)
    assert audited_encoder.encoder.asked == 4 * 2 * COUNT
    again, _, audited_encoder = asked(tmp_path, 4)
    assert audited_encoder.encoder.asked == 0 and again.answers == 4


def test_one_answer_tells_nothing(tmp_path):
    assert asked(tmp_path, 1)[0] is None


def test_recorded_codes_answer_nothing(tmp_path):
    audited_encoder, cache, pairs = world(tmp_path)
    recorded = dataclasses.replace(audited_encoder, encoder=None)
    found = noise_knowledge.asked_noise(
        ROWS, cache, recorded, pairs, answers=8, codes_per_photo=1, seed=0
    )
    assert found is None


def test_whoever_averages_codes_learns_the_noise_of_the_average(tmp_path):
    audited_encoder, cache, pairs = world(tmp_path)
    means = cache.repeated(SeveralCodes(4))
    codes = [means.codes(ROWS.attacker, 0), means.query("mirrored", ROWS.attacker, 0)]
    pairs = dataclasses.replace(pairs, codes=np.concatenate(codes))
    found = noise_knowledge.asked_noise(
        ROWS, cache, audited_encoder, pairs, answers=8, codes_per_photo=4, seed=0
    )
    np.testing.assert_allclose(found.deviation, DEVIATION / 2, rtol=0.15)
    assert (found.answers, found.remaining) == (8, 0.5)


def test_answers_of_known_law_are_drawn_without_asking(tmp_path):
    share = (1 - np.square(DEVIATION)).astype(np.float32)
    encoder, cache, pairs = world(tmp_path, signal_share=share)
    known, before = noise_knowledge.known_noise(encoder, pairs, 1), encoder.encoder.asked
    answers = {"answers": 8, "codes_per_photo": 1, "seed": 0}
    drawn = noise_knowledge.asked_noise(ROWS, cache, encoder, pairs, **answers, known=known)
    assert encoder.encoder.asked == before
    asked = noise_knowledge.asked_noise(ROWS, cache, encoder, pairs, **answers)
    assert encoder.encoder.asked == before + 7 * len(pairs.images)
    assert (drawn.answers, drawn.remaining) == (asked.answers, asked.remaining)
    truth, noisy = mean_code(pairs.images / np.float32(255)), DEVIATION > 0.1
    for found in (drawn, asked):
        np.testing.assert_allclose(found.deviation[noisy], DEVIATION[noisy], rtol=0.15)
        off = (found.public_means - truth).std(axis=0)[noisy]
        np.testing.assert_allclose(off, DEVIATION[noisy] / np.sqrt(8), rtol=0.1)


def test_the_mean_of_answers_is_drawn_with_the_variance_it_was_given():
    known = CodeNoise(DEVIATION, np.full((40_000, SIDE), 5.0, np.float32))
    found = noise_knowledge.mean_answers(known, 0.25, seed=3)
    np.testing.assert_allclose(found.std(axis=0), DEVIATION / 2, rtol=0.02)
    np.testing.assert_allclose(found.mean(axis=0), 5, atol=0.01)
    np.testing.assert_array_equal(found, noise_knowledge.mean_answers(known, 0.25, seed=3))


def test_noise_that_is_limited_or_was_only_told_is_asked_for(tmp_path):
    share = (1 - np.square(DEVIATION)).astype(np.float32)
    for name, changes in {
        "limited": {"signal_share": share, "channel": Channel(clip=3.0)},
        "rounded": {"signal_share": share, "levels": 5},
        "told": {"noise_deviation": DEVIATION},
    }.items():
        encoder, cache, pairs = world(tmp_path / name, **changes)
        known, before = CodeNoise(DEVIATION, pairs.codes), encoder.encoder.asked
        noise_knowledge.asked_noise(
            ROWS, cache, encoder, pairs, answers=8, codes_per_photo=1, seed=0, known=known
        )
        assert encoder.encoder.asked == before + 7 * len(pairs.images)


def test_the_inside_tells_gaussian_noise_exactly(tmp_path):
    share = (1 - np.square(DEVIATION)).astype(np.float32)
    audited_encoder, _, pairs = world(tmp_path, signal_share=share, channel=Channel(noise=0.3))
    found = noise_knowledge.known_noise(audited_encoder, pairs, codes_per_photo=9)
    expected = np.sqrt(np.square(DEVIATION) + 0.3**2) / 3
    np.testing.assert_allclose(found.deviation, expected, rtol=1e-5)
    np.testing.assert_allclose(
        found.public_means, mean_code(pairs.images / np.float32(255)), atol=1e-6
    )
    assert (found.answers, found.remaining) == (0, 0.0)


@pytest.mark.parametrize("codes_per_photo", [1, 4])
def test_a_deviation_that_was_told_is_taken_and_not_measured(tmp_path, codes_per_photo):
    told = np.linspace(0.1, 0.4, SIDE)
    audited_encoder, cache, pairs = world(
        tmp_path, noise_deviation=told, channel=Channel(noise=0.3)
    )
    inside = noise_knowledge.known_noise(audited_encoder, pairs, codes_per_photo)
    outside = noise_knowledge.asked_noise(
        ROWS, cache, audited_encoder, pairs, answers=8, codes_per_photo=codes_per_photo, seed=0
    )
    expected = np.sqrt((np.square(told) + 0.3**2) / codes_per_photo)
    for found in (inside, outside):
        np.testing.assert_allclose(found.deviation, expected, rtol=1e-5)
    # Means are asked for as ever.
    assert (outside.answers, outside.remaining) == (8, codes_per_photo / 8)


def test_behind_a_limit_a_deviation_that_was_told_is_measured(tmp_path):
    changes = {"noise_deviation": DEVIATION.astype(np.float64), "channel": Channel(clip=0.5)}
    found, truth, _ = asked(tmp_path, 8, **changes)
    rng = np.random.default_rng(7)
    drawn = truth + DEVIATION * rng.standard_normal((200, *truth.shape), np.float32)
    expected = np.sqrt(np.clip(drawn, -0.5, 0.5).var(axis=0).mean(axis=0))
    noisy = DEVIATION > 0.1
    np.testing.assert_allclose(found.deviation[noisy], expected[noisy], rtol=0.1)
    audited_encoder, _, pairs = world(tmp_path, **changes)
    known = noise_knowledge.known_noise(audited_encoder, pairs, codes_per_photo=1)
    np.testing.assert_allclose(known.deviation[noisy], expected[noisy], rtol=0.1)


def test_behind_a_channel_that_rounds_the_noise_holds_what_rounding_adds(tmp_path):
    channel = Channel(clip=3.0, levels=7)
    audited_encoder, _, pairs = world(
        tmp_path, channel=channel, signal_share=1 - np.square(DEVIATION)
    )
    found = noise_knowledge.known_noise(audited_encoder, pairs, codes_per_photo=1)
    noisy = DEVIATION > 0.1
    # Noise of half a step: rounding adds step^2 / 12 to its variance.
    np.testing.assert_allclose(found.deviation[noisy], np.sqrt(0.25 + 1 / 12), rtol=0.1)


def test_an_encoder_without_an_inside_tells_nothing(tmp_path):
    audited_encoder, _, pairs = world(tmp_path, differentiable=None)
    assert noise_knowledge.known_noise(audited_encoder, pairs, codes_per_photo=1) is None


def test_a_value_without_noise_does_not_count_for_all():
    codes = np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32)
    deviation = noise_knowledge.deviation_of(np.array([0.0, 1e-30, 0.25]), codes)
    np.testing.assert_allclose(deviation[:2], 1e-3 * codes.std(axis=0)[:2], rtol=1e-3)
    assert deviation[2] == 0.5


def test_a_value_of_a_large_scale_or_offset_leaves_the_noise_of_others_as_it_is():
    codes = np.random.default_rng(0).normal(size=(100, 2, 4))
    codes = (codes * [1e4, 1, 1, 0] + [0, 1e4, 0, 3]).astype(np.float32)
    deviation = noise_knowledge.deviation_of(np.array([0.0, 0.0, 0.01, 0.0]), codes)
    assert deviation.shape == (2, 4)
    np.testing.assert_allclose(deviation[:, 0], 10, rtol=0.3)
    np.testing.assert_allclose(deviation[:, 1], 1e-3, rtol=0.3)
    np.testing.assert_allclose(deviation[:, 2], 0.1, rtol=1e-6)
    # A constant value, of which nothing can be told.
    np.testing.assert_allclose(deviation[:, 3], 1e-3)


def test_means_from_the_inside_are_those_of_the_differentiable_form(tmp_path):
    audited_encoder, _, pairs = world(tmp_path)
    np.testing.assert_allclose(
        noise_knowledge.mean_codes(audited_encoder, pairs.images[:5]),
        mean_code(tf.constant(pairs.images[:5] / np.float32(255))),
        atol=1e-6,
    )


def test_values_left_in_answers_tell_more_than_means_of_draws():
    exact = CodeNoise(np.ones(2, np.float32), np.ones((3, 2), np.float32))
    of_draws = dataclasses.replace(exact, remaining=1 / 16)
    averaged = dataclasses.replace(exact, answers=8, remaining=1 / 8)
    left = dataclasses.replace(averaged, dropped=0.5)
    assert noise_knowledge.best_known(None, averaged) is averaged
    assert noise_knowledge.best_known(exact, left) is exact
    assert noise_knowledge.best_known(of_draws, averaged) is of_draws
    assert noise_knowledge.best_known(of_draws, left) is left
    assert noise_knowledge.best_known(of_draws, None) is of_draws
