"""Claims about the identity readout of procedural faces."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from arl_tf.config import data_checks
from arl_tf.data.faces import generation
from arl_tf.models.pretrained import drawn_identity

pytestmark = pytest.mark.slow

SIZE = 48
OTHER_SEED = drawn_identity.RESERVED_SEED + 1


@pytest.fixture(scope="module")
def network():
    return drawn_identity.procedural_identity_network(SIZE)


@pytest.fixture(scope="module")
def held_out():
    return generation.generate_faces(400, SIZE, seed=OTHER_SEED, images_per_identity=4)


@pytest.fixture(scope="module")
def estimates(network, held_out):
    return network.predict(held_out.images.astype("float32") / 255, verbose=0)


def test_centred_cosine_tells_unseen_identities_apart(estimates, held_out):
    centred = estimates - estimates.mean(axis=0)
    unit = centred / np.linalg.norm(centred, axis=1, keepdims=True)
    pairs = np.triu_indices(len(unit), 1)
    cosine = (unit @ unit.T)[pairs]
    same = (held_out.identities[:, None] == held_out.identities[None, :])[pairs]
    rank = np.searchsorted(np.sort(cosine[~same]), cosine[same])
    area = (rank / (~same).sum()).mean()
    assert area > 0.97


def test_estimates_are_the_generators_factors(estimates, held_out):
    assert estimates.shape == held_out.identity_factors.shape
    for name in ("skin_darkness", "hair_length", "head_width"):
        column = generation.IDENTITY_FACTOR_NAMES.index(name)
        truth = held_out.identity_factors[:, column]
        assert np.corrcoef(estimates[:, column], truth)[0, 1] > 0.7


def test_gradients_reach_the_image(network):
    image = tf.Variable(np.random.default_rng(0).random((2, SIZE, SIZE, 3), "float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(tf.square(network(image)))
    gradient = tape.gradient(total, image).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient != 0).mean() > 0.99


def test_the_network_is_frozen(network):
    assert network.trainable_variables == []


def test_a_second_network_of_the_same_size_is_not_fitted_again(network, monkeypatch):
    monkeypatch.setattr(generation, "generate_faces", None)
    again = drawn_identity.procedural_identity_network(SIZE)
    for a, b in zip(again.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_the_fit_depends_on_the_seed_of_its_faces_and_on_nothing_else(monkeypatch):
    monkeypatch.setattr(drawn_identity, "_NUM_IMAGES", 250)
    fit = (
        drawn_identity._fitted_readout.__wrapped__
    )  # without the cache, which would hide a second fit
    first, _ = fit(16, 1)
    keras.utils.set_random_seed(99)
    second, _ = fit(16, 1)
    other, _ = fit(16, 2)
    np.testing.assert_allclose(first, second, atol=1e-6)
    assert np.abs(first - other).max() > 1e-3


def test_the_reserved_seed_is_the_one_the_config_refuses():
    assert drawn_identity.RESERVED_SEED == data_checks.RESERVED_FACES_SEED


@pytest.mark.parametrize("size", [-1, 15])
def test_images_too_small_to_draw_faces_on_are_refused(size):
    with pytest.raises(ValueError, match=f"image_size must be >= 16 pixels.*got {size}"):
        drawn_identity.procedural_identity_network(size)


def test_ridge_shrinks_the_slope_of_one_feature_by_a_third():
    """Two standardised examples: x'x = 2, penalty 1, so the slope is 2/3 of least squares."""
    kernel, bias = drawn_identity._ridge(
        np.array([[0.0], [2.0]], "float32"), np.array([[1.0], [4.0]], "float32")
    )
    np.testing.assert_allclose(kernel, [[1.0]], atol=1e-4)
    np.testing.assert_allclose(bias, [1.5], atol=1e-4)


def test_the_dual_ridge_equals_the_primal_one():
    random = np.random.default_rng(0)
    features, targets = random.normal(size=(30, 5)), random.normal(size=(30, 2))
    kernel, bias = drawn_identity._ridge(features.astype("float32"), targets.astype("float32"))
    z = (features - features.mean(0)) / features.std(0)
    slopes = np.linalg.solve(z.T @ z + 5 * np.eye(5), z.T @ (targets - targets.mean(0)))
    np.testing.assert_allclose(features @ kernel + bias, z @ slopes + targets.mean(0), atol=1e-4)
