"""Attackers: a code that leaks is inverted, one that doesn't leaves the mean image."""

import dataclasses
import inspect
import json

import numpy as np
import pytest
import tensorflow as tf

from arl_tf import attacks, faces, losses, metrics, models

SIZE = 32
SETTINGS = attacks.DecoderSettings(
    width=4, depth=0, steps=20, batch_size=16, learning_rate=5e-3, mu=0.0, seed=1
)


@pytest.fixture(scope="module")
def pictures():
    """Procedural faces, uint8: (public, held out, target), of different people."""
    images = faces.generate_faces(280, SIZE, seed=3).images
    return images[:200], images[200:240], images[240:]


def unit(images):
    """The identity encoder: the code is the image, float32 in [0, 1]."""
    return (images / 255).astype(np.float32)


def attack(encode, pictures, **changes):
    """Runs the attack on what `encode` makes of the pictures."""
    public, held_out, target = pictures
    return attacks.decoder_attack(
        attacks.PublicPairs(encode(public), public, encode(held_out), held_out),
        encode(target),
        name="decoder",
        settings=dataclasses.replace(SETTINGS, **changes),
        perceptual_features=lambda image: [image],
    )


def mean_image_psnr(pictures):
    public, _, target = pictures
    mean = np.broadcast_to(unit(public).mean(axis=0), target.shape)
    return metrics.psnr(mean, unit(target)).mean()


@pytest.fixture(scope="module")
def identity_result(pictures):
    return attack(unit, pictures, width=16, steps=300, learning_rate=2e-2)


def test_code_that_is_the_image_is_inverted(pictures, identity_result):
    found = metrics.psnr(identity_result.reconstructions, unit(pictures[2])).mean()
    assert found > 30


@pytest.mark.parametrize("code_shape", [(8, 8, 4), (8,)])
def test_constant_code_leaves_the_attacker_at_the_mean_image(pictures, code_shape):
    result = attack(
        lambda images: np.full((len(images), *code_shape), 3.0, np.float32),
        pictures,
        steps=200,
        width=8,
    )
    found = metrics.psnr(result.reconstructions, unit(pictures[2])).mean()
    assert abs(found - mean_image_psnr(pictures)) < 0.3
    np.testing.assert_allclose(
        result.reconstructions, result.reconstructions[:1].repeat(40, axis=0), atol=1e-4
    )


def test_code_of_noise_tells_no_more_than_the_mean_image(pictures):
    rng = np.random.default_rng(0)
    result = attack(
        lambda images: rng.normal(size=(len(images), 8, 8, 4)).astype(np.float32),
        pictures,
        steps=100,
    )
    found = metrics.psnr(result.reconstructions, unit(pictures[2])).mean()
    assert found < mean_image_psnr(pictures) + 0.1


def test_result_says_what_was_done(pictures, identity_result):
    assert identity_result.name == "decoder"
    assert identity_result.knowledge == "black-box"
    assert identity_result.reconstructions.shape == pictures[2].shape
    assert identity_result.reconstructions.dtype == np.float32
    assert identity_result.reconstructions.min() >= 0
    assert identity_result.reconstructions.max() <= 1
    assert identity_result.seconds > 0
    assert len(identity_result.held_out_loss) == 3
    # The three channels of the code, and its row and column.
    decoder = models.build_decoder((SIZE, SIZE, 5), image_size=SIZE, width=16, depth=0)
    settings = json.loads(json.dumps(dict(identity_result.settings)))
    assert settings.pop("parameters") == decoder.count_params()
    assert settings == dataclasses.asdict(
        dataclasses.replace(SETTINGS, width=16, steps=300, learning_rate=2e-2)
    )


def test_attacker_is_given_codes_of_the_targets_and_no_image_of_them():
    given = list(inspect.signature(attacks.decoder_attack).parameters)
    assert given == [
        "pairs",
        "target_codes",
        "name",
        "settings",
        "perceptual_features",
        "verbose",
    ]
    assert [field.name for field in dataclasses.fields(attacks.PublicPairs)] == [
        "codes",
        "images",
        "held_out_codes",
        "held_out_images",
    ]


def test_codes_under_attack_do_not_change_the_attacker(pictures):
    public, held_out, target = pictures
    both = attack(unit, pictures)
    one = attack(unit, (public, held_out, target[:1]))
    assert one.held_out_loss == pytest.approx(both.held_out_loss, rel=1e-4)
    np.testing.assert_allclose(one.reconstructions, both.reconstructions[:1], atol=1e-4)


def test_attack_follows_from_its_seed(pictures):
    first, same, other = (attack(unit, pictures, seed=seed).reconstructions for seed in (1, 1, 2))
    np.testing.assert_allclose(first, same, atol=1e-4)
    assert np.abs(first - other).mean() > 1e-3


def test_weights_with_the_best_held_out_loss_are_kept(pictures, monkeypatch):
    monkeypatch.setattr(attacks, "STEPS_BETWEEN_CHECKS", 20)
    rng = np.random.default_rng(0)
    public, held_out, _ = (images[:20] for images in pictures)
    codes = [rng.normal(size=(20, 16)).astype(np.float32) for _ in range(2)]
    # Noise can only be learned by heart, so that the held-out loss rises again.
    result = attacks.decoder_attack(
        attacks.PublicPairs(codes[0], public, codes[1], held_out),
        codes[1],
        name="decoder",
        settings=dataclasses.replace(SETTINGS, width=8, steps=160),
        perceptual_features=lambda image: [image],
    )
    kept = np.square(result.reconstructions - unit(held_out)).mean()
    assert min(result.held_out_loss) < 0.97 * result.held_out_loss[-1]
    assert kept == pytest.approx(min(result.held_out_loss), rel=1e-4)


