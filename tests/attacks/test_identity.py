"""Attacks on identity beside the optimum of a Gaussian world, known in closed form."""

import dataclasses

import numpy as np
import pytest

from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs
from arl_tf.attacks.identity import registry
from arl_tf.attacks.identity.faces import PublicFaces, mean_cosine, unit
from arl_tf.attacks.identity.fusion import fused, fusion_weights
from arl_tf.attacks.identity.kernel import kernel
from arl_tf.attacks.identity.perceptron import perceptron
from arl_tf.attacks.identity.ridge import ridge
from arl_tf.attacks.regression.code_view import code_view

LATENTS, IDENTITY, NUISANCE = 10, 6, 14
PUBLIC, HELD_OUT, TARGET = 1000, 200, 500
OPTIONS = AttackerOptions(
    width=4, depth=0, steps=1000, batch_size=64, learning_rate=1e-3, mu=0.0, seed=0
)


class World:
    """Faces are normal latents x, an identity network sees the first of them.

    Codes are all latents, rotated, with noise of one variance; and values of noise alone. By
    symmetry the best prediction of the embedding's direction is that of the latents seen.
    """

    def __init__(self, variance, seed=0, public=PUBLIC):
        self.rng = np.random.default_rng(seed)
        self.rotation = np.linalg.qr(self.rng.normal(size=(LATENTS, LATENTS)))[0]
        self.variance = variance
        faces = [self.rng.normal(size=(n, LATENTS)) for n in (public, HELD_OUT, TARGET)]
        self.truth = [self.embedding(each) for each in faces]
        codes = [self.code(each) for each in faces]
        images = [np.zeros((len(each), 4, 4, 3), np.uint8) for each in faces]
        self.evidence = Evidence(
            PublicPairs(codes[0], images[0], codes[1], images[1]),
            codes[2],
            lambda image: [image],
            noise=CodeNoise(self.deviation, self.mean_code(faces[0])),
        )
        self.faces = PublicFaces({"net": self.truth[0]}, {"net": self.truth[1]})

    @property
    def deviation(self):
        known = np.full(LATENTS, np.sqrt(self.variance))
        return np.concatenate([known, np.full(NUISANCE, 30.0)]).astype(np.float32)

    def embedding(self, faces):
        return unit(faces[:, :IDENTITY])

    def mean_code(self, faces):
        silent = np.zeros((len(faces), NUISANCE))
        return np.concatenate([faces @ self.rotation, silent], axis=1).astype(np.float32)

    def code(self, faces):
        noise = self.rng.normal(size=(len(faces), LATENTS + NUISANCE))
        return (self.mean_code(faces) + self.deviation * noise).astype(np.float32)

    def best_prediction(self):
        return unit((self.evidence.target_codes[:, :LATENTS] @ self.rotation.T)[:, :IDENTITY])


def attacked(attack, world, evidence=None, options=OPTIONS):
    evidence = evidence or world.evidence
    return attack(code_view(evidence, 0), evidence, world.faces, options)


@pytest.mark.parametrize("variance", [0.2, 1.0, 4.0])
def test_ridge_reaches_the_optimum_of_a_linear_code_and_a_linear_identity_network(variance):
    world = World(variance)
    found = mean_cosine(attacked(ridge, world).target["net"], world.truth[2])
    optimum = mean_cosine(world.best_prediction(), world.truth[2])
    assert optimum - 0.01 < found < optimum + 0.01


def test_ridge_without_knowledge_of_the_noise_is_worse_from_few_images_and_says_so():
    world = World(1.0, public=60)
    told = attacked(ridge, world)
    untold = attacked(ridge, world, dataclasses.replace(world.evidence, noise=None))
    cosines = [mean_cosine(each.target["net"], world.truth[2]) for each in (told, untold)]
    assert cosines[0] > cosines[1] + 0.01
    assert [each.knowledge for each in (told, untold)] == ["white-box", "black-box"]


@pytest.mark.parametrize("deviation", [0.1, 0.01, 1e-3])
def test_whoever_knows_of_a_little_noise_predicts_no_worse_for_it(deviation):
    # Few images and many values: their number decides how much to shrink, not the noise.
    rng = np.random.default_rng(3)
    values, counts = 240, (300, 150, 300)
    basis, matrix = rng.normal(size=(20, values)), rng.normal(size=(20, IDENTITY))
    faces = [rng.normal(size=(count, 20)) for count in counts]
    truth = [unit(each @ matrix) for each in faces]
    means = [
        (each @ basis + 3 * rng.normal(size=(len(each), values))).astype(np.float32)
        for each in faces
    ]
    codes = [(each + deviation * rng.normal(size=each.shape)).astype(np.float32) for each in means]
    images = [np.zeros((count, 4, 4, 3), np.uint8) for count in counts]
    told = Evidence(
        PublicPairs(codes[0], images[0], codes[1], images[1]),
        codes[2],
        lambda image: [image],
        noise=CodeNoise(np.full(values, deviation, np.float32), means[0]),
    )
    public = PublicFaces({"net": truth[0]}, {"net": truth[1]})
    cosines = [
        mean_cosine(ridge(code_view(seen, 0), seen, public, OPTIONS).target["net"], truth[2])
        for seen in (told, dataclasses.replace(told, noise=None))
    ]
    assert cosines[0] > cosines[1] - 0.01


