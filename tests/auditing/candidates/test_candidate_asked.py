"""Who can only ask, beside Bayes' rule: values that are a Gaussian signal with Gaussian noise."""

import dataclasses

import numpy as np
import pytest

from arl_tf.attacks.evidence import CodeNoise
from arl_tf.attacks.several_codes import SINGLE, SeveralCodes
from arl_tf.auditing.candidates import asked, scores
from arl_tf.auditing.candidates.codes import CandidateCodes
from arl_tf.auditing.candidates.pairs import CodePairs
from arl_tf.metrics import candidates

PHOTOS, VALUES, TOLD, PUBLIC = 400, 200, 16, 3000
# A few values have signal, and the others are noise alone.
SIGNAL = np.where(np.arange(VALUES) < TOLD, 0.7, 0.0)
NOISE = np.where(np.arange(VALUES) < TOLD, 0.3, 1.0)
CENTRE = np.linspace(-1, 1, VALUES)
RNG = np.random.default_rng(5)
TRUE = asked.AskedValues(CENTRE, SIGNAL, NOISE)


def mean_codes(count):
    return CENTRE + np.sqrt(SIGNAL) * RNG.normal(size=(count, VALUES))


def answer(means):
    return means + np.sqrt(NOISE) * RNG.normal(size=means.shape)


MEANS, PUBLIC_MEANS = mean_codes(PHOTOS), mean_codes(PUBLIC)
TARGET = answer(MEANS)


def known_of(means):
    """Four answers for each candidate."""
    return CandidateCodes(tuple(answer(means) for _ in range(4)), None, noisy=True, white_box=False)


def noise_of_answers(count=8):
    left = np.sqrt(NOISE / count) * RNG.normal(size=PUBLIC_MEANS.shape)
    means = (PUBLIC_MEANS + left).astype(np.float32)
    return CodeNoise(np.sqrt(NOISE).astype(np.float32), means, count, 1 / count)


def codes_with(learned):
    return scores.Codes(TARGET, answer(PUBLIC_MEANS), None, None, SINGLE, learned)


def found(score):
    return candidates.hits(score, TARGET, np.arange(PHOTOS), left_out=False).mean()


def likelihood_ratios(codes, answers, count):
    """log p(code, answer | of one photo) - log p(code) - log p(answer), float64 [M, N]."""
    of_code, of_answer = SIGNAL + NOISE, SIGNAL + NOISE / count
    correlation = SIGNAL / np.sqrt(of_code * of_answer)
    one = ((codes - CENTRE) / np.sqrt(of_code))[:, None]
    other = (answers - CENTRE) / np.sqrt(of_answer)
    square = one**2 - 2 * correlation * one * other + other**2
    joint = -0.5 * square / (1 - correlation**2) - 0.5 * np.log(1 - correlation**2)
    return (joint + 0.5 * one**2 + 0.5 * other**2).sum(axis=-1)


@pytest.mark.parametrize("count", [1, 4])
def test_who_knows_signal_and_noise_gets_the_rate_of_bayes_rule(count):
    answers = known_of(MEANS).answers[:count]
    ratios = likelihood_ratios(TARGET, np.mean(answers, axis=0), count)
    optimum = (ratios.argmax(axis=1) == np.arange(PHOTOS)).mean()
    assert found(TRUE.score(answers, 1)) == pytest.approx(optimum, abs=0.01)
    assert 0.1 < optimum < 0.95


def test_means_of_several_codes_have_less_noise():
    means, unknown = TRUE.expected(MEANS[:2], 1)
    codes = answer(MEANS[:3])
    by_hand = -0.5 * (np.square(codes[:, None] - means) / (NOISE / 4 + unknown)).sum(axis=-1)
    score = TRUE.score((MEANS[:2],), 4)
    np.testing.assert_allclose(np.diff(score.of(codes)), np.diff(by_hand))


