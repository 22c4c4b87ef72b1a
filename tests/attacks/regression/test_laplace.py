"""Claims about Laplace noise that becomes less, in a world where bounds are known."""

import dataclasses
import types

import numpy as np
import pytest
from scipy import integrate, stats

from arl_tf.attacks import noise_views, registry
from arl_tf.attacks.evidence import (
    BLACK_BOX,
    WHITE_BOX,
    AttackerOptions,
    CodeNoise,
    EachCode,
    Evidence,
    PublicPairs,
    is_laplace,
)
from arl_tf.attacks.identity.registry import view_of
from arl_tf.attacks.knowledge import knowledge_facts
from arl_tf.attacks.regression import laplace, undone
from arl_tf.attacks.regression.code_view import code_view
from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.auditing import disclosure, noise_knowledge

SIDE, LATENTS, VALUES = 6, 10, 80
PIXELS = SIDE * SIDE * 3
PUBLIC, HELD_OUT, TARGET = 3000, 200, 300
OPTIONS = AttackerOptions(
    width=4, depth=0, steps=1, batch_size=8, learning_rate=1e-3, mu=0.0, seed=0
)
# Of each value: some have half of the noise of others.
SCALE = np.where(np.arange(VALUES) % 2, 1.0, 0.5)


def evidence_of(noise, own=0.1, noise_law=None):
    """Evidence of codes x A with noise of scale SCALE; pictures vary along LATENTS directions."""
    rng = np.random.default_rng(0)
    basis = 0.02 * rng.normal(size=(LATENTS, PIXELS))
    matrix = 15 * rng.normal(size=(PIXELS, VALUES)) / np.sqrt(PIXELS)
    count = PUBLIC + HELD_OUT + TARGET
    images = 0.5 + rng.normal(size=(count, LATENTS)) @ basis
    images = np.clip(np.round(images * 255), 0, 255).astype(np.uint8)
    means = images / 255 @ matrix + own * rng.normal(size=(count, VALUES))
    codes = (means + SCALE * noise(rng, means.shape)).astype(np.float32)
    images = images.reshape(-1, SIDE, SIDE, 3)
    public, held_out, target = np.split(np.arange(count), [PUBLIC, PUBLIC + HELD_OUT])
    deviation = (np.sqrt(2) * SCALE).astype(np.float32)
    found = Evidence(
        pairs=PublicPairs(codes[public], images[public], codes[held_out], images[held_out]),
        target_codes=codes[target],
        perceptual_features=lambda image: [image],
        noise=noise_law or CodeNoise(deviation, means[public].astype(np.float32)),
        random_codes=True,
    )
    return types.SimpleNamespace(
        evidence=found, means=means[target], pictures=images[target], all_means=means
    )


@pytest.fixture(scope="module")
def world():
    return evidence_of(lambda rng, shape: rng.laplace(size=shape))


@pytest.fixture(scope="module")
def gaussian():
    return evidence_of(lambda rng, shape: np.sqrt(2) * rng.normal(size=shape))


@pytest.fixture(scope="module")
def seen(world):
    return laplace.with_less_noise(world.evidence, OPTIONS)


@pytest.mark.parametrize("mean", [-30.0, -0.7, 0.0, 2.5, 40.0])
def test_expected_value_is_that_of_the_product_of_both_densities(mean):
    code, scale, variance = 0.3, 0.8, 1.7
    # Where the product is large: between what was seen and the Gaussian's mean.
    values = np.linspace(min(mean, code) - 9, max(mean, code) + 9, 40001)
    density = stats.norm.pdf(values, mean, np.sqrt(variance)) * stats.laplace.pdf(
        code, values, scale
    )
    expected = integrate.simpson(values * density, x=values) / integrate.simpson(density, x=values)
    found = laplace.expected(
        np.full((1, 1, 1), code), np.array([scale]), np.full((1, 1), mean), np.array([variance])
    )
    assert found.item() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("mean", [-30.0, 0.4, 45.0])
@pytest.mark.parametrize(
    "codes", [(0.3, 1.9), (1.9, 0.3, 0.3), (5.0, -4.0, 0.2, 0.1, 0.0), (8.0,) * 9]
)
def test_expected_value_is_that_of_the_product_of_all_densities(mean, codes):
    scale, variance = 0.8, 1.7
    values = np.linspace(min(mean, *codes) - 9, max(mean, *codes) + 9, 400_001)
    logs = stats.norm.logpdf(values, mean, np.sqrt(variance))
    logs = logs - np.abs(values[:, None] - codes).sum(axis=1) / scale
    density = np.exp(logs - logs.max())
    expected = integrate.simpson(values * density, x=values) / integrate.simpson(density, x=values)
    found = laplace.expected(
        np.array(codes).reshape(1, -1, 1),
        np.array([scale]),
        np.full((1, 1), mean),
        np.array([variance]),
    )
    assert found.item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("factor", [1e-9, 1e-3, 1.0, 1e4])
