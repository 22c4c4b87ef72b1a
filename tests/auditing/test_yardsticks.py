"""Yardsticks compare the right pictures, never a picture with itself, and may lack pairs."""

import numpy as np
import pytest

from arl_tf.auditing import yardsticks
from arl_tf.metrics import measures
from arl_tf.metrics.reconstruction import MEASURES, Originals

# Two photos of person 3, three of 5, one of 4.
PEOPLE = np.array([5, 3, 5, 4, 3, 5])


class Judge:
    """Measures by which picture is compared with which: every picture is of one value."""

    def __init__(self, monkeypatch):
        self.pairs = None
        monkeypatch.setattr(yardsticks.reconstruction, "measure", self)

    def __call__(self, judges, pictures, originals, without=None):
        rows = originals.images[:, 0, 0, 0]
        self.pairs = list(zip(rows.tolist(), pictures[:, 0, 0, 0].tolist(), strict=True))
        self.without = without
        return {measure: pictures[:, 0, 0, 0].astype(np.float64) for measure in MEASURES}


def originals(identities=PEOPLE, side=16):
    count = len(identities)
    images = np.broadcast_to(
        np.arange(count, dtype=np.float32)[:, None, None, None], (count, side, side, 3)
    )
    return Originals(images, identities, {"toy": np.eye(count, 4)})


def test_same_person_is_another_photo_of_that_person():
    others = yardsticks.same_person(PEOPLE)
    assert (PEOPLE[others] == PEOPLE).all()
    assert [row for row, other in enumerate(others) if row == other] == [3]


@pytest.mark.parametrize("seed", range(5))
def test_strangers_are_always_of_two_people(seed):
    others = yardsticks.strangers(PEOPLE, seed)
    assert (PEOPLE[others] != PEOPLE).all()


def test_every_stranger_is_drawn_alike():
    drawn = [yardsticks.strangers(PEOPLE, seed)[1] for seed in range(600)]
    counts = np.bincount(drawn, minlength=6)
    # Rows 1 and 4 are the person's own; 600 draws of four others are 150 each, give or take 32.
    assert counts[[1, 4]].tolist() == [0, 0]
    assert (np.abs(counts[[0, 2, 3, 5]] - 150) < 45).all()


def test_photo_without_another_of_the_person_is_left_out(monkeypatch):
    judge = Judge(monkeypatch)
    found = yardsticks.measure(None, originals(), yardsticks.SAME_PERSON, 0)
    assert np.isnan(found["ssim"]).tolist() == [False, False, False, True, False, False]
    assert all(PEOPLE[int(one)] == PEOPLE[int(other)] for one, other in judge.pairs)
    # Re-identification must not find the very photo that it searches with.
    assert judge.without.tolist() == [int(other) for _, other in judge.pairs]


@pytest.mark.parametrize(
    ("name", "identities"),
    [(yardsticks.SAME_PERSON, np.arange(4)), (yardsticks.STRANGERS, np.zeros(4, int))],
)
def test_yardstick_without_pairs_is_undefined(monkeypatch, name, identities):
    Judge(monkeypatch)
    assert yardsticks.measure(None, originals(identities), name, 0) is None
    described = yardsticks.describe({}, np.ones((10, 4)))[name]
    assert described["images"] == 0
    assert described["face_similarity"] == {"value": None, "ci95": None}


def test_blurred_copy_is_compared_with_its_own_photo(monkeypatch):
    judge = Judge(monkeypatch)
    yardsticks.measure(None, originals(), yardsticks.BLURRED, 0)
    assert all(one == pytest.approx(copy) for one, copy in judge.pairs)
    assert judge.without is None


def test_blur_spreads_within_an_image_and_not_into_its_neighbours_or_channels():
    images = np.zeros((2, 64, 64, 3), np.float32)
    images[0, 32, 32, 1] = 1.0
    found = yardsticks.blurred(images, 64 * yardsticks.BLUR_SHARE)
    assert found[1].max() == 0.0 and found[..., [0, 2]].max() == 0.0
    # The middle of a Gaussian of 4 pixels: 1 / (2 pi 4^2).
    assert found[0, 32, 32, 1] == pytest.approx(1 / (2 * np.pi * 16), rel=1e-3)


def test_means_are_over_the_images_that_have_a_pair_and_their_people():
    values = np.array([0.3, 0.3, np.nan, 0.6])
    weights = measures.identity_weights(np.array([0, 0, 1, 2]), 200, seed=0)
    found = yardsticks.means(dict.fromkeys(MEASURES, values), weights)
    assert found["images"] == 3
    assert found["ssim"]["value"] == pytest.approx(0.4)
    low, high = found["ssim"]["ci95"]
    # A resample without anybody who has a pair has no mean, and least of all a mean of 0.
    assert 0.3 <= low < 0.4 < high <= 0.6
