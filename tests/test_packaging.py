"""The package as users install it: a wheel in an environment of its own, outside the checkout."""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv

import pytest
from conftest import ROOT

SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = SETTINGS["project"]


def run(*command, cwd):
    """Runs a command without what a checkout lends it; returns its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    finished = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )
    assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-3000:]
    return finished.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """(python, folder) of a fresh environment that holds the wheel; its dependencies are ours."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    ignore = shutil.ignore_patterns(".git", ".venv*", "runs", "build", "*.egg-info", "node_modules")
    shutil.copytree(ROOT, source, ignore=ignore)
    build = (
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
    )
    run(*build, "--quiet", "--wheel-dir", str(folder), str(source), cwd=folder)
    shutil.rmtree(source)
    venv.create(folder / "venv", symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (wheel,) = folder.glob("arl_tf-*.whl")
    # This environment's pip works on the other: one of its own would take longer than the wheel.
    pip = (sys.executable, "-m", "pip", "--python", str(python))
    run(*pip, "install", "--no-deps", "--no-index", str(wheel), cwd=folder)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # The dependencies are not fetched again: those of this environment are behind its own.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python, folder


@pytest.mark.slow
def test_the_wheel_runs_outside_the_checkout_with_help_smoke_run_and_report(installed):
    python, folder = installed
    where = run(str(python), "-c", "import arl_tf; print(arl_tf.__file__)", cwd=folder)
    assert pathlib.Path(where.strip()).is_relative_to(folder / "venv")
    assert "--flagfile" in run(str(python.with_name("arl_tf")), "--help", cwd=folder)
    # Every stage of the smoke run, and of what a stage repeats once: what the wheel may lack is
    # a file, and the figures are those of other tests.
    run(
        str(python.with_name("arl_tf")),
        f"--flagfile={ROOT / 'configs' / 'smoke.cfg'}",
        "--workdir=run",
        "--warmup_epochs=0",
        "--decoder_warmup_epochs=0",
        "--epochs=1",
        "--steps_per_epoch=1",
        "--attackers=linear,decoder",
        "--attacker_steps=8",
        "--tflite_precisions=float32",
        cwd=folder,
    )
    assert (folder / "run" / "audit" / "report.html").stat().st_size > 10_000
    assert (folder / "run" / "export" / "manifest.json").exists()


@pytest.fixture(scope="module")
def mypy_errors():
    """mypy's errors in all code, the bodies of functions without annotations included."""
    words = (sys.executable, "-m", "mypy", "--check-untyped-defs", "arl_tf", "serving")
    said = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not said.stderr and "[" in said.stdout
    return [line for line in said.stdout.splitlines() if ": error: " in line]


@pytest.mark.slow
def test_types_of_the_public_surface_are_right(mypy_errors):
    public = [ROOT / file for file in SETTINGS["tool"]["mypy"]["files"]]
    assert all(path.exists() for path in public)
    wrong = [
        error
        for error in mypy_errors
        if any((ROOT / error.split(":")[0]).is_relative_to(path) for path in public)
    ]
    assert not wrong


@pytest.mark.slow
def test_every_call_has_the_arguments_that_its_function_takes(mypy_errors):
    # Of the rest, whose annotations do not say all that mypy asks for, this can be had.
    codes = ("[call-arg]", "[name-defined]", "[used-before-def]")
    assert not [error for error in mypy_errors if error.endswith(codes)]


def test_a_device_s_client_gets_the_versions_that_are_tested_together():
    pinned = set((ROOT / "requirements.txt").read_text().splitlines())
    lines = (ROOT / "serving" / "requirements-client.txt").read_text().splitlines()
    device = {line for line in lines if not line.startswith("#")}
    assert device <= pinned
    # All that the extra has but for gRPC, which encoding a photo does not need.
    names = {re.split("[=<>]", line)[0] for line in device}
    extra = {re.split("[=<>]", line)[0] for line in PROJECT["optional-dependencies"]["client"]}
    assert extra - names == {"grpcio"} and names < extra


def test_requirements_pin_every_dependency_and_every_run_time_extra():
    pinned = {
        line.split("==")[0].lower().replace("_", "-")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line and not line.startswith("#")
    }
    extras = PROJECT["optional-dependencies"]
    wanted = [
        *PROJECT["dependencies"],
        *(
            extras[e][i]
            for e in ("serve", "client", "parquet", "sweep", "tfds")
            for i in range(len(extras[e]))
        ),
    ]
    names = {
        text.partition("#")[0].split("[")[0].split(">")[0].split("=")[0].strip().lower()
        for text in wanted
    }
    assert {name.replace("_", "-") for name in names} == pinned
