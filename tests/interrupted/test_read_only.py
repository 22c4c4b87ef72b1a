"""Folders on a disk that takes no bytes: every stage says so at once, and leaves nothing."""

import shutil

import pytest
import tiny_models
from faults import NONE, TINY, finish_tiny_run, run_with
from PIL import Image

pytestmark = [pytest.mark.slow, pytest.mark.release]


@pytest.fixture
def disk(small_disk):
    """A small disk of our own, which can be mounted for reading only."""
    if not small_disk.is_small:
        pytest.skip("no file system can be mounted here, and root may write into every folder")
    return small_disk


def refused(disk, *flags):
    """What a command says of the disk; nothing on it is another afterwards."""
    before = state_of(disk.folder)
    with disk.read_only():
        finished = run_with(NONE, *flags)
    assert finished.returncode == 2, finished.stderr[-3000:]
    assert "Traceback" not in finished.stderr
    assert state_of(disk.folder) == before
    return finished.stderr


def state_of(folder):
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.parametrize(
    "stage", ["train", "sweep --sweep=mu=0.25|0.75", "study --study=tasks", "bench"]
)
def test_no_stage_begins_where_it_can_not_write(disk, stage):
    run = disk.folder / "run"
    said = refused(disk, *TINY, f"--workdir={run}", *f"--stages={stage}".split())
    assert f"--workdir={run}: {disk.folder} can't be written; name another folder" in said


@pytest.mark.parametrize("stage", ["audit", "export"])
def test_nothing_of_a_finished_run_is_touched(made_once, disk, stage):
    whole = made_once("tiny_run", finish_tiny_run) / "run"
    run = shutil.copytree(whole, disk.folder / "run")
    said = refused(disk, *TINY, f"--workdir={run}", f"--stages={stage}", "--overwrite")
    assert f"--workdir={run}: {run} can't be written; name another folder" in said


def test_codes_are_not_begun(disk, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.fromarray(tiny_models.pictures(1)[0]).save(tmp_path / "photos" / "a.png")
    codes = disk.folder / "codes"
    said = refused(
        disk,
        "--stages=encode",
        f"--workdir={tmp_path / 'run'}",
        f"--encode_from={tmp_path / 'photos'}",
        f"--encode_to={codes}",
    )
    assert f"--encode_to={codes}: {disk.folder} can't be written; name another folder" in said


def test_a_cache_that_can_not_be_written_is_named_before_the_training(disk, tmp_path):
    cache = disk.folder / "cache"
    said = refused(
        disk, *TINY, "--stages=train", f"--workdir={tmp_path / 'run'}", f"--cache_dir={cache}"
    )
    assert f"--cache_dir={cache}: {disk.folder} can't be written; name another folder" in said
    assert not (tmp_path / "run").exists()
