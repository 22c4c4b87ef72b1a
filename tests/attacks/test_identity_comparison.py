"""Comparing predicted embeddings with candidates: by hand, and where the likelihood must win."""

import numpy as np
import pytest

from arl_tf.attacks.identity import comparison
from arl_tf.attacks.identity.faces import unit

DIRECTIONS = 24
# How much faces differ in each direction; predictions tell the half in which they differ least.
SPREAD = 0.8 ** np.arange(DIRECTIONS)
ERROR = np.where(np.arange(DIRECTIONS) < DIRECTIONS // 2, 3 * SPREAD, 0.05 * SPREAD)


def faces(count, seed):
    """(directions, predictions) float32 [count, DIRECTIONS] of length 1."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=(count, DIRECTIONS)) * np.sqrt(SPREAD)
    missed = rng.normal(size=truth.shape) * np.sqrt(ERROR)
    # The best guess of a Gaussian from what is seen with that error.
    return unit(truth), unit((truth + missed) * SPREAD / (SPREAD + ERROR))


def test_scores_are_logarithms_of_the_densities_ratio_but_for_what_candidates_share():
    spread, error, scale = np.array([2.0, 0.5]), np.array([0.4, 0.1]), 0.8
    mean = np.array([0.1, -0.2])
    made = comparison.LikelihoodComparison(
        comparison.PublicSpace(mean, np.eye(2), spread), scale, error
    )
    predicted, candidates = np.array([[0.6, 0.8]]), np.array([[1.0, 0.0], [0.0, -1.0]])

    def log_density(values, centre, variance):
        return (-0.5 * np.square(values - centre) / variance - 0.5 * np.log(variance)).sum(axis=1)

    seen = candidates - mean
    ratio = log_density(seen, scale * predicted[0], error) - log_density(seen, 0, spread)
    scores = made.scores(predicted, candidates)[0]
    assert scores[0] - scores[1] == pytest.approx(ratio[0] - ratio[1])


def test_without_anything_known_the_score_is_the_cosine():
    rows = unit(np.random.default_rng(0).normal(size=(3, 5)))
    np.testing.assert_allclose(comparison.Comparison().scores(rows, rows), rows @ rows.T, rtol=1e-6)


def test_where_sure_directions_are_small_ones_the_likelihood_is_chosen_and_finds_more():
    truth, predicted = faces(120, 1)
    chosen = comparison.chosen_comparison(predicted, truth, faces(400, 2)[0])
    assert chosen.name == "likelihood"
    new, guessed = faces(200, 3)
    by_cosine, by_likelihood = (
        comparison.mean_reciprocal_rank(each.scores(guessed, new))
        for each in (comparison.Comparison(), chosen)
    )
    assert by_likelihood > 1.3 * by_cosine


def test_few_held_out_faces_leave_the_cosine():
    truth, predicted = faces(comparison.LEAST_HELD_OUT - 1, 1)
    assert comparison.chosen_comparison(predicted, truth, faces(50, 2)[0]).name == "cosine"


def test_directions_in_which_no_face_differs_are_left_out():
    truth, predicted = faces(60, 1)
    public = faces(100, 2)[0]
    for rows in (truth, predicted, public):
        rows[:, 3] = 0
    for made in comparison.likelihood_comparisons(
        predicted, truth, comparison.public_space(public)
    ):
        assert np.isfinite(made.scores(predicted, truth)).all()
        assert made.space.basis.shape[1] < DIRECTIONS


def test_reciprocal_ranks_by_hand():
    scores = np.array([[3.0, 1, 2], [5, 4, 6], [1, 1, 1]])
    assert comparison.mean_reciprocal_rank(scores) == pytest.approx((1 + 1 / 3 + 1) / 3)
