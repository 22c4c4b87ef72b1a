"""White-box inversion: codes are matched, linear ones undone, nothing is made worse."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.attacks import code_search, inversion
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence, PublicPairs
from arl_tf.data.faces import generation
from arl_tf.metrics import measures
from arl_tf.models.standardisation import channel_moments

SIZE = 16
SETTINGS = AttackerOptions(
    width=4, depth=0, steps=1000, batch_size=16, learning_rate=1e-3, mu=0.0, seed=1
)


@pytest.fixture(scope="module", autouse=True)
def small_batches():
    """Sixteen images make two batches, of which one is filled up."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(code_search, "BATCH", 12)
        yield


@pytest.fixture(scope="module")
def pictures():
    """Procedural faces, uint8: (public, held out, target), of different people."""
    images = generation.generate_faces(72, SIZE, seed=3).images
    return images[:40], images[40:56], images[56:]


def unit(images):
    return (images / 255).astype(np.float32)


@pytest.fixture(scope="module")
def mixing():
    """A fixed orthogonal map of all values of patches of 4 x 4 pixels: invertible, but mixed."""
    matrix = np.random.default_rng(0).normal(size=(48, 48))
    return np.linalg.qr(matrix)[0].astype(np.float32)


@pytest.fixture(scope="module")
def mixed(mixing):
    """An encoder that loses nothing."""
    return lambda image: tf.nn.space_to_depth(image, 4) @ mixing


def downscaled(image):
    """An encoder that keeps the mean of every 4 x 4 pixels."""
    return tf.nn.avg_pool2d(image, 4, 4, "VALID")


def evidence_of(encode, pictures):
    """What a white-box adversary holds of an encoder."""
    public, held_out, _ = pictures
    codes = [encode(tf.constant(unit(images))).numpy() for images in pictures]
    pairs = PublicPairs(codes[0], public, codes[1], held_out)
    return Evidence(pairs, codes[2], lambda image: [image], encode=encode)


def start_of(pictures, held_out_pictures):
    """A decoder's result with these reconstructions."""
    return AttackResult("decoder", "black-box", {}, 0.0, (0.0,), pictures, held_out_pictures)


@pytest.fixture(scope="module")
def mixed_result(mixed, pictures):
    return inversion.optimise_images(evidence_of(mixed, pictures), SETTINGS, start=None)


def test_image_behind_an_invertible_linear_code_is_recovered(pictures, mixed_result):
    assert measures.psnr(mixed_result.reconstructions, unit(pictures[2])).mean() > 30
    assert measures.psnr(mixed_result.held_out_reconstructions, unit(pictures[1])).mean() > 30


def test_codes_are_matched_better_after_than_before(pictures, mixed):
    evidence = evidence_of(mixed, pictures)
    rng = np.random.default_rng(0)
    noisy = [
        np.clip(unit(images) + rng.normal(0, 0.1, images.shape), 0, 1).astype(np.float32)
        for images in pictures[1:]
    ]
    result = inversion.optimise_images(evidence, SETTINGS, start=start_of(noisy[1], noisy[0]))
    _, deviation = channel_moments(evidence.pairs.codes)
    before, after = (
        code_search.code_distance(mixed(images), evidence.target_codes, deviation).numpy()
        for images in (noisy[1], result.reconstructions)
    )
    assert (after < before / 10).all()


def test_good_start_from_a_code_that_tells_little_is_never_made_worse(pictures):
    result = inversion.optimise_images(
        evidence_of(downscaled, pictures),
        SETTINGS,
        start=start_of(unit(pictures[2]), unit(pictures[1])),
    )
    assert result.settings["iterations"] == 0
    np.testing.assert_array_equal(result.reconstructions, unit(pictures[2]))
    np.testing.assert_array_equal(result.held_out_reconstructions, unit(pictures[1]))


def test_held_out_pictures_are_as_good_as_the_best_loss_of_the_curve(pictures, mixed_result):
    mean = unit(pictures[0]).mean(axis=0)
    first = np.square(mean - unit(pictures[1])).mean()
    last = np.square(mixed_result.held_out_reconstructions - unit(pictures[1])).mean()
    assert mixed_result.held_out_loss[0] == pytest.approx(first, rel=1e-4)
    assert min(mixed_result.held_out_loss) == pytest.approx(last, rel=1e-4)
    assert len(mixed_result.held_out_loss) == code_search.CHECKS + 1


