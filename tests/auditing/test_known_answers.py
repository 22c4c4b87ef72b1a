"""The audit audited: codes of which it is known what they give away."""

import dataclasses
import functools
import hashlib

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import inversion, registry
from arl_tf.auditing import attack_runs, audit, leakage
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.settings import AuditContext
from arl_tf.config.settings import Config
from arl_tf.data import splits
from arl_tf.data.faces import generation
from arl_tf.data.image_sets import ImageSet
from arl_tf.experiments.audits import audit_settings
from arl_tf.metrics.reconstruction import FACE_2, MEASURES, OTHER_PHOTO

pytestmark = pytest.mark.slow

# Drawn faces have one judge of identity.
DEFINED = [measure for measure in MEASURES if measure not in (FACE_2, OTHER_PHOTO)]

SIZE, COUNT = 32, 800
CONFIG = Config(
    dataset="faces",
    num_faces=COUNT,
    image_size=SIZE,
    private_fraction=0.1,
    public_fraction=0.65,
    audit="quick",
    mu=0.0,
    attacker_width=8,
    attacker_depth=0,
    attacker_steps=1440,  # of which an audit of the level quick takes a sixth
    attacker_batch_size=16,
    attacker_learning_rate=1e-2,
    bootstrap_samples=200,
)
LINEAR = dataclasses.replace(CONFIG, attackers="linear")


@functools.cache
def drawn():
    """Procedural faces as a data set, its parts, and a task output that tells little."""
    batch = generation.generate_faces(COUNT, SIZE, seed=CONFIG.seed)
    images = ImageSet(
        images=batch.images,
        attributes=batch.attributes,
        identities=batch.identities,
        attribute_names=generation.ATTRIBUTE_NAMES,
        names=tuple(f"face_{number}" for number in range(COUNT)),
        bad_images=(),
        identities_known=True,
    )
    noise = np.random.default_rng(5).normal(0, 6.0, batch.attributes.shape)
    logits = (2.0 * batch.attributes - 1.0 + noise).astype(np.float32)
    return images, splits.split_by_identity(images.identities, CONFIG), logits


def pixels():
    return drawn()[0].images / np.float32(255)


@pytest.fixture(scope="module", autouse=True)
def attacks_on_the_task_output_run_once():
    """All audits here have the same task output: what attacks it finds the same in each."""
    with pytest.MonkeyPatch.context() as patch:
        for name, attacker in registry.ATTACKERS.items():
            once = dataclasses.replace(attacker, run=run_once(attacker.run))
            patch.setitem(registry.ATTACKERS, name, once)
        yield


def run_once(run):
    """`run`, which remembers what it found from the same codes in the same task's place."""
    found = {}

    def remembered(evidence, settings, *, name, start):
        if not name.startswith(attack_runs.FLOOR_PREFIX):
            return run(evidence, settings, name=name, start=start)
        codes = evidence.target_codes.tobytes() + evidence.pairs.codes.tobytes()
        key = (name, settings.seed, hashlib.sha256(codes).digest())
        if key not in found:
            found[key] = run(evidence, settings, name=name, start=start)
        return found[key]

    return remembered


def audited(folder, codes, reference=None, config=CONFIG, **audited_encoder):
    """The audit of recorded codes float32 [N, ...]; attacks that `folder` holds are not redone."""
    images, parts, logits = drawn()
    audited = AuditedEncoder(
        words="known",
        sha256=f"{np.asarray(codes).sum()} {codes.shape}",
        code_shape=codes.shape[1:],
        channel=Channel(),
        recorded=codes.astype(np.float32),
        recorded_logits=logits,
    )
    surrounding = AuditContext(
        audited_encoder=dataclasses.replace(audited, **audited_encoder),
        perceptual_features=lambda image: [image],
        photographs=False,
        cache_dir=folder,
        store_dir=folder / "attacks",
        other_images=None,
        provenance={},
    )
    return audit.audit(audit_settings(config), images, parts, surrounding, reference)


@pytest.fixture(scope="module")
def image_code(tmp_path_factory):
    """The audit of the code that is the image, as the reference of all others, and its folder."""
    folder = tmp_path_factory.mktemp("image")
    found = audited(folder, pixels())
    names = [attack["name"] for attack in found.content["attacks"]]
    per_attack = {name: found.per_image[name] for name in names}
    return found, leakage.Reference("image", per_attack, (SIZE, SIZE, 3)), folder


def leaks(found, measure="face_similarity"):
    return found.content["leakage"][measure]


def covers(estimate, value):
    low, high = estimate["ci95"]
    return low - 1e-6 <= value <= high + 1e-6


def test_code_that_is_the_image_gives_everything_away(image_code):
    found, reference, folder = image_code
    assert found.content["worst"]["reid_rank1"]["value"] > 0.95
    assert found.content["worst"]["face_similarity"]["value"] > 0.95
    again = audited(folder, pixels(), reference)
    for measure in DEFINED:
        assert leaks(again, measure)["value"] == pytest.approx(1, abs=0.02)
        assert covers(leaks(again, measure), 1)


