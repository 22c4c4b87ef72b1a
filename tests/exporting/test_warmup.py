"""Warm-up requests: what is written is read back, and runs."""

import numpy as np
import pytest
import tensorflow as tf
from tiny_models import SIZE

from arl_tf.data.faces import generation
from arl_tf.exporting import warmup
from arl_tf.metrics.equivalence import ExportError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A SavedModel that averages images, with requests."""
    path = tmp_path_factory.mktemp("model") / "encoder" / "1"
    save_average(path)
    inputs = {"serving_default": {"image": warmup.drawn_faces(SIZE)}}
    warmup.write_requests(path, "encoder", inputs)
    return path


def save_average(path, scale=1.0):
    module = tf.Module()

    @tf.function(input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.uint8, name="image")])
    def run(image):
        return {"code": scale * tf.reduce_mean(tf.cast(image, tf.float32), axis=(1, 2))}

    tf.saved_model.save(module, str(path), signatures={"serving_default": run})


def test_requests_lie_where_tf_serving_looks_for_them(folder):
    assert (folder / "assets.extra" / "tf_serving_warmup_requests").is_file()


def test_requests_name_model_and_signature_and_hold_the_inputs_in_every_batch_size(folder):
    logs = warmup.read_requests(folder)
    assert len(logs) == 2
    for log, size in zip(logs, (1, 8), strict=True):
        assert log.WhichOneof("log_type") == "predict_log"
        request = log.predict_log.request
        assert request.model_spec.name == "encoder"
        assert request.model_spec.signature_name == "serving_default"
        image = tf.make_ndarray(request.inputs["image"])
        np.testing.assert_array_equal(image, warmup.drawn_faces(SIZE)[:size])


def test_requests_run_through_the_loaded_model(folder):
    average = warmup.drawn_faces(SIZE).mean(axis=(1, 2))
    for (name, outputs), size in zip(warmup.run_requests(folder), (1, 8), strict=True):
        assert name == "serving_default"
        np.testing.assert_allclose(outputs["code"], average[:size], rtol=1e-5)


def test_faces_in_requests_are_drawn_and_as_bytes_the_same():
    images = warmup.drawn_faces(32)
    np.testing.assert_array_equal(images, generation.generate_faces(8, 32, seed=0).images)
    inputs = warmup.encoder_inputs(images)
    assert set(inputs) == {"serving_default", "encode", "encode_bytes", "encode_to_bytes"}
    for name in ("encode_bytes", "encode_to_bytes"):
        decoded = [tf.io.decode_png(file).numpy() for file in inputs[name]["image_bytes"]]
        np.testing.assert_array_equal(decoded, images)


def test_codes_in_requests_are_as_bytes_the_same():
    codes = np.random.default_rng(0).normal(size=(8, 2, 2, 3)).astype(np.float32)
    inputs = warmup.task_head_inputs(codes)
    np.testing.assert_array_equal(inputs["serving_default"]["code"], codes)
    decoded = [np.frombuffer(content, "<f4") for content in inputs["read_bytes"]["code_bytes"]]
    np.testing.assert_array_equal(decoded, codes.reshape(8, -1))


def test_code_bytes_that_are_not_finite_are_an_error():
    values = np.ones((2, 3), "<f4")
    outputs = {"code_bytes": np.array([row.tobytes() for row in values], object)}
    warmup.check_outputs(outputs, 2, "a request")
    values[1, 2] = np.inf
    outputs = {"code_bytes": np.array([row.tobytes() for row in values], object)}
    with pytest.raises(ExportError, match="2 rows for 2, and 1 values that are not finite"):
        warmup.check_outputs(outputs, 2, "a request")


def test_request_that_the_model_does_not_take_is_an_error(tmp_path):
    save_average(tmp_path / "1")
    for inputs in (
        {"serving_default": {"picture": warmup.drawn_faces(SIZE)}},
        {"encode": {"image": warmup.drawn_faces(SIZE)}},
    ):
        warmup.write_requests(tmp_path / "1", "encoder", inputs)
        with pytest.raises(ExportError, match="Warm-up request for"):
            warmup.run_requests(tmp_path / "1")


def test_request_whose_answer_is_not_finite_is_an_error(tmp_path):
    save_average(tmp_path / "1", scale=np.nan)
    inputs = {"serving_default": {"image": warmup.drawn_faces(SIZE)}}
    warmup.write_requests(tmp_path / "1", "encoder", inputs)
    with pytest.raises(ExportError, match="3 values that are not finite"):
        warmup.run_requests(tmp_path / "1")
