"""Several shots of a photo: what noise of their own and shared noise leave, where it is known."""

import types

import numpy as np
import pytest

from arl_tf.attacks.regression.code_maps import wiener_path
from arl_tf.auditing import noise_knowledge
from arl_tf.auditing.near_duplicates import attack, kernels, section, shots
from arl_tf.models.standardisation import flattened

SIDE, SHARE, COUNT = 8, 0.02, 16
RNG = np.random.default_rng(5)


def pictures(count):
    """Smooth pictures uint8 [count, 8, 8, 3]."""
    grids = RNG.integers(20, 236, (count, 4, 4, 3))
    return np.kron(grids, np.ones((1, 2, 2, 1))).astype(np.uint8)


PUBLIC, HELD_OUT, TARGET = pictures(150), pictures(20), pictures(30)


@pytest.fixture
def audited_encoder(monkeypatch):
    """An encoder whose mean codes are pixels times the root of SHARE, the rest of them noise."""

    def mean_codes(audited_encoder, images):
        return (np.sqrt(SHARE) * (np.asarray(images, np.float32) - 128) / 64).astype(np.float32)

    monkeypatch.setattr(noise_knowledge, "mean_codes", mean_codes)
    return types.SimpleNamespace(
        white_box=True,
        channel=types.SimpleNamespace(clip=0, noise=0.0),
        levels=0,
        signal_share=np.full((SIDE, SIDE, 3), SHARE, np.float32),
        noise_deviation=None,
    )


def errors(audited_encoder):
    found = attack.attack(audited_encoder, PUBLIC, HELD_OUT, TARGET, count=COUNT, seed=0)
    assert set(found.pictures) == set(attack.WAYS) and found.public_images == len(PUBLIC)
    return {
        way: float(np.square(each - TARGET / np.float32(255)).mean())
        for way, each in found.pictures.items()
    }


@pytest.mark.slow
def test_own_noise_averages_out_shared_noise_does_not_but_cancels_in_differences(audited_encoder):
    found = errors(audited_encoder)
    assert found["own_noise"] < 0.8 * found["one_code"]
    assert found["shared_noise"] == pytest.approx(found["one_code"], rel=0.1)
    # The attacker knows the shots: their differences alone tell most of such pictures.
    assert found["shared_noise_differences"] < 0.8 * found["shared_noise"]
    assert found["no_noise"] < found["own_noise"]
    # Half of the noise shared: neither mean nor differences tell as much as in the worse case.
    assert found["own_noise"] < found["half_shared_noise"] < found["shared_noise"]
    assert found["half_shared_noise_differences"] > 1.05 * found["shared_noise_differences"]
    # Whoever knows the shots never gets less for it.
    for way in attack.SHARES:
        assert found[f"{way}_differences"] < 1.02 * found[way]


@pytest.mark.slow
def test_shots_without_any_change_tell_no_more_than_one_where_they_share_noise(
    audited_encoder, monkeypatch
):
    still = shots.Change((0.0, 0.0, 1.0, 1.0), 1.0, 100)
    monkeypatch.setattr(shots, "changes", lambda count, seed: [still] * count)
    found = errors(audited_encoder)
    assert found["shared_noise"] == pytest.approx(found["one_code"], rel=1e-6)
    assert found["shared_noise_differences"] == pytest.approx(found["one_code"], rel=1e-3)


def test_dual_form_predicts_as_the_wiener_map_does():
    means = RNG.normal(size=(50, 6)).astype(np.float32) * np.arange(1, 7, dtype=np.float32)
    outputs = RNG.random((50, 3)).astype(np.float32)
    asked = RNG.normal(size=(9, 6)).astype(np.float32)
    for factor, fitted in wiener_path(means, outputs, 0.0):
        products = kernels.Products(*(each @ means.T for each in (means, asked[:4], asked)))
        found = kernels.predictions(
            products, outputs=outputs, noises=[factor], score=lambda guess: 0.0
        )
        np.testing.assert_allclose(found.values, fitted(asked), atol=1e-5)


def test_noise_of_the_least_held_out_error_is_chosen():
    means = RNG.normal(size=(40, 5))
    weights = RNG.normal(size=(5, 2))
    products = kernels.Products(means @ means.T, means @ means.T, means @ means.T)
    truth = means @ weights

    def score(guess):
        return float(np.square(guess - truth).mean())

    found = kernels.predictions(products, outputs=truth, noises=[10.0, 1e-9, 1.0], score=score)
    np.testing.assert_allclose(found.values, truth, atol=1e-6)
    assert found.held_out_error < 1e-12


