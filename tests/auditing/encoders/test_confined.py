"""SavedModels of strangers in a process of its own: the same answers, and what it may not do."""

import io
import os
import subprocess
import sys

import landlockpy
import numpy as np
import pytest
import tensorflow as tf
from saved_models import SIZE, cast_and_convolved, convolved, pictures, save_function

from arl_tf.auditing import remarks
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited, external
from arl_tf.auditing.encoders.confined import encoders as confined
from arl_tf.auditing.encoders.confined import frames, limits, process

SHAPE = (None, SIZE, SIZE, 3)
needs_landlock = pytest.mark.skipif(
    not landlockpy.supported(), reason="the system has no Landlock (Linux 5.13)"
)


def saved(folder, encode=cast_and_convolved):
    return save_function(folder, SHAPE, encode)


def doing(operation):
    """An encoder that does something else, too, whenever it is called."""

    def encode(image, scale):
        with tf.control_dependencies([operation()]):
            return cast_and_convolved(image, scale)

    return encode


def reading(path):
    """An encoder whose codes depend on a file."""

    def encode(image, scale):
        size = tf.strings.length(tf.io.read_file(path))
        return cast_and_convolved(image, scale * tf.cast(size, tf.float32))

    return encode


def gradient_of(encode, image):
    """Of the squared code's sum, float32 as the image [B, S, S, 3]."""
    with tf.GradientTape() as tape:
        tape.watch(image)
        total = tf.reduce_sum(encode(image) ** 2)
    return tape.gradient(total, image)


def test_codes_facts_and_gradients_are_those_of_the_model_in_this_process(tmp_path):
    folder = saved(tmp_path / "model")
    here, there = external.load_saved_model(folder), confined.load_saved_model(folder)
    for name in ("why_not", "random_codes", "image_size", "code_shape", "sha256", "mean_draws"):
        assert getattr(there, name) == getattr(here, name)
    images = pictures(5)
    np.testing.assert_allclose(there.encode(images), here.encode(images), rtol=1e-5, atol=1e-6)
    image = tf.constant(images, tf.float32) / 255.0
    found = there.differentiable(image)
    np.testing.assert_allclose(found, here.differentiable(image), rtol=1e-5, atol=1e-6)
    expected = gradient_of(here.differentiable, image)
    in_graph = tf.function(lambda x: gradient_of(there.differentiable, x), autograph=False)
    for found in (gradient_of(there.differentiable, image), in_graph(image)):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_noise_that_cant_be_left_out_is_averaged_in_the_process(tmp_path):
    def rounded_behind_noise(image, scale):
        code = cast_and_convolved(image, scale)["code"]
        return {"code": tf.round(code + 0.5 * tf.random.normal(tf.shape(code)))}

    loaded = confined.load_saved_model(saved(tmp_path / "model", rounded_behind_noise))
    assert loaded.mean_draws and loaded.straight_through and not loaded.why_not
    image = tf.constant(pictures(2), tf.float32) / 255.0

    def plain(x):
        return convolved(x * 255.0, 2.0)["code"]

    found = np.mean([loaded.differentiable(image) for _ in range(20)], axis=0)
    np.testing.assert_allclose(found, plain(image), atol=0.2)
    encoder = audited.external_audited_encoder(loaded, None, channel=Channel(), words="file")
    assert (encoder.mean_draws, encoder.straight_through) == (loaded.mean_draws, True)
    gradients = [gradient_of(encode, image) for encode in (encoder.white_box, plain)]
    cosine = np.vdot(*gradients) / np.prod([np.linalg.norm(each) for each in gradients])
    assert cosine > 0.8
    said = " ".join(remarks.inside_words(encoder))
    assert f"mean of {loaded.mean_draws} random codes" in said and "straight through" in said


def test_task_head_gives_its_names_and_the_same_logits(exported_models):
    folder = exported_models / "task_head"
    here, there = external.load_task_head(folder), confined.load_task_head(folder)
    assert (there.attribute_names, there.sha256) == (here.attribute_names, here.sha256)
    (shape,) = {
        spec.shape[1:]
        for spec in tf.saved_model.load(str(folder / "1"))
        .signatures["serving_default"]
        .structured_input_signature[1]
        .values()
    }
    codes = np.random.default_rng(0).normal(size=(3, *shape)).astype(np.float32)
    np.testing.assert_allclose(there.classify(codes), here.classify(codes), atol=1e-5)


