"""What a training may learn from: a teacher that may have seen this run's T is refused."""

import copy
import json

import pytest

from arl_tf.config.scopes import reference_values
from arl_tf.config.settings import Config
from arl_tf.experiments import train_stage
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.training import train

OWN = {
    "attributes": ["Male", "Smiling"],
    "task_kind": "multi_label",
    "files_sha256": "names",
    "pixels_sha256": "pixels",
    "parts": {
        name: {"images": 3, "files_sha256": name}
        for name in ("private_train", "private_validation", "public_train", "test")
    },
}


def teacher_of(folder, change):
    recorded = copy.deepcopy(OWN)
    change(recorded)
    (folder / "splits.json").write_text(json.dumps(recorded))
    return RunDirectory(folder)


def other_part(name):
    return lambda recorded: recorded["parts"][name].update(files_sha256="other")


@pytest.mark.parametrize("name", ["private_train", "public_train"])
def test_a_teacher_may_have_learned_from_fewer_images(tmp_path, name):
    train_stage.check_teacher(teacher_of(tmp_path, other_part(name)), OWN)


@pytest.mark.parametrize("name", ["private_validation", "test"])
def test_a_teacher_with_other_unseen_images_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match=rf"other images than this run in {name}: it may have"):
        train_stage.check_teacher(teacher_of(tmp_path, other_part(name)), OWN)


def test_a_teacher_of_other_pixels_is_refused_or_warned_of(tmp_path, caplog):
    changed = teacher_of(tmp_path, lambda recorded: recorded.update(pixels_sha256="other"))
    with pytest.raises(ValueError, match="same names, but with other pixels"):
        train_stage.check_teacher(changed, OWN)
    # Older runs recorded no pixels.
    train_stage.check_teacher(
        teacher_of(tmp_path, lambda recorded: recorded.pop("pixels_sha256")), OWN
    )
    assert not caplog.records
    more = teacher_of(
        tmp_path, lambda recorded: recorded.update(pixels_sha256="other", files_sha256="more")
    )
    train_stage.check_teacher(more, OWN)
    assert "can't be told whether" in caplog.text


def test_a_teacher_of_other_attributes_is_refused(tmp_path):
    teacher = teacher_of(tmp_path, lambda recorded: recorded["attributes"].reverse())
    with pytest.raises(ValueError, match="reads other attributes than this run"):
        train_stage.check_teacher(teacher, OWN)


def test_a_teacher_of_another_kind_of_task_is_refused(tmp_path):
    # Runs of before there were kinds do not say theirs.
    older = teacher_of(tmp_path, lambda recorded: recorded.pop("task_kind"))
    train_stage.check_teacher(older, OWN)
    with pytest.raises(ValueError, match="kind multi_label, this run single_label"):
        train_stage.check_teacher(older, OWN | {"task_kind": "single_label"})


def test_a_teacher_that_is_not_trained_is_refused_before_data_are_read(tmp_path):
    config = Config(distil_from=f"{tmp_path}/none")
    with pytest.raises(ValueError, match=r"none/checkpoints/encoder\.keras: the run is not"):
        train_stage.check(config, RunDirectory(tmp_path), ["train"])


def test_teachers_are_a_list_of_paths_each_cleaned(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    config = Config(distil_from="~/one, runs/two")
    assert config.teachers == ("/home/me/one", "runs/two")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"lambda_rate": 0.0}, "needs --lambda_rate > 0"),
        ({"warmup_epochs": 2}, "at most --warmup_epochs=2"),
        ({"warmup_epochs": 0, "epochs": 2}, "at most --epochs=2"),
    ],
)
def test_a_price_that_would_not_have_risen_in_time_is_refused(settings, words):
    values = {"code_noise": 1.0, "lambda_rate": 1e-4, "lambda_rate_epochs": 3}
    with pytest.raises(ValueError, match=words):
        Config(**(values | settings))


@pytest.mark.parametrize(
    ("warmup", "phase", "expected"),
    [(4, "task", 50), (4, "adversarial", 0), (0, "adversarial", 20), (0, "adversary", 0)],
)
def test_the_price_rises_in_the_first_phase_in_which_the_encoder_learns(warmup, phase, expected):
    values = {"code_noise": 1.0, "lambda_rate": 1e-4, "lambda_rate_epochs": 2, "epochs": 10}
    config = Config(warmup_epochs=warmup, **values)
    assert train.rising_steps(config, phase, 100) == expected


def test_the_reference_learns_from_labels_but_averages_its_weights_too():
    plain = reference_values(Config)
    assert plain["distil_from"] == "" and plain["lambda_rate_epochs"] == 0
    assert "weight_average" not in plain
