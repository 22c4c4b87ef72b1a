"""The generator of public faces, and the search of its latents for pictures whose codes match."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import code_search
from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs
from arl_tf.attacks.priors import generative, generator
from arl_tf.data.faces import generation
from arl_tf.metrics import measures
from arl_tf.models import architectures

pytestmark = pytest.mark.slow

SIZE = 16
SETTINGS = AttackerOptions(
    width=8, depth=0, steps=250, batch_size=16, learning_rate=3e-3, mu=0.0, seed=1
)


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    """As many as there are images."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_search, "BATCH", 20)
        yield


@pytest.fixture(scope="module")
def pictures():
    """Procedural faces, uint8: (public, held out, target), of different people."""
    images = generation.generate_faces(280, SIZE, seed=3).images
    return images[:240], images[240:260], images[260:]


def unit(images):
    return (images / 255).astype(np.float32)


def telling(image):
    """A code that tells everything: the image itself, mixed by patches."""
    return tf.nn.space_to_depth(2.0 * image - 1.0, 4)


@pytest.fixture(scope="module")
def evidence(pictures):
    public, held_out, _ = pictures
    codes = [telling(tf.constant(unit(images))).numpy() for images in pictures]
    pairs = PublicPairs(codes[0], public, codes[1], held_out)
    return Evidence(pairs, codes[2], lambda image: [image], encode=telling)


@pytest.fixture(scope="module")
def result(evidence):
    return generative.latent_inversion(evidence, SETTINGS, start=None)


def mean_image_psnr(pictures, truth):
    mean = np.broadcast_to(unit(pictures[0]).mean(axis=0), truth.shape)
    return measures.psnr(mean, unit(truth)).mean()


def test_autoencoder_reconstructs_unseen_faces_better_than_the_mean_image(evidence, pictures):
    recogniser = generator.build_recogniser(SIZE, width=8, latent=32)
    decoder = architectures.build_decoder((32,), image_size=SIZE, width=8, depth=0)
    generator.train_autoencoder(recogniser, decoder, pictures[0], evidence, SETTINGS)
    latents = generator.latent_means(recogniser, pictures[2])
    found = measures.psnr(decoder.predict(latents, verbose=0), unit(pictures[2])).mean()
    assert found > mean_image_psnr(pictures, pictures[2]) + 1


def test_code_that_tells_everything_leads_beyond_the_mean_image(result, pictures):
    for found, truth in (
        (result.reconstructions, pictures[2]),
        (result.held_out_reconstructions, pictures[1]),
    ):
        assert measures.psnr(found, unit(truth)).mean() > mean_image_psnr(pictures, truth) + 1


def test_search_is_never_worse_on_held_out_images_than_where_it_starts(result, pictures):
    kept = np.square(result.held_out_reconstructions - unit(pictures[1])).mean()
    assert kept == pytest.approx(min(result.held_out_loss), rel=1e-4)
    assert kept <= result.held_out_loss[0]


def test_result_says_what_was_done(result, pictures):
    assert (result.name, result.knowledge) == ("generative_prior", "white-box")
    assert result.reconstructions.shape == pictures[2].shape
    assert result.reconstructions.dtype == np.float32
    assert result.reconstructions.min() >= 0
    assert result.reconstructions.max() <= 1
    settings = json.loads(json.dumps(dict(result.settings)))
    assert settings["prior_weight"] in generative.PRIOR_WEIGHTS
    assert settings["latent"] == generator.LATENT
    assert settings["generator_images"] == len(pictures[0])
    assert settings["generator_psnr"] > mean_image_psnr(pictures, pictures[1])
    assert settings["words"]


def test_attack_follows_from_its_seed(evidence):
    short = dataclasses.replace(SETTINGS, steps=2)
    first, same, other = (
        generative.latent_inversion(
            evidence, dataclasses.replace(short, seed=seed), start=None
        ).reconstructions
        for seed in (1, 1, 2)
    )
    np.testing.assert_allclose(first, same, atol=1e-4)
    assert np.abs(first - other).mean() > 1e-3


def test_without_the_encoder_the_attack_is_refused(evidence):
    with pytest.raises(ValueError, match=r"generative_prior needs Evidence\.encode"):
        generative.latent_inversion(
            dataclasses.replace(evidence, encode=None), SETTINGS, start=None
        )


