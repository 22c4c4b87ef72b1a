"""The diffusion model: its forward process, its network, and denoising that is led to a code."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import code_search
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence, PublicPairs
from arl_tf.attacks.priors import diffusion, posterior
from arl_tf.attacks.priors.diffusion import Denoiser
from arl_tf.data.faces import generation
from arl_tf.metrics import measures

pytestmark = pytest.mark.slow

SIZE, PUBLIC = 32, 64
SETTINGS = AttackerOptions(
    width=32, depth=0, steps=25, batch_size=8, learning_rate=2e-3, mu=0.0, seed=1
)


def unit(images):
    return (images / 255).astype(np.float32)


def linear_code(image):
    """The image itself, smaller by two."""
    return tf.nn.avg_pool2d(image, 2, 2, "VALID")


@pytest.fixture(scope="module")
def pictures():
    """Procedural faces, uint8: (public, held out, target)."""
    images = generation.generate_faces(PUBLIC + 16, SIZE, seed=3).images
    return images[:PUBLIC], images[PUBLIC:-8], images[-8:]


@pytest.fixture(scope="module")
def evidence(pictures):
    codes = [linear_code(tf.constant(unit(images))).numpy() for images in pictures]
    pairs = PublicPairs(codes[0], pictures[0], codes[1], pictures[1])
    return Evidence(pairs, codes[2], lambda image: [image], encode=linear_code)


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    """As many as there are images, few steps."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_search, "BATCH", 8)
        patch.setattr(posterior, "STEPS", 6)
        patch.setattr(posterior, "START_TIMES", (0.5,))
        patch.setattr(posterior, "LENGTHS", (0.4,))
        yield


@pytest.fixture(scope="module")
def trained(evidence):
    """(a denoiser of the public images, its last loss)."""
    keras.utils.set_random_seed(1)
    return diffusion.train_denoiser(evidence, SETTINGS)


@pytest.fixture(scope="module")
def result(evidence, trained):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(posterior, "train_denoiser", lambda evidence, settings: trained)
        yield posterior.posterior_inversion(evidence, SETTINGS, start=None)


def mean_image(pictures, truth):
    return np.broadcast_to(unit(pictures[0]).mean(axis=0), truth.shape)


def still(noisy_and_time, training):
    """A network that takes all for noise but what it is: it expects alpha times the noisy image."""
    return tf.zeros_like(noisy_and_time[0])


@pytest.mark.parametrize("time", [0.1, 0.5, 0.9])
def test_the_forward_process_has_the_mean_and_the_variance_of_its_closed_form(time):
    image = np.linspace(-1, 1, 2 * 2 * 3, dtype=np.float32).reshape(1, 2, 2, 3)
    count = 20_000
    noise = np.random.default_rng(0).standard_normal((count, 2, 2, 3)).astype(np.float32)
    repeated, times = np.repeat(image, count, axis=0), np.full(count, time, np.float32)
    noisy = diffusion.made_noisy(repeated, tf.constant(times), noise).numpy()
    alpha, sigma = np.cos(np.pi * time / 2), np.sin(np.pi * time / 2)
    # Within 5 standard errors.
    np.testing.assert_allclose(noisy.mean(axis=0), alpha * image[0], atol=5 * sigma / count**0.5)
    np.testing.assert_allclose(noisy.var(axis=0), sigma**2, rtol=5 * (2 / count) ** 0.5)


def test_the_true_v_leads_back_to_the_image():
    rng = np.random.default_rng(1)
    image, noise = rng.normal(size=(2, 3, 4, 4, 3)).astype(np.float32)
    time = tf.constant([0.1, 0.4, 0.8])
    noisy = diffusion.made_noisy(image, time, noise)
    velocity = diffusion.made_noisy(noise, time, -image)
    np.testing.assert_allclose(diffusion.expected_image(noisy, velocity, time), image, atol=1e-5)


def test_the_network_keeps_the_shape_and_starts_from_no_opinion_of_blocks():
    network = diffusion.build_network(SIZE, width=5)
    found = network([np.zeros((2, SIZE, SIZE, 3)), np.zeros((2, diffusion.TIME_FEATURES))])
    assert found.shape == (2, SIZE, SIZE, 3)
    assert network.get_layer("patches").filters == 8


