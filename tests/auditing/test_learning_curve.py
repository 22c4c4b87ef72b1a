"""The learning curve: parts of the public images with their mirror images, and what it says."""

import dataclasses

import numpy as np
import pytest

from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs
from arl_tf.auditing import learning_curve
from arl_tf.auditing.attack_store import AttackStore
from arl_tf.config.settings import Config
from arl_tf.experiments.audits import audit_settings

OPTIONS = AttackerOptions(
    width=4, depth=0, steps=10, batch_size=4, learning_rate=1e-3, mu=0.0, seed=0
)
IMAGES = 64


def linear_evidence():
    """Codes that are pixels and a little noise; public images come with their mirror images."""
    rng = np.random.default_rng(0)
    faces = rng.integers(0, 256, (IMAGES + 20, 4, 4, 3)).astype(np.uint8)
    public = np.concatenate([faces[:IMAGES], faces[:IMAGES, :, ::-1]])

    def codes(pictures):
        flat = pictures.reshape(len(pictures), -1) / np.float32(255)
        return (flat + 0.05 * rng.normal(size=flat.shape)).astype(np.float32)

    pairs = PublicPairs(codes(public), public, codes(faces[IMAGES:]), faces[IMAGES:])
    return Evidence(pairs, codes(faces[IMAGES:]), lambda image: [image])


def test_points_are_an_eighth_to_all_of_the_images():
    points = learning_curve.points_of(1000)
    assert [(p.share, p.images) for p in points] == [
        (0.125, 125),
        (0.25, 250),
        (0.5, 500),
        (1.0, 1000),
    ]


def test_a_curve_ends_where_the_map_takes_no_more_images():
    points = learning_curve.points_of(40_000, 8000)
    assert [(p.share, p.images) for p in points] == [
        (0.025, 1000),
        (0.05, 2000),
        (0.1, 4000),
        (0.2, 8000),
    ]


def test_too_few_images_make_fewer_points_or_none():
    assert [point.images for point in learning_curve.points_of(20)] == [10, 20]
    assert learning_curve.points_of(15) == []
    assert learning_curve.describe([], {}, np.ones((1, 1))) is None


def test_an_image_is_taken_with_its_mirror_image_and_with_its_mean_code():
    held = linear_evidence()
    deviation = np.ones(held.pairs.codes.shape[1:], np.float32)
    held = dataclasses.replace(held, noise=CodeNoise(deviation, held.pairs.codes + 1))
    seen = learning_curve.of_images(held, np.array([3, 7]), IMAGES)
    images = held.pairs.images
    expected = [images[3], images[7], images[3, :, ::-1], images[7, :, ::-1]]
    np.testing.assert_array_equal(seen.pairs.images, expected)
    np.testing.assert_array_equal(seen.noise.public_means, seen.pairs.codes + 1)


def test_more_images_help_where_there_is_more_to_learn_and_nothing_is_done_twice(tmp_path):
    settings = dataclasses.replace(audit_settings(Config(audit="quick")), attacker=OPTIONS)
    held, store = linear_evidence(), AttackStore(tmp_path, "key")
    points = learning_curve.run(settings, held, IMAGES, store)
    truth = held.pairs.held_out_images
    errors = [
        np.square(store.held_out_pictures(point.name) / 255 - truth / 255).mean()
        for point in points
    ]
    assert [store.facts(p.name)["settings"]["public_images"] for p in points] == [16, 32, 64, 128]
    assert errors == sorted(errors, reverse=True) and errors[-1] < 0.5 * errors[0]
    # What is kept needs no codes.
    none = dataclasses.replace(held.pairs, codes=held.pairs.codes[:0], images=held.pairs.images[:0])
    nothing = dataclasses.replace(held, pairs=none)
    assert learning_curve.run(settings, nothing, IMAGES, store) == points


def test_the_last_doubling_is_the_difference_of_the_same_images():
    points = learning_curve.points_of(16)
    half, whole = (
        {
            "psnr": np.array([1.0, 9.0]) + gain,
            "feature_similarity": np.array([0.3, 0.5]),
            "face_similarity": np.array([0.1, 0.8]),
        }
        for gain in (0, 2)
    )
    weights = np.array([[2.0, 0.0], [0.0, 2.0], [1.0, 1.0]]) / 2
    found = learning_curve.describe(points, {points[0].name: half, points[1].name: whole}, weights)
    assert found["last_doubling"]["psnr"]["value"] == pytest.approx(2)
    # The gain is the same for both images: it has no spread, though the images differ.
    np.testing.assert_allclose(found["last_doubling"]["psnr"]["ci95"], [2, 2])
    assert found["last_doubling"]["face_similarity"]["value"] == 0
    assert [point["public_images"] for point in found["points"]] == [8, 16]
    assert found["points"][1]["psnr"]["value"] == pytest.approx(7)
