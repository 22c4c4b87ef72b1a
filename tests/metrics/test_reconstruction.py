"""Measures of reconstructions by two judges of identity, one of whom may look at few images."""

import types

import numpy as np
import pytest

from arl_tf.metrics import reconstruction
from arl_tf.metrics.reconstruction import FACE, FACE_2, MEASURES, OTHER_PHOTO

PEOPLE = np.array([1, 1, 2, 3])


class Network:
    """The embedding is one pixel's three channels: `row` says which."""

    mean_embedding = np.zeros(3)

    def __init__(self, name, row):
        self.name, self.row, self.asked = name, row, 0

    def embeddings(self, pictures):
        self.asked += len(pictures)
        return pictures[:, self.row, 0].astype(np.float32)


@pytest.fixture
def judged(monkeypatch):
    monkeypatch.setattr(
        reconstruction, "feature_similarities", lambda _, found, images: np.zeros(len(found))
    )
    return types.SimpleNamespace(identity=(Network("first", 0), Network("second", 1)))


def images(first, second):
    """uint8 [4, 16, 16, 3]: what the networks see of each."""
    found = np.zeros((4, 16, 16, 3), np.uint8)
    found[:, 0, 0], found[:, 1, 0] = first, second
    return found


APART = 255 * np.eye(3, dtype=np.uint8)[[0, 0, 1, 2]]


def test_each_network_has_its_similarity_and_ranks_are_by_the_better_one(judged):
    originals = reconstruction.examine(judged, images(APART, APART), PEOPLE)
    # The second network sees the right person in all pictures, the first in the last alone.
    shown = images(APART[[2, 2, 3, 3]], APART) / np.float32(255)
    found = reconstruction.measure(judged, shown, originals)
    np.testing.assert_allclose(found[FACE], [0, 0, 0, 1])
    np.testing.assert_allclose(found[FACE_2], 1)
    assert found["reid_rank1/first"].tolist() == [0, 0, 0, 1]
    assert found["reid_rank1"].tolist() == found["reid_rank1/second"].tolist() == [1, 1, 1, 1]
    # Without the photo itself: two photos of person 1 remain, the others have no other photo.
    np.testing.assert_array_equal(found[OTHER_PHOTO], [1, 1, np.nan, np.nan])


def test_drawn_faces_have_no_second_figure(judged):
    judged.identity = judged.identity[:1]
    originals = reconstruction.examine(judged, images(APART, APART), PEOPLE)
    found = reconstruction.measure(judged, originals.images, originals)
    assert np.isnan(found[FACE_2]).all() and set(MEASURES) <= set(found)


def test_kept_measures_count_where_all_networks_made_them(judged):
    faces = images(APART, APART)
    whole = reconstruction.examine(judged, faces, PEOPLE)
    of_all = reconstruction.measure(judged, whole.images, whole)
    assert reconstruction.is_complete(of_all, whole)
    # A yardstick has no figures of a person with a single photo.
    alone = {name: np.where(PEOPLE == 3, np.nan, each) for name, each in of_all.items()}
    assert np.isnan(alone[FACE_2]).any() and reconstruction.is_complete(alone, whole)
    older = {name: values for name, values in of_all.items() if name != FACE_2}
    unranked = {name: values for name, values in of_all.items() if "/second" not in name}
    unseen = of_all | {FACE_2: np.full(4, np.nan)}
    for kept in (None, older, unranked, unseen):
        assert not reconstruction.is_complete(kept, whole)
