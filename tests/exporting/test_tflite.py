"""TFLite files: what they take and give, how near they are to Keras, and which are refused."""

import re
import tempfile

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from tiny_models import SIZE, attributes, build_models, contents, pictures, proof

from arl_tf.exporting import tflite, tflite_checks
from arl_tf.metrics.decisions import Decisions
from arl_tf.metrics.equivalence import ExportError
from arl_tf.metrics.tasks.multi_label import MultiLabel


@pytest.fixture(scope="module")
def models():
    return build_models()


@pytest.fixture(scope="module")
def written(models, tmp_path_factory):
    """(folder, figures) of all three files."""
    folder = tmp_path_factory.mktemp("tflite")
    figures = tflite.write_files(models.encoder, models.task_head, proof(), folder)
    return folder, figures


def run_file(path, images):
    runner = Interpreter(model_path=str(path)).get_signature_runner()
    return np.concatenate(
        [runner(image=image[None].astype(np.float32) / 255)["code"] for image in images]
    )


@pytest.mark.parametrize("precision", tflite.PRECISIONS)
def test_file_has_the_contracts_names_shapes_and_float_ends(written, models, precision):
    interpreter = Interpreter(model_path=str(written[0] / tflite.file_path(precision)))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["code"]}
    }
    (given,), (made,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (given["shape"].tolist(), given["dtype"]) == ([1, SIZE, SIZE, 3], np.float32)
    assert made["shape"].tolist() == [1, *models.encoder.output_shape[1:]]
    assert made["dtype"] == np.float32


@pytest.mark.parametrize(("precision", "bound"), [("float32", 1e-5), ("float16", 1e-3)])
def test_float_files_give_keras_codes_within_the_issues_bounds(written, models, precision, bound):
    images = pictures(4)
    codes = models.encoder(images.astype(np.float32) / 255, training=False).numpy()
    outputs = run_file(written[0] / tflite.file_path(precision), images)
    assert np.linalg.norm(outputs - codes) / np.linalg.norm(codes) < bound
    assert written[1][precision]["relative_error"] < bound


def test_int8_file_computes_in_integers_and_its_codes_point_where_keras_do(written, models):
    path = written[0] / tflite.file_path("int8")
    kinds = {tensor["dtype"] for tensor in Interpreter(model_path=str(path)).get_tensor_details()}
    assert np.int8 in kinds
    images = pictures(20)
    codes = models.encoder(images.astype(np.float32) / 255, training=False).numpy()
    found, expected = run_file(path, images).reshape(20, -1), codes.reshape(20, -1)
    cosine = (found * expected).sum(1) / np.linalg.norm(found, axis=1)
    cosine /= np.linalg.norm(expected, axis=1)
    assert written[1]["int8"]["cosine"] == pytest.approx(cosine.mean(), abs=1e-6)
    assert written[1]["int8"]["least_cosine"] == pytest.approx(cosine.min(), abs=1e-6)
    assert cosine.mean() > 0.99


def test_int8_figures_tell_the_task_heads_mcc_on_both_codes(written, models):
    figures = written[1]["int8"]
    path = written[0] / tflite.file_path("int8")
    codes = models.encoder(pictures(20).astype(np.float32) / 255, training=False).numpy()
    for name, values in (
        ("mean_mcc_of_keras", codes),
        ("mean_mcc", run_file(path, pictures(20))),
    ):
        by_hand = MultiLabel().score(models.task_head.predict(values, verbose=0), attributes(20))
        assert figures[name] == pytest.approx(by_hand, abs=1e-6)
    assert figures["validation_images"] == 20
    assert figures["calibration_images"] == 16


def test_int8_figures_are_at_the_thresholds_that_are_shipped(models, tmp_path, monkeypatch):
    codes = models.encoder(pictures(20).astype(np.float32) / 255, training=False).numpy()
    logits = models.task_head.predict(codes, verbose=0)
    chosen = Decisions(np.quantile(logits, 0.7, axis=0), 1.0)
    given = proof(attributes=chosen.decide(logits).astype(np.uint8))
    assert MultiLabel().score(logits, given.attributes) < 0.5
    monkeypatch.setattr(tflite_checks, "INT8_UTILITY_LOSS", 2.0)
    written = tflite.write_files(
        models.encoder, models.task_head, given, tmp_path, ["int8"], MultiLabel(), chosen
    )["int8"]
    assert written["mean_mcc_of_keras"] == 1
    read = models.task_head.predict(
        run_file(tmp_path / tflite.file_path("int8"), pictures(20)), verbose=0
    )
    by_hand = MultiLabel().score(read, given.attributes, chosen)
    assert written["mean_mcc"] == pytest.approx(by_hand, abs=1e-6) and by_hand > 0.5


def test_int8_gate_sees_decisions_that_change_at_the_thresholds(models):
    codes = models.encoder(pictures(20).astype(np.float32) / 255, training=False).numpy()
    logits = models.task_head.predict(codes, verbose=0)
    chosen = Decisions(np.quantile(logits, 0.7, axis=0), 1.0)
    given = proof(attributes=chosen.decide(logits).astype(np.uint8))
    expected = tflite_checks.keras_expectations(
        models.encoder, models.task_head, given, MultiLabel(), chosen
    )
    assert expected.utility == 1
    same = tflite_checks.judge_int8(lambda _: codes, "int8", given, expected)
    assert same["mean_mcc"] == 1
    # The cosine is 1, but the logits are others.
    with pytest.raises(ExportError, match="loss of mean MCC"):
        tflite_checks.judge_int8(lambda _: 0.5 * codes, "int8", given, expected)


def test_files_shrink_with_their_precision():
    image = keras.Input((SIZE, SIZE, 3))
    features = layers.Conv2D(64, 3, padding="same")(layers.Conv2D(64, 3, padding="same")(image))
    encoder = keras.Model(image, layers.GlobalAveragePooling2D()(features))
    sizes = [len(tflite.convert(encoder, name, proof())) for name in tflite.PRECISIONS]
    assert sizes == sorted(sizes, reverse=True)


def test_files_are_made_where_temporary_files_lie_in_a_folder_that_is_a_pattern(
    models, tmp_path, monkeypatch
):
    (tmp_path / "[x]").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "[x]"))
    assert tflite.convert(models.encoder, "float32", proof())