def test_constant_code_gives_nothing_away(tmp_path, image_code):
    # There is nothing in it for any attacker; that trained ones learn nothing, noise shows below.
    found = audited(tmp_path, np.full((COUNT, 8, 8, 2), 3.0), image_code[1], LINEAR)
    assert leaks(found)["value"] == 0
    codes = found.content["codes"]
    assert "predicted_embeddings" in codes["linkage"]
    assert all(metric["code"]["auc"]["value"] == 0.5 for metric in codes["linkage"].values())
    # The task output, which whoever has the code can compute, links photos of a person by its own.
    outputs = [metric["task_output"]["auc"]["value"] for metric in codes["linkage"].values()]
    assert codes["linkage_auc"]["value"] == max(0.5, *outputs)


def test_code_of_noise_gives_nothing_away(tmp_path, image_code):
    noise = np.random.default_rng(1).normal(size=(COUNT, 8, 8, 2))
    found = audited(tmp_path, noise, image_code[1])
    assert covers(leaks(found), 0)
    for metric in found.content["codes"]["linkage"].values():
        assert abs(metric["code"]["auc"]["value"] - 0.5) < 0.08


def test_code_that_is_the_task_output_gives_no_more_than_that_away(tmp_path, image_code):
    found = audited(tmp_path, drawn()[2], image_code[1])
    for measure in DEFINED:
        assert leaks(found, measure)["value"] == pytest.approx(0, abs=1e-3)
        assert covers(leaks(found, measure), 0)


def downscaled(side):
    return tf.image.resize(pixels(), (side, side), method="area").numpy()


def test_leakage_falls_with_the_resolution_of_the_code(tmp_path, image_code):
    # By the map that has one solution: where decoders of few steps end is decided by the order in
    # which threads add, and differs by more than these resolutions do.
    values = [
        leaks(audited(tmp_path / str(side), downscaled(side), image_code[1], LINEAR))["value"]
        for side in (16, 8, 4)
    ]
    assert 1.02 > values[0] > values[1] > values[2] > 0


PARTS = 16


def rotation():
    """Two orthogonal maps of all values, each by parts; float32 [2, PARTS, V, V]."""
    values = 3 * SIZE**2 // PARTS
    normal = np.random.default_rng(2).normal(size=(2, PARTS, values, values))
    return np.linalg.qr(normal)[0].astype(np.float32)


def rotated(values, maps):
    """[N, 3 * SIZE**2] after the maps; between them, values of all parts come into each part."""
    for one in maps:
        parts = tf.einsum("npi,pij->npj", tf.reshape(values, (-1, PARTS, one.shape[1])), one)
        values = tf.reshape(tf.transpose(parts, (0, 2, 1)), (-1, 3 * SIZE**2))
    return values


def rotated_back(codes, maps):
    for one in maps[::-1]:
        parts = tf.transpose(tf.reshape(codes, (-1, one.shape[1], PARTS)), (0, 2, 1))
        codes = tf.reshape(tf.einsum("npj,pij->npi", parts, one), (-1, 3 * SIZE**2))
    return codes


def test_rotation_keeps_lengths_mixes_every_value_with_all_and_is_undone():
    values, maps = np.eye(3 * SIZE**2, dtype=np.float32)[:40], rotation()
    codes = rotated(values, maps).numpy()
    np.testing.assert_allclose(codes @ codes.T, np.eye(40), atol=1e-5)
    assert (codes != 0).all()
    np.testing.assert_allclose(rotated_back(codes, maps), values, atol=1e-5)


def test_rotated_image_hides_nothing(tmp_path, image_code, monkeypatch):
    # A fixed orthogonal mixing of all pixels: no decoder finds it by gradients, a linear map does.
    maps = rotation()
    # Nothing needs smoothing to be found here: one of the search's five weights is tried.
    monkeypatch.setattr(inversion, "TOTAL_VARIATION_WEIGHTS", (0.0,))
    monkeypatch.setitem(
        registry.ATTACKERS,
        "optimisation",
        dataclasses.replace(registry.ATTACKERS["optimisation"], level="quick"),
    )

    def encode(images):
        return rotated(images.reshape(len(images), -1) / np.float32(255), maps).numpy()

    def task_output(codes):
        return rotated_back(codes, maps).numpy()[:, : len(generation.ATTRIBUTE_NAMES)] - 0.5

    found = audited(
        tmp_path,
        encode(drawn()[0].images),
        image_code[1],
        recorded=None,
        recorded_logits=None,
        encoder=encode,
        differentiable=lambda image: rotated(tf.reshape(image, (-1, 3 * SIZE**2)), maps),
        task_output=task_output,
    )
    assert leaks(found)["value"] > 0.9
    assert found.content["worst"]["reid_rank1"]["value"] > 0.9
    similarity = {a["name"]: a["face_similarity"]["value"] for a in found.content["attacks"]}
    assert min(similarity["linear"], similarity["optimisation"]) > 0.9
    assert similarity["decoder"] < 0.5


def test_identity_stamped_into_a_channel_links_all_codes(tmp_path):
    codes = np.random.default_rng(3).normal(size=(COUNT, 8, 8, 4))
    codes[..., 2] = drawn()[0].identities[:, None, None]
    found = audited(tmp_path, codes, config=LINEAR)
    linkage = found.content["codes"]["linkage"]
    assert linkage["joint_bayesian"]["code"]["auc"]["value"] > 0.999
    assert linkage["joint_bayesian"]["code"]["tar_at_far_1_percent"]["value"] > 0.99
    assert found.content["codes"]["linkage_auc"]["value"] > 0.999
    assert linkage["joint_bayesian"]["task_output"]["auc"]["value"] < 0.999
