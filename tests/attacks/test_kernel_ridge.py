"""Kernel ridge regression beside its formula, and beside linear maps where these fail."""

import dataclasses

import numpy as np
import pytest

from arl_tf.attacks import noise_aware
from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs
from arl_tf.attacks.regression import kernel_ridge
from arl_tf.attacks.regression.code_view import CodeView, code_view

OPTIONS = AttackerOptions(
    width=4, depth=0, steps=8, batch_size=8, learning_rate=1e-3, mu=0.0, seed=0
)


def view_of(public, noise=0.0, lacking=0.0):
    return CodeView(
        rows=np.arange(len(public)),
        public=public,
        held_out=public[:2],
        target=public[:2],
        variances=public.var(axis=0).astype(np.float64),
        noise=noise,
        lacking=lacking,
    )


def test_predictions_are_the_formula_s():
    rng = np.random.default_rng(0)
    public, code = rng.normal(size=(6, 3)), rng.normal(size=(1, 3))
    outputs = rng.normal(size=(6, 2)).astype(np.float32)
    between = np.array([[((one - other) ** 2).sum() for other in public] for one in public])
    near = ((public - code) ** 2).sum(axis=1)
    unit = np.median(between)
    kernels = {
        "gaussian": lambda square: np.exp(-square / (0.5 * unit)),
        "laplacian": lambda square: np.exp(-np.sqrt(square / (4 * unit))),
    }
    found = list(kernel_ridge.kernel_maps(view_of(public), 0))
    assert len(found) == len(kernels) * len(kernel_ridge.PENALTIES)
    for each in found:
        kernel, mean = kernels[each.kernel], outputs.mean(axis=0)
        solved = np.linalg.solve(kernel(between) + each.penalty * np.eye(6), outputs - mean)
        expected = mean + kernel(near) @ solved
        np.testing.assert_allclose(each.predict(code, outputs)[0], expected, rtol=1e-4, atol=1e-5)


def test_noise_is_drawn_for_public_codes_and_what_is_noise_alone_is_left_out():
    public = np.random.default_rng(0).normal(size=(400, 2)) * [3.0, 0.0]
    (first, *_) = kernel_ridge.kernel_maps(view_of(public, noise=1.0, lacking=1.0), 0)
    share = public[:, 0].var() / (public[:, 0].var() + 1)
    np.testing.assert_allclose(first.gain, [np.sqrt(share), 0], rtol=1e-6)
    added = first.points[:, 0] / first.gain[0] - public[:, 0]
    # The variance of 400 normal values deviates by a fourteenth.
    assert added.var() == pytest.approx(1, abs=5 / 14)
    assert (first.points[:, 1] == 0).all()


def squared_world(noise=None):
    """Pictures of the squares of what the code holds: no correlation with it is left."""
    rng = np.random.default_rng(1)
    hidden = rng.uniform(-1, 1, (1200, 3)).astype(np.float32)
    pictures = np.zeros((1200, 4, 4, 3), np.uint8)
    pictures[:] = (127.5 + 120 * hidden**2 - 60)[:, None, None]
    codes = (hidden + (noise or 0) * rng.standard_normal(hidden.shape)).astype(np.float32)
    evidence = Evidence(
        PublicPairs(codes[:900], pictures[:900], codes[900:1000], pictures[900:1000]),
        codes[1000:],
        lambda image: [image],
    )
    if noise:
        known = CodeNoise(np.full(3, noise, np.float32), hidden[:900])
        evidence = dataclasses.replace(evidence, noise=known)
    return evidence, pictures[1000:] / np.float32(255)


@pytest.mark.parametrize("noise", [None, 0.1])
def test_pictures_that_no_linear_map_gives_are_found(noise):
    evidence, truth = squared_world(noise)
    found = kernel_ridge.kernel_attack(evidence, OPTIONS, name="kernel")
    linear = noise_aware.linear_attack(evidence, OPTIONS, name="linear")
    error, linear_error = (
        np.square(each.reconstructions - truth).mean() for each in (found, linear)
    )
    assert error < 0.3 * linear_error
    assert found.held_out_reconstructions.shape == (100, 4, 4, 3)
    assert found.settings["kernel"] in kernel_ridge.KERNELS
    again = kernel_ridge.kernel_attack(evidence, OPTIONS, name="kernel")
    np.testing.assert_array_equal(again.reconstructions, found.reconstructions)


def test_constant_codes_give_the_mean_image():
    evidence, _ = squared_world()
    pairs = evidence.pairs
    same = dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(
            pairs,
            codes=np.ones_like(pairs.codes),
            held_out_codes=np.ones_like(pairs.held_out_codes),
        ),
        target_codes=np.ones_like(evidence.target_codes),
    )
    found = kernel_ridge.kernel_attack(same, OPTIONS, name="kernel")
    mean = (pairs.images / np.float32(255)).mean(axis=0)
    np.testing.assert_allclose(
        found.reconstructions, np.broadcast_to(mean, (200, 4, 4, 3)), atol=1e-4
    )


def test_no_code_is_predicted_differently_beside_others(monkeypatch):
    evidence, _ = squared_world()
    view = code_view(evidence, 0)
    outputs = evidence.pairs.images.reshape(900, -1).astype(np.float32)
    (found, *_) = kernel_ridge.kernel_maps(view, 0)
    whole = found.predict(view.target, outputs)
    monkeypatch.setattr(kernel_ridge, "AT_ONCE", 7)
    np.testing.assert_allclose(found.predict(view.target, outputs), whole, rtol=1e-4, atol=1e-2)


def test_the_mean_of_several_draws_is_that_of_single_regressions():
    rng = np.random.default_rng(2)
    public = rng.normal(size=(60, 3)).astype(np.float32)
    outputs = rng.normal(size=(60, 2)).astype(np.float32)
    view = view_of(public, noise=1.0, lacking=0.5)
    chosen = next(iter(kernel_ridge.kernel_problem(view, 7).maps("laplacian", [0.1])))
    found = list(kernel_ridge.averaged_predictions(view, chosen, outputs, 7))
    assert [penalty for penalty, *_ in found] == [0.03, 0.1]
    for penalty, held_out, target in found:
        singles = [
            next(iter(kernel_ridge.kernel_problem(view, 7 + draw).maps("laplacian", [penalty])))
            for draw in range(kernel_ridge.NOISE_DRAWS)
        ]
        for codes, predicted in ((view.held_out, held_out), (view.target, target)):
            expected = np.mean([single.predict(codes, outputs) for single in singles], axis=0)
            np.testing.assert_allclose(predicted, expected, rtol=1e-5, atol=1e-6)


def test_without_noise_to_draw_there_is_one_regression():
    public = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    (first, *_) = kernel_ridge.kernel_maps(view_of(public), 0)
    outputs = np.ones((20, 1), np.float32)
    assert not list(kernel_ridge.averaged_predictions(view_of(public), first, outputs, 0))


def test_several_draws_of_much_noise_predict_better_than_one():
    evidence, truth = squared_world(0.4)
    found = kernel_ridge.kernel_attack(evidence, OPTIONS, name="kernel")
    view = code_view(evidence, OPTIONS.seed)
    outputs = evidence.pairs.images.reshape(900, -1)[view.rows] / np.float32(255)
    singles = [
        np.square(each.predict(view.target, outputs) - truth.reshape(200, -1)).mean()
        for each in kernel_ridge.kernel_maps(view, OPTIONS.seed)
    ]
    assert found.settings["noise_draws"] == kernel_ridge.NOISE_DRAWS
    assert np.square(found.reconstructions - truth).mean() < min(singles)
