"""Files of a run directory appear whole, and it remembers which stages are finished."""

import json

import pytest

from arl_tf.experiments import run_directory
from arl_tf.utils import files


def test_file_that_cannot_be_written_leaves_the_old_one_and_no_trace(tmp_path):
    path = tmp_path / "value.json"
    files.write_json(path, {"a": 1})
    with pytest.raises(ValueError):
        files.write_json(path, {"a": float("nan")})
    with pytest.raises(UnicodeEncodeError):
        files.write_text(path, "\ud800")
    assert json.loads(path.read_text()) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_finished_stages_are_remembered_and_forgotten(tmp_path):
    run = run_directory.RunDirectory(tmp_path)
    for stage in ("train", "audit_test", "export"):
        run_directory.mark_finished(run, stage, {"seed": 3})
    assert run_directory.finished_stages(run)["export"] == {"seed": 3}
    run_directory.forget_finished(run, "export")
    assert set(run_directory.finished_stages(run)) == {"train", "audit_test"}


def test_forgetting_the_training_forgets_all_that_builds_on_it(tmp_path):
    run = run_directory.RunDirectory(tmp_path)
    for stage in ("train", "audit_test", "export"):
        run_directory.mark_finished(run, stage, {})
    run_directory.forget_finished(run, "train")
    assert run_directory.finished_stages(run) == {}


def test_forgetting_what_never_was_writes_nothing(tmp_path):
    run_directory.forget_finished(run_directory.RunDirectory(tmp_path), "train")
    assert not list(tmp_path.iterdir())


def test_differing_settings_are_named_as_flags():
    then, now = {"seed": 0, "mu": 0.1}, {"seed": 1, "mu": 0.1}
    assert run_directory.differing_settings(then, now) == ["--seed=0 (now: 1)"]


@pytest.mark.parametrize(
    ("name", "then", "now"),
    [
        ("data_dir", "photos/", "photos"),
        ("data_dir", "photos", "./photos"),
        ("data_dir", "photos", "link"),
        ("distil_from", "runs/a,runs/b", "./runs/a,runs/../runs/b"),
    ],
)
def test_one_place_written_in_two_ways_is_one_setting(name, then, now, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "link").symlink_to("photos")
    for given in (now, str(tmp_path / "photos") if name == "data_dir" else now):
        assert run_directory.differing_settings({name: then}, {name: given}) == []


@pytest.mark.parametrize("now", ["", "other", "photos,photos"])
def test_other_places_and_none_differ(now):
    assert run_directory.differing_settings({"data_dir": "photos"}, {"data_dir": now}) == [
        f"--data_dir='photos' (now: {now!r})"
    ]
    assert run_directory.differing_settings({"distil_from": "a,b"}, {"distil_from": "b,a"})


def test_unreadable_config_is_named(tmp_path):
    run = run_directory.RunDirectory(tmp_path)
    assert run_directory.recorded_settings(run) == {}
    run.config.write_text("{")
    with pytest.raises(ValueError, match=r"config\.json is not JSON: .*delete it and give"):
        run_directory.recorded_settings(run)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (
            {"seed": 1, "novelty": 2},
            r"does not know \(novelty\): another version wrote it",
        ),
        ({"seed": "one"}, "can't be used: --seed must be of type int, got 'one'"),
        ({"encoder": "newer_net"}, "can't be used: --encoder must be one of"),
        ([], "has 'settings' that are no object"),
    ],
)
def test_config_of_another_version_is_refused_with_its_path(tmp_path, settings, words):
    run = run_directory.RunDirectory(tmp_path)
    files.write_json(run.config, {"settings": settings})
    with pytest.raises(ValueError, match=rf"config\.json.*{words}"):
        run_directory.recorded_settings(run)


def test_stages_without_settings_are_refused(tmp_path):
    run = run_directory.RunDirectory(tmp_path)
    files.write_json(run.stages, {"train": True})
    with pytest.raises(ValueError, match=r"stages\.json holds no settings for 'train'. Delete it"):
        run_directory.finished_stages(run)


def test_settings_hash_ignores_order_and_sees_values():
    assert run_directory.settings_hash({"a": 1, "b": 2}) == run_directory.settings_hash(
        {"b": 2, "a": 1}
    )
    assert run_directory.settings_hash({"a": 1}) != run_directory.settings_hash({"a": 2})