def test_expected_value_is_finite_and_between_what_is_known_for_noise_of_any_size(factor):
    rng = np.random.default_rng(11)
    seen, means = rng.normal(size=(2000, 5, 3)), 3 * rng.normal(size=(2000, 3))
    seen[:100, 1] = seen[:100, 0]
    found = laplace.expected(seen, np.full(3, factor), means, np.array([1e-6, 1.0, 1e6]))
    lowest = np.minimum(means, seen.min(axis=1))
    assert np.isfinite(found).all() and (found >= lowest - 1e-9).all()
    assert (found <= np.maximum(means, seen.max(axis=1)) + 1e-9).all()


def of_several(world, count, noise):
    """The evidence of whoever has so many codes of each image, from the inside."""
    evidence, rng = world.evidence, np.random.default_rng(12)
    every = np.split(
        world.all_means[:, None] + SCALE * noise(rng, (PUBLIC + HELD_OUT + TARGET, count, VALUES)),
        [PUBLIC, PUBLIC + HELD_OUT],
    )
    each = EachCode(*(codes.astype(np.float32) for codes in every))
    public, held_out, target = (codes.mean(axis=1) for codes in every)
    pairs = dataclasses.replace(evidence.pairs, codes=public, held_out_codes=held_out)
    deviation = evidence.noise.deviation / np.float32(np.sqrt(count))
    return dataclasses.replace(
        evidence,
        pairs=pairs,
        target_codes=target.astype(np.float32),
        noise=dataclasses.replace(evidence.noise, deviation=deviation),
        several=SeveralCodes(count, kept=count),
        each=each,
    )


@pytest.mark.parametrize("count", [2, 5])
def test_several_codes_have_less_noise_by_the_law_than_their_mean(world, count):
    evidence = of_several(world, count, lambda rng, shape: rng.laplace(size=shape))
    assert evidence.has_laplace_noise
    found = laplace.with_less_noise(evidence, OPTIONS)
    share = np.square(found.target_codes - world.means).mean(axis=0) / np.square(SCALE)
    # The mean has 2 / count; no estimate has less than 1 / count.
    assert 0.95 / count < share.mean() < 1.7 / count
    np.testing.assert_allclose(
        np.square(found.noise.deviation / SCALE).mean(), share.mean(), rtol=0.05
    )
    assert found.each is None


def test_means_of_several_codes_with_gaussian_noise_are_not_taken_for_laplace(gaussian):
    several = of_several(gaussian, 4, lambda rng, shape: np.sqrt(2) * rng.normal(size=shape))
    assert not several.has_laplace_noise


def test_cavities_are_what_all_other_values_tell():
    rng = np.random.default_rng(1)
    basis, alone, noise = rng.normal(size=(6, 2)), np.full(6, 0.4), np.linspace(0.5, 2, 6)
    model = laplace.CodeModel(rng.normal(size=6), basis, alone)
    codes = rng.normal(size=(3, 6))
    means, variances = laplace.Round(model, noise).cavities(codes)
    covariance = basis @ basis.T + np.diag(alone)
    for value in range(6):
        others = np.delete(np.arange(6), value)
        inverse = np.linalg.inv(covariance[np.ix_(others, others)] + np.diag(noise[others]))
        told = covariance[value, others] @ inverse
        expected = model.mean[value] + (codes[:, others] - model.mean[others]) @ told
        np.testing.assert_allclose(means[:, value], expected)
        left = covariance[value, value] - told @ covariance[others, value]
        assert variances[value] == pytest.approx(left)


def test_codes_have_less_noise_and_mean_codes_stay(world, seen):
    wrong = seen.target_codes - world.means
    # No estimate of where a Laplace distribution lies has less variance than its scale squared.
    found = np.square(wrong).mean(axis=0) / np.square(SCALE)
    assert 0.95 < found.mean() < 1.5
    np.testing.assert_allclose(
        found.mean(), np.square(seen.noise.deviation / SCALE).mean(), rtol=0.03
    )
    centred = world.means - world.means.mean(axis=0)
    slope = (seen.target_codes * centred).sum() / np.square(centred).sum()
    assert slope == pytest.approx(1, abs=0.02)


