"""An identity network is asked of each picture once, whatever set the picture stands in."""

import numpy as np
import pytest

from arl_tf.metrics import identity_networks


@pytest.fixture
def network(monkeypatch):
    """A judge whose embedding is a picture's mean colour; `asked` counts the pictures it saw."""
    asked = []

    def embedded(name, network, pictures):
        asked.append(len(pictures))
        return pictures.mean(axis=(1, 2), dtype=np.float32)

    monkeypatch.setattr(identity_networks, "embedded", embedded)
    judge = identity_networks.IdentityNetwork("drawn_faces", None, np.zeros(3, np.float32))
    return judge, asked


def pictures_of(seed, count):
    return np.random.default_rng(seed).random((count, 4, 4, 3), np.float32)


def test_what_was_seen_in_one_set_is_not_asked_in_another(network):
    judge, asked = network
    first = pictures_of(0, 5)
    judge.embeddings(first)
    joined = np.concatenate([first[3:], pictures_of(1, 2), first[:1]])
    found = judge.embeddings(joined)
    assert asked == [5, 2]
    np.testing.assert_array_equal(found, joined.mean(axis=(1, 2), dtype=np.float32))


def test_equal_pictures_of_a_set_are_asked_once(network):
    judge, asked = network
    alike = np.repeat(pictures_of(0, 1), 7, axis=0)
    found = judge.embeddings(alike)
    assert asked == [1] and found.shape == (7, 3)
    np.testing.assert_array_equal(found, alike.mean(axis=(1, 2), dtype=np.float32))


def test_the_public_images_that_centre_a_network_are_not_asked_again(monkeypatch):
    asked = []

    def embedded(name, network, pictures):
        asked.append(len(pictures))
        return pictures.mean(axis=(1, 2), dtype=np.float32)

    monkeypatch.setattr(identity_networks, "embedded", embedded)
    monkeypatch.setattr(identity_networks, "frozen_network", lambda name, size: None)
    public = np.random.default_rng(0).integers(0, 256, (6, 4, 4, 3), np.uint8)
    (judge,) = identity_networks.load_identity_networks(4, procedural=True, public_images=public)
    found = judge.embeddings(identity_networks.to_float(public))
    assert asked == [6]
    np.testing.assert_allclose(found.mean(axis=0), judge.mean_embedding, rtol=1e-6)
