"""Runs what the documents mark with `run`: commands and Python, on the small run of the tests."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys

import onnx_examples
import pytest
from documents import ROOT, blocks, documents, module_commands
from serving_models import serving

from arl_tf.attacks import registry

RUN = [block for path in documents() for block in blocks(path) if block.mark == "run"]
ENDPOINT = "localhost:8501"


def marked(language, detail):
    """The documents that have such blocks, with these blocks."""
    found = {}
    for block in RUN:
        if block.language == language and block.detail.split()[0] == detail:
            found.setdefault(block.path, []).append(block)
    return [pytest.param(each, id=str(path.relative_to(ROOT))) for path, each in found.items()]


def test_every_way_to_run_is_known():
    ways = {(block.language, (block.detail or "nothing").split()[0]) for block in RUN}
    assert ways == {("sh", "by"), ("sh", "server"), ("python", "python")}


@pytest.fixture(scope="module")
def workplace(smoke_run, tmp_path_factory):
    """A folder like the repository's root that has run the demo; the run is the small one."""
    folder = tmp_path_factory.mktemp("workplace")
    for name in ("arl_tf", "configs", "serving"):
        (folder / name).symlink_to(ROOT / name)
    # A copy: what the documents do with their run would change the one that other tests read.
    shutil.copytree(smoke_run[0], folder / "runs/demo")
    onnx_examples.save_pooling(folder / "encoder.onnx", size=32, side=4)
    return folder


@pytest.mark.parametrize("found", marked("sh", "by"))
def test_commands_of_fixtures_are_those_that_the_fixtures_run(found, smoke_run):
    for block in found:
        for module, arguments in module_commands(block.text):
            wanted = [each for each in arguments if not each.startswith("--workdir=")]
            assert module == "arl_tf.main"
            assert set(wanted) <= set(map(str, smoke_run[1].args))


@pytest.mark.parametrize("found", marked("sh", "server"))
def test_commands_against_a_server_succeed(found, workplace):
    if not shutil.which("curl"):
        pytest.skip("curl is not installed")
    python = str(pathlib.Path(sys.executable).parent)
    environment = os.environ | {
        "PATH": f"{python}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    with serving(workplace / "runs/demo/export/saved_model") as server:
        for block in found:
            text = block.text.replace(ENDPOINT, f"localhost:{server.rest_api_port}")
            text = text.replace("curl ", "curl --fail-with-body ")
            finished = subprocess.run(
                ["bash", "-e", "-o", "pipefail", "-c", text],
                cwd=workplace,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert finished.returncode == 0, f"{block}: {finished.stdout}{finished.stderr}"


@pytest.mark.slow
# Keras' own reading of tensors, when a learner is saved.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("found", marked("python", "python"))
def test_python_of_a_document_runs_from_top_to_bottom(found, workplace, monkeypatch):
    monkeypatch.chdir(workplace)
    # What a document registers is not for the tests after it.
    monkeypatch.setattr(registry, "ATTACKERS", dict(registry.ATTACKERS))
    names = {}
    for block in found:
        missing = [name for name in block.detail.split()[1:] if not is_there(name)]
        if not missing:
            exec(compile(block.text, str(block), "exec"), names)


def is_there(name):
    """Whether a package can be imported."""
    return importlib.util.find_spec(name) is not None
