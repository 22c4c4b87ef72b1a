"""Keras works as arl_tf needs it, whatever keras.json and the environment say."""

import json
import os
import subprocess
import sys
import types

import pytest

from arl_tf.utils import environment

USUAL = {
    "floatx": "float32",
    "epsilon": 1e-07,
    "backend": "tensorflow",
    "image_data_format": "channels_last",
}


def written(tmp_path, content):
    file = tmp_path / "keras.json"
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


@pytest.mark.parametrize("content", [USUAL, {}, "", "{no json", {"max_epochs": 3}])
def test_settings_that_change_nothing_are_left_alone(tmp_path, content):
    assert environment.differing_settings(written(tmp_path, content)) == []


def test_without_keras_json_nothing_differs(tmp_path):
    assert environment.differing_settings(tmp_path / "keras.json") == []


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"image_data_format": "channels_first"}, "image_data_format=channels_first"),
        ({"floatx": "float16"}, "floatx=float16"),
        ({"floatx": "bfloat16"}, "floatx=bfloat16"),
        ({"epsilon": 1e-5}, "epsilon=1e-05"),
        ({"epsilon": 1}, "epsilon=1"),
        ({"nnx_enabled": True}, "nnx_enabled=True"),
        ([1], "all (expected a JSON object, got list)"),
    ],
)
def test_settings_that_would_change_results_are_named(tmp_path, content, named):
    assert environment.differing_settings(written(tmp_path, content)) == [named]


def test_a_folder_in_place_of_keras_json_is_named(tmp_path):
    (tmp_path / "keras.json").mkdir()
    assert environment.differing_settings(tmp_path / "keras.json") == ["all (Is a directory)"]


def test_keras_json_is_sought_where_keras_does(monkeypatch):
    def at(**environ):
        return str(environment.config_file(environ))

    monkeypatch.setenv("HOME", "/home/them")
    monkeypatch.setattr(os, "access", lambda path, mode: path != "/home/them")
    assert at() == "/tmp/.keras/keras.json"
    assert at(KERAS_HOME="~/keras") == "/home/them/keras/keras.json"
    assert at(KERAS_HOME="") == "keras.json"
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert at() == "/home/them/.keras/keras.json"


def test_variables_that_would_change_results_are_set_aside_and_named(caplog):
    variables = {
        "KERAS_BACKEND": "torch",
        "TF_USE_LEGACY_KERAS": "1",
        "KERAS_MAX_EPOCHS": "1",
        "KERAS_MAX_STEPS_PER_EPOCH": "2",
        "KERAS_NNX_ENABLED": "true",
        "HOME": "/home/x",
    }
    with caplog.at_level("WARNING"):
        environment.set_variables(variables)
    assert variables == {"KERAS_BACKEND": "tensorflow", "HOME": "/home/x"}
    for setting in ("KERAS_BACKEND=torch", "TF_USE_LEGACY_KERAS=1", "KERAS_MAX_EPOCHS=1"):
        assert setting in caplog.text


def test_usual_variables_are_not_worth_a_word(caplog):
    variables = {"KERAS_BACKEND": "tensorflow", "TF_USE_LEGACY_KERAS": "0", "KERAS_HOME": "/x"}
    before = dict(variables)
    with caplog.at_level("WARNING"):
        environment.set_variables(variables)
    assert variables == before and not caplog.text


def test_keras_folder_is_found_as_keras_finds_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert environment.config_file({}) == tmp_path / ".keras" / "keras.json"
    assert str(environment.config_file({"KERAS_HOME": "/x"})) == "/x/keras.json"


def test_downloaded_weights_stay_at_hand_without_the_settings(tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "vgg16.h5").write_text("weights")
    folder = environment.folder_without_settings(tmp_path)
    assert (folder / "models" / "vgg16.h5").read_text() == "weights"
    (folder / "datasets" / "new").write_text("kept")
    assert (tmp_path / "datasets" / "new").read_text() == "kept"
    assert not (folder / "keras.json").exists()


def keras_with(**changes):
    found = {
        "backend": "tensorflow",
        "floatx": "float32",
        "epsilon": 1e-7,
        "image_data_format": "channels_last",
        "dtype_policy": types.SimpleNamespace(name="float32"),
        "max_epochs": None,
        "max_steps_per_epoch": None,
    } | changes
    answers = {name: (lambda value=value: value) for name, value in found.items()}
    return types.SimpleNamespace(config=types.SimpleNamespace(**answers))


def test_a_keras_that_was_imported_before_is_taken_as_it_should_be_and_refused_otherwise():
    environment.check_imported(keras_with())
    with pytest.raises(RuntimeError, match=r"backend=torch \(arl_tf needs tensorflow\)"):
        environment.check_imported(keras_with(backend="torch"))
    policy = types.SimpleNamespace(name="mixed_float16")
    with pytest.raises(RuntimeError, match="dtype_policy=mixed_float16"):
        environment.check_imported(keras_with(dtype_policy=policy))


@pytest.mark.slow
def test_any_module_of_arl_tf_imported_first_finds_keras_as_it_needs_it(tmp_path):
    """The real Keras, under the worst of settings; one process, since each start is slow."""
    written(tmp_path, {"floatx": "float16", "image_data_format": "channels_first", "epsilon": 1})
    code = (
        "import arl_tf.models.architectures, keras; c = keras.config;"
        "print(c.backend(), c.floatx(), c.image_data_format(), c.epsilon(), c.max_epochs())"
    )
    variables = {
        "KERAS_HOME": str(tmp_path),
        "KERAS_BACKEND": "torch",
        "TF_USE_LEGACY_KERAS": "1",
        "KERAS_MAX_EPOCHS": "1",
    }
    finished = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert finished.stdout.strip() == "tensorflow float32 channels_last 1e-07 None"
    said = [line for line in finished.stderr.splitlines() if line.startswith("arl_tf ignores")]
    assert len(said) == 4 and "keras.json" in said[-1] and "floatx=float16" in said[-1]
