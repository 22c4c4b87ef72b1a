"""Candidate scores beside likelihoods that are worked out another way."""

import numpy as np
import pytest
from scipy import stats

from arl_tf.metrics import candidates
from arl_tf.metrics.candidates import CodeModel

RNG = np.random.default_rng(0)
MEANS = RNG.normal(size=(5, 3))
VARIANCES = np.array([0.04, 0.5, 2.0])
DEVIATION = np.sqrt(VARIANCES)


def differences(scores):
    """What is left of scores [M, N] without what all candidates have in common."""
    return scores - scores[:, :1]


def test_gaussian_score_is_the_log_likelihood():
    codes = RNG.normal(size=(4, 3))
    expected = stats.norm.logpdf(codes[:, None], MEANS, DEVIATION).sum(axis=-1)
    found = candidates.log_likelihood(CodeModel(MEANS, VARIANCES)).of(codes)
    np.testing.assert_allclose(differences(found), differences(expected))


def test_laplace_score_is_the_log_likelihood_and_finds_more_than_the_gaussian_one():
    codes = RNG.normal(size=(4, 3))
    scale = DEVIATION / np.sqrt(2)
    expected = stats.laplace.logpdf(codes[:, None], MEANS, scale).sum(axis=-1)
    model = CodeModel(MEANS, VARIANCES, is_laplace=True)
    found = candidates.log_likelihood(model).of(codes)
    np.testing.assert_allclose(differences(found), differences(expected))
    # The mean of several codes has no such law any more.
    several = candidates.log_likelihood(model, 4).of(codes)
    gaussian = candidates.log_likelihood(CodeModel(MEANS, VARIANCES / 4)).of(codes)
    np.testing.assert_allclose(differences(several), differences(gaussian))

    means = RNG.normal(size=(50, 60)) / 2
    drawn = np.repeat(means, 40, axis=0) + RNG.laplace(size=(2000, 60))
    right = np.repeat(np.arange(50), 40)
    rates = [
        (candidates.log_likelihood(each).of(drawn).argmax(axis=1) == right).mean()
        for each in (
            CodeModel(means, np.full(60, 2.0)),
            CodeModel(means, np.full(60, 2.0), is_laplace=True),
        )
    ]
    assert rates[1] > rates[0] + 0.1


def test_laplace_score_of_limited_codes_has_the_tails_on_the_limits():
    clip, scale = 0.6, DEVIATION / np.sqrt(2)
    means = RNG.normal(size=MEANS.shape)
    assert (np.abs(means) > clip).any() and (np.abs(means) < clip).any()
    codes = np.clip(RNG.normal(size=(40, 3)), -clip, clip)
    law = stats.laplace(means, scale)
    each = codes[:, None]
    expected = np.where(np.abs(each) < clip, law.logpdf(each), law.logsf(clip))
    expected = np.where(each <= -clip, law.logcdf(-clip), expected).sum(axis=-1)
    model = CodeModel(means, VARIANCES, clip, is_laplace=True)
    np.testing.assert_allclose(
        differences(candidates.log_likelihood(model).of(codes)), differences(expected)
    )


def test_variances_of_each_photo_count():
    codes, variances = RNG.normal(size=(4, 3)), RNG.uniform(0.1, 2, (5, 3))
    expected = stats.norm.logpdf(codes[:, None], MEANS, np.sqrt(variances)).sum(axis=-1)
    found = candidates.log_likelihood(CodeModel(MEANS, variances)).of(codes)
    np.testing.assert_allclose(differences(found), differences(expected))


@pytest.mark.parametrize("levels", [2, 3, 4])
def test_rounded_codes_have_the_probabilities_of_their_levels(levels):
    wide = DEVIATION + 1
    model = CodeModel(MEANS, np.square(wide), clip=1.5, levels=levels)
    grid = np.linspace(-1.5, 1.5, levels)
    number = RNG.integers(levels, size=(4, 3))
    thresholds = np.concatenate([[-np.inf], (grid[1:] + grid[:-1]) / 2, [np.inf]])
    expected = np.log(
        stats.norm.cdf(thresholds[number + 1][:, None], MEANS, wide)
        - stats.norm.cdf(thresholds[number][:, None], MEANS, wide)
    ).sum(axis=-1)
    found = candidates.log_likelihood(model).of(grid[number])
    np.testing.assert_allclose(differences(found), differences(expected), rtol=1e-6)


def test_limited_codes_lie_on_the_limit_with_the_probability_of_the_tail():
    codes = np.array([[-1.0, 0.2, 1.0], [0.5, 1.0, -0.3]])
    inside = stats.norm.logpdf(codes[:, None], MEANS, DEVIATION)
    low, high = stats.norm.logcdf(-1, MEANS, DEVIATION), stats.norm.logsf(1, MEANS, DEVIATION)
    each = codes[:, None]
    expected = np.where(each == -1, low, np.where(each == 1, high, inside)).sum(axis=-1)
    found = candidates.log_likelihood(CodeModel(MEANS, VARIANCES, clip=1.0)).of(codes)
    np.testing.assert_allclose(differences(found), differences(expected))