@needs_landlock
def test_it_can_neither_write_nor_empty_nor_read_files_of_the_user(tmp_path):
    (tmp_path / "secret").write_text("kept")
    new, secret = str(tmp_path / "new"), str(tmp_path / "secret")
    encoders = (
        doing(lambda: tf.io.write_file(new, "")),
        doing(lambda: tf.io.write_file(secret, "")),
        reading(secret),
    )
    for number, encode in enumerate(encoders):
        folder = saved(tmp_path / f"model{number}", encode)
        with pytest.raises(ValueError, match=r"SavedModel fails on image .*Permission denied"):
            confined.load_saved_model(folder)
    assert not os.path.exists(new)
    assert (tmp_path / "secret").read_text() == "kept"


def test_written_files_stay_empty_where_the_system_knows_no_landlock(tmp_path):
    code = (
        "import sys, unittest.mock, landlockpy\n"
        "from arl_tf.auditing.encoders.confined import limits\n"
        "with unittest.mock.patch.object(landlockpy, 'supported', return_value=False):\n"
        "    assert not limits.confine(sys.argv[1])\n"
        "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "try:\n"
        "    open(sys.argv[1] + '/new', 'wb', buffering=0).write(b'x')\n"
        "except OSError as error:\n"
        "    print(error.strerror)\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert found.stdout == "File too large\n"
    assert (tmp_path / "new").read_bytes() == b""


def test_its_death_is_an_error_that_names_the_model(tmp_path):
    folder = saved(tmp_path / "model")
    started = process.ConfinedProcess(folder)
    started._process.kill()
    with pytest.raises(ValueError, match=rf"{folder}.* ended by the signal SIGKILL"):
        started.ask("open_encoder", image_size=None)


def test_many_rows_are_several_messages_and_a_refusal_ends_none(tmp_path, monkeypatch):
    there = confined.load_saved_model(saved(tmp_path / "model"))
    images = pictures(9)
    expected = there.encode(images)
    monkeypatch.setattr(confined, "ROWS", 4)
    np.testing.assert_allclose(there.encode(images), expected, atol=1e-6)
    with pytest.raises(ValueError, match="image is float64; expected uint8"):
        there.encode(pictures(2) / 255.0)
    with pytest.raises(ValueError, match=r"has the shape \[2, 8, 8, 3\]; expected \[N, 32, 32, 3"):
        there.encode(np.zeros((2, 8, 8, 3), np.uint8))
    assert len(there.encode(pictures(2))) == 2


def test_the_environment_has_no_secrets_and_no_gpu(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    found = process.environment()
    assert "AWS_SECRET_ACCESS_KEY" not in found and "HOME" not in found
    assert (found["TF_ENABLE_ONEDNN_OPTS"], found["CUDA_VISIBLE_DEVICES"]) == ("1", "-1")


def test_the_working_folder_is_not_readable(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert tmp_path not in limits.readable(str(tmp_path / "model"))


@pytest.mark.parametrize("shape", [(), (3,), (2, 0, 4)])
def test_frames_round_trip(shape):
    stream = io.BytesIO()
    arrays = [np.ones(shape, np.float32), np.full(shape, 7, np.uint8)]
    frames.write(stream, {"do": "it"}, *arrays)
    stream.seek(0)
    message, found = frames.read(stream)
    assert message == {"do": "it"}
    for expected, array in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(array, expected, strict=True)


@pytest.mark.parametrize(
    ("header", "words"),
    [
        (b"[]", "no message"),
        (b"{}", "no message"),
        (b"nonsense", "no JSON"),
        (b"\xff", "no JSON"),
        (b'{"arrays": [{"dtype": "object", "shape": [1]}]}', "an array of object"),
        (b'{"arrays": [{"dtype": "uint8", "shape": [-1]}]}', "an array of uint8"),
        (b'{"arrays": [{"dtype": "uint8", "shape": [1e3]}]}', "an array of uint8"),
        (b'{"arrays": [{"dtype": "float32", "shape": [100000, 100000]}]}', "bytes; expected"),
        (b'{"arrays": [{"dtype": "uint8", "shape": [5]}]}', "ended after 0 of 5 bytes"),
    ],
)
def test_frames_refuse_what_is_none(header, words):
    stream = io.BytesIO(frames.LENGTH.pack(len(header)) + header)
    with pytest.raises(frames.FrameError, match=words):
        frames.read(stream)


def test_frames_refuse_a_header_without_end():
    with pytest.raises(frames.FrameError, match="a header of"):
        frames.read(io.BytesIO(frames.LENGTH.pack(1 << 40)))
