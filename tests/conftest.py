"""Fixtures that test files share: one small run of everything, the folder of real photographs."""

import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


# Minutes each: begun first, they do not keep one of two processes waiting for the other.
LONG = ("test_known_answers.py", "test_audit_stage.py")


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


def run_main(*flags, timeout=400):
    """Runs `python -m arl_tf.main` from the repository's root; returns the finished process."""
    return subprocess.run(
        [sys.executable, "-m", "arl_tf.main", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture(scope="session")
def smoke_run(tmp_path_factory):
    """(run directory, finished process) of configs/smoke.cfg with deterministic operations."""
    workdir = tmp_path_factory.mktemp("smoke") / "run"
    finished = run_main("--flagfile=configs/smoke.cfg", f"--workdir={workdir}", "--deterministic")
    assert finished.returncode == 0, finished.stderr[-3000:]
    return workdir, finished


@pytest.fixture(scope="session")
def celeba_folder():
    """A folder of real photographs in CelebA's layout; skips where ARL_TF_TEST_DATA names none."""
    folder = os.environ.get("ARL_TF_TEST_DATA")
    if not folder or not (pathlib.Path(folder) / "celeba").is_dir():
        pytest.skip("ARL_TF_TEST_DATA names no folder that holds celeba/: no real photographs here")
    return pathlib.Path(folder) / "celeba"


@pytest.fixture(scope="session")
def exported_models(tmp_path_factory):
    """A folder that holds encoder/1 and task_head/1, tiny; tests copy it and don't change it."""
    import serving_models

    return serving_models.save_models(tmp_path_factory.mktemp("exported"))
