"""Searches along principal components: a world without noise, where pixels one by one fail."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import component_search, inversion, noise_aware, registry
from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs

SIZE, DIRECTIONS = 8, 24
OPTIONS = AttackerOptions(
    width=4, depth=0, steps=100, batch_size=8, learning_rate=1e-3, mu=0.0, seed=0
)


class World:
    """Pictures of DIRECTIONS directions that vary unlike; a bent code that loses none of them."""

    def __init__(self):
        rng = np.random.default_rng(5)
        pixels = SIZE * SIZE * 3
        self.basis = np.linalg.qr(rng.normal(size=(pixels, DIRECTIONS)))[0].T.astype(np.float32)
        self.basis *= np.geomspace(1.5, 0.3, DIRECTIONS)[:, None].astype(np.float32)
        self.mixing = rng.normal(size=(pixels, 2 * DIRECTIONS)).astype(np.float32)
        self.rng = rng

    def pictures(self, count):
        drawn = self.rng.normal(size=(count, DIRECTIONS)) @ self.basis
        return (
            np.round(255 * np.clip(0.5 + drawn, 0, 1)).reshape(-1, SIZE, SIZE, 3).astype(np.uint8)
        )

    def encode(self, image):
        flat = tf.reshape(image, (-1, SIZE * SIZE * 3)) - 0.5
        return tf.tanh(flat @ self.mixing / 2)

    def evidence(self):
        public, held_out, target = (self.pictures(count) for count in (400, 40, 40))
        codes = [
            self.encode(tf.constant(images / np.float32(255))).numpy()
            for images in (public, held_out, target)
        ]
        pairs = PublicPairs(codes[0], public, codes[1], held_out)
        held = Evidence(pairs, codes[2], lambda image: [image], encode=self.encode)
        return held, target / np.float32(255)


@pytest.fixture(scope="module")
def attacked():
    return World().evidence()


def error_of(result, truth):
    return float(np.square(result.reconstructions - truth).mean())


def test_it_finds_what_neither_a_linear_map_nor_a_search_over_pixels_finds(attacked):
    evidence, truth = attacked
    start = noise_aware.linear_attack(evidence, OPTIONS, name="linear")
    found = component_search.match_components(evidence, OPTIONS, start=start)
    by_pixels = inversion.optimise_images(evidence, OPTIONS, start=start)
    assert error_of(found, truth) < 0.5 * min(error_of(start, truth), error_of(by_pixels, truth))
    assert (
        found.settings["start"] == "linear"
        and found.settings["components"] <= component_search.COMPONENTS
    )


def test_it_starts_from_the_mean_picture_where_there_is_no_other(attacked):
    evidence, truth = attacked
    few = dataclasses.replace(OPTIONS, steps=5)
    found = component_search.match_components(evidence, few, start=None)
    mean = evidence.pairs.images.mean(axis=0) / 255
    assert error_of(found, truth) < np.square(mean - truth).mean()
    assert found.settings["iterations"] <= 5


def test_on_codes_with_known_noise_it_weighs_them_as_the_likeliest_picture_does():
    world = World()
    evidence, truth = world.evidence()
    rng = np.random.default_rng(8)
    pairs, deviation = evidence.pairs, np.full(2 * DIRECTIONS, 0.3, np.float32)

    def noisy(codes):
        return (codes + deviation * rng.standard_normal(codes.shape)).astype(np.float32)

    told = dataclasses.replace(
        evidence,
        pairs=dataclasses.replace(
            pairs, codes=noisy(pairs.codes), held_out_codes=noisy(pairs.held_out_codes)
        ),
        target_codes=noisy(evidence.target_codes),
        noise=CodeNoise(deviation, pairs.codes),
    )
    start = noise_aware.linear_attack(told, OPTIONS, name="linear")
    found = component_search.match_components(told, OPTIONS, start=start)
    by_map = component_search.map_attack(told, OPTIONS, start=start)
    assert error_of(found, truth) < 0.9 * error_of(start, truth)
    assert error_of(found, truth) < 1.1 * error_of(by_map, truth)


def test_without_the_encoder_it_is_left_out(attacked):
    evidence, _ = attacked
    attacker = registry.ATTACKERS["optimisation_components"]
    assert not registry.lacking(attacker, evidence)
    assert registry.lacking(attacker, dataclasses.replace(evidence, encode=None))


def test_without_the_encoder_it_is_refused(attacked):
    evidence = dataclasses.replace(attacked[0], encode=None)
    with pytest.raises(ValueError, match=r"needs Evidence\.encode"):
        component_search.match_components(evidence, OPTIONS, start=None)


def test_unknowns_of_any_picture_give_it_back():
    rng = np.random.default_rng(3)
    prior = component_search.detailed_prior(World().pictures(60), 10, seed=0)
    pictures = rng.uniform(0.05, 0.95, (5, SIZE, SIZE, 3)).astype(np.float32)
    unknowns = prior.coefficients(pictures)
    assert unknowns.shape == (5, 10 + SIZE * SIZE * 3) and prior.components == 10
    np.testing.assert_allclose(prior.picture(tf.constant(unknowns)), pictures, atol=1e-4)


def test_unknowns_of_public_pictures_have_variance_one():
    images = World().pictures(500)
    prior = component_search.detailed_prior(images, 10, seed=0)
    unknowns = prior.coefficients(images / np.float32(255))
    varied = prior.deviations.reshape(-1) > component_search.LEAST_DEVIATION
    np.testing.assert_allclose(unknowns[:, :10].std(axis=0), 1, rtol=1e-3)
    np.testing.assert_allclose(unknowns[:, 10:].std(axis=0)[varied], 1, rtol=1e-3)


def test_of_large_pictures_fewer_are_held(monkeypatch):
    images = World().pictures(50)
    assert len(component_search.few_enough(images, 40, seed=0)) == 40
    monkeypatch.setattr(component_search, "MOST_NUMBERS", 10 * images[0].size)
    assert len(component_search.few_enough(images, 40, seed=0)) == 10
