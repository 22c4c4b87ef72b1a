"""More codes of a photo never tell attackers less: noise of other laws than Gauss's."""

import dataclasses
import types

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import BLACK_BOX, WHITE_BOX, AttackerOptions
from arl_tf.attacks.knowledge import knowledge_facts
from arl_tf.attacks.regression import completion
from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.auditing import evidence_collection, noise_knowledge, remarks
from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.sealed_images import Rows, SealedImages

SIDE, LATENTS, VALUES, SCALE = 6, 10, 64, 15
PIXELS = SIDE * SIDE * 3
PARTS = np.split(np.arange(1500), [1000, 1150, 1150])
OPTIONS = AttackerOptions(
    width=4, depth=0, steps=1, batch_size=8, learning_rate=1e-3, mu=0.0, seed=0
)


def pictures_and_matrix():
    """Pictures uint8 [1500, S, S, 3] along a few directions, and a linear encoder's matrix."""
    rng = np.random.default_rng(0)
    basis = 0.02 * rng.normal(size=(LATENTS, PIXELS))
    pictures = 0.5 + rng.normal(size=(1500, LATENTS)) @ basis
    matrix = SCALE * rng.normal(size=(PIXELS, VALUES)) / np.sqrt(PIXELS)
    pictures = np.clip(np.round(pictures * 255), 0, 255).astype(np.uint8)
    return pictures.reshape(-1, SIDE, SIDE, 3), matrix.astype(np.float32)


PICTURES, MATRIX = pictures_and_matrix()


def mean_codes(images):
    return tf.reshape(tf.cast(images, tf.float32) - 0.5, (-1, PIXELS)) @ MATRIX + 1.0


def dropping(rate, seed=1):
    """Means -> codes of which a share `rate` is dropped."""
    rng = np.random.default_rng(seed)
    return lambda means: means * (rng.random(means.shape) >= rate) / np.float32(1 - rate)


def encoder_of(noisy, *, is_open=True, channel=None):
    """An encoder whose codes are `noisy` of their means."""

    def encode(images):
        return noisy(mean_codes(images / np.float32(255)).numpy()).astype(np.float32)

    return AuditedEncoder(
        words="noisy",
        sha256="noisy",
        code_shape=(VALUES,),
        channel=channel or Channel(),
        encoder=encode,
        differentiable=mean_codes if is_open else None,
    )


def evidence_of(folder, encoder, count, answers=8):
    """What attackers get who have so many codes of each photo."""
    public, held_out, nothing, target = PARTS
    sealed = SealedImages(PICTURES, target, "pictures")
    return evidence_collection.collect(
        types.SimpleNamespace(
            seed=0, codes_per_photo=count, attacker_queries=answers, drawn_faces=False
        ),
        None,
        Rows(public, held_out, nothing, target),
        sealed,
        CodeCache(folder, encoder, sealed),
        encoder,
        None,
        lambda image: [image],
    )


def errors_of(evidence):
    """Attacker -> mean squared error of its pictures: those in closed form that can attack here."""
    found = {}
    for name in ("linear", "wiener", "linear_completed", "wiener_laplace"):
        attacker = registry.ATTACKERS[name]
        if not registry.lacking(attacker, evidence):
            seen = evidence.as_seen(attacker.knowledge)
            result = attacker.run(seen, OPTIONS, name=name, start=None)
            truth = PICTURES[PARTS[3]] / 255
            found[name] = np.square(result.reconstructions - truth).mean()
    return found


@pytest.mark.parametrize("is_open", [True, False])
def test_more_codes_with_dropped_values_tell_more(tmp_path, is_open):
    encoder = encoder_of(dropping(0.8), is_open=is_open)
    errors = [errors_of(evidence_of(tmp_path, encoder, count)) for count in (1, 2, 4)]
    least = [min(each.values()) for each in errors]
    assert least[0] > 1.5 * least[1] > 1.5**2 * least[2]
    for each in errors:
        assert each["linear_completed"] == min(each.values())
        assert each["linear_completed"] < 0.8 * each["linear"]


def test_evidence_of_united_codes_is_that_of_codes_with_fewer_dropped_values(tmp_path):
    encoder = encoder_of(dropping(0.5))
    evidence = evidence_of(tmp_path, encoder, 3)
    several = evidence.several
    assert several.dropped == pytest.approx(0.5, abs=0.01) and several.count == 3
    means = mean_codes(PICTURES[PARTS[3]] / np.float32(255)).numpy()
    for codes in (evidence.target_codes, evidence.pairs.codes, evidence.query(PICTURES[:200])):
        assert (codes == 0).mean() == pytest.approx(1 / 8, abs=0.01)
    left = evidence.target_codes != 0
    ratios = (evidence.target_codes / means)[left]
    np.testing.assert_allclose(ratios, 8 / 7, rtol=0.02)
    assert completion.can_complete(evidence)
    assert completion.can_complete(evidence.as_seen(BLACK_BOX))
    # From the inside: m^2 (1 / 7).
    truth = np.sqrt(np.square(evidence.noise.public_means).mean(axis=0) / 7)
    np.testing.assert_allclose(evidence.noise.deviation, truth, rtol=0.25)
    np.testing.assert_allclose(evidence.asked_noise.deviation, truth, rtol=0.25)


