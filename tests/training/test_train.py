"""Training as a whole: a killed run continues, a diverging one stops, phases follow the plan."""

import json
import signal
import zipfile

import keras
import numpy as np
import pytest
from commands import run_module
from conftest import run_main

from arl_tf.config.settings import Config
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.metrics.tasks.multi_label import MultiLabel
from arl_tf.training import building, callbacks, checkpoints, learner, train
from arl_tf.utils import run_files


@pytest.mark.slow
def test_run_killed_in_mid_epoch_continues_to_the_same_bits(smoke_run, tmp_path):
    uninterrupted, _ = smoke_run
    workdir = tmp_path / "run"
    flags = (
        "--flagfile=configs/smoke.cfg",
        f"--workdir={workdir}",
        "--stages=train",
        "--deterministic",
    )
    killed = run_module("tests.helpers.processes.killed_run", *flags)
    assert killed.returncode == -signal.SIGKILL, killed.stderr[-2000:]
    assert not (workdir / "checkpoints" / "encoder.keras").exists()
    resumed = run_main(*flags)
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    assert "Resuming after epoch 1" in resumed.stderr
    for player in train.KEPT_PLAYERS:
        expected = checkpoints.load_player(uninterrupted / "checkpoints" / f"{player}.keras")
        found = checkpoints.load_player(workdir / "checkpoints" / f"{player}.keras")
        for one, other in zip(expected.get_weights(), found.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    lines = (workdir / "metrics.jsonl").read_text().splitlines()
    epochs = [json.loads(line)["epoch"] for line in lines]
    assert epochs == [1, 2, 3, 4]


def test_unfinished_training_is_not_continued_with_other_settings(tmp_path):
    workdir = tmp_path / "run"
    (workdir / "checkpoints").mkdir(parents=True)
    settings = {"mu": 0.5}
    (workdir / "config.json").write_text(json.dumps({"settings": settings}))
    refused = run_main(f"--workdir={workdir}", "--stages=train", "--mu=0.25")
    assert refused.returncode == 2
    assert "--mu=0.5 (now: 0.25)" in refused.stderr


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, [(learner.TASK, 4), (learner.ADVERSARY, 2), (learner.ADVERSARIAL, 6)]),
        ({"defence": "none"}, [(learner.TASK, 4)]),
        ({"decoder_warmup_epochs": 0}, [(learner.TASK, 4), (learner.ADVERSARIAL, 6)]),
    ],
)
def test_phases_follow_the_settings(settings, expected):
    config = Config(warmup_epochs=4, epochs=6, **{"decoder_warmup_epochs": 2, **settings})
    assert train.phases(config) == expected


@pytest.mark.parametrize("name", sorted(callbacks.REMEDIES))
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_loss_that_is_not_finite_stops_training_and_says_what_to_lower(name, value):
    with pytest.raises(callbacks.TrainingDiverged, match=rf"{name} is .*: training diverged.*--"):
        callbacks.check_losses({"loss": 0.5, name: value}, "step 3")


def test_absurd_task_loss_counts_as_diverged_and_healthy_ones_do_not():
    with pytest.raises(callbacks.TrainingDiverged, match="task_loss is 7"):
        callbacks.check_losses({"loss": 7.0, "task_loss": 7.0}, "step 3")
    callbacks.check_losses({"loss": -1.2, "task_loss": 0.6, "privacy_loss": -1.8}, "step 3")


def test_mean_image_is_the_mean_of_the_chosen_rows():
    images = np.zeros((3, 2, 2, 3), np.uint8)
    images[1], images[2] = 51, 255
    np.testing.assert_allclose(building.mean_image(images, np.array([0, 1])), 0.1, atol=1e-7)


