"""A run directory has one owner; what can't be written is refused before data are read."""

import shlex
import shutil
import threading
import types

import pytest

from arl_tf.config.settings import Config
from arl_tf.experiments import run_directory, stages
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.utils import run_lock


class DataRead(Exception):
    """The data would be read now."""


@pytest.fixture
def no_data(monkeypatch):
    def load(config, run):
        raise DataRead

    monkeypatch.setattr(stages.experiment, "load", load)


@pytest.fixture
def owned_elsewhere(tmp_path):
    """Another thread holds the run directory, which is to the lock as another process."""

    def hold(shared):
        held, done = threading.Event(), threading.Event()

        def work():
            with run_lock.owned(tmp_path / "run", shared=shared):
                held.set()
                done.wait()

        thread = threading.Thread(target=work)
        thread.start()
        held.wait()
        ends.append((thread, done))

    ends = []
    yield hold
    for thread, done in ends:
        done.set()
        thread.join()


def run(tmp_path, **settings):
    config = Config(workdir=str(tmp_path / "run"), **settings)
    stages.run_stages(config, RunDirectory(tmp_path / "run"))


SWEEP = {"stages": "sweep", "sweep": "mu=0|1"}


@pytest.mark.parametrize("settings", [{"stages": "train"}, {"stages": "audit", "codes": "x.npz"}])
def test_a_second_command_on_a_run_directory_is_refused(
    tmp_path, no_data, owned_elsewhere, settings
):
    owned_elsewhere(shared=False)
    with pytest.raises(run_lock.InUseError, match="in use by another process: process"):
        run(tmp_path, **settings)


@pytest.mark.parametrize("settings", [SWEEP, {"stages": "study", "study": "tasks"}])
def test_several_commands_may_work_on_one_sweep_or_study(
    tmp_path, no_data, owned_elsewhere, settings
):
    owned_elsewhere(shared=True)
    with pytest.raises(DataRead):
        run(tmp_path, **settings)


def test_a_sweep_and_a_training_keep_each_other_out(tmp_path, no_data, owned_elsewhere):
    owned_elsewhere(shared=True)
    with pytest.raises(run_lock.InUseError):
        run(tmp_path, stages="train")


def test_a_run_whose_data_can_not_be_read_leaves_nothing(tmp_path, no_data):
    with pytest.raises(DataRead):
        run(tmp_path, stages="train")
    assert list(tmp_path.iterdir()) == []


