"""The untrained network as a prior: it starts at the mean image and recovers what a code tells."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import code_search
from arl_tf.attacks.evidence import AttackerOptions, Evidence, PublicPairs
from arl_tf.attacks.priors import deep_image_prior
from arl_tf.data.faces import generation
from arl_tf.metrics import measures

pytestmark = pytest.mark.slow

SIZE = 16
SETTINGS = AttackerOptions(
    width=4, depth=0, steps=1000, batch_size=16, learning_rate=1e-3, mu=0.0, seed=1
)


@pytest.fixture(scope="module")
def attacked():
    """(result, target pictures in [0, 1], mean image): the code is the image itself."""
    images = generation.generate_faces(60, SIZE, seed=3).images
    public, held_out, target = images[:40], images[40:50], images[50:]
    codes = [(part / 255).astype(np.float32) for part in (public, held_out, target)]
    pairs = PublicPairs(codes[0], public, codes[1], held_out)
    evidence = Evidence(pairs, codes[2], lambda image: [image], encode=tf.identity)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_search, "BATCH", 10)
        result = deep_image_prior.deep_image_prior(evidence, SETTINGS, start=None)
    return evidence, result, codes[2], codes[0].mean(axis=0)


def test_a_code_that_is_the_image_is_inverted(attacked):
    _, result, truth, mean = attacked
    at_mean = measures.psnr(np.broadcast_to(mean, truth.shape), truth).mean()
    assert measures.psnr(result.reconstructions, truth).mean() > at_mean + 5


def test_held_out_images_choose_a_point_that_is_better_than_the_start(attacked):
    _, result, *_ = attacked
    assert min(result.held_out_loss) < result.held_out_loss[0]
    assert (result.name, result.knowledge) == ("deep_image_prior", "white-box")
    assert result.settings["iterations"] > 0


def test_every_picture_starts_as_the_mean_image(attacked):
    *_, mean = attacked
    network = deep_image_prior.UntrainedNetwork(mean, seed=0)
    made = network.picture(tf.constant(network.first_weights[None].repeat(2, axis=0)))
    np.testing.assert_allclose(made, np.stack([mean, mean]), atol=1e-6)


def test_weights_of_one_picture_do_not_change_another(attacked):
    *_, mean = attacked
    network = deep_image_prior.UntrainedNetwork(mean, seed=0)
    rng = np.random.default_rng(0)
    weights = network.first_weights + 0.1 * rng.normal(size=(3, network.first_weights.size))
    together = network.picture(tf.constant(weights, tf.float32))
    alone = network.picture(tf.constant(weights[1:2], tf.float32))
    np.testing.assert_allclose(together[1:2], alone, atol=1e-5)


def test_a_convolution_of_its_own_is_the_convolution_of_keras():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(1, 6, 6, 2)).astype(np.float32)
    kernel = rng.normal(size=(3, 3, 2, 4)).astype(np.float32)
    found = deep_image_prior.convolved(tf.constant(features), tf.constant(kernel.reshape(1, 18, 4)))
    expected = tf.nn.conv2d(features, kernel, 1, "VALID")
    np.testing.assert_allclose(found[:, 1:-1, 1:-1], expected, atol=1e-5)


@pytest.mark.parametrize(("size", "count"), [(64, 3), (48, 3), (20, 2), (15, 0)])
def test_the_grid_is_doubled_as_often_as_the_size_allows(size, count):
    assert deep_image_prior.doublings(size) == count


def test_without_the_encoder_the_attack_is_refused(attacked):
    evidence = dataclasses.replace(attacked[0], encode=None)
    with pytest.raises(ValueError, match=r"deep_image_prior needs Evidence\.encode"):
        deep_image_prior.deep_image_prior(evidence, SETTINGS, start=None)