def test_int8_learns_its_ranges_from_the_calibration_images_alone(models, tmp_path, monkeypatch):
    dark = proof(calibration=pictures(16) // 64)
    expected = tflite_checks.keras_expectations(
        models.encoder, models.task_head, dark, MultiLabel()
    )
    content = tflite.convert(models.encoder, "int8", dark)
    codes = tflite.run_images(tflite.open_model(content, "int8"), dark.validation)
    # Ranges of nearly black images clip everything else.
    cosine = tflite_checks.equivalence.cosines(codes, expected.validation_codes).mean()
    assert cosine < 0.95
    monkeypatch.setattr(tflite, "convert", lambda *_: content)
    with pytest.raises(ExportError, match="TFLite int8: the mean cosine"):
        tflite.write_files(models.encoder, models.task_head, dark, tmp_path, ["int8"])
    assert contents(tmp_path) == {}


def test_only_the_precisions_asked_for_are_written(models, tmp_path):
    figures = tflite.write_files(models.encoder, models.task_head, proof(), tmp_path, ["float16"])
    assert set(figures) == {"float16"}
    assert [path.name for path in tmp_path.rglob("*.tflite")] == ["encoder_float16.tflite"]


def other_model(output_name="code", channels=4, fill=None):
    """An encoder's stand-in with another output."""
    image = keras.Input((SIZE, SIZE, 3), batch_size=1, name="image")
    code = layers.Conv2D(channels, 3, 2, padding="same", name="conv")(image)
    model = keras.Model(image, {output_name: code})
    if fill is not None:
        model.get_layer("conv").bias.assign(np.full(channels, fill, np.float32))
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"tiny", "4 bytes can't hold"),
        (lambda: bytes(100_000), "interpreter refuses"),
        (lambda: other_model(fill=np.nan), "relative error .* is nan"),
        (lambda: other_model(channels=5), "input and output are"),
        (lambda: other_model(output_name="output_0"), "input and output are"),
        (other_model, "relative error .* expected <= "),
    ],
    ids=["tiny", "garbage", "nan", "shape", "name", "other weights"],
)
def test_bad_tflite_file_is_refused_and_not_left_behind(
    models, tmp_path, monkeypatch, content, message
):
    made = content()
    monkeypatch.setattr(tflite, "convert", lambda *_: made)
    with pytest.raises(ExportError, match=message):
        tflite.write_files(models.encoder, models.task_head, proof(), tmp_path)
    assert contents(tmp_path) == {}


def test_refusal_of_a_precision_names_the_way_to_leave_it_out(models, tmp_path, monkeypatch):
    made = other_model()
    monkeypatch.setattr(tflite, "convert", lambda *_: made)
    with pytest.raises(ExportError, match=re.escape("--tflite_precisions leaves a precision out")):
        tflite.write_files(models.encoder, models.task_head, proof(), tmp_path, ["int8"])
