"""The study stage with a fake in place of training and audit."""

import dataclasses
import json

import numpy as np
import pytest
from memory_queue import MemoryQueue
from reports import report_content
from study_examples import record

from arl_tf.config.settings import Config
from arl_tf.data import image_sets, splits
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import studies, study, study_report, trial_forecast, trials
from arl_tf.experiments.sweeps.trial_queue import TrialQueue
from arl_tf.report import report_files
from arl_tf.utils import files

SMALL = {
    "stages": "study",
    "num_faces": 240,
    "image_size": 32,
    "warmup_epochs": 1,
    "epochs": 2,
    "point_epochs": 1,
}


@pytest.fixture
def work(monkeypatch):
    """Runs the stage on a directory; what it trained is in `done`, `fails` says what shall fail.

    `pages` holds what the stage had a page written of, in order; `write_page` writes one.
    """
    images = image_sets.ImageSet(
        images=np.zeros((240, 32, 32, 3), np.uint8),
        attributes=np.zeros((240, 3), np.uint8),
        identities=np.arange(240),
        attribute_names=("Male", "Young", "Smiling"),
        names=tuple(map(str, range(240))),
        bad_images=(),
        identities_known=False,
        other_attribute_names=("Eyeglasses",),
    )

    class Work:
        done, pages, fails = [], [], ()

        def __call__(self, folder, **values):
            config = Config(**SMALL | {"workdir": str(folder)} | values)
            parts = splits.split_by_identity(images.identities, config)
            study.run(Experiment(config, RunDirectory(folder), images, parts))
            return json.loads((folder / "study" / "study.json").read_text())

    worked = Work()
    worked.done, worked.pages = [], []

    def run_trial(base, root, point, load):
        run = RunDirectory(root / "points" / point.name)
        worked.done.append((point.label, base.point_epochs))
        state = "failed" if point.label in worked.fails else "finished"
        found = record(point.name, state, "ValueError: no" if state == "failed" else "")
        run.root.mkdir(parents=True, exist_ok=True)
        files.write_json(run.root / trials.RECORD, found)
        return found

    monkeypatch.setattr(trials, "run_trial", run_trial)
    monkeypatch.setattr(trial_forecast, "seconds_of_step", lambda *given: 1.0)
    monkeypatch.setattr(report_files, "read_content", lambda folder: report_content(0.4))
    # The database takes a second for a few points, and plots as long: one test has each for real.
    monkeypatch.setattr(study, "TrialQueue", MemoryQueue)
    monkeypatch.setattr(MemoryQueue, "kept", {})
    worked.write_page = study_report.write_page
    monkeypatch.setattr(study_report, "write_page", lambda *page: worked.pages.append(page))
    return worked


def labels(work):
    return [label for label, _ in work.done]


def test_every_point_is_done_once_and_the_page_shows_each_when_it_is_done(work, tmp_path):
    results = work(tmp_path, study="features")
    planned = studies.features(Config(), ())
    assert labels(work) == [point.label for point in planned]
    assert [row["label"] for row in results["points"]] == labels(work)
    assert {row["state"] for row in results["points"]} == {"finished"}
    assert results["measured_on"] == "validation" and results["findings"]
    states = [[row["state"] for row in shown["points"]] for shown, _ in work.pages]
    done = [each.count("finished") for each in states]
    assert done == [*range(1, len(planned) + 1), len(planned)]


def test_a_failed_point_does_not_stop_the_others_and_is_named_on_the_page(work, tmp_path):
    work.fails = ("attributes: 1",)
    results = work(tmp_path, study="tasks")
    states = {row["label"]: row["state"] for row in results["points"]}
    assert states.pop("attributes: 1") == "failed"
    assert set(states.values()) == {"finished"} and len(states) == 3
    work.write_page(*work.pages[-1])
    assert "ValueError: no" in (tmp_path / "study" / "report.html").read_text()
    assert {path.name for path in (tmp_path / "study").iterdir()} >= {
        "report.html",
        "study.svg",
        "study.png",
    }


def test_the_same_command_again_does_nothing_again(work, tmp_path):
    work.fails = ("attributes: 1",)
    first = work(tmp_path, study="tasks")
    done = len(work.done)
    assert work(tmp_path, study="tasks") == first
    assert len(work.done) == done