def test_where_other_values_tell_all_the_noise_is_as_little_as_it_can_be():
    world = evidence_of(lambda rng, shape: 20 * rng.laplace(size=shape), own=1e-3)
    noise = dataclasses.replace(world.evidence.noise, deviation=20 * world.evidence.noise.deviation)
    found = laplace.with_less_noise(dataclasses.replace(world.evidence, noise=noise), OPTIONS)
    # The Cramer-Rao bound: the scale squared, half of the noise's variance.
    share = np.square(found.noise.deviation / (20 * SCALE)).mean()
    assert 1 <= share < 1.1


def test_pictures_by_the_law_of_the_noise_are_nearer_than_by_its_variance(world):
    errors = {}
    for name in ("wiener", "wiener_laplace"):
        attacker = registry.ATTACKERS[name]
        assert not registry.lacking(attacker, world.evidence)
        found = attacker.run(world.evidence, OPTIONS, name=name)
        errors[name] = np.square(found.reconstructions - world.pictures / 255).mean()
        assert found.knowledge == WHITE_BOX and found.name == name
    assert errors["wiener_laplace"] < 0.9 * errors["wiener"]


def test_only_laplace_noise_that_is_known_is_used(world, gaussian):
    attackers = [registry.ATTACKERS[f"{name}_laplace"] for name in ("wiener", "kernel", "map")]
    assert world.evidence.has_laplace_noise and not gaussian.evidence.has_laplace_noise
    untold = world.evidence.as_seen(BLACK_BOX)
    for evidence in (gaussian.evidence, untold):
        assert all(registry.lacking(attacker, evidence) for attacker in attackers)
        assert undone.undone(evidence, OPTIONS) is evidence
    with pytest.raises(ValueError, match=r"Evidence\.noise"):
        laplace.with_less_noise(untold, OPTIONS)


def test_report_says_that_the_law_was_known(world):
    for name, told in (("wiener", False), ("wiener_laplace", True), ("map_laplace", True)):
        words = knowledge_facts(registry.ATTACKERS[name], world.evidence)["words"]
        assert ("the law of this noise" in words) == told


def test_dropped_values_are_no_laplace_noise(world):
    rng = np.random.default_rng(3)
    means = world.evidence.noise.public_means
    codes = means * (rng.random(means.shape) > 0.1) / np.float32(0.9)
    deviation = np.sqrt(np.square(codes - means).mean(axis=0))
    assert not is_laplace(codes, CodeNoise(deviation, means))


@pytest.mark.parametrize("share", [0.7, 0.9])
@pytest.mark.parametrize("kind", ["2 levels", "3 levels", "4 levels", "16 levels", "limited"])
def test_gaussian_noise_that_is_rounded_or_limited_is_no_laplace_noise(share, kind):
    rng = np.random.default_rng(6)

    def sent(values):
        limited = np.clip(values, -1, 1)
        if kind == "limited":
            return limited
        steps = int(kind.split()[0]) - 1
        return np.round((limited + 1) / 2 * steps) / steps * 2 - 1

    signal = np.sqrt(share) * rng.standard_normal((400, 300))
    answers = [
        sent(signal + np.sqrt(1 - share) * rng.standard_normal(signal.shape)) for _ in range(60)
    ]
    means = np.mean(answers, axis=0)
    deviation = np.sqrt(np.square(answers[0] - means).mean(axis=0))
    assert not is_laplace(answers[0], CodeNoise(deviation, means))


@pytest.mark.parametrize("count", [4, 8])
def test_laplace_noise_is_seen_in_few_answers_and_gaussian_noise_is_none(count):
    rng = np.random.default_rng(7)
    for law, expected in ((rng.laplace, True), (rng.normal, False)):
        answers = law(size=(count, 2000, 40)) + rng.normal(size=(2000, 40))
        means = answers.mean(axis=0)
        variance = np.square(answers[0] - means).mean(axis=0) / (1 - 1 / count)
        noise = CodeNoise(np.sqrt(variance), means, count, 1 / count)
        assert is_laplace(answers[0], noise) is expected


@pytest.mark.parametrize("law", ["laplace", "normal"])
def test_values_without_noise_say_nothing_of_the_law_of_the_others(world, law):
    rng = np.random.default_rng(4)
    means = world.evidence.noise.public_means
    scale = np.where(np.arange(VALUES) % 2, 1.0, 0.0)
    codes = (means + scale * getattr(rng, law)(size=means.shape)).astype(np.float32)
    deviation = noise_knowledge.deviation_of(np.square(codes - means).mean(axis=0), codes)
    assert is_laplace(codes, CodeNoise(deviation, means)) == (law == "laplace")
    assert not is_laplace(means, CodeNoise(deviation, means))


