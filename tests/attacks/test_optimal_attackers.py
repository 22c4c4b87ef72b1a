"""The audit's attackers beside a bound: the least error that anybody can reach, in closed form."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import AttackerOptions, Evidence, PublicPairs
from arl_tf.auditing import noise_knowledge
from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.sealed_images import Rows, SealedImages

SIDE, LATENTS, VALUES = 6, 12, 32
PIXELS = SIDE * SIDE * 3
PUBLIC, HELD_OUT, TARGET = 1200, 150, 400
NOTHING = np.empty(0, np.int64)
OPTIONS = AttackerOptions(
    width=4, depth=0, steps=100, batch_size=32, learning_rate=1e-3, mu=0.0, seed=0
)


def symmetric_basis(rng):
    """Rows [LATENTS, PIXELS] that a mirror leaves as they are, but for the sign.

    So mirror images are pictures of the same distribution, as those of faces are.
    """
    # Pixels far from 0 and 1, where they would be limited: the pictures stay Gaussian.
    rows = 0.02 * rng.normal(size=(LATENTS, SIDE, SIDE, 3)) / np.sqrt(LATENTS / 8)
    signs = np.where(np.arange(LATENTS) % 2, -1, 1)[:, None, None, None]
    return ((rows + signs * rows[:, :, ::-1]) / np.sqrt(2)).reshape(LATENTS, PIXELS)


class GaussianWorld:
    """Pictures 0.5 + a B with normal a; codes x A through a channel, some values stronger."""

    def __init__(self, channel):
        rng = np.random.default_rng(0)
        self.channel, self.rng = channel, rng
        self.basis = symmetric_basis(rng)
        strengths = np.exp(rng.normal(size=VALUES)) / np.sqrt(PIXELS) * 4
        self.matrix = (strengths * rng.normal(size=(PIXELS, VALUES))).astype(np.float32)
        self.matrix -= self.matrix.mean(axis=0)

    def pictures(self, count):
        pixels = 0.5 + self.rng.normal(size=(count, LATENTS)) @ self.basis
        return np.clip(np.round(pixels * 255), 0, 255).astype(np.uint8).reshape(-1, SIDE, SIDE, 3)

    def encode(self, images):
        return (images.reshape(len(images), -1) / np.float32(255)) @ self.matrix

    def differentiable(self, image):
        return tf.reshape(image, (-1, PIXELS)) @ tf.constant(self.matrix)

    def posterior_mean(self, codes, variance):
        """The pictures [N, PIXELS] of least mean squared error given codes with such noise."""
        seen = self.basis @ self.matrix
        centre = np.full(PIXELS, 0.5) @ self.matrix
        gain = np.linalg.solve(variance * np.eye(LATENTS) + seen @ seen.T, seen)
        return 0.5 + ((codes - centre) @ gain.T) @ self.basis


def evidence_of(world, folder):
    """(what attackers get, as an audit collects it; the target pictures in [0, 1])."""
    pictures = world.pictures(PUBLIC + HELD_OUT + TARGET)
    public, held_out, target = np.split(np.arange(len(pictures)), [PUBLIC, PUBLIC + HELD_OUT])
    audited_encoder = AuditedEncoder(
        words="linear",
        sha256="linear",
        code_shape=(VALUES,),
        channel=world.channel,
        encoder=world.encode,
        differentiable=world.differentiable,
    )
    cache = CodeCache(folder, audited_encoder, SealedImages(pictures, target, "pictures"))
    pairs = PublicPairs(
        np.concatenate([cache.codes(public, 1), cache.query("mirrored", public, 1)]),
        np.concatenate([pictures[public], pictures[public][:, :, ::-1]]),
        cache.codes(held_out, 2),
        pictures[held_out],
    )
    rows = Rows(public, held_out, NOTHING, target)
    evidence = Evidence(
        pairs=pairs,
        target_codes=cache.codes(target, 3),
        perceptual_features=lambda image: [image],
        encode=audited_encoder.white_box,
        noise=noise_knowledge.known_noise(audited_encoder, pairs, codes_per_photo=1),
        asked_noise=noise_knowledge.asked_noise(
            rows, cache, audited_encoder, pairs, answers=8, codes_per_photo=1, seed=0
        ),
        random_codes=True,
    )
    return evidence, pictures[target].reshape(TARGET, PIXELS) / 255


def errors(evidence, truth):
    """Mean squared error of each attacker of the registry that is solved or searched."""
    found, results = {}, {}
    for name in ("linear", "wiener", "map"):
        attacker = registry.ATTACKERS[name]
        results[name] = attacker.run(
            evidence.as_seen(attacker.knowledge),
            OPTIONS,
            name=name,
            start=results.get(attacker.starts_from),
        )
        guess = results[name].reconstructions.reshape(truth.shape)
        found[name] = float(np.square(guess - truth).mean())
    return found


def decibels(error, least):
    return 10 * np.log10(error / least)


# Noise that is less than, about as much as, and more than the signal in most values; codes are not
# rounded, or to steps of so many deviations of the noise.
@pytest.mark.parametrize(
    ("noise", "steps_of_noise"),
    [(0.04, 0.0), (0.04, 2.0), (0.12, 0.0), (0.12, 1.0), (0.36, 0.0), (0.36, 2.0)],
)
def test_the_best_attacker_comes_within_a_tenth_of_a_decibel_of_the_least_error(
    noise, steps_of_noise, tmp_path
):
    channel, step = Channel(noise=noise), steps_of_noise * noise
    if step:
        levels = 2 * round(6 / step) + 1
        channel = Channel(noise=noise, clip=step * (levels - 1) / 2, levels=levels)
    world = GaussianWorld(channel)
    evidence, truth = evidence_of(world, tmp_path)
    # Rounding noise of half a step or more adds step^2 / 12 to its variance (dither).
    optimum = world.posterior_mean(evidence.target_codes, noise**2 + step**2 / 12)
    least = float(np.square(optimum - truth).mean())
    found = errors(evidence, truth)
    assert -0.05 < decibels(min(found.values()), least) < 0.1, (found, least)
    # Whoever has to ask for the noise gets nearly as much.
    assert decibels(found["linear"], least) < 0.2, (found, least)


def test_the_bound_is_missed_without_knowledge_where_images_are_few(tmp_path):
    world = GaussianWorld(Channel(noise=0.36))
    evidence, truth = evidence_of(world, tmp_path)
    few = np.arange(100)
    pairs = dataclasses.replace(
        evidence.pairs, codes=evidence.pairs.codes[few], images=evidence.pairs.images[few]
    )
    told = dataclasses.replace(evidence, pairs=pairs, noise=evidence.noise.of(few))
    errors_of = [
        np.square(
            registry.ATTACKERS["linear"]
            .run(seen, OPTIONS, name="linear")
            .reconstructions.reshape(truth.shape)
            - truth
        ).mean()
        for seen in (told, dataclasses.replace(told, noise=None))
    ]
    assert decibels(errors_of[1], errors_of[0]) > 0.05
