"""The search of a generator's features block by block: the ball, the stages, a known answer."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import code_search
from arl_tf.attacks.evidence import AttackerOptions, Evidence, PublicPairs
from arl_tf.attacks.priors import generator, progressive
from arl_tf.attacks.priors.l1_ball import into_l1_ball
from arl_tf.data.faces import generation
from arl_tf.metrics import measures
from arl_tf.models import architectures

pytestmark = pytest.mark.slow

SIZE = 16
SETTINGS = AttackerOptions(
    width=4, depth=0, steps=60, batch_size=16, learning_rate=5e-3, mu=0.0, seed=1
)


def unit(images):
    return (images / 255).astype(np.float32)


def linear_code(image):
    """A code that tells everything: the image itself, mixed by patches."""
    return tf.nn.space_to_depth(2.0 * image - 1.0, 4)


@pytest.fixture(scope="module")
def pictures():
    """Procedural faces, uint8: (public, held out, target)."""
    images = generation.generate_faces(100, SIZE, seed=3).images
    return images[:80], images[80:90], images[90:]


@pytest.fixture(scope="module")
def evidence(pictures):
    codes = [linear_code(tf.constant(unit(images))).numpy() for images in pictures]
    pairs = PublicPairs(codes[0], pictures[0], codes[1], pictures[1])
    return Evidence(pairs, codes[2], lambda image: [image], encode=linear_code)


@pytest.fixture(scope="module")
def result(evidence):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_search, "BATCH", 10)
        patch.setattr(generator, "LATENT", 16)
        patch.setattr(progressive, "RADII", (0.1, 0.5))
        yield progressive.progressive_inversion(evidence, SETTINGS, start=None)


def test_a_linear_code_leads_beyond_the_mean_image_and_the_latents_alone(result, pictures):
    truth = unit(pictures[2])
    mean = np.broadcast_to(unit(pictures[0]).mean(axis=0), truth.shape)
    found = measures.psnr(result.reconstructions, truth).mean()
    assert found > measures.psnr(mean, truth).mean() + 1
    # The first figure is that of the latents; stages that make it worse are left out.
    assert list(result.held_out_loss) == sorted(result.held_out_loss, reverse=True)
    assert result.held_out_loss[-1] < 0.9 * result.held_out_loss[0]


def test_every_block_is_a_stage_and_the_report_says_what_was_varied(result, pictures):
    assert (result.name, result.knowledge) == ("generative_progressive", "white-box")
    stages = json.loads(json.dumps(dict(result.settings)))["stages"]
    assert [stage["varied"] for stage in stages] == ["latents", "first", "grid8"]
    assert all(stage["radius"] in (0.1, 0.5) for stage in stages[1:])
    assert result.reconstructions.shape == pictures[2].shape
    assert np.square(result.held_out_reconstructions - unit(pictures[1])).mean() == pytest.approx(
        result.held_out_loss[-1], rel=1e-4
    )


@pytest.fixture(scope="module")
def blocks(pictures):
    """The blocks of a generator that has learned nothing, with some coefficients."""
    recogniser = generator.build_recogniser(SIZE, width=4, latent=6)
    decoder = architectures.build_decoder((6,), image_size=SIZE, width=4, depth=0)
    spread = generator.spread_of(generator.latent_means(recogniser, pictures[0]))
    faces = generator.FaceGenerator(decoder, recogniser, *spread, 80)
    coefficients = faces.coefficients(pictures[1])
    return faces, coefficients, progressive.blocks_of(faces, coefficients)


def test_blocks_one_after_the_other_are_the_generator(blocks):
    faces, stand, found = blocks
    expected = faces.picture(tf.constant(stand)).numpy()
    for block, enter in found:
        stand = enter(stand)
        np.testing.assert_allclose(block.picture(tf.constant(stand)), expected, atol=1e-5)
        np.testing.assert_array_equal(stand[:, 0], stand[:, 1])


def test_a_search_stays_in_its_ball_and_keeps_its_centre(blocks, evidence, monkeypatch):
    monkeypatch.setattr(code_search, "BATCH", 10)
    _, coefficients, found = blocks
    block, enter = found[0]
    start, radius = enter(coefficients), 0.02
    search = block.search(radius, SETTINGS)
    advance = code_search.adam_steps(evidence, search)
    codes = evidence.pairs.held_out_codes
    *_, (_, end) = code_search.descend(advance, search, start, codes, 0.0, 6)
    np.testing.assert_array_equal(end[:, 0], start[:, 0])
    moved = np.abs(end[:, 1] - end[:, 0]).sum(axis=1)
    limit = radius * end.shape[2]
    assert (moved <= limit * (1 + 1e-4)).all()
    # Steps of RATE would have led out of it.
    assert (moved > 0.9 * limit).all()


@pytest.mark.parametrize(
    ("values", "radius", "expected"),
    [
        ([3.0, 1.0], 2.0, [2.0, 0.0]),
        ([3.0, 2.0, -1.0], 3.0, [2.0, 1.0, 0.0]),
        ([-4.0, 4.0], 2.0, [-1.0, 1.0]),
        ([0.5, -0.25], 1.0, [0.5, -0.25]),
        ([0.0, 0.0], 1.0, [0.0, 0.0]),
    ],
)
def test_projection_by_hand(values, radius, expected):
    found = into_l1_ball(tf.constant([values]), radius)
    np.testing.assert_allclose(found, [expected], atol=1e-6)


def test_no_other_point_of_the_ball_is_nearer_than_the_projection():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 50)).astype(np.float32)
    found = into_l1_ball(tf.constant(values), 5.0).numpy()
    assert np.abs(found).sum() == pytest.approx(5.0, rel=1e-5)
    others = rng.laplace(size=(200, 50))
    others *= 5.0 / np.abs(others).sum(axis=1, keepdims=True)
    # A convex set: the way to any of its points leads away from the value.
    assert ((others - found) @ (values - found)[0] <= 1e-4).all()


def test_without_the_encoder_the_attack_is_refused(evidence):
    closed = dataclasses.replace(evidence, encode=None)
    with pytest.raises(ValueError, match=r"generative_progressive needs Evidence\.encode"):
        progressive.progressive_inversion(closed, SETTINGS, start=None)
