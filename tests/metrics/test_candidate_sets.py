"""How many candidates fit a code, where the posterior is known."""

import numpy as np
import pytest

from arl_tf.metrics import candidate_sets
from arl_tf.metrics.candidates import CodeModel, ProductScore, distance_score, log_likelihood


def of_scores(scores, *, noisy=True):
    """Sets of M codes with given log-likelihoods [M, N] of candidates."""
    table = np.asarray(scores, np.float64)
    score = ProductScore(((lambda codes: codes, table.T),))
    return candidate_sets.fitting_sets(score, np.eye(len(table)), noisy=noisy)


def test_equal_candidates_all_fit():
    found = of_scores(np.full((8, 8), -3.0))
    np.testing.assert_allclose(found.effective, 8)
    # Seven of eight hold less than 95 %.
    np.testing.assert_array_equal(found.likely, 8)
    np.testing.assert_array_equal(found.covered, 1)


def test_sure_candidate_is_the_only_one():
    found = of_scores(100 * np.eye(5))
    np.testing.assert_allclose(found.effective, 1)
    np.testing.assert_array_equal(found.likely, 1)
    np.testing.assert_array_equal(found.covered, 1)


def test_posterior_of_known_shares_has_its_entropy_and_its_credible_set():
    shares = np.array([0.9, 0.06, 0.03, 0.01])
    found = of_scores([np.log(np.roll(shares, shift)) + shift for shift in range(4)])
    entropy = -(shares * np.log(shares)).sum()
    np.testing.assert_allclose(found.effective, np.exp(entropy))
    # .9 is too little, .9 + .06 is enough.
    np.testing.assert_array_equal(found.likely, 2)


def test_right_candidate_outside_the_set_is_not_covered():
    found = of_scores([[-50.0, 0.0], [-50.0, 0.0]])
    np.testing.assert_array_equal(found.likely, 1)
    np.testing.assert_array_equal(found.covered, [0, 1])


def test_codes_without_noise_fit_the_candidates_of_that_very_code_alone():
    codes = np.array([[0.0], [0.0], [1.0]])
    found = candidate_sets.fitting_sets(distance_score(codes), codes, noisy=False)
    np.testing.assert_allclose(found.effective, [2, 2, 1])
    np.testing.assert_array_equal(found.likely, [2, 2, 1])


def test_more_noise_lets_more_candidates_fit_and_true_likelihoods_cover_as_they_promise():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(400, 3))
    effective = []
    for deviation in (0.1, 0.5, 2.0):
        codes = means + deviation * rng.normal(size=means.shape)
        model = CodeModel(means, np.full(3, deviation**2))
        found = candidate_sets.fitting_sets(log_likelihood(model), codes, noisy=True)
        effective.append(found.effective.mean())
        assert found.covered.mean() == pytest.approx(0.95, abs=0.05)
        assert (found.effective >= 1 - 1e-9).all() and (found.likely <= 400).all()
    assert effective[0] < 5 < effective[1] < effective[2] / 2


def test_many_codes_are_scored_in_parts_with_their_own_candidates(monkeypatch):
    whole = of_scores(5 * np.eye(7))
    monkeypatch.setattr(candidate_sets, "CODES_AT_ONCE", 3)
    parts = of_scores(5 * np.eye(7))
    for name in ("effective", "likely", "covered"):
        np.testing.assert_allclose(getattr(parts, name), getattr(whole, name))
