"""An audit of images that show no faces: no judge of identity is asked, all else is measured."""

import types

import numpy as np
import pytest

import arl_tf
from arl_tf.auditing import judging, leakage
from arl_tf.auditing.identity import combining, spaces
from arl_tf.data.labelled import shapes
from arl_tf.metrics import reconstruction
from arl_tf.metrics.reconstruction import FACE, FEATURE, MEASURES, OTHER_PHOTO, RANKS

pytestmark = pytest.mark.slow

PUBLIC, TARGET, SIDE = 80, 24, 32


@pytest.fixture(scope="module")
def scenes():
    return shapes.scenes(PUBLIC + TARGET, 4, seed=1)


def audited(scenes, encode, **changes):
    images = scenes.images[:, :SIDE, 16 : 16 + SIDE]
    labels = np.stack([scenes.large, scenes.striped], axis=1).astype(np.uint8)
    arguments = {
        "public_identities": scenes.rooms[:PUBLIC],
        "target_identities": scenes.rooms[PUBLIC:],
        "public_labels": labels[:PUBLIC],
        "target_labels": labels[PUBLIC:],
        "faces": False,
        "attacker_width": 4,
        "attacker_depth": 0,
        "attacker_steps": 6,
        "bootstrap_samples": 100,
        **changes,
    }
    return arl_tf.audit(encode, images[:PUBLIC], images[PUBLIC:], **arguments)


@pytest.fixture(scope="module")
def open_code(scenes, module_without_judges):
    return audited(scenes, lambda images: images[:, ::4, ::4].astype(np.float32) / 255)


@pytest.fixture(scope="module")
def module_without_judges():
    """Whoever builds an identity network fails the test."""
    with pytest.MonkeyPatch.context() as patch:

        def refused(*_, **__):
            raise AssertionError("an identity network was asked for")

        patch.setattr(reconstruction, "load_identity_networks", refused)
        yield


def test_all_but_the_measures_of_identity_are_there(open_code):
    content = open_code.content
    for name in (FACE, *RANKS, OTHER_PHOTO):
        assert content["worst"][name]["value"] is None
    for name in ("psnr", "ssim", FEATURE):
        assert content["worst"][name]["value"] is not None
    assert content["judges"] == [] and content["identity_attacks"] == {"networks": {}}
    assert content["measured_on"]["faces"] == "none"
    attacks = [*content["attacks"], *content["floor_attacks"]]
    assert content["tail"]["value"] == max(attack["tail"]["value"] for attack in attacks)
    assert content["codes"]["linkage_auc"]["value"] is not None
    assert content["codes"]["candidate_match"]["exact"]["code"]["best"]["value"] is not None
    assert any("no identity network judges" in said for said in content["assumptions"])
    assert "feature similarity of" in open_code.summary()


def test_leakage_is_that_of_feature_similarity(open_code, scenes):
    silent = audited(
        scenes, lambda images: np.zeros((len(images), 3), np.float32), reference=open_code
    )
    leaks = silent.content["leakage"]
    assert leaks[FACE]["value"] is None and leaks[FEATURE]["value"] < 0.3
    assert silent.content["reference"]["worst"][FEATURE]["value"] > 0.3


def of(**values):
    unknown = np.full(2, np.nan)
    return {name: np.array(values.get(name, unknown)) for name in MEASURES}


def test_the_headline_is_face_similarity_where_it_is_defined():
    faces = {"a": of(face_similarity=[0.1, 0.2], feature_similarity=[0.9, 0.9])}
    faces["b"] = of(face_similarity=[0.3, 0.4], feature_similarity=[0.1, 0.1])
    assert leakage.headline_attack(faces) == "b"
    without = {name: {**found, FACE: np.full(2, np.nan)} for name, found in faces.items()}
    assert leakage.headline_attack(without) == "a"
    np.testing.assert_array_equal(reconstruction.headline_values(faces["a"]), [0.1, 0.2])
    np.testing.assert_array_equal(reconstruction.headline_values(without["a"]), [0.9, 0.9])


def test_measures_that_were_kept_with_a_judge_are_not_those_without(monkeypatch):
    monkeypatch.setattr(reconstruction, "feature_similarities", lambda *_: np.zeros(2))
    nobody = types.SimpleNamespace(identity=())
    originals = reconstruction.examine(nobody, np.zeros((2, 16, 16, 3), np.uint8), np.arange(2))
    found = reconstruction.measure(nobody, np.zeros((2, 16, 16, 3), np.float32), originals)
    assert set(MEASURES) == set(found) and np.isnan(found[FACE]).all()
    assert reconstruction.is_complete(found, originals)
    assert not reconstruction.is_complete({**found, FACE: np.zeros(2)}, originals)
    assert reconstruction.identity_features(nobody) is None


def test_without_networks_nobody_amplifies_faces_and_nobody_is_judged():
    assert list(combining.combiners_of(None, judged=False)) == [combining.FUSED]
    nobody = types.SimpleNamespace(identity=())
    assert spaces.IdentitySpaces((), np.zeros((1, 2, 2, 3))).public_embeddings is None
    originals = reconstruction.Originals(np.zeros((2, 8, 8, 3)), np.arange(2), {})
    assert judging.judge(nobody, originals, originals.images, "linear", 0) == ()
