"""Folders of others stay as they are, and what would be missed hours later is refused at once."""

import itertools
import time

import pytest

from arl_tf.config import settings
from arl_tf.config.settings import Config
from arl_tf.experiments import first_checks, run_directory, stages
from arl_tf.experiments.doctor import findings, inputs
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.utils import files


def check(folder, **values):
    config = Config(workdir=str(folder), **values)
    first_checks.check(config, RunDirectory(folder), list(config.stage_names))


@pytest.mark.parametrize("name", ["checkpoints/epoch_00001/x.pt", "logs/x", "export/x", "audit/x"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_of_another_program_is_not_trained_into(tmp_path, name, overwrite):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.touch()
    with pytest.raises(ValueError, match=r"holds \w+, but no config\.json: it is no run directory"):
        check(tmp_path, stages="train", overwrite=overwrite)
    check(tmp_path, stages="audit")


@pytest.mark.parametrize("own", ["config.json", "splits.json", "stages.json"])
def test_a_run_directory_is_known_by_any_of_its_files(tmp_path, own):
    (tmp_path / "checkpoints" / "epoch_00001").mkdir(parents=True)
    (tmp_path / own).touch()
    check(tmp_path, stages="train")


def test_empty_folders_and_other_files_are_no_obstacle(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "notes.txt").touch()
    check(tmp_path, stages="train")


def test_only_audits_of_arl_tf_s_names_are_replaced(tmp_path):
    named = {
        settings.audit_name(*each)
        for each in itertools.product(("test", "validation"), (1, 16), (0, 2))
    }
    run = RunDirectory(tmp_path)
    own = {run.audit(name) for name in named}
    for folder in (*own, tmp_path / "audit_2024", tmp_path / "audits", tmp_path / "auditors"):
        folder.mkdir()
    assert set(run_directory.audit_folders(run)) == own and len(own) == 8
    stages.forget(Config(stages="train", overwrite=True), run, ["train"])
    left = {path.name for path in tmp_path.iterdir()} - {run.config.name}
    assert left == {"audit_2024", "audits", "auditors"}


@pytest.mark.parametrize("prefix", ["", "public_"])
@pytest.mark.parametrize("flag", ["workdir", "cache_dir"])
def test_a_run_inside_class_folders_is_refused(tmp_path, flag, prefix):
    photos = tmp_path / "photos"
    (photos / "cat").mkdir(parents=True)
    values = {f"{prefix}dataset": "folder", f"{prefix}data_dir": str(photos)}
    folders = {"workdir": str(tmp_path / "run"), flag: str(photos / "runs" / "a")}
    config = Config(**(values | folders))
    with pytest.raises(ValueError, match=rf"--{flag}=.* lies in --{prefix}data_dir="):
        first_checks.check(config, RunDirectory(type(tmp_path)(config.workdir)), ["audit"])
    (photos / "metadata.csv").touch()
    first_checks.check(config, RunDirectory(type(tmp_path)(config.workdir)), ["audit"])


@pytest.mark.parametrize("flag", ["workdir", "cache_dir"])
def test_a_path_without_room_for_a_run_s_files_is_refused(tmp_path, flag):
    deep = tmp_path.joinpath(*["d" * 200] * 19)
    given = {"workdir": str(tmp_path / "run"), flag: str(deep)}
    with pytest.raises(ValueError, match=f"--{flag}=.* path is so long"):
        first_checks.check(Config(**given), RunDirectory(type(tmp_path)(given["workdir"])), [])
    files.check_can_be_written(flag, tmp_path.joinpath(*["d" * 200] * 17))


@pytest.mark.parametrize("year", [1970, 1979, 2108])
def test_a_clock_that_no_archive_can_hold_is_refused_before_training(tmp_path, monkeypatch, year):
    then = time.struct_time((year, 1, 1, 0, 0, 0, 0, 1, 0))
    monkeypatch.setattr(first_checks.time, "localtime", lambda: then)
    with pytest.raises(ValueError, match=f"it is the year {year}; .keras files can't be written"):
        check(tmp_path / "run")


def test_the_doctor_says_it_too(tmp_path):
    (found,) = inputs.check_places(Config(workdir=str(tmp_path / "run")))
    assert found.state == findings.OK
    (tmp_path / "logs" / "x").mkdir(parents=True)
    (found,) = inputs.check_places(Config(workdir=str(tmp_path)))
    assert found.state == findings.MEND and "no run directory" in found.found
