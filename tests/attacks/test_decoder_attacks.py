"""Attacking decoders: a code that leaks is inverted, one that doesn't leaves the mean image."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import decoder_attacks, decoder_training, objectives
from arl_tf.attacks.decoder_attacks import DecoderRecipe
from arl_tf.attacks.evidence import ENOUGH_GAIN, AttackerOptions, Evidence, PublicPairs
from arl_tf.data.faces import generation
from arl_tf.metrics import measures
from arl_tf.models import architectures, losses

SIZE = 16
SETTINGS = AttackerOptions(
    width=4, depth=0, steps=20, batch_size=16, learning_rate=5e-3, mu=0.0, seed=1
)


@pytest.fixture(scope="module")
def pictures():
    """Procedural faces, uint8: (public, held out, target), of different people."""
    images = generation.generate_faces(280, SIZE, seed=3).images
    return images[:200], images[200:240], images[240:]


def unit(images):
    """The identity encoder: the code is the image, float32 in [0, 1]."""
    return (images / 255).astype(np.float32)


def evidence_of(encode, pictures):
    """What the adversary holds where the encoder is `encode`."""
    public, held_out, target = pictures
    pairs = PublicPairs(encode(public), public, encode(held_out), held_out)
    return Evidence(pairs, encode(target), lambda image: [image], query=encode)


def attack(encode, pictures, recipe=None, **changes):
    """Runs the attack on what `encode` makes of the pictures."""
    return decoder_attacks.decoder_attack(
        evidence_of(encode, pictures),
        dataclasses.replace(SETTINGS, **changes),
        name="decoder",
        recipe=recipe or DecoderRecipe("words"),
    )


def mean_image_psnr(pictures):
    public, _, target = pictures
    mean = np.broadcast_to(unit(public).mean(axis=0), target.shape)
    return measures.psnr(mean, unit(target)).mean()


@pytest.fixture(scope="module")
def identity_result(pictures):
    return attack(unit, pictures, width=16, steps=300, learning_rate=2e-2)


def test_code_that_is_the_image_is_inverted(pictures, identity_result):
    found = measures.psnr(identity_result.reconstructions, unit(pictures[2])).mean()
    assert found > 30


@pytest.mark.slow
@pytest.mark.parametrize("code_shape", [(8, 8, 4), (8,)])
def test_constant_code_leaves_the_attacker_at_the_mean_image(pictures, code_shape):
    result = attack(
        lambda images: np.full((len(images), *code_shape), 3.0, np.float32),
        pictures,
        steps=200,
        width=8,
    )
    found = measures.psnr(result.reconstructions, unit(pictures[2])).mean()
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
    found = measures.psnr(result.reconstructions, unit(pictures[2])).mean()
    assert found < mean_image_psnr(pictures) + 0.1


def test_result_says_what_was_done(pictures, identity_result):
    assert identity_result.name == "decoder"
    assert identity_result.knowledge == "black-box"
    assert identity_result.reconstructions.shape == pictures[2].shape
    assert identity_result.reconstructions.dtype == np.float32
    assert identity_result.reconstructions.min() >= 0
    assert identity_result.reconstructions.max() <= 1
    assert identity_result.seconds > 0
    assert identity_result.held_out_reconstructions.shape == pictures[1].shape
    # The three channels of the code, and its row and column.
    decoder = architectures.build_decoder((SIZE, SIZE, 5), image_size=SIZE, width=16, depth=0)
    settings = json.loads(json.dumps(dict(identity_result.settings)))
    assert settings["parameters"] == decoder.count_params()
    assert settings["words"] == "words"
    assert settings["public_images"] == 200
    expected = dataclasses.replace(SETTINGS, width=16, steps=300).as_json()
    assert settings.items() >= {**expected, "learning_rate": 2e-2}.items()


@pytest.mark.slow
def test_codes_under_attack_do_not_change_the_attacker(pictures):
    public, held_out, target = pictures
    both = attack(unit, pictures)
    one = attack(unit, (public, held_out, target[:1]))
    assert one.held_out_loss == pytest.approx(both.held_out_loss, rel=1e-4)
    np.testing.assert_allclose(one.reconstructions, both.reconstructions[:1], atol=1e-4)


@pytest.mark.slow
def test_attack_follows_from_its_seed(pictures):
    first, same, other = (attack(unit, pictures, seed=seed).reconstructions for seed in (1, 1, 2))
    np.testing.assert_allclose(first, same, atol=1e-4)
    assert np.abs(first - other).mean() > 1e-3


@pytest.mark.slow
def test_weights_with_the_best_held_out_loss_are_kept(pictures):
    rng = np.random.default_rng(0)
    public, held_out, _ = (images[:20] for images in pictures)
    codes = [rng.normal(size=(20, 16)).astype(np.float32) for _ in range(2)]
    # Noise can only be learned by heart, so that the held-out loss rises again.
    result = decoder_attacks.decoder_attack(
        Evidence(
            PublicPairs(codes[0], public, codes[1], held_out), codes[1], lambda image: [image]
        ),
        dataclasses.replace(SETTINGS, width=8, steps=400),
        name="decoder",
        recipe=DecoderRecipe("words"),
    )
    kept = np.square(result.reconstructions - unit(held_out)).mean()
    assert min(result.held_out_loss) < 0.97 * result.held_out_loss[-1]
    assert kept == pytest.approx(min(result.held_out_loss), rel=1e-4)


@pytest.mark.slow
def test_training_that_gains_nothing_more_is_stopped(pictures):
    result = attack(
        lambda images: np.zeros((len(images), 4), np.float32), pictures, steps=2000, width=8
    )
    assert result.settings["steps_taken"] < 1400
    assert result.settings["late_gain"] < ENOUGH_GAIN


def test_training_that_runs_out_of_steps_says_what_more_would_give(pictures):
    result = attack(unit, pictures, steps=40)
    assert result.settings["steps_taken"] == 40
    assert result.settings["late_gain"] > ENOUGH_GAIN


def test_progress_is_told_at_every_check_and_ends_with_all_done(pictures):
    told = []
    result = attack(unit, pictures, progress=lambda share, loss: told.append((share, loss)))
    assert len(told) == len(result.held_out_loss)
    assert told[-1] == (1.0, min(result.held_out_loss))
    assert [share for share, _ in told] == sorted(share for share, _ in told)


def test_gain_of_the_last_third_by_hand():
    # The best of the first six is 4, of all nine 3: a quarter.
    assert decoder_training.gain_of_last_third([9, 8, 7, 6, 5, 4, 4, 3, 5]) == pytest.approx(0.25)
    assert decoder_training.gain_of_last_third([5.0]) == 1.0
    assert not decoder_training.flat([1.0] * 5)
    assert decoder_training.flat([1.0] * 6)


def test_rate_decays_from_its_peak_to_nothing():
    rates = decoder_training.cosine(50)
    assert rates[0] == pytest.approx(1, abs=1e-3)
    assert rates[-1] == pytest.approx(0, abs=1e-3)
    assert (np.diff(rates) < 0).all()


@pytest.mark.slow
def test_asking_again_averages_the_noise_out(pictures):
    rng = np.random.default_rng(1)

    def noisy(images):
        side = SIZE // 2
        pixels = unit(images).reshape(len(images), side, 2, side, 2, 3).mean(axis=(2, 4))
        return (pixels + rng.normal(0, 1.0, pixels.shape)).astype(np.float32)

    recipe = DecoderRecipe("words", queries_again=True)
    public = tuple(images[:60] for images in pictures)
    once, again = (
        measures.psnr(
            attack(noisy, public, r, steps=400, width=8).reconstructions, unit(public[2])
        ).mean()
        for r in (None, recipe)
    )
    assert again > once + 0.1


@pytest.mark.slow
def test_attention_decoder_inverts_a_code_that_tells_everything(pictures):
    recipe = DecoderRecipe("words", family="attention", critic_weight=0.01)
    result = attack(unit, pictures, recipe, width=8, steps=200, learning_rate=1e-2)
    found = measures.psnr(result.reconstructions, unit(pictures[2])).mean()
    assert found > mean_image_psnr(pictures) + 6


def test_critic_wants_real_above_one_and_reconstructed_below_minus_one():
    class Judge:
        trainable_variables = ()

        def __call__(self, image, training):
            return tf.reduce_mean(image, axis=(1, 2, 3))

    class Spy:
        def apply(self, gradients, variables):
            assert list(gradients) == list(variables) == []

    real, made = tf.fill((2, 8, 8, 3), 0.25), tf.fill((2, 8, 8, 3), -0.5)
    loss = decoder_training.critic_step(Judge(), Spy(), real, made)
    # (1 - .25) + (1 - .5)
    assert float(loss) == pytest.approx(1.25)


def pairs_drawer(codes, images, batch_size):
    evidence = Evidence(PublicPairs(codes, images, codes, images), codes, lambda image: [image])
    settings = dataclasses.replace(SETTINGS, batch_size=batch_size)
    return decoder_attacks.pair_batches(evidence, lambda values: values, settings, False)


def test_batches_hold_every_pair_once_in_an_epoch_and_keep_pairs_together():
    images = np.arange(12, dtype=np.uint8).reshape(12, 1, 1, 1).repeat(3, axis=3)
    draw = pairs_drawer(np.arange(12, dtype=np.float32)[:, None], images, 4)
    batches = [draw() for _ in range(6)]
    for code, image in batches:
        np.testing.assert_array_equal(code[:, 0], image[:, 0, 0, 0])
    epochs = np.concatenate([code[:, 0] for code, _ in batches]).reshape(2, 12)
    assert (np.sort(epochs, axis=1) == np.arange(12)).all()
    assert (epochs[0] != epochs[1]).any()


def test_batch_is_never_larger_than_the_public_set():
    code, image = pairs_drawer(np.zeros((3, 2), "f4"), np.zeros((3, 4, 4, 3), np.uint8), 16)()
    assert (len(code), len(image)) == (3, 3)


def test_attack_that_diverges_is_an_error_not_a_picture(pictures):
    with pytest.raises(ValueError, match=r"decoder diverged.*--attacker_learning_rate"):
        attack(lambda images: np.full((len(images), 4), np.nan, np.float32), pictures)


def test_codes_that_no_decoder_fits_are_refused(pictures):
    with pytest.raises(ValueError, match="can't be decoded"):
        attack(lambda images: unit(images)[:, :12], pictures)


def test_attackers_loss_is_formula_one():
    rng = np.random.default_rng(0)
    image = tf.constant(rng.integers(0, 256, (2, 4, 4, 3), np.uint8))
    reconstruction = tf.constant(rng.random((2, 4, 4, 3), np.float32))

    def features(pictures):
        return [pictures, 2 * pictures]

    loss = objectives.reconstruction_loss(features, 0.3)(image, reconstruction)
    target = tf.cast(image, tf.float32) / 255
    expected = losses.pixel_loss(reconstruction, target) + 0.3 * losses.perceptual_loss(
        features(reconstruction), features(target)
    )
    assert float(loss) == pytest.approx(float(expected))


def test_without_a_perceptual_weight_the_perceptual_network_is_not_asked():
    def features(image):
        raise AssertionError

    image = tf.zeros((1, 2, 2, 3), tf.uint8)
    assert float(objectives.reconstruction_loss(features, 0.0)(image, tf.ones((1, 2, 2, 3)))) == 1


def scattered(images):
    """A code of the image's pixels in an order that has nothing to do with their places."""
    flat = unit(images).reshape(len(images), -1)
    order = np.random.default_rng(0).permutation(flat.shape[1])
    return flat[:, order].reshape(len(images), 8, 8, 12)


