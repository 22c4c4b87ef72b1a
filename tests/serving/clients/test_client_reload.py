"""A client that lives longer than the versions it calls: what a reload changes, it notices."""

import contextlib

import keras
import numpy as np
import pytest
from keras import layers
from serving_models import CODE_SHAPE, NAMES, serving
from waiting import LONG

from arl_tf.exporting.saved_models import save_task_head
from serving.clients.grpc_client import GrpcEncoderClient
from serving.clients.rest_client import EncoderClient

FIRST, SECOND = "ab" * 32, "cd" * 32
CODES = np.random.default_rng(0).normal(size=(2, *CODE_SHAPE)).astype(np.float32)
# One model of which two versions are served; a label names one of them.
CONFIG = """model_config_list {{ config {{ name: "task_head" base_path: "{folder}"
  model_platform: "tensorflow" model_version_policy {{ specific {{ versions: 1 versions: 2 }} }}
  version_labels {{ key: "stable" value: {stable} }} }} }}"""


def save_head(path, encoder_sha256, shape=CODE_SHAPE):
    code = keras.Input(shape)
    head = keras.Model(code, layers.Dense(len(NAMES))(layers.Flatten()(code)))
    save_task_head(head, shape, NAMES, path, encoder_sha256=encoder_sha256)


@contextlib.contextmanager
def connected(kind, server, **settings):
    port = server.port if kind is GrpcEncoderClient else server.rest_api_port
    with kind(f"127.0.0.1:{port}", attribute_names=NAMES, timeout=LONG, **settings) as client:
        yield client


@pytest.mark.parametrize("kind", [EncoderClient, GrpcEncoderClient])
@pytest.mark.parametrize("first", [FIRST, ""], ids=["named", "unnamed"])
def test_a_head_of_another_encoder_that_is_loaded_later_gets_no_code(tmp_path, kind, first):
    head = tmp_path / "task_head"
    save_head(head / "1", first)
    with (
        serving(tmp_path) as server,
        connected(kind, server, encoder_sha256=FIRST) as client,
    ):
        assert client.read_attributes(CODES).probability.shape == (2, len(NAMES))
        save_head(head / "2", SECOND)
        server.store.poll(settled=True)
        with pytest.raises(ValueError, match="reads codes of the encoder cdcdcdcdcdcd"):
            client.read_attributes(CODES)
        # The right one comes back.
        save_head(head / "3", FIRST)
        server.store.poll(settled=True)
        assert client.read_attributes(CODES).probability.shape == (2, len(NAMES))


def test_a_label_that_moves_to_a_head_of_another_encoder_gets_it_no_code(tmp_path):
    head, config = tmp_path / "task_head", tmp_path / "models.config"
    save_head(head / "1", FIRST)
    save_head(head / "2", SECOND)
    config.write_text(CONFIG.format(folder=head, stable=1))
    settings = {"model_config_file": config, "allow_version_labels_for_unavailable_models": True}
    with (
        serving(tmp_path, **settings) as server,
        connected(EncoderClient, server, encoder_sha256=FIRST, label="stable") as client,
    ):
        client.read_attributes(CODES)
        config.write_text(CONFIG.format(folder=head, stable=2))
        server.store.poll(settled=True)
        with pytest.raises(ValueError, match="reads codes of the encoder cdcdcdcdcdcd"):
            client.read_attributes(CODES)


@pytest.mark.parametrize("kind", [EncoderClient, GrpcEncoderClient])
def test_codes_of_another_shape_are_read_once_a_head_for_them_is_loaded(tmp_path, kind):
    head = tmp_path / "task_head"
    save_head(head / "1", "")
    with serving(tmp_path) as server, connected(kind, server) as client:
        client.read_attributes(CODES)
        save_head(head / "2", "", shape=(5,))
        server.store.poll(settled=True)
        assert client.read_attributes(CODES[:, 0, 0, :2].reshape(-1, 2) @ np.ones((2, 5), "f4"))
        with pytest.raises(ValueError, match=r"expects \[N, 5\]"):
            client.read_attributes(CODES)