def test_result_says_what_was_done(pictures, mixed_result):
    assert (mixed_result.name, mixed_result.knowledge) == ("optimisation", "white-box")
    assert mixed_result.reconstructions.shape == pictures[2].shape
    assert mixed_result.reconstructions.dtype == np.float32
    assert mixed_result.reconstructions.min() >= 0
    assert mixed_result.reconstructions.max() <= 1
    settings = json.loads(json.dumps(dict(mixed_result.settings)))
    assert settings["prior_weight"] in inversion.TOTAL_VARIATION_WEIGHTS
    assert 0 < settings["iterations"] <= settings["most_iterations"] == inversion.ITERATIONS
    assert "mean image" in settings["words"]


def test_few_steps_bound_the_iterations(pictures, mixed):
    result = inversion.optimise_images(
        evidence_of(mixed, pictures), dataclasses.replace(SETTINGS, steps=3), start=None
    )
    assert result.settings["iterations"] == 3
    assert len(result.held_out_loss) == 4


def test_other_codes_beside_one_do_not_change_its_picture(pictures, mixed):
    settings = dataclasses.replace(SETTINGS, steps=3)
    both = evidence_of(mixed, pictures)
    one = dataclasses.replace(both, target_codes=both.target_codes[:1])
    first, alone = (inversion.optimise_images(e, settings, start=None) for e in (both, one))
    np.testing.assert_allclose(first.reconstructions[:1], alone.reconstructions, atol=1e-5)


def test_attack_follows_from_its_seed(pictures, mixed):
    settings = dataclasses.replace(SETTINGS, steps=5)
    first, second = (
        inversion.optimise_images(evidence_of(mixed, pictures), settings, start=None)
        for _ in range(2)
    )
    np.testing.assert_array_equal(first.reconstructions, second.reconstructions)
    assert first.held_out_loss == second.held_out_loss


def test_without_the_encoder_the_attack_is_refused(pictures):
    evidence = dataclasses.replace(evidence_of(downscaled, pictures), encode=None)
    with pytest.raises(ValueError, match=r"needs Evidence\.encode"):
        inversion.optimise_images(evidence, SETTINGS, start=None)


def test_start_for_other_codes_is_refused(pictures):
    start = start_of(unit(pictures[2])[:3], unit(pictures[1]))
    with pytest.raises(ValueError, match=r"has \(3, 16\).*expected \(16, 16\)"):
        inversion.optimise_images(evidence_of(downscaled, pictures), SETTINGS, start=start)


def test_gradient_that_is_not_finite_is_an_error_not_a_picture(pictures):
    def broken(image):
        return downscaled(image) + tf.sqrt(0.0 * image[:, ::4, ::4])

    with pytest.raises(ValueError, match="diverged"):
        inversion.optimise_images(evidence_of(broken, pictures), SETTINGS, start=None)


def test_total_variation_by_hand():
    image = np.zeros((2, 2, 2, 3), np.float32)
    # Down: |0.5 - 0| and |0 - 0| over 2 x 3 places; across: |0 - 0| and |0 - 0.5|.
    image[0, 1, 0] = 0.5
    np.testing.assert_allclose(inversion.total_variation(tf.constant(image)), [0.5, 0.0])


def test_total_variation_of_a_ramp_is_its_slopes():
    rows, columns = np.meshgrid(np.arange(5.0), np.arange(7.0), indexing="ij")
    image = np.repeat((0.1 * rows + 0.02 * columns)[None, ..., None], 3, axis=-1)
    found = inversion.total_variation(tf.constant(image, tf.float32))
    np.testing.assert_allclose(found, [0.12], rtol=1e-5)


def test_scale_of_a_channel_is_no_protection(pictures, mixed, mixed_result):
    scales = np.geomspace(1e-3, 1e3, 48).astype(np.float32)
    result = inversion.optimise_images(
        evidence_of(lambda image: mixed(image) * scales, pictures), SETTINGS, start=None
    )
    np.testing.assert_allclose(result.reconstructions, mixed_result.reconstructions, atol=1e-2)
