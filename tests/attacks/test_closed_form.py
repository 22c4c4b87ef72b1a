"""Attacks without training: exact where the code is linear, and no worse than its definition."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from arl_tf.attacks import closed_form, noise_aware, retrieval
from arl_tf.attacks.evidence import AttackerOptions, Evidence, PublicPairs

SETTINGS = AttackerOptions(
    width=4, depth=0, steps=10, batch_size=4, learning_rate=1e-3, mu=0.0, seed=3
)
SIDE = 4
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (140, SIDE, SIDE, 3)).astype(np.uint8)


def evidence(encode):
    public, held_out, target = PICTURES[:100], PICTURES[100:120], PICTURES[120:]
    return Evidence(
        PublicPairs(encode(public), public, encode(held_out), held_out),
        encode(target),
        lambda image: [image],
    )


def unit(images):
    return images.reshape(len(images), -1) / np.float32(255)


def test_linear_attack_undoes_any_invertible_linear_code():
    mixing = np.linalg.qr(RNG.normal(size=(48, 48)))[0].astype(np.float32)
    result = noise_aware.linear_attack(
        evidence(lambda images: unit(images) @ mixing), SETTINGS, name="linear"
    )
    np.testing.assert_allclose(
        result.reconstructions.reshape(20, -1), unit(PICTURES[120:]), atol=5e-3
    )
    assert len(result.held_out_loss) == 1
    assert result.held_out_reconstructions.shape == (20, SIDE, SIDE, 3)


def test_linear_attack_undoes_a_code_that_hides_most_of_the_picture_in_little_variance():
    rotation = np.linalg.qr(RNG.normal(size=(48, 48)))[0]
    scales = np.where(np.arange(48) < 8, 1.0, 1e-4)
    mixing = (np.diag(scales) @ rotation).astype(np.float32)
    result = noise_aware.linear_attack(
        evidence(lambda images: unit(images) @ mixing), SETTINGS, name="linear"
    )
    # The code itself is rounded to some 1e-7 of 1: a thousandth of what is hidden.
    np.testing.assert_allclose(
        result.reconstructions.reshape(20, -1), unit(PICTURES[120:]), atol=0.02
    )


def test_penalties_are_dense_where_the_best_of_photographs_lie():
    dense = [each for each in closed_form.RIDGE_PENALTIES if each >= 1e-2]
    assert dense[0] <= 1e-2 and dense[-1] >= 10
    assert max(np.divide(dense[1:], dense[:-1])) < 4


@pytest.mark.parametrize("count", [30, 100])
def test_ridge_is_scikit_learns_in_primal_and_dual_form(count):
    inputs, outputs = RNG.normal(size=(count, 48)), RNG.normal(size=(count, 5))
    new = RNG.normal(size=(7, 48))
    centred = inputs - inputs.mean(axis=0)
    gram = centred @ centred.T if count < 48 else centred.T @ centred
    level = np.trace(gram) / len(gram)
    for penalty, predict in closed_form.ridge_path(inputs, outputs, (0.01, 1.0)):
        expected = Ridge(alpha=penalty * level).fit(inputs, outputs).predict(new)
        np.testing.assert_allclose(predict(new), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("count", [20, 80])
def test_each_example_is_left_out_as_if_it_had_never_been_there(count):
    inputs, outputs = RNG.normal(size=(count, 30)), RNG.normal(size=(count, 4))
    centred = inputs - inputs.mean(axis=0)
    gram = centred @ centred.T if count < 30 else centred.T @ centred
    alpha = 0.1 * np.trace(gram) / len(gram)
    (_, predict), *_ = closed_form.ridge_path(inputs, outputs, (0.1,))
    found = closed_form.leave_one_out(inputs, outputs, predict(inputs), 0.1)
    for row in (0, 7, count - 1):
        others = np.arange(count) != row
        fitted = Ridge(alpha=alpha).fit(inputs[others], outputs[others])
        np.testing.assert_allclose(found[row], fitted.predict(inputs[row : row + 1])[0], rtol=1e-6)


def test_pictures_to_refine_stand_where_the_codes_stood_and_hold_what_they_tell():
    mixing = np.linalg.qr(RNG.normal(size=(48, 48)))[0].astype(np.float32)
    given = evidence(lambda images: unit(images) @ mixing)
    seen = closed_form.linear_pictures(given, SETTINGS)
    assert seen.pairs.codes.shape == given.pairs.images.shape
    for codes, images in (
        (seen.pairs.codes, seen.pairs.images),
        (seen.pairs.held_out_codes, seen.pairs.held_out_images),
        (seen.target_codes, PICTURES[120:]),
    ):
        np.testing.assert_allclose(codes, images / 255, atol=0.02)


def test_linear_attack_on_noise_is_the_mean_image():
    noise = np.random.default_rng(4)
    result = noise_aware.linear_attack(
        evidence(lambda images: noise.normal(size=(len(images), 6)).astype(np.float32)),
        SETTINGS,
        name="linear",
    )
    mean = unit(PICTURES[:100]).mean(axis=0)
    np.testing.assert_allclose(result.reconstructions.reshape(20, -1), [mean] * 20, atol=0.1)


def test_retrieval_gives_the_public_image_with_the_nearest_code():
    # The code is the mean of the red channel alone.
    result = retrieval.retrieval_attack(
        evidence(lambda images: unit(images)[:, ::3].mean(axis=1, keepdims=True)),
        SETTINGS,
        name="retrieval",
    )
    red = unit(PICTURES)[:, ::3].mean(axis=1)
    expected = np.abs(red[120:, None] - red[None, :100]).argmin(axis=1)
    np.testing.assert_allclose(result.reconstructions, PICTURES[expected] / 255, atol=1e-6)


def test_nearest_does_not_depend_on_how_many_are_compared_at_once(monkeypatch):
    probes, gallery = RNG.normal(size=(50, 6)), RNG.normal(size=(30, 6))
    at_once = closed_form.nearest(probes, gallery)
    monkeypatch.setattr(closed_form, "ROWS_AT_ONCE", 7)
    np.testing.assert_array_equal(closed_form.nearest(probes, gallery), at_once)
    distances = np.square(probes[:, None] - gallery).sum(axis=2)
    np.testing.assert_array_equal(at_once, distances.argmin(axis=1))


@pytest.mark.parametrize(
    ("values", "side", "most"),
    [(4096, 64, 16_000), (4097, 64, 6000), (4096, 128, 6000), (4096, 80, 10_416)],
)
def test_maps_take_more_pairs_of_short_codes_as_far_as_their_pictures_fit(values, side, most):
    shapes = (np.zeros((0, values)), np.zeros((0, side, side, 3)))
    assert closed_form.most_pairs(PublicPairs(*shapes, *shapes)) == most


def test_sampled_rows_are_all_or_as_many_as_asked_each_once():
    np.testing.assert_array_equal(closed_form.sample_rows(5, 9, seed=0), np.arange(5))
    rows = closed_form.sample_rows(100, 10, seed=0)
    assert len(set(rows.tolist())) == 10
    assert (np.diff(rows) > 0).all()