@pytest.mark.parametrize(("count", "answers"), [(1, 4), (2, 4)])
def test_whoever_asks_knows_mean_codes_by_the_values_that_are_left(tmp_path, count, answers):
    evidence = evidence_of(tmp_path, encoder_of(dropping(0.5), is_open=False), count, answers)
    noise, truth = evidence.noise, mean_codes(evidence.pairs.images / np.float32(255)).numpy()
    assert noise is evidence.asked_noise and noise.answers == 4
    assert noise.dropped == pytest.approx(0.5**count, abs=0.01)
    assert noise.never_left == pytest.approx(1 / 16, abs=0.005)
    known = noise.public_means != 0
    assert known.mean() == pytest.approx(15 / 16, abs=0.005)
    np.testing.assert_allclose((noise.public_means / truth)[known], 16 / 15, rtol=0.01)
    # In units of the codes' variance: 1/15 by 1 and by 1/3.
    assert noise.remaining == pytest.approx(1 / 15 * (2**count - 1), rel=0.05)


def test_report_says_which_values_were_known_and_that_nothing_is_left_open(tmp_path):
    evidence = evidence_of(tmp_path, encoder_of(dropping(0.5), is_open=False), 1)
    attacker = registry.ATTACKERS["linear_completed"]
    assert attacker.knowledge == WHITE_BOX and not registry.lacking(attacker, evidence)
    words = knowledge_facts(attacker, evidence)["words"]
    assert "from 8 answers to each image" in words and "which values of each code" in words
    result = attacker.run(evidence, OPTIONS, name="linear_completed", start=None)
    assert result.knowledge == BLACK_BOX
    assert remarks.dropped_values(evidence) == []


def test_noise_that_drops_nothing_or_not_exactly_is_averaged(tmp_path):
    rng, drop = np.random.default_rng(2), dropping(0.5)
    # Half of the values are dropped more often than the others.
    uneven = np.where(np.arange(VALUES) % 2, 0.8, 0.1)
    for name, encoder in {
        "gaussian": encoder_of(lambda means: means + rng.normal(size=means.shape)),
        "beside other noise": encoder_of(
            lambda means: drop(means + rng.normal(size=means.shape).astype(np.float32))
        ),
        "uneven": encoder_of(lambda means: means * (rng.random(means.shape) >= uneven)),
        "channel": encoder_of(drop, channel=Channel(noise=0.1)),
    }.items():
        sealed = SealedImages(PICTURES, PARTS[3], "pictures")
        cache = CodeCache(tmp_path / name, encoder, sealed)
        assert noise_knowledge.dropped_by_noise(Rows(*PARTS), cache, encoder, 0) == 0


def laplacian(seed=3):
    """Means -> codes with Laplace noise."""
    rng = np.random.default_rng(seed)
    return lambda means: means + 1.5 * rng.laplace(size=means.shape)


@pytest.mark.parametrize("is_open", [True, False])
def test_more_codes_with_laplace_noise_tell_more_to_who_knows_the_law(tmp_path, is_open):
    encoder = encoder_of(laplacian(), is_open=is_open)
    errors = [errors_of(evidence_of(tmp_path, encoder, count)) for count in (1, 2, 4)]
    for each in errors:
        assert each["wiener_laplace"] < 0.9 * each["linear"]
    by_law = [each["wiener_laplace"] for each in errors]
    assert by_law[0] > 1.2 * by_law[1] > 1.2**2 * by_law[2]


def test_codes_that_are_kept_one_by_one_are_those_of_the_mean(tmp_path):
    evidence = evidence_of(tmp_path, encoder_of(laplacian()), 3)
    each, pairs = evidence.each, evidence.pairs
    for several, mean in (
        (each.public, pairs.codes),
        (each.held_out, pairs.held_out_codes),
        (each.target, evidence.target_codes),
    ):
        assert several.shape == (len(mean), 3, VALUES)
        np.testing.assert_allclose(several.mean(axis=1), mean, rtol=1e-4, atol=1e-5)
        assert np.abs(several[:, 0] - several[:, 1]).min(axis=1).max() > 0
    means = mean_codes(pairs.images / np.float32(255)).numpy()
    assert np.square(each.public[:, 2] - means).mean() == pytest.approx(2 * 1.5**2, rel=0.05)
    again = evidence_of(tmp_path, encoder_of(laplacian(seed=9)), 3)
    np.testing.assert_array_equal(again.each.target, each.target)


def test_codes_are_kept_where_their_law_is_not_known_and_half_of_them_fit(monkeypatch):
    encoder = encoder_of(laplacian())

    def kept(count, encoder=encoder, dropped=0.0):
        return evidence_collection.kept_codes(SeveralCodes(count, dropped), encoder, 1000)

    assert (kept(2), kept(8), kept(8, dropped=0.5)) == (2, 8, 0)
    told = {"signal_share": np.ones(1), "noise_deviation": np.ones(1), "encoder": None}
    for name, value in {**told, "channel": Channel(noise=1.0)}.items():
        assert kept(4, dataclasses.replace(encoder, **{name: value})) == 0
    monkeypatch.setattr(evidence_collection, "MOST_KEPT", 5 * 1000 * VALUES)
    assert [kept(count) for count in (4, 5, 7, 10, 11)] == [4, 5, 5, 5, 0]