def test_constant_values_have_next_to_no_noise_left(world):
    constant = np.arange(VALUES) % 4 == 0
    means = np.where(constant, 0, world.evidence.noise.public_means)
    pairs = world.evidence.pairs
    pairs = dataclasses.replace(pairs, codes=np.where(constant, 0, pairs.codes))
    variance = np.square(pairs.codes - means).mean(axis=0)
    noise = CodeNoise(noise_knowledge.deviation_of(variance, pairs.codes), means)
    found = laplace.with_less_noise(
        dataclasses.replace(world.evidence, pairs=pairs, noise=noise), OPTIONS
    )
    assert found.noise.deviation.min() > 0
    assert np.isfinite(found.noise.in_units(found.pairs.codes)).all()


def test_probes_linkage_and_attacks_on_identity_see_codes_with_less_noise(world, seen):
    found = dataclasses.make_dataclass("Found", ["evidence", "settings"])(
        world.evidence, types.SimpleNamespace(attacker=OPTIONS)
    )
    probed = disclosure.with_noise_undone(found).evidence
    np.testing.assert_array_equal(probed.target_codes, seen.target_codes)
    view, expected = view_of(world.evidence, OPTIONS), code_view(seen, OPTIONS.seed)
    np.testing.assert_array_equal(view.target, expected.target)


def test_noise_that_decoders_draw_anew_has_the_law_of_the_codes(world, gaussian):
    rows = np.arange(500)
    for evidence, expected in (
        (world.evidence, np.sqrt(0.5)),
        (gaussian.evidence, np.sqrt(2 / np.pi)),
    ):
        draw = noise_views.fresh_codes(evidence.pairs, evidence.noise)
        drawn = draw(rows, np.random.default_rng(4)) - evidence.noise.public_means[rows]
        units = drawn / evidence.noise.deviation
        assert np.square(units).mean() == pytest.approx(1, abs=0.03)
        assert np.abs(units).mean() == pytest.approx(expected, abs=0.01)


def asked(world, noise, answers):
    """The evidence of whoever asked the encoder for so many codes of each public image."""
    evidence = world.evidence
    truth, rng = evidence.noise.public_means, np.random.default_rng(7)
    further = [truth + SCALE * noise(rng, truth.shape) for _ in range(answers - 1)]
    means = np.mean([evidence.pairs.codes, *further], axis=0)
    share = 1 / answers
    variance = np.square(evidence.pairs.codes - means).mean(axis=0) / (1 - share)
    learned = CodeNoise(
        np.sqrt(variance).astype(np.float32), means.astype(np.float32), answers, share
    )
    return dataclasses.replace(evidence, noise=learned, asked_noise=learned)


@pytest.mark.parametrize("answers", [4, 8])
def test_whoever_asks_often_enough_sees_the_law_of_the_noise(world, gaussian, answers):
    laplacian = asked(world, lambda rng, shape: rng.laplace(size=shape), answers)
    assert laplacian.has_laplace_noise
    normal = asked(gaussian, lambda rng, shape: np.sqrt(2) * rng.normal(size=shape), answers)
    assert not normal.has_laplace_noise


def test_two_answers_tell_nothing_of_the_law(world):
    assert not asked(world, lambda rng, shape: rng.laplace(size=shape), 2).has_laplace_noise


@pytest.mark.parametrize("name", ["wiener_laplace", "kernel_laplace"])
def test_pictures_by_a_law_that_was_seen_by_asking_are_nearer(world, name):
    evidence = asked(world, lambda rng, shape: rng.laplace(size=shape), 8)
    attacker = registry.ATTACKERS[name]
    assert not registry.lacking(attacker, evidence)
    by_law = attacker.run(evidence, OPTIONS, name=name, start=None)
    by_variance = registry.ATTACKERS["linear"].run(evidence, OPTIONS, name="linear", start=None)
    error = {
        found.name: np.square(found.reconstructions - world.pictures / 255).mean()
        for found in (by_law, by_variance)
    }
    assert error[name] < 0.85 * error["linear"]
    # The inside of the encoder was not at hand.
    assert by_law.knowledge == BLACK_BOX


def test_noise_that_is_left_is_told_of_codes_and_means(world):
    evidence = asked(world, lambda rng, shape: rng.laplace(size=shape), 8)
    left = laplace.with_less_noise(evidence, OPTIONS)
    wrong = np.square(left.target_codes - world.means).mean(axis=0)
    np.testing.assert_allclose(np.square(left.noise.deviation), wrong, rtol=0.3)
    in_means = left.noise.remaining * np.square(left.noise.deviation).sum()
    assert in_means == pytest.approx(np.square(evidence.noise.deviation).sum() / 8, rel=1e-4)