@pytest.mark.slow
def test_dense_decoder_gathers_what_is_scattered_over_the_whole_code(pictures):
    dense, convolutional = (
        measures.psnr(
            attack(
                scattered, pictures, DecoderRecipe("words", family=family), width=8, steps=120
            ).reconstructions,
            unit(pictures[2]),
        ).mean()
        for family in ("dense", "convolutional")
    )
    assert dense > mean_image_psnr(pictures) + 2
    assert dense > convolutional + 1


def test_losses_beside_formula_one_by_hand():
    image = tf.constant(np.full((2, 16, 16, 3), 51, np.uint8))
    made = tf.fill((2, 16, 16, 3), 0.5)
    assert float(objectives.absolute_loss(image, made)) == pytest.approx(0.3)
    # Of constant pictures SSIM is (2 a b + c) / (a^2 + b^2 + c) with c = .01^2.
    expected = 1 - (2 * 0.2 * 0.5 + 1e-4) / (0.2**2 + 0.5**2 + 1e-4)
    assert float(objectives.ssim_loss(image, made)) == pytest.approx(expected, abs=1e-3)
    assert float(objectives.ssim_loss(image, tf.fill((2, 16, 16, 3), 0.2))) < 1e-4


def test_identity_loss_is_one_minus_the_mean_cosine():
    def features(image):
        return tf.math.l2_normalize(image[:, 0, 0], axis=-1)

    image = tf.constant([[[[255, 0, 0]]], [[[0, 255, 0]]]], tf.uint8)
    made = tf.constant([[[[1.0, 0.0, 0.0]]], [[[1.0, 0.0, 0.0]]]])
    assert float(objectives.identity_loss(features)(image, made)) == pytest.approx(0.5)