def test_training_that_diverges_is_an_error(evidence):
    def broken(image):
        return [image / 0.0]

    with pytest.raises(ValueError, match="training diverged"):
        generative.latent_inversion(
            dataclasses.replace(evidence, perceptual_features=broken),
            dataclasses.replace(SETTINGS, steps=2, mu=0.1),
            start=None,
        )


def test_kl_divergence_by_hand():
    mean = tf.constant([[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]])
    log_variance = tf.constant([[0.0, 0.0], [0.0, 0.0], [np.log(4.0), 0.0]], tf.float32)
    # (1 + 4) / 2; (4 - log 4 - 1) / 2.
    found = generator.kl_divergence(mean, log_variance)
    np.testing.assert_allclose(found, [0.0, 2.5, 1.5 - np.log(2.0)], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("image_size", [32, 48, 64])
def test_recogniser_says_mean_and_log_variance(image_size):
    model = generator.build_recogniser(image_size, width=4, latent=6)
    mean, log_variance = model(np.zeros((2, image_size, image_size, 3)), training=False)
    assert mean.shape == log_variance.shape == (2, 6)
    np.testing.assert_array_equal(log_variance, np.zeros((2, 6)))


@pytest.fixture
def untrained():
    """A generator whose recogniser says different things of different faces."""
    recogniser = generator.build_recogniser(SIZE, width=4, latent=6)
    decoder = architectures.build_decoder((6,), image_size=SIZE, width=4, depth=0)
    public = generation.generate_faces(280, SIZE, seed=3).images[:240]
    spread = generator.spread_of(generator.latent_means(recogniser, public))
    return generator.FaceGenerator(decoder, recogniser, *spread, len(public))


def test_coefficients_of_public_faces_have_mean_zero_and_covariance_one(untrained, pictures):
    found = untrained.coefficients(pictures[0])
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-3)
    np.testing.assert_allclose(np.cov(found, rowvar=False), np.eye(found.shape[1]), atol=1e-2)


def test_coefficients_lead_back_to_the_latents_that_the_recogniser_said(untrained, pictures):
    latents = generator.latent_means(untrained.recogniser, pictures[2])
    expected = untrained.generator.predict(latents, verbose=0)
    made = untrained.picture(tf.constant(untrained.coefficients(pictures[2])))
    np.testing.assert_allclose(made, expected, atol=1e-3)
    found = untrained.reconstruction_psnr(pictures[2])
    assert found == pytest.approx(measures.psnr(expected, unit(pictures[2])).mean(), abs=0.01)


def test_coefficients_expected_of_a_linear_code_are_the_recogniser_s(untrained, pictures):
    codes = [untrained.coefficients(images) for images in pictures]
    pairs = PublicPairs(codes[0], pictures[0], codes[1], pictures[1])
    target, held_out = generative.expected_coefficients(
        untrained, Evidence(pairs, codes[2], lambda image: [image])
    )
    np.testing.assert_allclose(target, codes[2], atol=1e-2)
    np.testing.assert_allclose(held_out, codes[1], atol=1e-2)


def test_where_the_noise_is_known_the_search_weighs_the_prior_as_map_does(evidence, untrained):
    codes = evidence.pairs.codes
    noise = CodeNoise(np.full(codes.shape[1:], 0.1, np.float32), codes)
    search = generative.latent_search(
        dataclasses.replace(evidence, noise=noise), SETTINGS, untrained
    )
    # |w|^2 of six ones, over the number of a code's values.
    assert float(search.prior(tf.ones((1, 6)))[0]) == pytest.approx(6 / codes[0].size)
    assert search.prior_weights == generative.MAP_FACTORS


def test_a_generator_learns_from_all_public_data_and_from_no_held_out_image(evidence, pictures):
    public, _, target = pictures
    codes = np.zeros((20, 2), np.float32)
    held = dataclasses.replace(
        evidence,
        other_domain=PublicPairs(codes, target[:20], codes, target[20:]),
        more_images=lambda count, seed: np.full((count, SIZE, SIZE, 3), seed, np.uint8),
    )
    found = generator.public_faces(held, seed=9)
    expected = [public, np.full_like(public, 9), target]
    np.testing.assert_array_equal(found, np.concatenate(expected))
