"""How well the judges judge: pairs of known answer, by networks that read an image's value."""

import types

import numpy as np
import pytest

from arl_tf.auditing import judging
from arl_tf.metrics.reconstruction import Originals

ONES = np.ones((3, 4))


class Network:
    """Its embedding of a picture is the angle that the picture's brightness stands for."""

    mean_embedding = np.zeros(2)

    def __init__(self, name="toy"):
        self.name = name

    def embeddings(self, pictures):
        angle = np.pi * pictures.mean(axis=(1, 2, 3))
        return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def pictures(*values, side=8):
    return np.broadcast_to(
        np.array(values, np.float32)[:, None, None, None], (len(values), side, side, 3)
    )


def originals(images, people, networks=("toy",)):
    found = {name: Network().embeddings(images) for name in networks}
    return Originals(images, np.array(people), found)


def test_auc_and_similarities_by_hand():
    # Five of six pairs stand in the right order.
    same, strangers = np.array([0.9, 0.2, np.nan]), np.array([0.1, 0.3, -0.4])
    found = judging.describe_pairs(same, strangers, np.ones((2, 3)))
    assert found["auc"]["value"] == pytest.approx(5 / 6)
    assert found["same_person"]["value"] == pytest.approx(0.55)
    assert found["strangers"]["value"] == pytest.approx(0.0)
    assert found["same_person"]["range90"] == pytest.approx([0.235, 0.865])


def test_auc_without_pairs_of_one_person_is_undefined():
    found = judging.describe_pairs(np.full(4, np.nan), np.zeros(4), ONES)
    assert found["auc"] == {"value": None, "ci95": None}
    assert found["same_person"] == {"value": None, "ci95": None, "range90": None}


def test_pictures_are_judged_against_another_photo_and_an_attack_against_the_very_photo():
    # Two people of two photos each; a quarter turn lies between brightness 0 and 0.5.
    images = pictures(0.0, 0.5, 1.0, 0.5)
    judges = types.SimpleNamespace(identity=(Network(),))
    attacked = judging.judge(judges, originals(images, [1, 1, 2, 2]), images, "spy", seed=0)
    (found,) = attacked
    assert (found.network, found.attack, found.blur) == ("toy", "spy", 0.0)
    np.testing.assert_allclose(found.same["originals"], 0.0, atol=1e-6)
    np.testing.assert_allclose(found.same["attack_pictures"], 1.0, atol=1e-6)
    np.testing.assert_allclose(np.abs(found.strangers["originals"]).max(), 1.0, atol=1e-6)


def test_blur_that_was_applied_is_found_again():
    images = np.random.default_rng(0).random((4, 32, 32, 3), np.float32)
    for deviation in (0.7, 2.0):
        found = judging.matching_blur(images, judging.yardsticks.blurred(images, deviation))
        assert found == pytest.approx(deviation, abs=0.02)
    assert judging.matching_blur(images, images) == 0.0


def test_rank_says_which_network_finds_most_people():
    few, many = np.array([0.0, 1.0]), np.array([1.0, 1.0])
    ranks = ("reid_rank1", "reid_rank5", "reid_other_photo_rank1")
    own = {f"{rank}/{net}": v for rank in ranks for net, v in (("dlib", few), ("sface", many))}
    worst = {rank: {"attack": "spy", "value": 1.0} for rank in (*ranks, "psnr")}
    found = judging.with_networks(worst, {"spy": own})
    assert found["reid_rank1"]["network"] == "sface"
    assert "network" not in found["psnr"]


def judged(auc, ci95, network="dlib"):
    return {"network": network, judging.ORIGINALS: {"auc": {"value": auc, "ci95": ci95}}}


@pytest.mark.parametrize(
    ("auc", "ci95", "warned"),
    [
        (0.7, [0.6, 0.8], True),
        # It may be good enough.
        (0.88, [0.84, 0.92], False),
        (0.98, [0.97, 0.99], False),
        (0.7, None, False),
        (None, None, False),
    ],
)
def test_a_judge_who_confuses_the_photos_themselves_is_named(auc, ci95, warned):
    fine = judged(0.97, [0.96, 0.98], "sface")
    said = judging.confusion_warning([fine, judged(auc, ci95)])
    assert len(said) == warned
    if warned:
        assert "The judge dlib confuses people" in said[0] and "is 0.70" in said[0]
    assert [each["network"] for each in judging.confused([fine, judged(auc, ci95)])] == (
        ["dlib"] if warned else []
    )
