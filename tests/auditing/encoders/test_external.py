"""Encoders and task heads that are only SavedModels, arl_tf's own exports among them."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from saved_models import SIZE, cast_and_convolved, convolved, pictures, save_function

from arl_tf.auditing.encoders import external
from arl_tf.exporting.saved_models import save_encoder, save_task_head

SHAPE = (None, SIZE, SIZE, 3)
NAMES = ("Smiling", "Wearing Hat")


@pytest.fixture(scope="module")
def own():
    """(encoder, task head) as arl_tf builds them, but tiny."""
    image = keras.Input((SIZE, SIZE, 3), name="image")
    features = layers.Conv2D(6, 3, 4, activation="relu", padding="same")(image)
    encoder = keras.Model(image, layers.BatchNormalization(center=False)(features))
    code = keras.Input(encoder.output_shape[1:], name="code")
    task_head = keras.Model(code, layers.Dense(2)(layers.GlobalAveragePooling2D()(code)))
    return encoder, task_head


@pytest.fixture(scope="module")
def own_dir(own, tmp_path_factory):
    encoder, task_head = own
    folder = tmp_path_factory.mktemp("export")
    save_encoder(encoder, SIZE, folder / "encoder" / "3")
    save_task_head(task_head, encoder.output_shape[1:], NAMES, folder / "task_head" / "3")
    return folder


def test_own_export_gives_the_keras_models_codes_and_gradients(own, own_dir):
    encoder, _ = own
    loaded = external.load_saved_model(own_dir / "encoder")
    images = pictures(5)
    image = tf.constant(images, tf.float32) / 255.0
    assert (loaded.why_not, loaded.image_size, loaded.code_shape) == ("", SIZE, (8, 8, 6))
    assert not loaded.random_codes
    expected = encoder(image, training=False).numpy()
    codes = loaded.encode(images)
    assert codes.dtype == np.float32
    np.testing.assert_allclose(codes, expected, atol=1e-5)
    np.testing.assert_allclose(loaded.differentiable(image), expected, atol=1e-5)
    gradients = []
    for encode in (loaded.differentiable, lambda x: encoder(x, training=False)):
        with tf.GradientTape() as tape:
            tape.watch(image)
            total = tf.reduce_sum(encode(image) ** 2)
        gradients.append(tape.gradient(total, image).numpy())
    assert np.isfinite(gradients[0]).all() and np.abs(gradients[0]).max() > 0
    np.testing.assert_allclose(*gradients, atol=1e-4)


def test_version_folder_and_model_folder_are_the_same_encoder(own_dir):
    by_model, by_version = (
        external.load_saved_model(own_dir / path) for path in ("encoder", "encoder/3")
    )
    assert by_model.sha256 == by_version.sha256


def test_own_task_head_takes_codes_as_they_are_and_flattened(own, own_dir):
    encoder, task_head = own
    loaded = external.load_task_head(own_dir / "task_head")
    codes = encoder.predict(pictures(130) / np.float32(255), verbose=0)
    expected = task_head.predict(codes, verbose=0)
    assert loaded.attribute_names == NAMES
    np.testing.assert_allclose(loaded.classify(codes), expected, atol=1e-5)
    flat = codes.reshape(len(codes), -1)
    np.testing.assert_allclose(loaded.classify(flat), expected, atol=1e-5)


def test_task_head_refuses_codes_of_another_size(own_dir):
    head = external.load_task_head(own_dir / "task_head")
    with pytest.raises(ValueError, match=r"code has the shape \[2, 8, 8, 5\]; expected \[N, 8, 8"):
        head.classify(np.zeros((2, 8, 8, 5), np.float32))


def test_task_head_without_names_has_none(tmp_path):
    head = external.load_task_head(
        save_function(
            tmp_path,
            (None, 5),
            lambda c, s: {"logits": c[:, :2] * s},
            name="code",
            dtype=tf.float32,
        )
    )
    assert head.attribute_names is None
    assert head.classify(np.ones((3, 5))).tolist() == [[2.0, 2.0]] * 3


def test_task_head_with_other_names_than_logits_is_refused(own, tmp_path):
    encoder, task_head = own
    save_task_head(task_head, encoder.output_shape[1:], NAMES, tmp_path / "1")
    (tmp_path / "1" / "assets" / "attributes.txt").write_text("one\ntwo\nthree\n")
    with pytest.raises(ValueError, match="has 3 names for 2 logits"):
        external.load_task_head(tmp_path)


def test_an_encoder_is_no_task_head(own_dir):
    with pytest.raises(ValueError, match="expected a signature serving_default with the one input"):
        external.load_task_head(own_dir / "encoder")
    with pytest.raises(ValueError, match="expected a signature serving_default or encode"):
        external.load_saved_model(own_dir / "task_head")


def test_logits_of_another_rank_are_refused(tmp_path):
    folder = save_function(
        tmp_path, (None, 4), lambda c, s: {"logits": c[:, 0] * s}, name="code", dtype=tf.float32
    )
    with pytest.raises(ValueError, match=r"expected \[N, A\]"):
        external.load_task_head(folder)


def test_codes_that_no_decoder_takes_are_flattened_in_both_forms(tmp_path):
    def wide(image, scale):
        return {"code": cast_and_convolved(image, scale)["code"][:, :, :3]}

    loaded = external.load_saved_model(save_function(tmp_path, SHAPE, wide))
    assert loaded.code_shape == (4, 3, 4)
    images = pictures(3)
    codes = loaded.encode(images)
    assert codes.shape == (3, math.prod(loaded.code_shape))
    np.testing.assert_allclose(
        loaded.differentiable(tf.constant(images, tf.float32) / 255.0), codes, atol=1e-5
    )


def test_free_sides_need_an_image_size(tmp_path):
    folder = save_function(tmp_path, (None, None, None, 3), cast_and_convolved)
    with pytest.raises(ValueError, match="of any size; give --image_size"):
        external.load_saved_model(folder)
    loaded = external.load_saved_model(folder, image_size=64)
    assert (loaded.image_size, loaded.code_shape, loaded.why_not) == (64, (8, 8, 4), "")
    with pytest.raises(ValueError, match=r"expected \[N, 64, 64, 3\]"):
        loaded.encode(pictures(2, size=32))


def test_another_image_size_than_the_signatures_is_refused(own_dir):
    with pytest.raises(ValueError, match="takes images of 32 pixels; got --image_size=64"):
        external.load_saved_model(own_dir / "encoder", image_size=64)


@pytest.mark.parametrize("shape", [(None, 32, 64, 3), (None, 32, 32, 1), (None, 32, 32)])
def test_images_that_are_not_square_and_coloured_are_refused(tmp_path, shape):
    folder = save_function(tmp_path, shape, lambda i, s: {"code": tf.cast(i[:, 0], tf.float32) * s})
    with pytest.raises(ValueError, match="expected square ones of three channels"):
        external.load_saved_model(folder)


def test_images_that_are_no_bytes_are_refused(own_dir):
    with pytest.raises(ValueError, match="image is float64; expected uint8"):
        external.load_saved_model(own_dir / "encoder").encode(pictures(2) / 255.0)


def test_random_codes_are_noticed_and_white_box_gets_them_without_their_noise(tmp_path):
    def noisy(image, scale):
        code = cast_and_convolved(image, scale)["code"]
        return {"code": code + tf.random.normal(tf.shape(code))}

    loaded = external.load_saved_model(save_function(tmp_path, SHAPE, noisy))
    assert loaded.random_codes and not loaded.why_not
    images = pictures(2)
    assert not np.array_equal(loaded.encode(images), loaded.encode(images))
    image = tf.constant(images, tf.float32) / 255
    np.testing.assert_array_equal(loaded.differentiable(image), loaded.differentiable(image))


def test_random_codes_are_noticed_beside_a_channel_with_a_large_offset(tmp_path):
    def noisy(image, scale):
        code = cast_and_convolved(image, scale)["code"]
        noise = 0.2 * tf.random.normal(tf.shape(code)) * [0.0, 1.0, 1.0, 1.0]
        return {"code": code + noise + [1e4, 0.0, 0.0, 0.0]}

    assert external.load_saved_model(save_function(tmp_path, SHAPE, noisy)).random_codes


def test_codes_random_in_another_way_are_white_box_by_the_mean_of_draws(tmp_path):
    def randomly_lit(image, scale):
        code = cast_and_convolved(image, scale)["code"]
        return {"code": code * tf.random.uniform((tf.shape(image)[0], 1, 1, 1))}

    loaded = external.load_saved_model(save_function(tmp_path, SHAPE, randomly_lit))
    assert loaded.random_codes and loaded.mean_draws and not loaded.why_not
    images = pictures(2)
    image = tf.constant(images, tf.float32) / 255
    floats = convolved(image * 255.0, 2.0)["code"]
    found = np.mean([loaded.differentiable(image) for _ in range(30)], axis=0)
    np.testing.assert_allclose(found, 0.5 * floats, atol=0.1 * np.abs(floats).max())


def test_rounded_codes_are_white_box_straight_through(tmp_path):
    def rounded(image, scale):
        return {"code": tf.round(cast_and_convolved(image, scale)["code"] * 100.0)}

    loaded = external.load_saved_model(save_function(tmp_path, SHAPE, rounded))
    assert loaded.straight_through and not loaded.mean_draws and not loaded.why_not
    images = pictures(2)
    np.testing.assert_allclose(
        loaded.differentiable(tf.constant(images, tf.float32) / 255), loaded.encode(images), atol=1
    )


def test_a_code_without_gradient_leaves_black_box_and_a_reason(tmp_path):
    def nearest(image, scale):
        code = cast_and_convolved(image, scale)["code"]
        return {"code": tf.one_hot(tf.argmax(code, axis=-1), 4)}

    loaded = external.load_saved_model(save_function(tmp_path, SHAPE, nearest))
    assert loaded.differentiable is None
    assert "gradient of its code is zero" in loaded.why_not and "ArgMax" in loaded.why_not
    images = pictures(2)
    floats = convolved(tf.constant(images, tf.float32), 2.0)["code"].numpy()
    np.testing.assert_array_equal(loaded.encode(images).argmax(-1), floats.argmax(-1))
