"""Claims about SFace, the second identity network; sface_reference.npz is from onnxruntime."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from arl_tf.models.pretrained import sface

DATA = pathlib.Path(__file__).parents[1] / "fixtures"


@pytest.fixture(scope="module")
def network():
    return sface.face_identity_network(32)


def test_the_chip_network_equals_the_onnx_file():
    with np.load(DATA / "sface_reference.npz") as reference:
        chips, expected = reference["chips"], reference["embeddings"]
    embeddings = sface.face_chip_network()(chips.astype("float32") / 255)
    np.testing.assert_allclose(embeddings, expected, atol=1e-5)


def test_the_identity_network_cuts_the_documented_square(network):
    crop = keras.Model(network.input, network.get_layer("crop_columns").output)
    ramp = (np.arange(32, dtype="float32") + 0.5) / 32
    image = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], 0.25), axis=-1)
    chip = np.asarray(crop(image[None].astype("float32")))[0]
    top, left, side = sface.FACE_SQUARE
    centres = (np.arange(112) + 0.5) / 112 * side
    np.testing.assert_allclose(chip[:, 0, 0], top + centres, atol=1e-5)
    np.testing.assert_allclose(chip[0, :, 1], left + centres, atol=1e-5)


def test_gradients_reach_every_pixel_it_looks_at(network):
    image = tf.Variable(np.random.default_rng(0).random((1, 32, 32, 3), "float32"))
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(network(image)[:, 0])
    gradient = tape.gradient(total, image).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[:, 12:24, 10:20] != 0).mean() > 0.99


def test_it_has_nothing_to_train_and_building_it_leaves_the_random_state_alone(network):
    assert network.trainable_variables == []
    keras.utils.set_random_seed(7)
    expected = keras.random.uniform((4,)).numpy()
    keras.utils.set_random_seed(7)
    sface.face_identity_network(32)
    np.testing.assert_array_equal(keras.random.uniform((4,)).numpy(), expected)


def test_prelu_by_hand():
    found = sface.prelu(np.array([[-2.0, 3.0], [4.0, -1.0]], "float32"), np.array([0.5, 2.0]))
    np.testing.assert_allclose(found, [[-1.0, 3.0], [4.0, -2.0]])
