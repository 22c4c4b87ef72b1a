"""The fitted task head: finds what codes tell, stays at chance where they tell nothing."""

import keras
import numpy as np
import pytest

from arl_tf.auditing.encoders.fitted_head import fit_task_head
from arl_tf.metrics.tasks.registry import task_of

pytestmark = pytest.mark.slow


def telling_pairs(count, seed, scale=1.0, shift=0.0):
    """Codes of which two channels' signs, and their product, are the labels."""
    rng = np.random.default_rng(seed)
    codes = rng.normal(size=(count, 2, 2, 3)).astype(np.float32)
    first, second = codes[:, 0, 0, 0] > 0, codes[:, 1, 1, 2] > 0
    labels = np.stack([first, second, first ^ second], axis=1).astype(np.uint8)
    return codes * scale + shift, labels


def accuracy(head, codes, labels):
    return ((head(codes) > 0) == labels).mean(axis=0)


def test_finds_linear_and_other_attributes_of_unseen_codes():
    head = fit_task_head(*telling_pairs(2000, 0), *telling_pairs(300, 1), seed=0)
    codes, labels = telling_pairs(500, 2)
    logits = head(codes)
    assert logits.shape == (500, 3) and logits.dtype == np.float32
    assert (accuracy(head, codes, labels) > 0.85).all()


def test_scale_and_offset_of_codes_do_not_matter():
    pairs = [telling_pairs(n, s, scale=1e-4, shift=7e-4) for n, s in ((600, 0), (200, 1), (300, 2))]
    head = fit_task_head(*pairs[0], *pairs[1], seed=0)
    assert (accuracy(head, *pairs[2])[:2] > 0.9).all()


def test_codes_that_tell_nothing_give_the_frequencies():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(1000, 8)).astype(np.float32)
    labels = (rng.random((1000, 2)) < (0.2, 0.7)).astype(np.uint8)
    head = fit_task_head(codes[:700], labels[:700], codes[700:], labels[700:], seed=0)
    probability = 1 / (1 + np.exp(-head(codes)))
    np.testing.assert_allclose(probability.mean(axis=0), (0.2, 0.7), atol=0.06)


def test_constant_codes_and_attributes_of_one_class_stay_finite():
    codes, labels = np.full((100, 4), 2.5, np.float32), np.ones((100, 2), np.uint8)
    head = fit_task_head(codes, labels, codes[:20], labels[:20], seed=0)
    assert np.isfinite(head(codes)).all() and (head(codes) > 0).all()


def test_values_are_fitted_and_given_in_the_labels_units():
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(500, 4)).astype(np.float32)
    labels = (1000 + 50 * codes[:, :1]).astype(np.float32)
    task = task_of("regression")
    head = fit_task_head(codes[:400], labels[:400], codes[400:], labels[400:], seed=0, task=task)
    assert task.score(head(codes[400:]), labels[400:]) > 0.8


def test_result_is_the_arguments_seeds_and_not_the_global_ones():
    pairs = (*telling_pairs(300, 0), *telling_pairs(100, 1))
    codes = telling_pairs(50, 2)[0]
    logits = []
    for global_seed, seed in ((1, 5), (2, 5), (1, 6)):
        keras.utils.set_random_seed(global_seed)
        logits.append(fit_task_head(*pairs, seed=seed)(codes))
    np.testing.assert_array_equal(logits[0], logits[1])
    assert not np.array_equal(logits[0], logits[2])


def test_codes_and_labels_that_do_not_fit_are_refused():
    codes, labels = telling_pairs(80, 0)
    with pytest.raises(ValueError, match=r"for its 80 training codes; got \(79, 3\)"):
        fit_task_head(codes, labels[:-1], codes, labels, seed=0)
    with pytest.raises(ValueError, match=r"held-out codes; got \(80, 0\)"):
        fit_task_head(codes, labels, codes, labels[:, :0], seed=0)
    with pytest.raises(ValueError, match="shaped as the training ones"):
        fit_task_head(codes, labels, codes[..., :2], labels, seed=0)
