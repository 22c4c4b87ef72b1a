"""Ridge regression from few labels: what leaving one out says, and what it chooses."""

import numpy as np
import pytest

from arl_tf.metrics import few_labels, measures


def signs(labels):
    return 2.0 * labels - 1.0


def labelled(count, noise, seed=0, values=6):
    """Features, and labels of two attributes that the first two of them tell."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, values))
    return features, (features[:, :2] + noise * rng.normal(size=(count, 2)) > 0).astype(np.uint8)


def ridge(features, truth, penalty):
    """A ridge regression with a free constant, by its normal equations."""
    centre = features.mean(axis=0)
    spread = features - centre
    weights = np.linalg.solve(
        spread.T @ spread + penalty * np.eye(features.shape[1]), spread.T @ (truth - truth.mean())
    )
    return lambda asked: (asked - centre) @ weights + truth.mean()


@pytest.mark.parametrize("count", [4, 20])
def test_score_of_a_row_that_is_left_out_is_that_of_a_regression_without_it(count):
    features, labels = labelled(count, 0.5)
    truth = signs(labels)
    left, values, _ = np.linalg.svd(features - features.mean(axis=0), full_matrices=False)
    along = left.T @ (truth - truth.mean(axis=0))
    found = few_labels.left_out(left, values, along, truth, 0.7)
    rows = np.arange(count)
    expected = [
        [ridge(features[rows != r], truth[rows != r, k], 0.7)(features[r]) for k in (0, 1)]
        for r in rows
    ]
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_scores_are_those_of_the_regression_with_the_best_penalty_of_all():
    features, labels = labelled(30, 0.5)
    found = few_labels.learn(features, labels)
    largest = np.linalg.svd(features - features.mean(axis=0), compute_uv=False)[0] ** 2
    for column in (0, 1):
        truth = signs(labels)[:, column]
        scores = features @ found.weights[:, column] - found.centre @ found.weights[:, column]
        distances = [
            np.abs(ridge(features, truth, p * largest)(features) - scores - truth.mean()).max()
            for p in few_labels.PENALTIES
        ]
        assert min(distances) < 1e-9


def test_as_many_rows_are_above_the_threshold_as_are_positive():
    scores = np.array([[0.1, 3.0], [0.4, 1.0], [0.2, 2.0], [0.3, 0.0]])
    labels = np.array([[0, 1], [1, 1], [0, 1], [0, 1]])
    thresholds = few_labels.share_thresholds(scores, labels)
    np.testing.assert_allclose(thresholds, [0.35, -0.5])
    nobody = few_labels.share_thresholds(scores, np.zeros_like(labels))
    np.testing.assert_allclose(nobody, [0.9, 3.5])


def test_a_rare_attribute_is_predicted_about_as_often_as_it_is_there():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2000, 3))
    labels = (features[:, :1] + 0.5 * rng.normal(size=(2000, 1)) > 2).astype(np.uint8)
    learned = few_labels.learn(features[:1000], labels[:1000])
    share = learned.predict(features[1000:]).mean()
    assert share == pytest.approx(labels[:1000].mean(), abs=0.02)
    assert 0.02 < share < 0.06


def test_of_two_kinds_of_features_each_attribute_is_read_from_the_one_that_tells_it():
    features, labels = labelled(300, 0.1)
    noise = np.random.default_rng(1).normal(size=(300, 1))
    kinds = {
        "first": np.concatenate([features[:, :1], noise], axis=1),
        "second": np.concatenate([features[:, 1:2], noise], axis=1),
    }
    known = {kind: values[:200] for kind, values in kinds.items()}
    asked = {kind: values[200:] for kind, values in kinds.items()}
    predicted = few_labels.predict_best(known, labels[:200], asked)
    counts = measures.confusion_counts(predicted, labels[200:]).sum(axis=0)
    assert (measures.matthews_correlation(counts) > 0.8).all()


def test_an_attribute_of_one_class_is_predicted_the_same_everywhere():
    features, labels = labelled(10, 0.5)
    learned = few_labels.learn(features, np.stack([0 * labels[:, 0], 0 * labels[:, 0] + 1], axis=1))
    predicted = learned.predict(features)
    assert not predicted[:, 0].any() and predicted[:, 1].all()


def test_more_features_than_labels_and_constant_features_do_no_harm():
    rng = np.random.default_rng(0)
    labels = np.array([[0], [1], [0], [1]])
    few_labels.learn(rng.normal(size=(4, 50)), labels)
    learned = few_labels.learn(np.ones((4, 3)), labels)
    assert np.isfinite(learned.weights).all() and np.isfinite(learned.thresholds).all()


def test_resampled_figures_are_the_mean_of_the_draws_and_weigh_images():
    labels = np.array([[1], [1], [0], [0]])
    right, wrong = labels.astype(bool), ~labels.astype(bool)
    half = np.array([[True], [False], [True], [False]])
    weights = np.array([[1, 1, 1, 1], [2, 0, 0, 1]], float)
    found = few_labels.resampled_mcc(np.stack([right, half]), labels, weights)
    # All images: 1 and 0. The second resample: 1 and 1.
    np.testing.assert_allclose(found, [[0.5], [1.0]])
    np.testing.assert_allclose(few_labels.resampled_mcc(wrong[None], labels, weights), [[-1], [-1]])