@pytest.mark.parametrize(("grid", "count"), [(32, 2), (16, 1), (8, 0), (24, 1), (15, 0)])
def test_a_grid_is_halved_while_it_is_even_and_large(grid, count):
    assert diffusion.halvings(grid) == count


def test_training_teaches_to_tell_held_out_images_from_noise(trained, pictures):
    image, time = 2 * unit(pictures[1]) - 1, tf.fill([8], 0.5)
    noise = np.random.default_rng(2).standard_normal(image.shape).astype(np.float32)
    noisy = diffusion.made_noisy(image, time, noise)
    found = diffusion.expected_image(noisy, trained[0].velocity(noisy, time), time)
    mean = 2 * mean_image(pictures, image) - 1
    assert trained[0].images == PUBLIC
    assert np.square(found - image).mean() < 0.9 * np.square(mean - image).mean()


def test_guidance_lowers_the_distance_of_codes(evidence, pictures):
    sample = posterior.sampler(evidence, Denoiser(still), seed=0)
    begin = mean_image(pictures, pictures[2])
    deviation = code_search.compared_in(evidence)
    distances = []
    for length in (0.0, 0.1, 0.3):
        found = sample(begin, evidence.target_codes, posterior.Settings(0.5, length, 1.0))
        each = code_search.code_distance(linear_code(found), evidence.target_codes, deviation)
        distances.append(float(tf.reduce_mean(each)))
    assert distances[2] < distances[1] < distances[0]


def test_without_guidance_and_with_the_true_denoiser_the_image_comes_back(evidence, pictures):
    truth = unit(pictures[2])

    def knowing(noisy_and_time, training):
        # v of the true image: (alpha noisy - image) / sigma; the first feature is sin(pi t / 2).
        noisy, features = noisy_and_time
        sigma = tf.reshape(features[:, 0], (-1, 1, 1, 1))
        return (tf.sqrt(1.0 - sigma**2) * noisy - (2.0 * truth - 1.0)) / sigma

    sample = posterior.sampler(evidence, Denoiser(knowing), seed=0)
    begin = mean_image(pictures, truth)
    found = sample(begin, evidence.target_codes, posterior.Settings(0.75, 0.0, 1.0))
    np.testing.assert_allclose(found, truth, atol=1e-3)


def test_a_linear_code_leads_beyond_the_mean_image(result, pictures):
    truth = unit(pictures[2])
    at_mean = measures.psnr(mean_image(pictures, truth), truth).mean()
    assert measures.psnr(result.reconstructions, truth).mean() > at_mean + 0.5
    assert result.held_out_loss[1] < result.held_out_loss[0]


def test_result_says_what_was_done(result, pictures):
    assert (result.name, result.knowledge) == ("diffusion_prior", "white-box")
    settings = json.loads(json.dumps(dict(result.settings)))
    assert (settings["start_time"], settings["length"]) == (0.5, 0.4)
    assert settings["share"] in code_search.SHARES
    assert settings["model_images"] == PUBLIC
    assert "mean image" in settings["words"]
    assert result.reconstructions.min() >= 0 and result.reconstructions.max() <= 1


def test_a_start_that_nothing_improves_is_returned(evidence, pictures, monkeypatch):
    truth = [unit(pictures[2]), unit(pictures[1])]
    start = AttackResult("linear", "black-box", {}, 0.0, (0.0,), *truth)
    denoiser = (Denoiser(still), 1.0)
    monkeypatch.setattr(posterior, "train_denoiser", lambda evidence, settings: denoiser)
    found = posterior.posterior_inversion(evidence, SETTINGS, start=start)
    np.testing.assert_array_equal(found.reconstructions, truth[0])
    assert (found.settings["start"], found.settings["start_time"]) == ("linear", 0.0)


def test_without_the_encoder_the_attack_is_refused(evidence):
    closed = dataclasses.replace(evidence, encode=None)
    with pytest.raises(ValueError, match=r"diffusion_prior needs Evidence\.encode"):
        posterior.posterior_inversion(closed, SETTINGS, start=None)


def test_the_forecast_grows_with_steps_and_with_pictures(evidence):
    cost = posterior.sampling_cost(evidence, SETTINGS)
    longer = dataclasses.replace(SETTINGS, steps=50)
    more = dataclasses.replace(evidence, target_codes=np.repeat(evidence.target_codes, 2, axis=0))
    assert posterior.sampling_cost(evidence, longer) > cost
    assert posterior.sampling_cost(more, SETTINGS) > cost
