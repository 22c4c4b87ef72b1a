"""Exports of encoders whose codes carry noise: who draws it, and what is refused."""

import json

import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from tiny_models import NAMES, SIZE, build_models, pictures, proof

from arl_tf.auditing.encoders import tflite_encoder
from arl_tf.defences import registry
from arl_tf.exporting import build, saved_model_checks, saved_models, tflite
from arl_tf.metrics.equivalence import ExportError
from arl_tf.models import architectures, code_layers
from arl_tf.models.fingerprint import weights_hash

pytestmark = pytest.mark.slow

NOISE = architectures.CodeBounds(noise=1.0)


def saved_codes(path, images):
    encode = tf.saved_model.load(str(path)).signatures["encode"]
    return encode(image=tf.constant(images))["code"].numpy()


@pytest.mark.parametrize(
    "bounds",
    [
        NOISE,
        architectures.CodeBounds(noise=1.0, levels=2),
        architectures.CodeBounds(noise=1.0, learned_noise=True, noise_shared_by="channel"),
    ],
)
def test_export_of_a_noisy_encoder_is_proved_and_says_who_draws_the_noise(bounds, tmp_path):
    built = build_models(bounds=bounds)
    found = build.export_models(
        built.encoder,
        built.task_head,
        image_size=SIZE,
        attribute_names=NAMES,
        proof=proof(),
        export_dir=tmp_path,
        provenance={},
        precisions=("float32", "float16"),
    )
    manifest = json.loads(found.manifest_path.read_text())
    assert "new for every code" in manifest["code"]["noise"]
    assert manifest["code"]["levels"] == (bounds.levels or None)
    assert manifest["encoder_sha256"] == weights_hash(built.encoder)
    mark = saved_models.ENCODER_MARK + manifest["encoder_sha256"]
    assert mark in tf.saved_model.load(str(found.encoder_dir)).signatures
    first, second = (saved_codes(found.encoder_dir, pictures(2)) for _ in range(2))
    assert np.abs(first - second).mean() > 0.2
    runner = tflite.open_model(found.tflite_files[0].read_bytes(), "float32")
    assert set(runner.get_input_details()) == {"image", "noise"}


@pytest.mark.parametrize("name", ["bottleneck", "decomposition"])
def test_a_projection_is_a_constant_of_the_files_that_any_delegate_runs(name, tmp_path):
    layers = registry.layers_of(registry.choice_of(name))
    built = build_models(bounds=architectures.CodeBounds(layers=layers))
    precisions = ("float32", "float16") if name == "decomposition" else tuple(tflite.PRECISIONS)
    found = build.export_models(
        built.encoder,
        built.task_head,
        image_size=SIZE,
        attribute_names=NAMES,
        proof=proof(),
        export_dir=tmp_path,
        provenance={},
        precisions=precisions,
    )
    # The export compares every file with Keras; here: what a phone has to know.
    assert len(found.tflite_files) == len(precisions)
    for path in found.tflite_files:
        operations = {each["op_name"] for each in Interpreter(str(path))._get_ops_details()}
        assert "CONV_2D" in operations
        elementwise = {"ADD", "MUL", "MAXIMUM", "MINIMUM", "RELU_0_TO_1"}
        assert operations <= {"CONV_2D", "QUANTIZE", "DEQUANTIZE", "DELEGATE"} | elementwise


@pytest.fixture(scope="module")
def saved_with_noise(tmp_path_factory):
    """(models, folder) of a noisy encoder as a SavedModel, made after a seed was set."""
    tf.random.set_seed(11)
    built, folder = build_models(bounds=NOISE), tmp_path_factory.mktemp("noisy") / "1"
    saved_models.save_encoder(built.encoder, SIZE, folder)
    return built, folder


def test_a_seed_set_before_the_export_does_not_decide_the_noise(saved_with_noise):
    codes = []
    for _ in range(2):
        tf.random.set_seed(11)
        codes.append(saved_codes(saved_with_noise[1], pictures(2)))
    assert np.abs(codes[0] - codes[1]).mean() > 0.2


