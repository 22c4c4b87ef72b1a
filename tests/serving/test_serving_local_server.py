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
from serving.batching import BatchingParameters
from serving.server import Settings
from serving.validation import Limits

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


def test_kill_during_load_loses_nothing(killed_while_loading):
    folder, before = killed_while_loading
    assert times(folder) == before


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
        "--demo_attacker=attackers",
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
        demo_attacker=pathlib.Path("attackers"),
        limits=Limits(items=8, pixels=9, request_bytes=10),
    )


def test_defaults_are_those_of_the_settings():
    assert settings("--model_config_file=x") == Settings(model_config_file=pathlib.Path("x"))
    assert settings("--model_base_path=x", "--enable_batching").batching == BatchingParameters()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "Give either --model_base_path or --model_config_file"),
        (("--model_base_path=.", "--batching_parameters_file=x"), "needs --enable_batching"),
        (("--model_base_path=.", "--file_system_poll_wait_seconds=0"), "must be > 0"),
    ],
)
def test_wrong_flags_are_refused_with_the_reason(arguments, words):
    with pytest.raises(ValueError, match=words):
        settings(*arguments)


def test_server_that_can_not_start_ends_with_the_reason(tmp_path):
    with pytest.raises(SystemExit, match=r"^serving\.local_server: .*nowhere"):
        local_server.run(flag_values(f"--model_base_path={tmp_path / 'nowhere'}"))