def test_lines_of_epochs_that_were_not_saved_are_dropped(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"epoch": 2}\n{"epoch": 3')
    callbacks.drop_lines_after(path, 1)
    assert path.read_text() == '{"epoch": 1}\n'


def test_only_the_last_two_checkpoints_are_kept_and_the_newest_is_found(tmp_path):
    class Learner:
        phase, variables = learner.TASK, ()

        def save_weights(self, path):
            path.write_text("weights")

    assert checkpoints.newest_first(tmp_path) == []
    for epoch in (1, 2, 3, 10):
        checkpoints.save(tmp_path, Learner(), epoch=epoch)
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["epoch_00003", "epoch_00010"]
    newest, older = checkpoints.newest_first(tmp_path)
    assert (newest.name, older.name) == ("epoch_00010", "epoch_00003")
    assert (newest / checkpoints.WEIGHTS).read_text() == "weights"
    assert checkpoints.read_state(newest) == {"epoch": 10, "phase": learner.TASK}


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_checkpoint_takes_no_more_room_than_is_asked_for(tmp_path):
    model = keras.Sequential([keras.Input((700,)), keras.layers.Dense(700), keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam())
    model.optimizer.build(model.trainable_variables)
    model.phase = learner.TASK
    checkpoints.save(tmp_path, model, epoch=1)
    size = (tmp_path / "epoch_00001" / checkpoints.WEIGHTS).stat().st_size
    numbers = 700 * 700 + 700 + 701
    # Weights and two moments; what may be there besides is an average.
    assert 3 * 4 * numbers < size <= checkpoints.most_bytes(model)
    assert checkpoints.most_bytes(model) == 4 * 4 * numbers + checkpoints.OVERHEAD


def test_checkpoint_that_was_cut_off_does_not_count(tmp_path):
    (tmp_path / ".unfinished_00004").mkdir()
    assert checkpoints.newest_first(tmp_path) == []


# Keras' own: numpy 2.4 asks variables for a copy that they don't know of.
KERAS_SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


def small_learner(monkeypatch):
    """A learner whose checkpoints `train.restore` can load, and the settings for it."""
    config = Config(warmup_epochs=4, defence="none")
    monkeypatch.setattr(train, "compile_phase", lambda *given: None)
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.phase = learner.TASK
    return model, config


def saved_twice(folder, model):
    """Two checkpoints, their kernels all 3 and all 4."""
    for epoch in (3, 4):
        model.set_weights([np.full((2, 1), epoch), np.zeros(1)])
        checkpoints.save(folder, model, epoch=epoch)
    model.set_weights([np.zeros((2, 1)), np.zeros(1)])


def broken(path, damage):
    """A file damaged in one of the usual ways."""
    content = path.read_bytes()
    path.write_bytes(DAMAGES[damage](content))


DAMAGES = {
    "empty": lambda content: b"",
    "pointer": lambda content: run_files.POINTER + b"v1\noid sha256:0\nsize 9\n",
    "cut off": lambda content: content[: len(content) // 2],
    "garbage": lambda content: bytes(range(256)) * 8,
}


@KERAS_SAVES
@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", [checkpoints.WEIGHTS, checkpoints.STATE])
def test_older_checkpoint_is_used_where_the_newest_is_damaged(
    tmp_path, monkeypatch, caplog, name, damage
):
    model, config = small_learner(monkeypatch)
    run = RunDirectory(tmp_path)
    saved_twice(run.checkpoints, model)
    broken(run.checkpoints / "epoch_00004" / name, damage)
    assert train.restore(model, config, run, 1, MultiLabel()) == 3
    np.testing.assert_array_equal(model.get_weights()[0], np.full((2, 1), 3))
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warned) == 1 and f"epoch_00004/{name}" in warned[0]


@KERAS_SAVES
def test_checkpoint_of_another_phase_plan_is_not_used(tmp_path, monkeypatch):
    model, config = small_learner(monkeypatch)
    run = RunDirectory(tmp_path)
    saved_twice(run.checkpoints, model)
    (run.checkpoints / "epoch_00004" / checkpoints.STATE).write_text('{"epoch": 4, "phase": "x"}')
    assert train.restore(model, config, run, 1, MultiLabel()) == 3


@KERAS_SAVES
def test_training_does_not_begin_anew_where_no_checkpoint_can_be_read(tmp_path, monkeypatch):
    model, config = small_learner(monkeypatch)
    run = RunDirectory(tmp_path)
    assert train.restore(model, config, run, 1, MultiLabel()) == 0
    saved_twice(run.checkpoints, model)
    for checkpoint in checkpoints.newest_first(run.checkpoints):
        (checkpoint / checkpoints.WEIGHTS).unlink()
    with pytest.raises(ValueError, match=r"can be read \(epoch_00004, epoch_00003\).*--overwrite"):
        train.restore(model, config, run, 1, MultiLabel())


@KERAS_SAVES
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_player_is_named_with_the_remedy_before_and_at_loading(tmp_path, damage):
    path = tmp_path / "encoder.keras"
    checkpoints.save_player(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), path)
    broken(path, damage)
    for read in (checkpoints.require_player, checkpoints.load_player):
        with pytest.raises(ValueError, match=r"encoder\.keras .*Put back an intact copy") as raised:
            read(path)
        assert "\n" not in str(raised.value)


def test_external_archives_are_no_players(tmp_path):
    path = tmp_path / "encoder.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photo.jpg", b"none")
    with pytest.raises(ValueError, match=r"\.keras can't be read: .*Put back an intact copy"):
        checkpoints.load_player(path)


def test_lines_of_metrics_that_cannot_be_read_go_with_a_warning(tmp_path, caplog):
    path = tmp_path / "metrics.jsonl"
    path.write_bytes(b'{"epoch": 1}\n\xff\xfe\n[]\n{"epoch": 2}\n{"epoch": 3}\n{"epo')
    callbacks.drop_lines_after(path, 2)
    assert path.read_text() == '{"epoch": 1}\n{"epoch": 2}\n'
    assert "2 of 6 lines can't be read" in caplog.text


def test_missing_player_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"encoder\.keras.*--stages=train first"):
        checkpoints.load_player(tmp_path / "encoder.keras")
