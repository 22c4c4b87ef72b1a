"""Encoders of which a .tflite file is at hand: what they give the audit, and what is refused."""

import hashlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tiny_models import SIZE, build_models, pictures, proof

from arl_tf.auditing.encoders import external, tflite_encoder
from arl_tf.exporting import tflite
from arl_tf.exporting.saved_models import save_encoder
from arl_tf.metrics import equivalence
from arl_tf.models import code_layers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folder of a tiny encoder as float32 and int8 files and as a SavedModel; the encoder."""
    folder, encoder = tmp_path_factory.mktemp("files"), build_models().encoder
    for precision in ("float32", "int8"):
        path = folder / f"{precision}.tflite"
        path.write_bytes(tflite.convert(encoder, precision, proof(calibration=pictures(32))))
    save_encoder(encoder, SIZE, folder / "encoder")
    save_encoder(build_models(seed=1).encoder, SIZE, folder / "other")
    return folder, encoder


def test_codes_are_the_files_own(files):
    folder, encoder = files
    loaded = tflite_encoder.load_tflite(folder / "float32.tflite")
    images = pictures(5)
    expected = encoder(images.astype(np.float32) / 255, training=False).numpy()
    np.testing.assert_allclose(loaded.encode(images), expected, atol=1e-5)
    assert (loaded.image_size, loaded.code_shape) == (SIZE, expected.shape[1:])
    content = (folder / "float32.tflite").read_bytes()
    assert loaded.sha256 == hashlib.sha256(content).hexdigest()


def test_int8_codes_are_coarser_than_the_float_files(files):
    folder, _ = files
    images = pictures(5)
    whole, coarse = (
        tflite_encoder.load_tflite(folder / f"{name}.tflite").encode(images)
        for name in ("float32", "int8")
    )
    assert len(np.unique(coarse)) <= 256 < len(np.unique(whole))


def test_file_alone_is_a_black_box_and_says_what_would_open_it(files):
    loaded = tflite_encoder.load_tflite(files[0] / "int8.tflite")
    assert loaded.differentiable is None
    assert "--encoder_saved_model" in loaded.why_not


def test_float_form_lends_its_gradients_and_not_its_codes(files):
    folder, _ = files
    float_form = external.load_saved_model(folder / "encoder")
    loaded = tflite_encoder.load_tflite(folder / "int8.tflite", float_form)
    image = tf.constant(pictures(2), tf.float32) / 255
    with tf.GradientTape() as tape:
        tape.watch(image)
        code = loaded.differentiable(image)
    assert np.abs(tape.gradient(code, image)).max() > 0
    np.testing.assert_allclose(code, float_form.differentiable(image), atol=1e-5)
    alone = tflite_encoder.load_tflite(folder / "int8.tflite")
    np.testing.assert_array_equal(loaded.encode(pictures(2)), alone.encode(pictures(2)))


def test_float_form_of_another_encoder_is_refused(files):
    folder, _ = files
    other = external.load_saved_model(folder / "other")
    with pytest.raises(ValueError, match=r"cosine of .* not one encoder"):
        tflite_encoder.load_tflite(folder / "float32.tflite", other)


def noisy(seed=0, deviation=2.0):
    encoder = build_models(seed=seed).encoder
    code = code_layers.NoisyCode(deviation)(encoder.output)
    return keras.Model(encoder.input, code)


@pytest.fixture(scope="module")
def noisy_files(tmp_path_factory):
    """Folder of a noisy encoder's int8 file and SavedModel, and of another's SavedModel."""
    folder = tmp_path_factory.mktemp("noisy")
    content = tflite.convert(noisy(), "int8", proof(calibration=pictures(32)))
    (folder / "int8.tflite").write_bytes(content)
    save_encoder(noisy(), SIZE, folder / "encoder")
    save_encoder(noisy(seed=1), SIZE, folder / "other")
    return folder


def test_noisy_encoder_is_known_by_its_float_form_whose_codes_differ_each_time(noisy_files):
    float_form = external.load_saved_model(noisy_files / "encoder")
    loaded = tflite_encoder.load_tflite(noisy_files / "int8.tflite", float_form)
    image = pictures(1)
    assert loaded.random_codes and not loaded.why_not
    mean = code_layers.mean_encoder(noisy())(tf.constant(image, tf.float32) / 255)
    np.testing.assert_allclose(
        loaded.differentiable(tf.constant(image, tf.float32) / 255), mean, atol=1e-5
    )
    assert equivalence.cosines(loaded.encode(image), float_form.encode(image)).mean() < 0.9


def test_float_form_of_another_noisy_encoder_is_refused(noisy_files):
    other = external.load_saved_model(noisy_files / "other")
    with pytest.raises(ValueError, match=r"cosine of .* not one encoder"):
        tflite_encoder.load_tflite(noisy_files / "int8.tflite", other)


def test_likeness_of_noisy_encoders_is_that_of_their_codes_without_noise():
    rng = np.random.default_rng(0)
    signals = rng.standard_normal((2, 4, 500))
    signals[1] = 0.6 * signals[0] + 0.8 * signals[1]
    one, other = (lambda x, s=s: s + 3 * rng.standard_normal(s.shape) for s in signals)
    images = np.zeros((4, 2, 2, 3), np.uint8)
    assert tflite_encoder.noisy_likeness(one, one, images) == pytest.approx(1, abs=0.05)
    # Two cosines of 500 values: their deviation is about 1 / sqrt(2000) of four images.
    assert tflite_encoder.noisy_likeness(one, other, images) == pytest.approx(0.6, abs=0.1)
    assert tflite_encoder.likeness(one, one, images) < 0.3


def made_file(path, model):
    path.write_bytes(tf.lite.TFLiteConverter.from_keras_model(model).convert())
    return path


def other_interface(name="image", side=SIZE, output="code"):
    image = keras.Input((side, SIZE, 3), batch_size=1, name=name)
    return keras.Model(image, {output: layers.Conv2D(2, 3, 2)(image)})


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (other_interface(name="picture"), "has .'picture'.; expected one image, float32"),
        (other_interface(output="z"), "has .'z'.; expected one code, float32"),
        (other_interface(side=SIZE + 2), r"takes images \[1, 18, 16, 3\]"),
    ],
    ids=["input", "output", "not square"],
)
def test_file_with_another_interface_is_refused(tmp_path, model, message):
    with pytest.raises(ValueError, match=message):
        tflite_encoder.load_tflite(made_file(tmp_path / "file.tflite", model))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file"),
        (b"", "is empty"),
        (b"PK\x03\x04 something else", "not a .tflite file"),
        (b"\x00\x00\x00\x00TFL3 and no more", "interpreter refuses"),
    ],
)
def test_file_that_is_no_model_is_refused(tmp_path, content, message):
    path = tmp_path / "file.tflite"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        tflite_encoder.load_tflite(path)


def test_images_that_are_no_bytes_are_refused(files):
    loaded = tflite_encoder.load_tflite(files[0] / "float32.tflite")
    with pytest.raises(ValueError, match="image is float32; expected uint8"):
        loaded.encode(pictures(1).astype(np.float32))
