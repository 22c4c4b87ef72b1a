"""The candidate matcher beside Bayes' rule, for a linear encoder with known noise.

Pictures are drawn from a Gaussian model. The code is a linear map of the picture with noise,
rounded or not. The optimum is the rate of the rule that computes the probability of a code given
each candidate from the definition of the encoder.
"""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from arl_tf.auditing.candidates import codes as candidate_codes
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.metrics import candidates
from arl_tf.models import capacity

PHOTOS, VALUES, SIDE, DRAWS = 60, 12, 4, 60
RNG = np.random.default_rng(1)
MATRIX = RNG.normal(size=(3 * SIDE**2, VALUES)) / 6.0
PICTURES = np.clip(RNG.normal(128, 40, (PHOTOS, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)
NAMED = np.arange(PHOTOS)


def signal(images):
    """A linear map of pixels; values of about variance 1."""
    return ((np.asarray(images, np.float64) - 128) / 40).reshape(len(images), -1) @ MATRIX


def share_of(noise):
    """Shares of the signal: of each value another, about 1 / (1 + noise^2)."""
    return 1 / (1 + (noise * np.linspace(0.5, 1.5, VALUES)) ** 2)


def audited_encoder_of(noise, levels=0, channel=None):
    """The linear encoder with its noise, as an audit sees a run's encoder."""
    share = share_of(noise)
    return AuditedEncoder(
        words="linear",
        sha256="0",
        code_shape=(VALUES,),
        channel=channel or Channel(),
        encoder=lambda images: pytest.fail("the noise is known: nobody need ask"),
        differentiable=lambda images: pytest.fail("nor differentiate"),
        levels=levels,
        signal_share=share.astype(np.float32),
        signal=signal,
    )


def mean_codes(noise):
    return np.sqrt(share_of(noise)) * np.clip(signal(PICTURES), -2, 2), np.sqrt(1 - share_of(noise))


def rounded(codes, edge, levels):
    step = 2 * edge / (levels - 1)
    return np.round((np.clip(codes, -edge, edge) + edge) / step) * step - edge


def level_chances(means, deviations, edge, levels):
    """(levels [L], probability of each [L, N, K]) by the normal distribution function."""
    grid = np.linspace(-edge, edge, levels)
    thresholds = np.concatenate([[-np.inf], (grid[1:] + grid[:-1]) / 2, [np.inf]])
    below = stats.norm.cdf((thresholds[:, None, None] - means) / deviations)
    return grid, np.maximum(np.diff(below, axis=0), 1e-30)


def rates(model, codes, log_probability, count=1):
    """Rank-1 rates of the matcher and of Bayes' rule over draws of codes [DRAWS, N, K]."""
    score = candidates.log_likelihood(model, count)
    found = [candidates.hits(score, drawn, NAMED, left_out=False).mean() for drawn in codes]
    best = [(log_probability(drawn).argmax(axis=1) == NAMED).mean() for drawn in codes]
    return float(np.mean(found)), float(np.mean(best))


def draws(noise):
    means, deviations = mean_codes(noise)
    return means + deviations * RNG.normal(size=(DRAWS, PHOTOS, VALUES))


@pytest.mark.parametrize("noise", [0.7, 1.5, 3.0])
def test_matcher_is_the_bayes_rule_for_gaussian_noise(noise):
    means, deviations = mean_codes(noise)
    model = candidate_codes.codes_of(audited_encoder_of(noise), PICTURES, 0).model
    found, best = rates(
        model,
        draws(noise),
        lambda codes: stats.norm.logpdf(codes[:, None], means, deviations).sum(axis=-1),
    )
    assert found == best and 1.5 / PHOTOS < found < 1


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_two_candidates_are_told_apart_as_often_as_their_distance_allows(noise):
    # Phi(d / 2), d their distance in units of the noise (Fisher 1936).
    pair = PICTURES[:2]
    model = candidate_codes.codes_of(audited_encoder_of(noise), pair, 0).model
    means, deviations = (part[:2] if part.ndim > 1 else part for part in mean_codes(noise))
    distance = np.sqrt(np.square((means[0] - means[1]) / deviations).sum())
    codes = means + deviations * RNG.normal(size=(4000, 2, VALUES))
    score = candidates.log_likelihood(model)
    found = np.mean([candidates.hits(score, c, np.arange(2), left_out=False) for c in codes])
    assert found == pytest.approx(stats.norm.cdf(distance / 2), abs=0.01)


@pytest.mark.parametrize("levels", [2, 4, 32])
@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_matcher_reaches_the_bayes_rule_for_rounded_codes(noise, levels):
    means, deviations = mean_codes(noise)
    edge = capacity.outermost_level(levels)
    model = candidate_codes.codes_of(audited_encoder_of(noise, levels), PICTURES, 0).model
    grid, chances = level_chances(means, deviations, edge, levels)
    logarithms, value = np.log(chances), np.arange(VALUES)

    def log_probability(codes):
        number = np.abs(codes[..., None] - grid).argmin(axis=-1)
        return logarithms[number[:, None], np.arange(PHOTOS)[:, None], value].sum(axis=-1)

    found, best = rates(model, rounded(draws(noise), edge, levels), log_probability)
    assert found >= best - 0.01


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_matcher_is_near_the_bayes_rule_for_rounded_codes_with_noise_on_their_way(noise):
    means, deviations = mean_codes(noise)
    edge, channel = capacity.outermost_level(2), Channel(noise=0.7)
    model = candidate_codes.codes_of(audited_encoder_of(noise, 2, channel), PICTURES, 0).model
    grid, chances = level_chances(means, deviations, edge, 2)

    def log_probability(codes):
        densities = stats.norm.pdf(codes - grid[:, None, None], scale=channel.noise)
        return np.log(np.einsum("lmk,lnk->mnk", densities, chances)).sum(axis=-1)

    codes = rounded(draws(noise), edge, 2)
    codes = codes + channel.noise * RNG.normal(size=codes.shape)
    found, best = rates(model, codes, log_probability)
    # A mixture of two Gaussians is taken for one of the same mean and variance.
    assert found >= best - 0.03


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_matcher_reaches_the_bayes_rule_for_the_mean_of_four_signs(noise):
    means, deviations = mean_codes(noise)
    model = candidate_codes.codes_of(audited_encoder_of(noise, 2), PICTURES, 0).model
    chances = level_chances(means, deviations, 1.0, 2)[1][1]
    codes = np.mean([rounded(draws(noise), 1.0, 2) for _ in range(4)], axis=0)
    found, best = rates(
        model,
        codes,
        lambda mean: stats.binom.logpmf(
            np.round(2 * mean + 2)[:, None], 4, np.clip(chances, 1e-9, 1 - 1e-9)
        ).sum(axis=-1),
        count=4,
    )
    assert found >= best - 0.01


def test_answers_are_distributed_as_the_model_says():
    channel = Channel(clip=1.0, levels=3, noise=0.2)
    pictures = np.repeat(PICTURES[:1], 3000, axis=0)
    known = candidate_codes.codes_of(audited_encoder_of(1.0, channel=channel), pictures, 0)
    matched = candidates.as_gaussian(known.model)
    answers = np.concatenate(known.answers)
    assert len(known.answers) == candidate_codes.MOST_ANSWERS and known.noisy
    assert set(np.unique(answers)) == {-1.0, 0.0, 1.0}
    np.testing.assert_allclose(answers.mean(axis=0), matched.means[0], atol=0.03)
    np.testing.assert_allclose(answers.var(axis=0), matched.variances[0], atol=0.03)


def plain_encoder(encode, channel=None, differentiable=None, **changes):
    return AuditedEncoder(
        words="file",
        sha256="0",
        code_shape=(VALUES,),
        channel=channel or Channel(),
        encoder=encode,
        differentiable=differentiable,
        not_white_box="" if differentiable else "it is a file",
        **changes,
    )


def test_encoder_without_noise_is_asked_once():
    asked = []

    def encode(images):
        asked.append(len(images))
        return signal(images).astype(np.float32)

    known = candidate_codes.codes_of(plain_encoder(encode), PICTURES, 0)
    assert not known.noisy and known.model is None and not known.white_box
    np.testing.assert_allclose(known.answers, [signal(PICTURES)], atol=1e-6)
    assert sum(asked) == PHOTOS + 2 * candidate_codes.ASKED_IMAGES


def test_noise_of_the_channel_alone_is_known():
    audited_encoder = plain_encoder(
        lambda images: signal(images).astype(np.float32),
        Channel(noise=0.5),
        lambda images: tf.constant(0.0),
    )
    known = candidate_codes.codes_of(audited_encoder, PICTURES, 0)
    np.testing.assert_allclose(known.model.variances, 0.25)
    np.testing.assert_allclose(known.model.means, signal(PICTURES), atol=1e-6)
    assert len(known.answers) == candidate_codes.MOST_ANSWERS


def test_noise_of_an_external_encoder_is_learned_by_asking():
    deviation = np.linspace(0.2, 2.0, VALUES)
    drawn = np.random.default_rng(3)

    def encode(images):
        noise = deviation * drawn.normal(size=(len(images), VALUES))
        return (signal(images) + noise).astype(np.float32)

    def mean(images):
        flat = tf.reshape((images * 255 - 128) / 40, (-1, 3 * SIDE**2))
        return flat @ tf.constant(MATRIX, tf.float32)

    closed = candidate_codes.codes_of(plain_encoder(encode), PICTURES, 0)
    assert closed.model is None and len(closed.answers) == candidate_codes.MOST_ANSWERS
    spread = candidate_codes.noise_variances(closed.answers)
    np.testing.assert_allclose(spread, np.square(deviation), rtol=0.4)
    inside = candidate_codes.codes_of(plain_encoder(encode, differentiable=mean), PICTURES, 0)
    np.testing.assert_allclose(inside.model.means, signal(PICTURES), atol=1e-4)
    np.testing.assert_allclose(inside.model.variances, np.square(deviation), rtol=0.4)
    told = plain_encoder(encode, differentiable=mean, noise_deviation=deviation)
    model = candidate_codes.codes_of(told, PICTURES, 0).model
    np.testing.assert_allclose(model.variances, np.square(deviation))


@pytest.mark.parametrize("law", ["laplace", "normal"])
def test_law_of_the_noise_is_learned_with_the_encoder_s_inside(law):
    drawn = np.random.default_rng(4)
    photos = np.tile(PICTURES, (20, 1, 1, 1))

    def encode(images):
        return (signal(images) + getattr(drawn, law)(size=(len(images), VALUES))).astype(np.float32)

    def mean(images):
        flat = tf.reshape((images * 255 - 128) / 40, (-1, 3 * SIDE**2))
        return flat @ tf.constant(MATRIX, tf.float32)

    model = candidate_codes.codes_of(plain_encoder(encode, differentiable=mean), photos, 0).model
    assert model.is_laplace == (law == "laplace")
    limited = plain_encoder(encode, Channel(clip=0.7), differentiable=mean)
    known = candidate_codes.codes_of(limited, photos, 0)
    assert known.model.is_laplace == (law == "laplace")
    # Codes at the limit are seen to be there, in float32, too.
    sent = np.abs(known.answers[0].astype(np.float64))
    assert 0.2 < (sent >= known.model.clip).mean() == (sent > 0.69999).mean()
    rounded = plain_encoder(encode, Channel(clip=5.0, levels=64), differentiable=mean)
    assert not candidate_codes.codes_of(rounded, photos, 0).model.is_laplace


HALF_NOISY = np.where(np.arange(VALUES) % 2, 0.5, 0.0)


def test_values_that_were_told_to_have_no_noise_make_the_match_certain():
    drawn = np.random.default_rng(5)

    def encode(images):
        noise = HALF_NOISY * drawn.normal(size=(len(images), VALUES))
        return (signal(images) + noise).astype(np.float32)

    def mean(images):
        flat = tf.reshape((images * 255 - 128) / 40, (-1, 3 * SIDE**2))
        return flat @ tf.constant(MATRIX, tf.float32)

    told = plain_encoder(encode, differentiable=mean, noise_deviation=HALF_NOISY)
    model = candidate_codes.codes_of(told, PICTURES, 0).model
    assert model.variances.min() > 0 and not model.is_laplace
    score = candidates.log_likelihood(model)
    assert candidates.hits(score, encode(PICTURES), NAMED, left_out=False).mean() == 1


@pytest.mark.parametrize("levels", [0, 4])
def test_values_with_a_share_of_1_have_a_likelihood(levels):
    encoder = audited_encoder_of(1.0, levels)
    share = np.where(HALF_NOISY, encoder.signal_share, 1).astype(np.float32)
    encoder = dataclasses.replace(encoder, signal_share=share)
    known = candidate_codes.codes_of(encoder, PICTURES, 0)
    scores = candidates.log_likelihood(known.model).of(known.answers[0])
    assert np.isfinite(scores).all()
    assert (scores.argmax(axis=1) == NAMED).mean() > (0.8 if levels else 0.999)
