"""Attackers that combine others' pictures: weights and factors whose right values are known."""

import numpy as np
import pytest

from arl_tf.attacks import combined
from arl_tf.attacks.combined import Finished
from arl_tf.attacks.evidence import AttackerOptions, Evidence, PublicPairs
from arl_tf.attacks.identity.faces import unit

SIDE, COUNT = 8, 60
OPTIONS = AttackerOptions(
    width=4, depth=0, steps=10, batch_size=4, learning_rate=1e-3, mu=0.0, seed=0
)
RNG = np.random.default_rng(0)
# Offsets from grey; held-out images and those under attack are the same ones here.
TRUTH = RNG.normal(0, 20, (COUNT, SIDE, SIDE, 3))


def pictures(offsets):
    return np.clip(np.round(128 + offsets), 0, 255).astype(np.uint8)


def evidence():
    public = pictures(np.zeros((4, SIDE, SIDE, 3)))
    codes = np.zeros((4, 2), np.float32)
    pairs = PublicPairs(codes, public, np.zeros((COUNT, 2), np.float32), pictures(TRUTH))
    return Evidence(pairs, np.zeros((COUNT, 2), np.float32), lambda image: [image])


def finished(name, offsets, knowledge="black-box"):
    return Finished(name, knowledge, lambda: pictures(offsets), lambda: pictures(offsets))


def noisy(level, seed):
    return TRUTH + np.random.default_rng(seed).normal(0, level, TRUTH.shape)


def error(found):
    return np.square(found - pictures(TRUTH) / 255).mean()


def test_fusion_of_two_halves_of_a_picture_is_the_whole():
    left = TRUTH.copy()
    left[:, :, SIDE // 2 :] = 0
    members = [finished("left", left), finished("right", TRUTH - left)]
    result = combined.fused_attack(evidence(), members, OPTIONS, name="fused")
    assert result.settings["weights"] == {
        "left": pytest.approx(1, abs=0.02),
        "right": pytest.approx(1, abs=0.02),
    }
    assert error(result.reconstructions) < 1e-4


def test_fusion_weighs_by_precision_and_beats_its_members():
    members = [finished("good", noisy(10, 1)), finished("bad", noisy(20, 2), "white-box")]
    members.append(finished("wrong", -TRUTH))
    result = combined.fused_attack(evidence(), members, OPTIONS, name="fused")
    weights = result.settings["weights"]
    # Least squares of the truth, variance 400, on two with noise of variances 100 and 400.
    optimum = np.array([400 / 100, 400 / 400]) / (1 + 400 / 100 + 400 / 400)
    assert set(weights) == {"good", "bad"}
    np.testing.assert_allclose([weights["good"], weights["bad"]], optimum, atol=0.03)
    errors = [error(member.target() / 255) for member in members]
    assert error(result.reconstructions) < 0.9 * min(errors)
    assert result.knowledge == "white-box"


def test_fusion_of_pictures_that_do_not_help_is_the_mean_image():
    members = [finished("wrong", -TRUTH), finished("grey", np.zeros_like(TRUTH))]
    result = combined.fused_attack(evidence(), members, OPTIONS, name="fused")
    np.testing.assert_allclose(result.reconstructions, 128 / 255, atol=1e-3)
    assert result.reconstructions.shape == (COUNT, SIDE, SIDE, 3)


def faces(images):
    """A network that sees contrast: faint pictures look like the mean face, in the last number."""
    offsets = images.reshape(len(images), -1)[:, :12].astype(float) - 128
    return {"judge": unit(-offsets), "own": unit(np.c_[offsets, np.full(len(images), 40.0)])}


def test_step_from_the_mean_is_enlarged_by_as_much_as_its_own_network_likes_best():
    members = [finished("other", noisy(60, 3)), finished("faint", TRUTH / 3)]
    result = combined.amplified_attack(
        evidence(), members, OPTIONS, name="amplified", faces=faces, judged=False
    )
    assert (result.settings["start"], result.settings["factor"]) == ("faint", 3.0)
    assert (result.settings["chosen_by"], result.settings["chosen_by_the_judge"]) == ("own", False)
    assert error(result.reconstructions) < 1e-4


def test_picture_that_is_right_is_not_enlarged():
    members = [finished("right", TRUTH), finished("other", noisy(60, 3))]
    result = combined.amplified_attack(
        evidence(), members, OPTIONS, name="amplified", faces=faces, judged=True
    )
    assert (result.settings["start"], result.settings["factor"]) == ("right", 1.0)
    np.testing.assert_allclose(result.reconstructions, pictures(TRUTH) / 255, atol=1e-6)
