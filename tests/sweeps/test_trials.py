"""Operating points, with training and audits replaced by fakes that note what they were asked."""

import dataclasses
import json
import pathlib

import pytest

from arl_tf.config.settings import Config
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import trials

BASE = Config(dataset="faces", point_epochs=1, warmup_epochs=4, audit="full")


@pytest.fixture
def calls(monkeypatch):
    """(what, config, run) of every training and audit; a code_noise of 3 can't be trained."""
    made = []

    def train(experiment):
        config, run = experiment.config, experiment.run
        made.append(("train", config, run))
        if config.code_noise == 3:
            raise ValueError("too much noise")
        run.checkpoints.mkdir(parents=True)
        for player in ("encoder", "task_head"):
            run.player(player).write_text("weights")

    def audit(experiment):
        made.append(("audit", experiment.config, experiment.run))

    monkeypatch.setattr(trials.train_stage, "run", train)
    monkeypatch.setattr(trials.audit_stage, "run", audit)
    described = {"parts": "same", "pixels_sha256": "same", "labels_sha256": {}}
    monkeypatch.setattr(trials.splits, "describe_splits", lambda parts, images: described)
    return made


def run(root, base=BASE, **overrides):
    chosen = trials.named_trial(base, overrides)
    return trials.run_trial(base, root, chosen, lambda config: (None, None))


def folders(calls, what):
    return [found.root.parent.name for kind, _, found in calls if kind == what]


def test_shared_encoder_is_trained_once_and_points_start_from_it(tmp_path, calls):
    records = [run(tmp_path, code_noise=noise) for noise in (0.5, 1.0)]
    assert folders(calls, "train") == ["shared", "points", "points"]
    assert folders(calls, "audit") == ["references", "points", "points"]
    shared = tmp_path / "shared" / records[0]["shared"]
    trained = [config for what, config, _ in calls if what == "train"]
    assert trained[0].defence == "none" and trained[0].code_noise == 0
    assert [config.warmup_epochs for config in trained] == [4, 1, 1]
    assert [config.warm_start for config in trained] == ["", str(shared), str(shared)]
    assert [config.code_noise for config in trained[1:]] == [0.5, 1.0]
    audited = [config for what, config, _ in calls if what == "audit"]
    reference = str(tmp_path / "references" / records[0]["reference"])
    assert [config.reference for config in audited] == ["", reference, reference]


def test_other_shape_has_a_shared_encoder_of_its_own(tmp_path, calls):
    first, second = (run(tmp_path, code_channels=channels) for channels in (8, 16))
    assert first["shared"] != second["shared"]
    assert folders(calls, "train") == ["shared", "points"] * 2


def test_other_data_by_the_same_names_have_a_shared_encoder_of_their_own(tmp_path, calls):
    first = run(tmp_path, code_noise=1.0)
    for changes in ({"pixels_sha256": "other"}, {"labels_sha256": {"Male": "other"}}):
        with pytest.MonkeyPatch.context() as patched:
            described = trials.splits.describe_splits(None, None) | changes
            patched.setattr(trials.splits, "describe_splits", lambda *_, found=described: found)
            other = run(tmp_path, code_noise=1.0, code_channels=8 * len(calls))
        assert other["shared"] != first["shared"] and other["reference"] != first["reference"]


def test_test_set_is_never_audited_and_the_level_is_quick(tmp_path, calls):
    run(tmp_path, base=dataclasses.replace(BASE, audit_split="test"), code_noise=1.0)
    audited = [config for what, config, _ in calls if what == "audit"]
    assert {(c.audit_split, c.audit) for c in audited} == {("validation", "quick")}


def test_finished_point_is_not_redone(tmp_path, calls):
    first = run(tmp_path, code_noise=1.0)
    done = len(calls)
    assert run(tmp_path, code_noise=1.0) == first and len(calls) == done


def test_point_that_was_killed_after_training_is_only_audited(tmp_path, calls, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(
            trials, "ensure_audited", lambda e: killed() if "points" in str(e.run.root) else None
        )
        run(tmp_path, code_noise=1.0)
    trained = folders(calls, "train")
    assert run(tmp_path, code_noise=1.0)["state"] == "finished"
    assert folders(calls, "train") == trained


def test_training_that_was_killed_goes_on_though_a_twin_has_finished(tmp_path, calls):
    base = dataclasses.replace(BASE, attackers="linear")
    twin = run(tmp_path, code_noise=1.0)
    half = RunDirectory(tmp_path / "points" / trials.named_trial(base, {"code_noise": 1.0}).name)
    half.checkpoints.mkdir(parents=True)
    assert half.root.name != twin["name"]
    trained = []

    def finish(experiment):
        run = experiment.run
        trained.append(run.root)
        for player in ("encoder", "task_head"):
            run.player(player).write_text("weights")

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(trials.train_stage, "run", finish)
        assert run(tmp_path, base, code_noise=1.0)["state"] == "finished"
    assert trained == [half.root]


def test_failure_is_recorded_with_its_reason_and_the_next_point_runs(tmp_path, calls):
    failed = run(tmp_path, code_noise=3.0)
    assert (failed["state"], failed["message"]) == ("failed", "ValueError: too much noise")
    kept = json.loads((tmp_path / failed["directory"] / "point.json").read_text())
    assert kept == failed
    assert run(tmp_path, code_noise=1.0)["state"] == "finished"


def test_impossible_settings_are_recorded_before_anything_is_trained(tmp_path, calls):
    failed = run(tmp_path, code_levels=1)
    assert failed["state"] == "failed" and "--code_levels=1 leaves one value" in failed["message"]
    assert calls == []


def test_same_settings_have_the_same_name_and_others_another():
    one, same, other = (
        trials.named_trial(BASE, {"code_noise": noise}) for noise in (1.0, 1.0, 2.0)
    )
    assert one == same and one.name != other.name
    seeded = trials.named_trial(dataclasses.replace(BASE, seed=BASE.seed + 1), {"code_noise": 1.0})
    assert seeded.name != one.name


def test_name_of_a_point_is_a_plain_folder():
    name = trials.named_trial(BASE, {"task_attributes": "../a,b/c"}).name
    assert pathlib.PurePath(name).parts == (name,)


def test_seconds_are_unknown_where_a_killed_process_did_a_part(tmp_path):
    found = RunDirectory(tmp_path)
    trials.timed(found, "train", tmp_path / "traces", lambda: None)
    (tmp_path / "traces").mkdir()
    trials.timed(found, "audit", tmp_path / "traces", lambda: None)
    seconds = trials.read_seconds(found)
    assert seconds["train"] >= 0 and seconds["audit"] is None


def test_players_are_adopted_whole_and_only_once(tmp_path):
    trained, run_directory = (RunDirectory(tmp_path / name) for name in ("trained", "run"))
    trained.checkpoints.mkdir(parents=True)
    trained.player("encoder").write_text("weights")
    trials.run_directory.mark_finished(trained, "train", {"seed": 1})
    trials.adopt(trained, run_directory)
    assert run_directory.player("encoder").read_text() == "weights"
    assert trials.run_directory.finished_stages(run_directory) == {"train": {"seed": 1}}
    # Killed between the copy and the note of it.
    run_directory.stages.unlink()
    trials.adopt(trained, run_directory)
    assert trials.run_directory.finished_stages(run_directory) == {"train": {"seed": 1}}
    trained.player("encoder").write_text("others")
    trials.adopt(trained, run_directory)
    assert run_directory.player("encoder").read_text() == "weights"
    assert not list(tmp_path.rglob("unfinished*"))
