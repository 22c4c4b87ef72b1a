"""The files for the real TF Serving: read as its protos, and as this server would read them."""

import re

import pytest
from conftest import ROOT
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.server import batching, model_config, prometheus, tf_serving_protos

FOLDER = ROOT / "serving"


def test_models_config_parses_as_tf_servings_proto_with_both_models_and_labels():
    config = text_format.Parse(
        (FOLDER / "models.config").read_text(), model_server_config_pb2.ModelServerConfig()
    )
    entries = {entry.name: entry for entry in config.model_config_list.config}
    assert set(entries) == {"encoder", "task_head"}
    for name, entry in entries.items():
        assert entry.model_platform == "tensorflow"
        assert entry.base_path == f"/models/{name}"
        assert entry.model_version_policy.WhichOneof("policy_choice") == "specific"
        assert set(entry.version_labels) == {"stable", "canary"}
        served = set(entry.model_version_policy.specific.versions)
        assert set(entry.version_labels.values()) <= served


def test_both_models_have_the_same_versions_and_labels():
    encoder, task_head = model_config.sources_in_file(FOLDER / "models.config").values()
    assert (encoder.policy, encoder.labels) == (task_head.policy, task_head.labels)


def test_batching_config_parses_and_this_server_does_all_of_it():
    parameters = batching.read_parameters(FOLDER / "batching.config")
    assert parameters == batching.BatchingParameters(32, 0.001, 100, 4)


def test_monitoring_config_parses_and_names_the_path_that_this_server_uses():
    config = text_format.Parse(
        (FOLDER / "monitoring.config").read_text(), tf_serving_protos.MonitoringConfig()
    )
    assert config.prometheus_config.enable
    assert config.prometheus_config.path == prometheus.PATH


def test_compose_file_mounts_every_config_that_it_names():
    text = (FOLDER / "docker-compose.yml").read_text()
    named = set(re.findall(r"/config/([\w.]+)", text))
    assert named == {"models.config", "batching.config", "monitoring.config"}
    assert all((FOLDER / name).exists() for name in named)
    assert ".:/config:ro" in text
    assert "saved_model:/models:ro" in text


def test_own_messages_round_trip_in_text_format():
    message = tf_serving_protos.BatchingParameters(allowed_batch_sizes=[8, 32])
    message.max_batch_size.value = 32
    text = text_format.MessageToString(message)
    assert text_format.Parse(text, tf_serving_protos.BatchingParameters()) == message
    with pytest.raises(text_format.ParseError):
        text_format.Parse("max_batch: 3", tf_serving_protos.BatchingParameters())