def test_a_recipe_s_loss_is_the_sum_of_its_terms_and_asks_no_network_that_it_does_not_need():
    rng = np.random.default_rng(0)
    image = tf.constant(rng.integers(0, 256, (2, 16, 16, 3), np.uint8))
    made = tf.constant(rng.random((2, 16, 16, 3), np.float32))
    codes = np.zeros((2, 3), np.float32)
    pairs = PublicPairs(codes, image.numpy(), codes, image.numpy())
    held = Evidence(pairs, codes, lambda picture: [picture])
    recipe = DecoderRecipe("words", pixel_weight=2, absolute_weight=0.5, ssim_weight=0.25)
    target = tf.cast(image, tf.float32) / 255
    expected = (
        2 * losses.pixel_loss(made, target)
        + 0.5 * objectives.absolute_loss(image, made)
        + 0.25 * objectives.ssim_loss(image, made)
    )
    found = decoder_attacks.recipe_loss(held, SETTINGS, recipe)(image, made)
    assert float(found) == pytest.approx(float(expected))


@pytest.mark.slow
@pytest.mark.parametrize(
    "changes", [{"absolute_weight": 0.3, "pixel_weight": 0.0}, {"ssim_weight": 0.1}]
)
def test_other_losses_invert_a_code_that_tells_everything(pictures, changes):
    result = attack(
        unit, pictures, DecoderRecipe("words", **changes), width=8, steps=150, learning_rate=1e-2
    )
    found = measures.psnr(result.reconstructions, unit(pictures[2])).mean()
    assert found > mean_image_psnr(pictures) + 4


