"""Fixtures that test files share: one small run of everything, the folder of real photographs."""

import contextlib
import gc
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import sys

import filelock
import kept_readouts
import pytest
from commands import ROOT, run_module
from faults import Disk
from waiting import LONG, OF_A_PROCESS

__all__ = ["ROOT", "run_main"]

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# One thread for each of several processes: on the few cores that they share, more only wait for
# each other. For one process, too: several threads add in another order, and the weights of runs
# that are compared would hang on the machine's cores. Before anything imports numpy or TensorFlow;
# commands inherit it.
for variable in (
    "TF_NUM_INTRAOP_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
):
    os.environ.setdefault(variable, "1")


# The longest are begun first: they must not keep one of two processes waiting at the end. The smoke
# run is made in the first, while the other process has the next ones, which do not need it.
FIRST = (
    "test_main.py",
    "test_build.py",
    "test_api_auditing.py",
    "test_architectures.py",
    "test_learner.py",
    "test_tflite.py",
    "test_serving_demo.py",
    "test_probes.py",
    "test_serving_server.py",
    "test_export_stage.py",
    "test_training.py",
    "test_audit.py",
    "test_perceptual.py",
    "test_image_sets.py",
    "test_external.py",
    "test_serving_grpc_service.py",
    "test_api_learning.py",
    "test_document_commands.py",
)
# Of the tests that are slow; .ci/run has their smoke run made by the others.
FIRST_OF_SLOW = (
    "test_audit_stage.py",
    "test_known_answers.py",
    "test_strategies.py",
    "test_packaging.py",
    "test_serving_demo_local.py",
    "test_bench_stage.py",
    "test_sweep.py",
    "test_demo_attackers.py",
    "test_build.py",
    "test_train.py",
    "test_tflite_encoder.py",
    "test_generative.py",
    "test_export_stage.py",
    "test_serving_demo_browser.py",
    "test_export_noise.py",
    "test_fitted_head.py",
    "test_report_browser.py",
    "test_precision.py",
    "test_document_commands.py",
    "test_splits.py",
)


def pytest_collection_modifyitems(config, items):
    is_slow = config.option.markexpr.startswith("slow")
    first = FIRST_OF_SLOW if is_slow else FIRST
    order = {name: place for place, name in enumerate(first)}
    items.sort(key=lambda item: order.get(item.path.name, len(first)))


def pytest_collection_finish(session):
    """Leaves what is imported by now out of garbage collections, which it makes take .4 s each."""
    # Its plugin imports it at the latest when pytest sums up, and then misses what is frozen.
    importlib.import_module("hypothesis")
    gc.collect()
    gc.freeze()
    # Graphs here run a few times, and to rewrite them first took a fifth of the time. TensorFlow
    # does so by default, and in the commands that tests start.
    if session.config.option.markexpr == "not slow" and "tensorflow" in sys.modules:
        optimizer = sys.modules["tensorflow"].config.optimizer
        optimizer.set_experimental_options({"disable_meta_optimizer": True})


def run_main(*flags):
    """Runs `python -m arl_tf.main` from the repository's root; returns the finished process."""
    return run_module("arl_tf.main", *flags)


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """A function (name, make) -> folder: the first worker that asks has `make(folder)` fill it.

    The others wait, and get the same folder. Nobody changes it.
    """

    def folder_of(name, make):
        root = tmp_path_factory.getbasetemp()
        # Workers of pytest-xdist have folders of their own in the session's.
        root = root.parent if "PYTEST_XDIST_WORKER" in os.environ else root
        # .ci/run has the tests that are slow take what the others made.
        root = pathlib.Path(os.environ.get("ARL_TF_TEST_MADE") or root)
        folder, made = root / f"once_{name}", root / f"once_{name}.made"
        with filelock.FileLock(root / f"once_{name}.lock", timeout=OF_A_PROCESS):
            if not made.exists():
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                make(folder)
                made.touch()
        return folder

    return folder_of


