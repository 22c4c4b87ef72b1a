"""The command as a process: flags, SIGTERM, kill -9 while loading, and its words."""

import contextlib
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys

import pytest
from absl import flags
from conftest import ROOT
from serving_models import pictures, predict
from waiting import LONG, OF_A_PROCESS

from serving import local_server
from serving.server.batching import BatchingParameters
from serving.server.endpoints import Settings
from serving.server.validation import Limits

BODY = {"instances": pictures().tolist()}


@contextlib.contextmanager
def started(*arguments):
    with subprocess.Popen(
        [sys.executable, "-m", "serving.local_server", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"},
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def lines_until(process, pattern):
    """Reads what the process says up to a line that matches; returns the match."""
    said = []
    for line in process.stdout:
        said.append(line)
        if found := re.search(pattern, line):
            return found
    pytest.fail(f"never said {pattern}: {''.join(said)[-2000:]}")


READY = r"gRPC at 127.0.0.1:(\d+), .*http://127.0.0.1:(\d+); models: encoder, task_head"
FREE_PORTS = ("--port=0", "--rest_api_port=0", f"--rest_api_timeout_in_ms={LONG * 1000:.0f}")


@pytest.fixture(scope="module")
def killed_while_loading(exported_models, tmp_path_factory):
    """A folder of models whose server was killed, and the times of its files before that."""
    folder = shutil.copytree(exported_models, tmp_path_factory.mktemp("killed") / "models")
    before = times(folder)
    with started(f"--model_base_path={folder}", *FREE_PORTS) as process:
        lines_until(process, "encoder version 1 is being loaded")
        process.kill()
        assert process.wait(OF_A_PROCESS) == -signal.SIGKILL
    return folder, before


def times(folder):
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*")}


@pytest.mark.slow
def test_kill_during_load_loses_nothing(killed_while_loading):
    folder, before = killed_while_loading
    assert times(folder) == before


@pytest.mark.slow
def test_start_after_a_kill_serves_and_sigterm_drains_and_ends_with_success(killed_while_loading):
    folder, _ = killed_while_loading
    with started(f"--model_base_path={folder}", *FREE_PORTS) as process:
        found = lines_until(process, READY)
        assert "Speaks TF Serving's protocol" in found.string
        assert predict(None, "encoder", BODY, port=int(found[2]))[0] == 200
        process.send_signal(signal.SIGTERM)
        lines_until(process, "Draining")
        lines_until(process, "Stopped")
        assert process.wait(OF_A_PROCESS) == 0


def flag_values(*arguments):
    values = flags.FlagValues()
    local_server.define_flags(values)
    values(["local_server", *arguments])
    return values


def settings(*arguments):
    return local_server.settings_from_flags(flag_values(*arguments))


def test_every_flag_of_the_command_changes_its_setting(tmp_path):
    parameters = tmp_path / "batching.config"
    parameters.write_text("max_batch_size { value: 8 }")
    given = settings(
        "--model_base_path=models",
        "--host=0.0.0.0",
        "--port=1",
        "--rest_api_port=2",
        "--file_system_poll_wait_seconds=3",
        "--max_num_load_retries=4",
        "--enable_batching",
        f"--batching_parameters_file={parameters}",
        "--rest_api_timeout_in_ms=5000",
        "--rest_api_num_threads=6",
        "--grpc_max_threads=7",
        "--model_name=face",
        "--allow_version_labels_for_unavailable_models",
        "--rest_api_enable_cors_support",
        "--enable_serialization_as_tensor_content",
        "--max_request_items=8",
        "--max_request_pixels=9",
        "--max_request_bytes=10",
    )
    assert given == Settings(
        model_base_path=pathlib.Path("models"),
        host="0.0.0.0",
        port=1,
        rest_api_port=2,
        file_system_poll_wait_seconds=3,
        max_num_load_retries=4,
        batching=BatchingParameters(max_batch_size=8),
        rest_api_timeout=5,
        rest_api_num_threads=6,
        grpc_max_threads=7,
        model_name="face",
        allow_version_labels_for_unavailable_models=True,
        rest_api_enable_cors_support=True,
        enable_serialization_as_tensor_content=True,
        limits=Limits(items=8, pixels=9, request_bytes=10),
    )


def test_defaults_are_those_of_the_settings():
    assert settings("--model_config_file=x") == Settings(model_config_file=pathlib.Path("x"))
    assert settings("--model_base_path=x", "--enable_batching").batching == BatchingParameters()


def test_paths_may_begin_with_a_tilde(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "batching.config").write_text("max_batch_size { value: 8 }")
    file = "--batching_parameters_file=~/batching.config"
    given = settings("--model_base_path=~/models", "--enable_batching", file)
    assert given.model_base_path == tmp_path / "models"
    assert given.batching.max_batch_size == 8


def test_cors_flag_has_its_short_name_too():
    given = settings("--model_base_path=x", "--enable_cors_support")
    assert given == settings("--model_base_path=x", "--rest_api_enable_cors_support")
    assert given.rest_api_enable_cors_support


def test_config_file_goes_before_a_named_model_as_in_tf_servings_image(tmp_path):
    config = tmp_path / "models.config"
    config.write_text("model_config_list {}")
    named = ("--model_name=model", "--model_base_path=/models/model")
    assert settings(f"--model_config_file={config}", *named).source_reader()() == {}


def config_with_label(tmp_path, exported_models, version):
    config = tmp_path / "models.config"
    config.write_text(
        f"""model_config_list {{ config {{ name: "encoder"
        base_path: "{exported_models / "encoder"}" model_platform: "tensorflow"
        version_labels {{ key: "stable" value: {version} }} }} }}"""
    )
    return f"--model_config_file={config}"


def refusal(capsys, *arguments):
    """What a server says that doesn't start; it ends with 2, as for wrong flags."""
    with pytest.raises(SystemExit) as ended:
        local_server.run(flag_values(*arguments, *FREE_PORTS))
    assert ended.value.code == 2
    return capsys.readouterr().err


def test_labelled_config_does_not_start_without_the_flag(tmp_path, exported_models, capsys):
    words = refusal(capsys, config_with_label(tmp_path, exported_models, 1))
    assert words.startswith("serving.local_server: FAILED_PRECONDITION: Request to assign label")
    assert "to version 1 of model encoder, which is not currently available" in words
    assert "--allow_version_labels_for_unavailable_models" in words


def test_folder_that_is_a_saved_model_ends_with_what_was_found(exported_models, capsys):
    folder = exported_models / "encoder" / "1"
    words = refusal(capsys, f"--model_base_path={folder}")
    assert str(folder) in words and "saved_model.pb" in words and "Expected:" in words
    assert f"give {exported_models}." in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give --model_base_path or --model_config_file"),
        (("--model_name=face",), "Give --model_base_path or --model_config_file"),
        (("--model_base_path=.", "--batching_parameters_file=x"), "needs --enable_batching"),
        (("--model_base_path=.", "--file_system_poll_wait_seconds=0"), "must be > 0"),
    ],
)
def test_wrong_flags_are_refused_with_the_reason(arguments, words):
    with pytest.raises(ValueError, match=words):
        settings(*arguments)


@pytest.mark.parametrize("more", [(), ("--model_name=face",)])
def test_folder_that_is_not_there_is_named_with_what_is_there_and_what_is_expected(
    tmp_path, capsys, more
):
    (tmp_path / "run").mkdir()
    folder = tmp_path / "nowhere" / "saved_model"
    words = refusal(capsys, f"--model_base_path={folder}", *more)
    assert words.startswith("serving.local_server: ") and words.count("\n") == 1
    assert str(folder) in words
    assert f"Found there: no such folder; {tmp_path} holds run/. Expected: a folder a " in words