def test_ridge_finds_nothing_in_codes_of_noise():
    world = World(1.0)
    noise = np.random.default_rng(5).normal(size=(PUBLIC + HELD_OUT + TARGET, 8))
    parts = np.split(noise.astype(np.float32), [PUBLIC, PUBLIC + HELD_OUT])
    pairs = dataclasses.replace(world.evidence.pairs, codes=parts[0], held_out_codes=parts[1])
    evidence = dataclasses.replace(world.evidence, pairs=pairs, target_codes=parts[2], noise=None)
    found = attacked(ridge, world, evidence).target["net"]
    # A mean cosine of 500 random directions in 6 dimensions deviates by 1 / sqrt(3000).
    assert abs(mean_cosine(found, world.truth[2])) < 5 / np.sqrt(3000)


@pytest.mark.parametrize("attack", [kernel, pytest.param(perceptron, marks=pytest.mark.slow)])
def test_what_no_linear_map_tells_is_learned(attack):
    world = World(0.01, public=800)
    # The identity network sees absolute values: no correlation with the code is left.
    latents = [
        codes[:, :LATENTS] @ world.rotation.T
        for codes in (world.evidence.noise.public_means, world.evidence.pairs.held_out_codes)
    ]
    seen = [unit(np.abs(each[:, :3]) - np.sqrt(2 / np.pi)) for each in latents]
    world.faces = PublicFaces({"net": seen[0]}, {"net": seen[1]})
    linear, curved = (
        mean_cosine(attacked(each, world).held_out["net"], seen[1]) for each in (ridge, attack)
    )
    assert curved > linear + 0.15


def test_perceptron_is_no_worse_than_the_ridge_regression_it_begins_as():
    # Forty public codes without noise knowledge: training can only overfit.
    world = World(1.0, public=40)
    evidence = dataclasses.replace(world.evidence, noise=None)
    linear, curved = (
        mean_cosine(attacked(attack, world, evidence).held_out["net"], world.truth[1])
        for attack in (ridge, perceptron)
    )
    assert curved >= linear - 1e-5


@pytest.mark.slow
def test_perceptron_predicts_for_all_networks_and_the_same_again():
    world = World(1.0, public=200)
    world.faces = PublicFaces(
        {"a": world.truth[0], "b": world.truth[0][:, :4]},
        {"a": world.truth[1], "b": world.truth[1][:, :4]},
    )
    short = dataclasses.replace(OPTIONS, steps=10)
    first, second = (attacked(perceptron, world, options=short) for _ in range(2))
    assert first.target["a"].shape == (TARGET, IDENTITY)
    assert first.target["b"].shape == (TARGET, 4)
    for network in ("a", "b"):
        np.testing.assert_array_equal(first.target[network], second.target[network])


def test_levels_add_attackers():
    levels = {
        level: list(registry.identity_attackers(level)) for level in ("quick", "standard", "full")
    }
    assert levels == {
        "quick": ["ridge"],
        "standard": ["ridge", "kernel"],
        "full": ["ridge", "kernel", "mlp"],
    }


def test_fusion_takes_what_helps_and_beats_each_member():
    rng = np.random.default_rng(0)
    truth = unit(rng.normal(size=(300, 8)))
    noisy = [unit(truth + level * rng.normal(size=truth.shape)) for level in (0.3, 0.5)]
    useless = unit(rng.normal(size=truth.shape))
    weights = fusion_weights(np.stack([*noisy, useless]), truth)
    assert weights[0] > weights[1] > 10 * weights[2]
    members = dict(zip("abc", [*noisy, useless], strict=True))
    together = mean_cosine(fused(members, dict(zip("abc", weights, strict=True))), truth)
    assert together > max(mean_cosine(each, truth) for each in noisy) + 0.01


def test_fusion_of_what_is_all_wrong_is_its_first_member():
    truth = unit(np.random.default_rng(0).normal(size=(20, 4)))
    assert fusion_weights(-np.stack([truth, truth]), truth).tolist() == [1.0, 0.0]
