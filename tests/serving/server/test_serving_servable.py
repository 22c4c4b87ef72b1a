"""Loading versions: what they offer, what is refused, warm-up, and messages a client can read."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from serving_models import CODE_SHAPE, SIZE, pictures
from tensorflow_serving.apis import prediction_log_pb2

from serving.clients.contract import ENCODER_MARK, named_encoder
from serving.server import servable
from serving.server.errors import ServingError


@pytest.fixture(scope="module")
def encoder(exported_models):
    return servable.load("encoder", 1, exported_models / "encoder" / "1")


@pytest.fixture
def copied(exported_models, tmp_path):
    return shutil.copytree(exported_models / "task_head" / "1", tmp_path / "1")


def test_signatures_have_the_exported_inputs_and_outputs(encoder):
    names = {"serving_default", "encode", "encode_bytes", "encode_to_bytes"}
    assert {name for name in encoder.signatures if not name.startswith(ENCODER_MARK)} == names
    assert named_encoder(encoder.signatures)
    encode = encoder.signature("encode")
    assert encode.inputs["image"].shape.as_list() == [None, SIZE, SIZE, 3]
    assert encode.inputs["image"].dtype == tf.uint8
    assert encode.outputs["code"].shape.as_list() == [None, *CODE_SHAPE]
    assert encode.batchable


def test_empty_name_means_serving_default_and_unknown_ones_are_named(encoder):
    assert encoder.signature("").name == "serving_default"
    with pytest.raises(ServingError, match='"decode" not found in signature def'):
        encoder.signature("decode")


def test_message_for_the_client_has_no_graph_talk(encoder):
    with pytest.raises(ServingError) as caught:
        encoder.signature("encode_bytes").run({"image_bytes": np.array([b"junk"], object)})
    assert "expected a JPEG, PNG, BMP, GIF or WebP file" in caught.value.message
    assert not any(word in caught.value.message for word in ("Graph", "node", "{{", "trace"))


@pytest.mark.parametrize("gone", ["saved_model.pb", "variables"])
def test_incomplete_folder_is_refused(copied, gone):
    path = copied / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match="can't be loaded"):
        servable.load("task_head", 1, copied)


@pytest.mark.parametrize(
    "name",
    ["saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"],
)
@pytest.mark.parametrize("kept", [0.0, 0.5])
def test_half_copied_file_is_refused(copied, name, kept):
    content = (copied / name).read_bytes()
    (copied / name).write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match=r"can't be loaded|is empty. Copy the"):
        servable.load("task_head", 1, copied)


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_git_lfs_pointer_is_named_in_one_line(copied, name):
    (copied / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(ValueError, match=rf"{name} is a Git LFS pointer.*Copy the") as raised:
        servable.load("task_head", 1, copied)
    assert "\n" not in str(raised.value)


def test_saved_model_without_signatures_is_refused(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "1"))
    with pytest.raises(ValueError, match="no signature"):
        servable.load("x", 1, tmp_path / "1")


def write_warmup(folder, code, count=2):
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.inputs["code"].CopyFrom(tf.make_tensor_proto(code))
    path = folder / servable.WARMUP_REQUESTS
    path.parent.mkdir()
    with tf.io.TFRecordWriter(str(path)) as writer:
        for _ in range(count):
            writer.write(log.SerializeToString())
    return path


def test_warmup_requests_are_run(copied):
    loaded = servable.load("task_head", 1, copied)
    assert servable.warm_up(loaded) == 0
    write_warmup(copied, np.zeros((2, *CODE_SHAPE), np.float32))
    assert servable.warm_up(servable.load("task_head", 1, copied)) == 2


def test_damaged_warmup_is_refused(copied):
    path = write_warmup(copied, np.zeros((2, *CODE_SHAPE), np.float32))
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(ValueError, match="warm-up failed"):
        servable.load("task_head", 1, copied)


def test_warmup_that_is_no_prediction_log_is_refused(copied):
    path = write_warmup(copied, np.zeros((2, *CODE_SHAPE), np.float32), count=0)
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(b"\xff\xff no message")
    with pytest.raises(ValueError, match="warm-up failed"):
        servable.load("task_head", 1, copied)


# A wrong rank would end the process.
@pytest.mark.parametrize("shape", [(2, 9), (4,), (2, *CODE_SHAPE, 1)])
def test_warmup_of_the_wrong_signature_is_refused(copied, shape):
    write_warmup(copied, np.zeros(shape, np.float32))
    with pytest.raises(ValueError, match=r"warm-up failed: .*shape"):
        servable.load("task_head", 1, copied)


def test_run_returns_arrays_by_name(encoder):
    outputs = encoder.signature("").run({"image": pictures(2)})
    assert list(outputs) == ["code"]
    assert outputs["code"].shape == (2, *CODE_SHAPE)
    assert outputs["code"].dtype == np.float32