@pytest.mark.parametrize("count", [1, 4])
def test_laplace_noise_that_answers_have_told_counts_by_its_own_law(count):
    drawn, signal = np.random.default_rng(6), np.where(np.arange(VALUES) < 60, 0.3, 0.0)
    values = asked.AskedValues(np.zeros(VALUES), signal, np.ones(VALUES))
    photos = np.sqrt(signal) * drawn.normal(size=(PHOTOS, VALUES))

    def laplace():
        return photos + drawn.laplace(scale=np.sqrt(0.5), size=photos.shape)

    answers, codes = tuple(laplace() for _ in range(count)), laplace()
    of_law = dataclasses.replace(values, is_laplace=True)
    by_law, by_variance = (
        candidates.hits(each.score(answers, 1), codes, np.arange(PHOTOS), left_out=False).mean()
        for each in (of_law, values)
    )
    assert by_law > by_variance + 0.03
    # Means are nearer to the truth, and it is known by how much.
    means, unknown = of_law.expected_by_law(answers)
    wrong = np.square(means - photos).mean(axis=0)
    of_variance = values.expected(np.mean(answers, axis=0), count)[0]
    assert wrong.sum() < np.square(of_variance - photos).mean(axis=0).sum()
    assert wrong.sum() == pytest.approx(unknown.sum(), rel=0.05)
    # Means of four codes are nearly Gaussian.
    several = [each.score(answers, 4).of(codes[:3]) for each in (of_law, values)]
    np.testing.assert_array_equal(*several)


def test_means_by_the_law_of_laplace_noise_are_those_of_a_fine_grid(monkeypatch):
    values = asked.AskedValues(np.array([0.5, -1.0]), np.array([1.0, 0.2]), np.array([0.3, 2.0]))
    drawn = np.random.default_rng(8)
    photos = values.centre + np.sqrt(values.signal) * drawn.normal(size=(7, 2))
    scale = np.sqrt(values.noise / 2)
    answers = tuple(photos + drawn.laplace(scale=scale, size=(7, 2)) for _ in range(3))
    monkeypatch.setattr(asked, "AT_ONCE", 4)
    means, unknown = values.expected_by_law(answers)
    grid = np.linspace(-8, 8, 20001)[:, None, None]
    density = -0.5 * np.square(grid - values.centre) / values.signal
    density = density - sum(np.abs(each - grid) for each in answers) / scale
    weights = np.exp(density - density.max(axis=0))
    weights /= weights.sum(axis=0)
    truth = (weights * grid).sum(axis=0)
    np.testing.assert_allclose(means, truth, atol=0.02)
    variance = (weights * np.square(grid - truth)).sum(axis=0).mean(axis=0)
    np.testing.assert_allclose(unknown, variance, rtol=0.05)


def test_answers_for_public_photos_tell_signal_and_noise():
    learned = asked.asked_values(noise_of_answers(), SINGLE)
    np.testing.assert_allclose(learned.centre, CENTRE, atol=0.1)
    np.testing.assert_allclose(learned.signal, SIGNAL, atol=0.1)
    np.testing.assert_allclose(learned.noise, NOISE, rtol=1e-6)
    # Attackers who average three codes are told the noise of such means.
    np.testing.assert_allclose(
        asked.asked_values(noise_of_answers(), SeveralCodes(3)).noise, 3 * NOISE
    )
    assert asked.asked_values(None, SINGLE) is None


def test_who_learned_by_asking_finds_nearly_as_many_as_bayes_rule_and_plain_distances_few():
    known = known_of(MEANS)
    ways = scores.code_scores(
        known, codes_with(asked.asked_values(noise_of_answers(), SINGLE)), None
    )
    rates = {way: found(score) for way, score in ways.items()}
    for way, count in (("informed_1", 1), ("informed_4", 4)):
        optimum = found(TRUE.score(known.answers[:count], 1))
        assert rates[way] > optimum - 0.03
        assert rates[way] > rates[way.replace("informed", "queries")] + 0.1
    assert "informed_1" not in scores.code_scores(known, codes_with(None), None)


def test_mean_codes_of_who_learned_by_asking_count_for_tolerance_too():
    spread = np.sqrt(0.2 * SIGNAL)
    noise = noise_of_answers()
    public_copies = PUBLIC_MEANS[:600] + spread * RNG.normal(size=(600, VALUES))
    answered = np.mean(known_of(public_copies).answers, axis=0)
    pairs = CodePairs(noise.public_means[:600], answered, 1 / 8 + 1 / 4)
    known = known_of(MEANS + spread * RNG.normal(size=MEANS.shape))
    with_knowledge = codes_with(asked.asked_values(noise, SINGLE))
    rates = [
        found(scores.tolerant_score(known, each, pairs))
        for each in (with_knowledge, dataclasses.replace(with_knowledge, asked=None))
    ]
    # The optimum where the changes' variance is known: they are noise of the answers' means.
    more = dataclasses.replace(TRUE, noise=NOISE + 4 * spread**2)
    means, unknown = more.expected(np.mean(known.answers, axis=0), 4)
    optimum = found(candidates.log_likelihood(candidates.CodeModel(means, NOISE + unknown)))
    assert rates[0] > optimum - 0.1 and rates[0] > rates[1] + 0.1