def test_a_saved_encoder_that_lost_its_noise_is_refused(tmp_path):
    built = build_models(bounds=NOISE)
    batches = saved_model_checks.keras_outputs(built.encoder, built.task_head, pictures())
    # The mean of a noisy code is the signal times the root of its share.
    plain = build_models().encoder
    saved_models.save_encoder(plain, SIZE, tmp_path / "1")
    with pytest.raises(ExportError, match="standard errors from the encoder's noise"):
        saved_model_checks.encoder_differences(tmp_path / "1", batches, built.encoder)


def test_a_saved_encoder_with_its_noise_passes(saved_with_noise):
    built, folder = saved_with_noise
    batches = saved_model_checks.keras_outputs(built.encoder, built.task_head, pictures(40))
    errors = saved_model_checks.encoder_differences(folder, batches, built.encoder)
    assert max(errors.values()) <= saved_model_checks.NOISE_ERRORS


def test_a_file_that_takes_noise_is_audited_with_new_noise_for_every_code(tmp_path):
    built = build_models(bounds=NOISE)
    path = tmp_path / "encoder.tflite"
    path.write_bytes(tflite.convert(built.encoder, "float32", proof()))
    loaded = tflite_encoder.load_tflite(path)
    assert loaded.random_codes
    codes = loaded.encode(np.repeat(pictures(1), 400, axis=0))
    mean = code_layers.mean_encoder(built.encoder)(pictures(1).astype(np.float32) / 255)
    # The standard error of each mean is sqrt(0.5 / 400) = 0.035.
    np.testing.assert_allclose(codes.mean(axis=0), mean[0], atol=0.19)


def test_int8_of_a_noisy_encoder_is_calibrated_with_noise():
    built = build_models(bounds=NOISE)
    content = tflite.convert(built.encoder, "int8", proof())
    codes = tflite.run_images(tflite.open_model(content, "int8"), pictures(8))
    outside = code_layers.encoder_with_noise_input(built.encoder)
    noise = code_layers.fixed_noise(8, built.encoder.output_shape[1:])
    expected = outside({"image": pictures(8).astype(np.float32) / 255, "noise": noise}).numpy()
    similarity = (codes * expected).sum() / np.linalg.norm(codes) / np.linalg.norm(expected)
    assert similarity > 0.98


@pytest.mark.parametrize("name", ["laplace", "dropout", "fisher"])
def test_a_saved_encoder_with_a_defence_s_noise_passes_and_one_without_is_refused(name, tmp_path):
    layers = registry.layers_of(registry.choice_of(name))
    built = build_models(bounds=architectures.CodeBounds(layers=layers))
    mean = code_layers.noiseless_encoder(built.encoder)
    images = pictures(40)
    codes = built.encoder(images.astype(np.float32) / 255, training=False)
    expected = np.asarray(mean(images.astype(np.float32) / 255))
    compare = {"what": "encode", "images": images, "encoder": built.encoder}
    found = saved_model_checks.noise_excess(tf.constant(codes), expected, **compare)
    assert found <= saved_model_checks.NOISE_ERRORS
    with pytest.raises(ExportError, match="standard errors from the encoder's noise"):
        saved_model_checks.noise_excess(tf.constant(expected), expected, **compare)


def test_an_encoder_whose_defence_is_a_layer_is_exported_with_it():
    made = [registry.layers_of(registry.choice_of(name)) for name in ("pruning", "laplace")]
    built = build_models(bounds=architectures.CodeBounds(layers=[*made[0], *made[1]]))
    runner = tflite.open_model(tflite.convert(built.encoder, "float32", proof()), "float32")
    assert set(runner.get_input_details()) == {"image", "noise"}
    images = pictures(8)
    outside = code_layers.encoder_with_noise_input(built.encoder)
    noise = code_layers.fixed_noise(8, built.encoder.output_shape[1:])
    values = {"image": images.astype(np.float32) / 255, "noise": noise}
    expected = np.asarray(outside(values, training=False))
    np.testing.assert_allclose(tflite.run_images(runner, images), expected, rtol=1e-4, atol=1e-4)
