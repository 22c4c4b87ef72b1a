"""The soak test: its calls against a real and a lying server, versions, memory, the command."""

import json
import pathlib
import shutil
import subprocess
import sys

import pytest
import urllib3
from conftest import ROOT
from serving_models import picture_file, pictures, serving
from serving_stub import refusing_address
from waiting import LONG, OF_A_PROCESS

from serving import soak
from serving.clients import mixed_calls
from serving.clients.grpc_client import GrpcEncoderClient
from serving.clients.mixed_calls import Unexpected
from serving.clients.rest_client import EncoderClient


@pytest.fixture(scope="module")
def called(exported_models, tmp_path_factory):
    """The mixed calls of a server of tiny models, by name, and its REST client."""
    folder = tmp_path_factory.mktemp("pictures")
    files = [folder / f"{number}.jpg" for number in range(2)]
    for path, picture in zip(files, pictures(2), strict=True):
        path.write_bytes(picture_file(picture, "JPEG"))
    with (
        serving(exported_models) as server,
        EncoderClient(f"127.0.0.1:{server.rest_api_port}", retries=0, timeout=LONG) as rest,
        GrpcEncoderClient(f"127.0.0.1:{server.port}", retries=0, timeout=LONG) as grpc,
    ):
        yield mixed_calls.all_calls(rest, grpc, files), rest


def test_every_call_gets_what_it_has_to_get(called):
    calls, _ = called
    assert len(calls) == 12
    assert {name: mixed_calls.outcome(call) for name, call in calls.items()} == dict.fromkeys(
        calls, ""
    )


def test_a_refusal_with_another_status_is_told(called):
    _, rest = called
    pool = urllib3.PoolManager()
    url = f"{rest.address}/v1/models/no_such_model:predict"

    def wrong_status():
        mixed_calls.check_refusal(pool, url, b"{}", 400)

    assert mixed_calls.outcome(wrong_status).startswith("Unexpected: answer 404")


def test_codes_of_another_shape_or_not_finite_are_told():
    codes = pictures(2).astype("float32")
    mixed_calls.check_codes(codes, codes)
    with pytest.raises(Unexpected):
        mixed_calls.check_codes(codes[:1], codes)
    with pytest.raises(Unexpected):
        mixed_calls.check_codes(codes * float("nan"), codes)


def test_a_server_that_is_gone_is_told():
    with refusing_address() as address, EncoderClient(address, retries=0) as rest:
        assert "UnavailableError" in mixed_calls.outcome(lambda: mixed_calls.check_status(rest))


def test_growth_is_from_the_second_quarter_to_the_last():
    rising = [(float(second), 100.0 + second) for second in range(8)]
    # Medians of (102, 103) and of (106, 107).
    assert soak.growth(rising) == (4.0, True)
    jump = [(0.0, 500.0), (1.0, 100.0), (2.0, 100.0), (3.0, 110.0)]
    assert soak.growth(jump) == (10.0, False)
    assert soak.growth(jump[:3]) == (None, None)


def test_new_versions_appear_and_the_oldest_vanish(tmp_path):
    for model in soak.MODELS:
        (tmp_path / model / "1").mkdir(parents=True)
        (tmp_path / model / "1" / "saved_model.pb").write_bytes(b"content")
    for _ in range(3):
        soak.add_version(tmp_path)
    for model in soak.MODELS:
        assert soak.versions_of(tmp_path / model) == [3, 4]
        assert {path.name for path in (tmp_path / model).iterdir()} == {"3", "4"}
        assert (tmp_path / model / "4" / "saved_model.pb").read_bytes() == b"content"


def test_the_newest_version_is_copied(exported_models, tmp_path):
    source = pathlib.Path(shutil.copytree(exported_models, tmp_path / "source"))
    shutil.copytree(source / "encoder" / "1", source / "encoder" / "12")
    (source / "encoder" / "12" / "mark").touch()
    soak.copy_newest(source, tmp_path / "base")
    assert soak.versions_of(tmp_path / "base" / "encoder") == [1]
    assert (tmp_path / "base" / "encoder" / "1" / "mark").exists()


def test_a_folder_without_models_is_refused_before_a_server_starts(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        soak.main([f"--saved_model_dir={tmp_path}"])
    assert ended.value.code == 2
    assert f"{tmp_path / 'encoder'} has no version folder" in capsys.readouterr().err


def test_the_table_names_failures_and_says_whether_memory_is_flat():
    report = soak.Report(60.0, {"a": 3, "b": 2}, {"b": 1}, {"b": "Unexpected: x"}, 4, 5)
    report.memory, report.growth_mib, report.is_flat = [(0.0, 700.0), (60.0, 720.0)], 20.0, True
    lines = soak.table(report)
    assert lines[1].split() == ["a", "3", "0"]
    assert lines[2].split() == ["b", "2", "1"] and "Unexpected: x" in lines[3]
    assert "700 MiB at first, 720 MiB at the end" in lines[-2]
    assert lines[-1].endswith("+20.0 MiB, flat (at most 5%).")
    assert not report.is_good


@pytest.mark.slow
def test_the_command_serves_calls_everything_once_and_ends_with_success(exported_models):
    arguments = [f"--saved_model_dir={exported_models}", "--minutes=0", "--rate=1000", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "serving.soak", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=OF_A_PROCESS,
        check=False,
    )
    report = json.loads(done.stdout)
    assert report["exit_code"] == 0 and report["failures"] == {}
    assert all(report["calls"].values()) and len(report["calls"]) == 12
    assert done.returncode == int(report["is_flat"] is False)