def test_a_decoder_that_is_trained_for_identity_alone_finds_it(pictures):
    def identity(image):
        """The four brightnesses of an image's quarters: what this network calls a face."""
        quarters = tf.nn.avg_pool2d(tf.reduce_mean(image, -1, keepdims=True), 8, 8, "VALID")
        flat = tf.reshape(quarters, (-1, 4))
        return tf.math.l2_normalize(flat - tf.reduce_mean(flat, axis=1, keepdims=True), axis=1)

    recipe = DecoderRecipe("words", pixel_weight=0.0, identity_weight=1.0)
    held = dataclasses.replace(evidence_of(unit, pictures), identity_features=identity)
    result = decoder_attacks.decoder_attack(
        held, dataclasses.replace(SETTINGS, width=8, steps=80), name="decoder", recipe=recipe
    )
    # 1 - the mean cosine, which is 1 for unrelated faces.
    assert min(result.held_out_loss) < 0.2
    assert min(result.held_out_loss) < 0.5 * result.held_out_loss[0]


def test_a_recipe_may_be_flatter_than_the_settings_but_not_below_nothing():
    flat = DecoderRecipe("words", extra_depth=-1, width_factor=2)
    for depth, expected in ((2, 1), (1, 0), (0, 0)):
        found = decoder_attacks.scaled(dataclasses.replace(SETTINGS, depth=depth), flat)
        assert (found.depth, found.width) == (expected, 2 * SETTINGS.width)