def test_products_of_differences_are_those_of_every_shot_less_the_mean(audited_encoder):
    images = pictures(7)
    deviation = np.full(SIDE * SIDE * 3, 0.5)
    codes = attack.shot_codes(audited_encoder, images, deviation, 4, 3, seed=1)
    each = np.stack(
        [
            flattened(noise_knowledge.mean_codes(audited_encoder, shown)) / 0.5
            for shown in shots.shots_of(images, 3, 1)
        ]
    )
    away = each - each.mean(axis=0)
    np.testing.assert_allclose(codes.mean, each.mean(axis=0), rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(codes.first, each[0].astype(np.float32))
    wanted = np.einsum("knd,kmd->nm", away, away[:, :4])
    np.testing.assert_allclose(codes.differences, wanted, rtol=1e-3, atol=1e-4)
    # Public photos are known without noise; the others' is the mean of three draws.
    assert not codes.noise[:4].any() and not codes.noise_differences[:4].any()
    assert codes.noise[4:].std() == pytest.approx(1 / np.sqrt(3), rel=0.1)
    # Three draws times the differences: as much as these are long.
    long = np.square(away[:, :4]).sum(axis=(0, 2))
    assert codes.noise_differences[4:].std() == pytest.approx(np.sqrt(long.mean()), rel=0.5)


def test_shots_and_ways_count_in_progress_bars(audited_encoder, bars):
    few = (PUBLIC[:20], HELD_OUT[:5], TARGET[:4])
    attack.attack(audited_encoder, *few, count=2, seed=0)
    assert bars == {"Shots encoded": [2, 2], "Shots attacked": [1 + len(attack.SHARES)] * 2}


def test_shots_differ_a_little_and_the_seed_decides_them():
    images = pictures(3)
    first, again, other = (list(shots.shots_of(images, 4, seed)) for seed in (0, 0, 1))
    for one, same in zip(first, again, strict=True):
        assert one.shape == images.shape and one.dtype == np.uint8
        np.testing.assert_array_equal(one, same)
    assert (first[0] != first[1]).any() and (first[0] != other[0]).any()
    plain = np.full((1, 64, 64, 3), 100, np.uint8)
    for shown in shots.shots_of(plain, 8, 0):
        # A plain picture shows the light alone: cuts and shifts repeat its edge.
        assert abs(shown.mean() / 100 - 1) < shots.MOST_LIGHT + 0.02 and shown.std() < 1.5


def judged(value):
    return {name: np.full(5, value) for name in section.MEASURES}


def test_leakage_is_on_the_scale_of_the_audit_and_null_without_a_reference(monkeypatch):
    reference = types.SimpleNamespace(workdir="r", per_attack={"linear": judged(0.6)})
    found = section.MeasuredShots(16, {"own_noise": judged(0.4)}, {"own_noise": 0.1}, 300)
    arguments = ({"linear": judged(0.3), "task": judged(0.2)}, {"task": judged(0.2)})
    weights = np.ones((10, 5))
    described = section.describe(found, *arguments, reference, weights)
    way = described["ways"]["own_noise"]
    # (.4 - .2) / (.6 - .2)
    assert way["leakage"]["face_similarity"]["value"] == pytest.approx(0.5)
    assert way["leakage"]["face_similarity"]["ci95"] == pytest.approx([0.5, 0.5])
    assert way["face_similarity"]["value"] == pytest.approx(0.4)
    assert (described["shots"], described["public_images"]) == (16, 300)
    alone = section.describe(found, *arguments, None, weights)["ways"]["own_noise"]
    assert alone["leakage"]["reid_rank1"] == {"value": None, "ci95": None}


def test_encoders_without_known_noise_are_said_to_be_left_out(audited_encoder):
    assert attack.missing(audited_encoder) == ""
    closed = types.SimpleNamespace(white_box=None, not_white_box="it is a file")
    audited_encoder.signal_share = None
    for each, words in ((closed, "it is a file"), (audited_encoder, "no noise of known variance")):
        found = section.measure(each, (), None, count=16, seed=0)
        assert words in found.missing
        assert section.describe(found, {}, {}, None, None)["ways"] == {}


def test_nothing_is_attacked_where_no_shots_are_asked_for():
    found = section.measure(None, (), None, count=0, seed=0)
    assert section.describe(found, {}, {}, None, None) is None