@pytest.mark.parametrize(("steps", "checks", "taken"), [(7, 1, 7), (25, 3, 27)])
def test_attacker_takes_its_steps_rounded_up_to_whole_intervals(
    pictures, monkeypatch, steps, checks, taken
):
    monkeypatch.setattr(attacks, "STEPS_BETWEEN_CHECKS", 10)
    built, build = [], models.build_decoder
    monkeypatch.setattr(
        models,
        "build_decoder",
        lambda *shape, **size: built.append(build(*shape, **size)) or built[0],
    )
    result = attack(unit, pictures, steps=steps)
    assert len(result.held_out_loss) == checks
    assert built[0].optimizer.iterations == taken


def test_attack_that_diverges_is_an_error_not_a_picture(pictures):
    with pytest.raises(ValueError, match=r"decoder diverged.*--attacker_learning_rate"):
        attack(lambda images: np.full((len(images), 4), np.nan, np.float32), pictures)


def test_codes_that_no_decoder_fits_are_refused(pictures):
    with pytest.raises(ValueError, match="can't be decoded"):
        attack(lambda images: unit(images)[:, :12], pictures)


def codes_of(count=50, seed=0):
    return np.random.default_rng(seed).normal(2, 3, (count, 4, 4, 5)).astype(np.float32)


def test_every_channel_is_standardised_by_the_public_codes():
    codes = codes_of() * [1, 10, 0.1, 5, 2] + [0, -3, 7, 100, 1]
    scaled = attacks.code_scale(codes)(codes)
    assert scaled.dtype == np.float32
    np.testing.assert_allclose(scaled.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=(0, 1, 2)), 1, atol=1e-5)
    other = codes_of(seed=1).astype(np.float64)
    expected = (other - codes.mean(axis=(0, 1, 2))) / codes.std(axis=(0, 1, 2))
    np.testing.assert_allclose(attacks.code_scale(codes)(other), expected, atol=1e-4)


@pytest.mark.parametrize("factor", [1e-9, 1e-4, 1e6])
def test_small_or_large_codes_are_no_protection(factor):
    codes = codes_of()
    scaled = attacks.code_scale(codes * np.float32(factor))(codes * np.float32(factor))
    np.testing.assert_allclose(scaled, attacks.code_scale(codes)(codes), atol=1e-4)


def test_constant_channel_stays_constant_and_is_not_blown_up():
    codes = np.full((20_000, 4, 4, 2), 3.3, np.float32)
    scale = attacks.code_scale(codes)
    np.testing.assert_allclose(scale(codes[:2]), 0, atol=1e-5)
    # A target's last bit differs: still nothing.
    np.testing.assert_allclose(scale(np.nextafter(codes[:2], np.float32(4))), 0, atol=1e-5)


def test_rounding_of_a_large_constant_is_not_blown_up():
    codes = np.full((1000, 2), 1000.0, np.float32)
    codes[::50] = np.nextafter(codes[::50], np.float32(2000))
    assert np.abs(attacks.code_scale(codes)(codes)).max() < 1e-3


def test_position_of_a_grids_code_is_appended():
    codes = codes_of(count=3)[:, :3, :3]
    placed = attacks.with_position(codes)
    np.testing.assert_array_equal(placed[..., :5], codes)
    for place in placed:
        np.testing.assert_array_equal(place[..., 5], [[-1] * 3, [0] * 3, [1] * 3])
        np.testing.assert_array_equal(place[..., 6], [[-1, 0, 1]] * 3)
    assert placed.dtype == np.float32


def test_one_is_appended_to_a_vector():
    codes = codes_of()[:, 0, 0]
    np.testing.assert_array_equal(
        attacks.with_position(codes), np.concatenate([codes, np.ones((50, 1))], axis=1)
    )


def test_attackers_loss_is_formula_one():
    rng = np.random.default_rng(0)
    image = tf.constant(rng.integers(0, 256, (2, 4, 4, 3), np.uint8))
    reconstruction = tf.constant(rng.random((2, 4, 4, 3), np.float32))

    def features(pictures):
        return [pictures, 2 * pictures]

    loss = attacks.reconstruction_loss(features, 0.3)(image, reconstruction)
    target = tf.cast(image, tf.float32) / 255
    expected = losses.pixel_loss(reconstruction, target) + 0.3 * losses.perceptual_loss(
        features(reconstruction), features(target)
    )
    assert float(loss) == pytest.approx(float(expected))


def test_without_a_perceptual_weight_the_perceptual_network_is_not_asked():
    def features(image):
        raise AssertionError

    image = tf.zeros((1, 2, 2, 3), tf.uint8)
    assert float(attacks.reconstruction_loss(features, 0.0)(image, tf.ones((1, 2, 2, 3)))) == 1


def test_batches_hold_every_pair_once_in_an_epoch_and_keep_pairs_together():
    images = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1).repeat(3, axis=3)
    codes = np.arange(12, dtype=np.float32)[:, None]
    batches = list(attacks.attack_batches(codes, images, 4, seed=0).take(6))
    for code, image in batches:
        np.testing.assert_array_equal(code[:, 0], tf.cast(image[:, 0, 0, 0], tf.float32))
    epochs = np.concatenate([code[:, 0] for code, _ in batches]).reshape(2, 12)
    assert (np.sort(epochs, axis=1) == np.arange(12)).all()
    assert (epochs[0] != epochs[1]).any()


def test_batch_is_never_larger_than_the_public_set():
    codes, images = np.zeros((3, 2), np.float32), np.zeros((3, 4, 4, 3), np.uint8)
    code, image = next(iter(attacks.attack_batches(codes, images, 16, seed=0)))
    assert (len(code), len(image)) == (3, 3)