def test_a_training_whose_checkpoints_are_being_removed_counts_as_finished_no_more(
    tmp_path, monkeypatch
):
    config, files = Config(stages="train,audit", overwrite=True), RunDirectory(tmp_path / "run")
    files.checkpoints.mkdir(parents=True)
    for stage in ("train", "audit_test", "export"):
        run_directory.mark_finished(files, stage, {})

    def killed(folder, **_):
        folder.rmdir()
        raise KeyboardInterrupt

    monkeypatch.setattr(stages.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        stages.forget(config, files, ["train", "audit"])
    assert not files.checkpoints.exists() and run_directory.finished_stages(files) == {}


OLD, NEW = Config(stages="train", mu=0.3), Config(stages="train", mu=0.7, overwrite=True)


@pytest.fixture
def old_run(tmp_path):
    """A finished training, audited on T and on validation."""
    found = RunDirectory(tmp_path / "run")
    for folder in (found.checkpoints, found.logs, found.audit("test"), found.audit("validation")):
        folder.mkdir(parents=True)
    run_directory.write_config(found, OLD)
    run_directory.mark_finished(found, "train", OLD.stage_settings("train"))
    return found


@pytest.fixture
def advice(monkeypatch):
    """What a Ctrl-C would be answered with, in place of "the same command"."""
    said = []
    monkeypatch.setattr(stages.interruption, "advise", said.append)
    return said


@pytest.fixture
def drawn(monkeypatch):
    """Data that are loaded at once and have no parts."""
    monkeypatch.setattr(
        stages.experiment,
        "load",
        lambda *_: types.SimpleNamespace(images=types.SimpleNamespace(has_faces=True), parts=None),
    )
    monkeypatch.setattr(stages.splits, "describe_splits", lambda *_: {"parts": 1, "images": 1})


@pytest.mark.parametrize("after", range(4))
def test_a_kill_while_old_results_go_leaves_no_old_settings_to_inherit(old_run, monkeypatch, after):
    remove, removed = shutil.rmtree, []

    def killed(folder, **how):
        if len(removed) == after:
            raise KeyboardInterrupt
        removed.append(folder)
        remove(folder, **how)

    monkeypatch.setattr(stages.shutil, "rmtree", killed)
    with pytest.raises(KeyboardInterrupt):
        stages.forget(NEW, old_run, ["train"])
    recorded = run_directory.recorded_settings(old_run)
    # Checkpoints never stand beside settings that they are not of.
    assert old_run.checkpoints.exists() == (recorded["mu"] == OLD.mu) == (after == 0)
    assert run_directory.finished_stages(old_run) == {}


def test_to_go_on_without_overwrite_is_advised_once_the_old_results_are_gone(
    old_run, drawn, advice, monkeypatch
):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(stages, "forget", killed)
        with pytest.raises(KeyboardInterrupt):
            stages.do_stages(NEW, old_run)
    assert advice == [] and "train" in run_directory.finished_stages(old_run)
    monkeypatch.setattr(stages, "record_splits", killed)
    with pytest.raises(KeyboardInterrupt):
        stages.do_stages(NEW, old_run)
    (said,) = advice
    assert said.startswith("the same command without --overwrite") and "--nooverwrite" in said
    assert run_directory.finished_stages(old_run) == {}
    assert run_directory.recorded_settings(old_run)["mu"] == NEW.mu


@pytest.mark.parametrize("settings", [{"stages": "train"}, {**SWEEP, "overwrite": True}])
def test_where_the_same_command_goes_on_nothing_else_is_advised(
    tmp_path, drawn, advice, monkeypatch, settings
):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(stages, "record_splits", killed)
    with pytest.raises(KeyboardInterrupt):
        stages.do_stages(Config(**settings), RunDirectory(tmp_path / "run"))
    assert advice == []


def test_a_command_that_other_data_refuse_forgets_nothing(old_run, drawn):
    run_directory.mark_finished(old_run, "audit_test", OLD.stage_settings("audit"))
    old_run.splits.write_text('{"parts": 2, "images": 2}')
    before = run_directory.finished_stages(old_run)
    redo = Config(stages="audit", mu=0.3, audit="quick", overwrite=True)
    with pytest.raises(ValueError, match="The images are not those that"):
        stages.do_stages(redo, old_run)
    assert run_directory.finished_stages(old_run) == before
    assert run_directory.recorded_settings(old_run)["audit"] == OLD.audit != redo.audit
    # A training that replaces the old one takes any data.
    stages.forget(NEW, old_run, ["train"])
    assert not old_run.splits.exists()


def test_data_that_turn_out_to_be_of_no_faces_are_not_ranked_by_faces(tmp_path, monkeypatch):
    opened = types.SimpleNamespace(images=types.SimpleNamespace(has_faces=False))
    monkeypatch.setattr(stages.experiment, "load", lambda *_: opened)
    with pytest.raises(ValueError, match=r"--stages=sweep compares.*--dataset=celeba"):
        run(tmp_path, dataset="celeba", data_dir=str(tmp_path), **SWEEP)
    assert not (tmp_path / "run" / "config.json").exists()


def test_a_ranking_by_faces_of_a_builder_of_classes_is_refused_before_data_are_read(
    tmp_path, no_data
):
    with pytest.raises(ValueError, match=r"--stages=sweep compares.*--dataset=tfds:cifar10"):
        run(tmp_path, dataset="tfds:cifar10", **SWEEP)
    with pytest.raises(DataRead):
        run(tmp_path, dataset="tfds:celeb_a", **SWEEP)


def test_a_dry_run_of_several_workers_waits_for_none_and_trains_nothing(
    tmp_path, no_data, monkeypatch, capsys
):
    def wait(*_):
        raise AssertionError("this process would wait for the others")

    monkeypatch.setattr(stages.strategies, "start", wait)
    monkeypatch.setattr(stages.dry_run, "preview_words", lambda *_: "what would be done")
    run(tmp_path, stages="train", strategy="multi_worker", dry_run=True)
    assert capsys.readouterr().out == "what would be done\n"


@pytest.mark.parametrize("flag", ["workdir", "cache_dir"])
def test_a_file_in_place_of_a_folder_is_refused_before_data_are_read(tmp_path, no_data, flag):
    file = tmp_path / "file"
    file.touch()
    config = Config(**{"workdir": str(tmp_path / "run"), flag: str(file)}, stages="train")
    with pytest.raises(ValueError, match=f"--{flag}={file}: {file} is a file, expected a folder"):
        stages.run_stages(config, RunDirectory(type(tmp_path)(config.workdir)))


def test_printed_commands_can_be_pasted(tmp_path):
    folder = tmp_path / "my runs (1) $x"
    folder.mkdir()
    said = stages.summary(Config(workdir=str(folder)), RunDirectory(folder))
    command = next(line for line in said.splitlines() if line.startswith("TensorBoard"))
    assert shlex.split(command)[-1] == str(folder / "logs")
