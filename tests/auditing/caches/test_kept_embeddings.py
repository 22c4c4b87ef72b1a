"""What identity networks said of a data set's images is asked of them once for all audits."""

import keras
import numpy as np
import pytest

from arl_tf.auditing.caches.kept_embeddings import KeptEmbeddings, read_kept, weights_hash, write
from arl_tf.auditing.sealed_images import SealedImages
from arl_tf.metrics import identity_networks, reconstruction

SIDE = 4
IMAGES = np.random.default_rng(0).integers(0, 256, (9, SIDE, SIDE, 3), np.uint8)
PUBLIC, HELD_OUT, TARGET = np.arange(4), np.arange(4, 6), np.arange(6, 9)
PARTS = (PUBLIC, HELD_OUT, TARGET)


def network(weight=1.0):
    model = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.Dense(2, use_bias=False)])
    model.set_weights([np.full((3, 2), weight, np.float32)])
    return model


@pytest.fixture
def asked(monkeypatch):
    """How many pictures each call of the network was asked of; it tells their mean colours."""
    counts = []

    def embedded(name, model, pictures):
        counts.append(len(pictures))
        return pictures.mean(axis=(1, 2), dtype=np.float32)

    monkeypatch.setattr(identity_networks, "embedded", embedded)
    return counts


def judges_of(kept, model):
    seen = kept.recall("toy", model)
    return reconstruction.MetricNetworks(
        (identity_networks.IdentityNetwork("toy", model, np.zeros(3), seen),), None
    )


def sealed(images=IMAGES):
    return SealedImages(images, np.empty(0, int), "these")


def examined(tmp_path, images=IMAGES, model=None, parts=PARTS):
    """One audit that looks at the public images and at those under attack."""
    kept = KeptEmbeddings(tmp_path / "cache", sealed(images), parts)
    judges = judges_of(kept, model or network())
    (judge,) = judges.identity
    judge.embeddings(identity_networks.to_float(images[PUBLIC]).numpy())
    return kept.examine(judges, images[TARGET], np.zeros(3, int))


def test_a_second_audit_asks_the_network_nothing(tmp_path, asked):
    first = examined(tmp_path)
    assert asked == [4, 3]
    second = examined(tmp_path)
    assert asked == [4, 3]
    np.testing.assert_array_equal(second.by_network["toy"], first.by_network["toy"])
    expected = (IMAGES[TARGET] / 255).mean(axis=(1, 2))
    np.testing.assert_allclose(second.by_network["toy"], expected, rtol=1e-5)
    # Nobody looked at the held-out images.
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_what_is_seen_later_of_a_part_is_added(tmp_path, asked):
    kept = KeptEmbeddings(tmp_path, sealed(), PARTS)
    few = judges_of(kept, network()).identity[0]
    few.embeddings(identity_networks.to_float(IMAGES[:2]).numpy())
    kept.keep(few)
    asked.clear()
    judge = judges_of(kept, network()).identity[0]
    judge.embeddings(identity_networks.to_float(IMAGES[PUBLIC]).numpy())
    kept.keep(judge)
    assert asked == [2] and len(kept.recall("toy", network())) == 4


@pytest.mark.parametrize("change", ["pixels", "weights"])
def test_other_pixels_and_other_networks_are_asked_again(tmp_path, asked, change):
    examined(tmp_path)
    asked.clear()
    if change == "pixels":
        examined(tmp_path, images=255 - IMAGES)
    else:
        examined(tmp_path, model=network(2.0))
    assert asked == [4, 3]


def test_a_damaged_file_is_told_of_and_embedded_anew(tmp_path, asked, caplog):
    examined(tmp_path)
    asked.clear()
    for file in (tmp_path / "cache").iterdir():
        file.write_bytes(file.read_bytes()[:100])
    examined(tmp_path)
    assert asked == [4, 3]
    assert "The embeddings are computed again." in caplog.text
    asked.clear()
    examined(tmp_path)
    assert asked == []


def test_images_under_attack_stay_sealed_when_embeddings_are_recalled(tmp_path):
    images = SealedImages(IMAGES, TARGET, "these")
    assert KeptEmbeddings(tmp_path, images, (PUBLIC,)).recall("toy", network()) == {}


def test_what_is_written_is_read(tmp_path):
    seen = {bytes([n] * 32): np.full(3, n, np.float32) for n in range(5)}
    write(tmp_path / "new" / "embeddings.npz", seen)
    found = read_kept(tmp_path / "new" / "embeddings.npz")
    assert found.keys() == seen.keys()
    for key, embedding in found.items():
        np.testing.assert_array_equal(embedding, seen[key])
    assert read_kept(tmp_path / "none.npz") == {}
    assert weights_hash(network()) == weights_hash(network()) != weights_hash(network(3.0))