def test_overwrite_tries_the_failed_points_alone(work, tmp_path):
    work.fails = ("attributes: 1",)
    work(tmp_path, study="tasks")
    work.done, work.fails = [], ()
    results = work(tmp_path, study="tasks", overwrite=True)
    assert labels(work) == ["attributes: 1"]
    assert {row["state"] for row in results["points"]} == {"finished"}


@pytest.mark.slow
def test_a_killed_study_goes_on_with_its_queue_on_disk(work, tmp_path, monkeypatch):
    monkeypatch.setattr(study, "TrialQueue", TrialQueue)
    run_trial = trials.run_trial

    def killed(base, root, point, load):
        if len(work.done) == 2:
            raise KeyboardInterrupt
        return run_trial(base, root, point, load)

    monkeypatch.setattr(trials, "run_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        work(tmp_path, study="tasks")
    monkeypatch.setattr(trials, "run_trial", run_trial)
    results = work(tmp_path, study="tasks")
    assert sorted(labels(work)) == sorted(row["label"] for row in results["points"])


def test_another_study_in_the_same_directory_is_refused_and_nothing_lost(work, tmp_path):
    work(tmp_path, study="tasks")
    before = (tmp_path / "study" / "study.json").read_bytes()
    with pytest.raises(ValueError, match=r"holds the study 'tasks'.*--study=features"):
        work(tmp_path, study="features")
    assert (tmp_path / "study" / "study.json").read_bytes() == before


def test_the_same_study_of_other_settings_is_refused_and_overwrite_replaces_it(work, tmp_path):
    work(tmp_path, study="tasks")
    before = (tmp_path / "study" / "study.json").read_bytes()
    with pytest.raises(ValueError, match=r"--epochs=2 \(now: 3\).*another --workdir, or --overwr"):
        work(tmp_path, study="tasks", epochs=3)
    other = Config(**SMALL | {"study": "tasks", "epochs": 3})
    with pytest.raises(ValueError, match="holds results with"):
        study.check(other, RunDirectory(tmp_path), ["study"])
    assert (tmp_path / "study" / "study.json").read_bytes() == before
    results = work(tmp_path, study="tasks", epochs=3, overwrite=True)
    assert results["settings"]["epochs"] == 3


def test_a_study_whose_points_all_failed_ends_with_the_first_reason_and_has_its_page(
    work, tmp_path
):
    work(tmp_path / "before", study="tasks")
    work.fails = labels(work)
    with pytest.raises(ValueError, match=r"None of the 4 points of the study .*: no\."):
        work(tmp_path, study="tasks")
    shown, _ = work.pages[-1]
    assert {row["state"] for row in shown["points"]} == {"failed"}


def test_places_of_the_same_settings_are_one_point(work, tmp_path):
    results = work(tmp_path, study="data")
    names = {row["label"]: row["name"] for row in results["points"]}
    whole = ("X2: × 1", "X1: X1 × 1", "overlap: 0 % of X1", "domain: same domain")
    assert len({names[label] for label in whole}) == 1
    assert len(set(names.values())) == len(names) - 3 == len(work.done)


def test_a_point_may_have_task_epochs_of_its_own(work, tmp_path):
    work(tmp_path, study="defence", point_epochs=4, epochs=6)
    epochs = dict(work.done)
    assert epochs["ingredients: nothing more"] == epochs["ingredients: sign code"] == 10
    assert epochs["ingredients: toward_mean"] == 4


def test_points_of_the_same_data_share_what_is_loaded(monkeypatch, tmp_path):
    loaded = []
    monkeypatch.setattr(
        study, "load_audited_images", lambda *given: loaded.append(given) or "images"
    )
    monkeypatch.setattr(study, "split", lambda *given: (given[1], given[0]))
    study.load_once.cache_clear()
    first = Config(num_faces=300)
    same = dataclasses.replace(first, code_channels=8, epochs=1)
    other = dataclasses.replace(first, public_share=0.5)
    found = [study.load(config, str(tmp_path)) for config in (first, same, other)]
    study.load_once.cache_clear()
    assert found[0] is found[1] and len(loaded) == 2
    assert found[2][1].public_share == 0.5