@pytest.fixture(scope="session", autouse=True)
def readouts_are_fitted_once(made_once):
    """In this process and in those of commands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(kept_readouts.FOLDER, str(made_once("readouts", lambda folder: None)))
        kept_readouts.keep()
        yield


@pytest.fixture(scope="session", autouse=True)
def plots_are_drawn_once():
    """In this process."""
    import kept_plots

    with pytest.MonkeyPatch.context() as patch:
        kept_plots.keep(patch)
        yield


@pytest.fixture(scope="session", autouse=True)
def serving_is_patient():
    """Limits of clients and connections that a test doesn't set are LONG, for faults alone."""
    from serving.clients.grpc_client import GrpcEncoderClient
    from serving.clients.rest_client import EncoderClient
    from serving.server.rest.http_protocol import TimedProtocol

    with pytest.MonkeyPatch.context() as patch:
        for client in (EncoderClient, GrpcEncoderClient):
            patch.setitem(client.__init__.__kwdefaults__, "timeout", LONG)
        patch.setattr(TimedProtocol, "head_seconds", LONG)
        patch.setattr(TimedProtocol, "read_seconds", LONG)
        yield


def make_smoke_run(folder):
    """Leaves run/, and what the command said in stdout and stderr."""
    finished = run_main(
        "--flagfile=configs/smoke.cfg", f"--workdir={folder / 'run'}", "--deterministic"
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    said = {"args": finished.args, "stdout": finished.stdout, "stderr": finished.stderr}
    (folder / "said.json").write_text(json.dumps(said))


@pytest.fixture(scope="session")
def smoke_run(made_once):
    """(run directory, finished process) of configs/smoke.cfg with deterministic operations.

    For reading only, by all workers at once: what starts commands on it takes `smoke_copy`.
    """
    folder = made_once("smoke", make_smoke_run)
    said = json.loads((folder / "said.json").read_text())
    before = state_of(folder)
    yield folder / "run", subprocess.CompletedProcess(returncode=0, **said)
    assert state_of(folder) == before, "a test has changed the run that others read"


def state_of(folder):
    """Every file's time of change, in nanoseconds."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def smoke_copy(smoke_run, tmp_path):
    """A copy of the smoke run's directory, with the same times of change, to do anything to."""
    return shutil.copytree(smoke_run[0], tmp_path / "run")


@pytest.fixture
def bars(monkeypatch):
    """Words of every progress bar -> [its total, what was done]; nothing is shown."""
    from arl_tf.utils import progress

    seen = {}

    @contextlib.contextmanager
    def bar(words, total):
        seen[words] = [total, 0]

        def advance(amount=1):
            seen[words][1] += amount

        yield advance

    monkeypatch.setattr(progress, "bar", bar)
    return seen


@pytest.fixture
def small_disk(tmp_path):
    """A `faults.Disk`: a file system of 64 MB in memory, where we may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", folder]
    is_small = bool(
        shutil.which("mount") and not subprocess.run(mount, capture_output=True).returncode
    )
    yield Disk(folder, is_small)
    if is_small:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture(scope="session")
def faces_folder(made_once):
    """A folder of a few drawn faces in CelebA's layout; tests copy it where they change it."""
    from drawn_folders import write_faces

    return made_once("faces_folder", write_faces)


@pytest.fixture(scope="session")
def celeba_folder():
    """A folder of real photographs in CelebA's layout; skips where ARL_TF_TEST_DATA names none."""
    folder = os.environ.get("ARL_TF_TEST_DATA")
    if not folder or not (pathlib.Path(folder) / "celeba").is_dir():
        pytest.skip("ARL_TF_TEST_DATA names no folder that holds celeba/: no real photographs here")
    return pathlib.Path(folder) / "celeba"


@pytest.fixture(scope="session")
def exported_models(made_once):
    """A folder that holds encoder/1 and task_head/1, tiny; tests copy it and don't change it."""
    import serving_models

    return made_once("exported", serving_models.save_models)


@pytest.fixture(scope="session")
def other_models(made_once):
    """The same with other weights."""
    import serving_models

    return made_once("other_models", lambda folder: serving_models.save_models(folder, seed=3))
