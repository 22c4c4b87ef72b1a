"""Attackers that know the noise, beside the optimum of a Gaussian world, known in closed form."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import component_search, noise_aware, registry
from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs

SIDE, LATENTS, VALUES = 8, 12, 40
PIXELS = SIDE * SIDE * 3
PUBLIC, HELD_OUT, TARGET = 1500, 200, 400
OPTIONS = AttackerOptions(
    width=4, depth=0, steps=100, batch_size=32, learning_rate=1e-3, mu=0.0, seed=0
)


class World:
    """Pictures m + B a with normal a; codes A x + noise, of other deviation for each value."""

    def __init__(self, level, seed=0):
        rng = np.random.default_rng(seed)
        self.basis = 0.05 * rng.normal(size=(LATENTS, PIXELS)) / np.sqrt(LATENTS / 4)
        self.matrix = rng.normal(size=(PIXELS, VALUES)).astype(np.float32)
        self.deviation = (level * np.exp(rng.normal(size=VALUES))).astype(np.float32)
        self.rng = rng

    def pictures(self, count):
        pixels = 0.5 + self.rng.normal(size=(count, LATENTS)) @ self.basis
        return np.clip(np.round(pixels * 255), 0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE, 3)

    def mean_codes(self, pictures):
        return (pictures.reshape(len(pictures), -1) / np.float32(255)) @ self.matrix

    def codes(self, pictures):
        noise = self.rng.normal(size=(len(pictures), VALUES)).astype(np.float32)
        return self.mean_codes(pictures) + self.deviation * noise

    def encode(self, image):
        return tf.reshape(image, (-1, PIXELS)) @ tf.constant(self.matrix)

    def posterior_mean(self, codes):
        """The optimal pictures float [N, PIXELS] of codes: no attacker can do better on average."""
        seen = (self.basis @ self.matrix) / self.deviation
        residual = (codes - np.full(PIXELS, 0.5) @ self.matrix) / self.deviation
        gain = np.linalg.solve(np.eye(LATENTS) + seen @ seen.T, seen)
        return 0.5 + (residual @ gain.T) @ self.basis


@pytest.fixture(scope="module", params=[1.0, 4.0])
def attacked(request):
    """(world, evidence, target pictures in [0, 1])."""
    world = World(request.param)
    public, held_out, target = (world.pictures(n) for n in (PUBLIC, HELD_OUT, TARGET))
    evidence = Evidence(
        pairs=PublicPairs(world.codes(public), public, world.codes(held_out), held_out),
        target_codes=world.codes(target),
        perceptual_features=lambda image: [image],
        encode=world.encode,
        noise=CodeNoise(world.deviation, world.mean_codes(public)),
    )
    return world, evidence, target / 255


def decibels_above_optimum(result, world, codes, truth):
    optimum = world.posterior_mean(codes).reshape(truth.shape)
    errors = [np.square(found - truth).mean() for found in (result.reconstructions, optimum)]
    return 10 * np.log10(errors[0] / errors[1])


def test_the_wiener_map_comes_within_a_tenth_of_a_decibel_of_the_optimum(attacked):
    world, evidence, truth = attacked
    result = noise_aware.wiener_attack(evidence, OPTIONS, name="wiener")
    assert -0.05 < decibels_above_optimum(result, world, evidence.target_codes, truth) < 0.1
    assert result.knowledge == "white-box" and result.settings["noise_factor"] <= 2.0


def test_the_map_search_comes_within_a_tenth_of_a_decibel_of_the_optimum(attacked):
    world, evidence, truth = attacked
    start = noise_aware.wiener_attack(evidence, OPTIONS, name="wiener")
    result = component_search.map_attack(evidence, OPTIONS, start=start)
    assert -0.05 < decibels_above_optimum(result, world, evidence.target_codes, truth) < 0.1
    assert result.settings["start"] == "wiener"


def test_knowledge_of_the_noise_is_worth_something(attacked):
    _, evidence, truth = attacked
    few = dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(
            evidence.pairs, codes=evidence.pairs.codes[:150], images=evidence.pairs.images[:150]
        ),
        noise=evidence.noise.of(np.arange(150)),
    )
    told, untold = (
        np.square(noise_aware.linear_attack(seen, OPTIONS, name="a").reconstructions - truth).mean()
        for seen in (few, dataclasses.replace(few, noise=None))
    )
    assert told < untold


def test_another_data_set_beside_few_public_images_brings_them_near_the_optimum(attacked):
    world, evidence, truth = attacked
    few, rest = np.arange(100), np.arange(100, PUBLIC)
    parts = [
        dataclasses.replace(
            evidence.pairs, codes=evidence.pairs.codes[rows], images=evidence.pairs.images[rows]
        )
        for rows in (few, rest)
    ]
    held = dataclasses.replace(
        evidence, pairs=parts[0], other_domain=parts[1], noise=evidence.noise.of(few)
    )

    def above_optimum(name, start=None):
        result = registry.ATTACKERS[name].run(held, OPTIONS, name=name, start=start)
        return decibels_above_optimum(result, world, evidence.target_codes, truth), result

    alone, _ = above_optimum("wiener")
    joined, start = above_optimum("wiener_joined")
    searched, _ = above_optimum("map_joined", start)
    assert joined < 0.1 < alone
    assert searched < 0.1


def test_without_the_noise_they_are_left_out_and_refuse(attacked):
    _, evidence, _ = attacked
    plain = dataclasses.replace(evidence, noise=None)
    for name in ("wiener", "map"):
        assert registry.lacking(registry.ATTACKERS[name], plain)
        assert not registry.lacking(registry.ATTACKERS[name], evidence)
    with pytest.raises(ValueError, match=r"needs Evidence\.noise"):
        noise_aware.wiener_attack(plain, OPTIONS, name="wiener")
    with pytest.raises(ValueError, match=r"needs Evidence\.noise"):
        component_search.map_attack(plain, OPTIONS, start=None)


def test_coefficients_of_a_picture_made_of_the_components_give_it_back():
    rng = np.random.default_rng(1)
    world = World(1.0)
    prior = component_search.face_prior(world.pictures(300), 500, seed=0)
    wanted = 0.3 * rng.normal(size=(5, len(prior.basis))).astype(np.float32)
    pictures = prior.picture(tf.constant(wanted)).numpy()
    np.testing.assert_allclose(
        prior.coefficients(pictures)[:, :LATENTS], wanted[:, :LATENTS], atol=0.02
    )


def test_pictures_to_refine_are_those_of_the_noise_aware_map(attacked):
    world, evidence, truth = attacked
    seen = noise_aware.refined_from(evidence, OPTIONS)
    assert seen.noise is None
    best = world.posterior_mean(evidence.target_codes).reshape(truth.shape)
    optimum = np.square(best - truth).mean()
    assert np.square(seen.target_codes - truth).mean() < 1.03 * optimum
    # Public pictures are as wrong as those that it will be asked to refine: the map has not seen
    # their means.
    public = np.square(seen.pairs.codes - seen.pairs.images / 255).mean()
    held_out = np.square(seen.pairs.held_out_codes - seen.pairs.held_out_images / 255).mean()
    assert public == pytest.approx(held_out, rel=0.12)
    np.testing.assert_array_equal(seen.pairs.images, evidence.pairs.images)