@pytest.mark.parametrize("levels", [0, 2, 4, 31])
def test_moments_are_those_of_drawn_codes(levels):
    model = CodeModel(MEANS, VARIANCES, clip=1.2, levels=levels)
    drawn = MEANS + DEVIATION * RNG.normal(size=(40_000, 5, 3))
    drawn = np.clip(drawn, -1.2, 1.2)
    if levels:
        drawn = np.round((drawn + 1.2) / model.step) * model.step - 1.2
    matched = candidates.as_gaussian(model)
    np.testing.assert_allclose(matched.means, drawn.mean(axis=0), atol=0.02)
    np.testing.assert_allclose(matched.variances, drawn.var(axis=0), atol=0.02)


def test_mean_of_four_codes_has_a_quarter_of_the_noise():
    codes = RNG.normal(size=(4, 3))
    expected = stats.norm.logpdf(codes[:, None], MEANS, DEVIATION / 2).sum(axis=-1)
    found = candidates.log_likelihood(CodeModel(MEANS, VARIANCES), 4).of(codes)
    np.testing.assert_allclose(differences(found), differences(expected))


def test_mean_of_three_signs_is_binomial():
    wide = DEVIATION + 1
    chances = stats.norm.cdf(MEANS / wide)
    ups = RNG.integers(4, size=(6, 3))
    expected = stats.binom.logpmf(ups[:, None], 3, chances).sum(axis=-1)
    model = CodeModel(MEANS, np.square(wide), clip=1.0, levels=2)
    found = candidates.log_likelihood(model, 3).of(2 * ups / 3 - 1)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_whitened_distance_is_that_of_mahalanobis():
    codes, matrix = RNG.normal(size=(4, 3)), RNG.normal(size=(3, 3))
    offsets = codes[:, None] - MEANS
    expected = -0.5 * np.einsum("mnk,kl,mnl->mn", offsets, matrix @ matrix.T, offsets)
    found = candidates.whitened_score(MEANS, matrix).of(codes)
    np.testing.assert_allclose(differences(found), differences(expected))


def test_the_photo_itself_is_found_and_left_out_the_other_of_the_person():
    codes = np.array([[0.0], [1.0], [5.0], [5.2]])
    people = np.array([0, 0, 1, 2])
    score = candidates.distance_score(codes)
    np.testing.assert_array_equal(
        candidates.hits(score, codes, np.arange(4), left_out=False), np.ones(4)
    )
    found = candidates.hits(score, codes, people, left_out=True)
    # The last two are nearest to each other; nobody has another photo of them.
    np.testing.assert_array_equal(found, [1, 1, np.nan, np.nan])


def test_equal_scores_share_the_hit():
    codes = np.ones((4, 2))
    score = candidates.distance_score(codes)
    found = candidates.hits(score, codes, np.arange(4), left_out=False)
    np.testing.assert_allclose(found, 0.25)
    # Three others, one of them of the same person.
    people = np.array([0, 0, 1, 1])
    np.testing.assert_allclose(candidates.hits(score, codes, people, left_out=True), 1 / 3)


def test_rate_is_over_the_photos_that_have_a_right_candidate():
    found = np.array([1.0, 0.0, np.nan, 1.0])
    rate = candidates.rate(found, np.array([[1.0, 1, 9, 1], [3.0, 0, 9, 0], [0.0, 1, 9, 0]]))
    assert rate["value"] == pytest.approx(2 / 3)
    assert rate["ci95"][0] < 0.1 and rate["ci95"][1] > 0.9
    nobody = candidates.rate(np.full(4, np.nan), np.ones((3, 4)))
    assert nobody == {"value": None, "ci95": None}


def test_noise_of_how_differences_became_known_does_not_count_as_tolerance(monkeypatch):
    truth = RNG.normal(size=(20_000, 3)) @ RNG.normal(size=(3, 3))
    carried = np.array([0.5, 2.0, 8.0])
    seen = truth + np.sqrt(carried) * RNG.normal(size=truth.shape)
    noise = carried * 1.5
    expected = np.linalg.inv(
        np.cov(truth, rowvar=False) + np.diag(noise + candidates.SHRINKAGE * truth.var(0).mean())
    )
    white = candidates.tolerance_whitening(noise, seen, carried)
    np.testing.assert_allclose(white @ white.T, expected, atol=0.03 * expected.max())
    monkeypatch.setattr(candidates, "MOST_CORRELATED", 2)
    alone = candidates.tolerance_whitening(noise, seen, carried)
    level = candidates.SHRINKAGE * truth.var(axis=0).mean()
    expected = 1 / np.sqrt(truth.var(axis=0) + noise + level)
    np.testing.assert_allclose(np.diag(alone), expected, rtol=0.03)
