"""The files for the real TF Serving: read as its protos, and as this server would read them."""

import re
import types

import pytest
from conftest import ROOT
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.server import batching, model_config, prometheus, tf_serving_protos
from serving.server.model_config import sources_in_file
from serving.server.model_store import ModelStore

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


def test_compose_file_starts_the_server_itself_so_that_sigterm_reaches_it():
    text = (FOLDER / "docker-compose.yml").read_text()
    assert re.search(r"entrypoint:\n +- /usr/bin/tensorflow_model_server\n", text)
    for setting in ("init: true", "stop_signal: SIGTERM", "stop_grace_period: 5s"):
        assert re.search(rf"^    {setting}$", text, re.M)
    assert "--allow_version_labels_for_unavailable_models=true" in text


def edited(text, *replacements):
    for before, after in replacements:
        assert text.count(before) == 2, "both models alike"
        text = text.replace(before, after)
    return text


def test_canary_steps_of_the_readme_are_taken_with_the_shipped_file_and_a_shortcut_is_not(tmp_path):
    for model in ("encoder", "task_head"):
        for version in (1, 2):
            folder = tmp_path / "models" / model / str(version)
            folder.mkdir(parents=True)
            (folder / "saved_model.pb").write_text("")
    file = tmp_path / "models.config"
    shipped = (FOLDER / "models.config").read_text().replace('"/models/', f'"{tmp_path}/models/')

    def load(name, version, path):
        return types.SimpleNamespace(version=version)

    store = ModelStore(lambda: sources_in_file(file), load, labels_for_unavailable=True)

    def versions_after(text):
        file.write_text(text)
        store.poll(settled=True)
        found = set()
        for model in ("encoder", "task_head"):
            labels = []
            for label in ("stable", "canary"):
                with store.lease(model, label=label) as servable:
                    labels.append(servable.version)
            served = [s.version for s in store.status(model) if s.state == "AVAILABLE"]
            found.add((*labels, *sorted(served)))
        (both,) = found
        return both

    two = ("versions: 1 }", "versions: 1 versions: 2 }")
    canary = ('canary" value: 1', 'canary" value: 2')
    assert versions_after(shipped) == (1, 1, 1)
    assert versions_after(edited(shipped, two, canary)) == (1, 1, 1), "in one edit: refused"
    text = edited(shipped, two)
    assert versions_after(text) == (1, 1, 1, 2)
    text = edited(text, canary)
    assert versions_after(text) == (1, 2, 1, 2)
    text = edited(text, ('stable" value: 1', 'stable" value: 2'))
    assert versions_after(text) == (2, 2, 1, 2)
    text = edited(text, ("versions: 1 versions: 2", "versions: 2"))
    assert versions_after(text) == (2, 2, 2)


def test_own_messages_round_trip_in_text_format():
    message = tf_serving_protos.BatchingParameters(allowed_batch_sizes=[8, 32])
    message.max_batch_size.value = 32
    text = text_format.MessageToString(message)
    assert text_format.Parse(text, tf_serving_protos.BatchingParameters()) == message
    with pytest.raises(text_format.ParseError):
        text_format.Parse("max_batch: 3", tf_serving_protos.BatchingParameters())
