"""Claims about frozen networks in LiteRT's form, by a small network."""

import keras
import numpy as np
import pytest

from arl_tf.models.pretrained import lite_form


@pytest.fixture(scope="module")
def network():
    initializer = keras.initializers.GlorotUniform(seed=1)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, kernel_initializer=initializer)(image)
    x = keras.layers.DepthwiseConv2D(3, depthwise_initializer=initializer)(x)
    return keras.Model(image, keras.layers.Flatten()(x), name="small", trainable=False)


@pytest.mark.parametrize("count", [1, 3, 4, 9])
def test_outputs_are_keras_of_any_number_of_images(network, count):
    images = np.random.default_rng(count).random((count, 8, 8, 3), "float32")
    found = lite_form.lite_form(network, batch_size=4)(images)
    assert (found.shape, found.dtype) == ((count, 64), np.float32)
    np.testing.assert_allclose(found, network(images), atol=1e-5)


def test_outputs_of_an_earlier_call_are_kept(network):
    run = lite_form.lite_form(network, batch_size=1)
    first, second = np.random.default_rng(0).random((2, 1, 8, 8, 3), "float32")
    found = run(first)
    kept = found.copy()
    run(second)
    np.testing.assert_array_equal(found, kept)


@pytest.mark.parametrize("wrong", [1.01, np.nan])
def test_a_form_that_computes_something_else_is_refused(network, wrong):
    def run(images):
        return np.asarray(network(images)) * wrong

    with pytest.raises(RuntimeError, match=r"LiteRT's form of small differs .* expected at most"):
        lite_form.check_same(network, run, (4, 8, 8, 3))


def test_threads_are_those_that_tensorflow_may_take(monkeypatch):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "3")
    monkeypatch.setattr(
        lite_form.tf.config.threading, "get_intra_op_parallelism_threads", lambda: 0
    )
    assert lite_form.num_threads() == 3
    monkeypatch.setattr(
        lite_form.tf.config.threading, "get_intra_op_parallelism_threads", lambda: 5
    )
    assert lite_form.num_threads() == 5
