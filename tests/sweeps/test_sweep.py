"""The sweep stage with fakes for training and audits: results, the choice, the promise on T."""

import dataclasses
import functools
import json

import filelock
import pytest
from sweeps import audit

from arl_tf.config import inheritance
from arl_tf.config.settings import Config
from arl_tf.experiments import run_directory
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import (
    final_audits,
    sweep,
    sweep_plot,
    target,
    trial_queue,
    trials,
)
from arl_tf.report import report_files
from arl_tf.utils import files

pytestmark = pytest.mark.slow

# code_noise -> (mean MCC, leakage) on validation.
FIGURES = {0.0: (0.6, 0.6), 1.0: (0.5, 0.2), 2.0: (0.4, 0.1)}


@pytest.fixture
def made(monkeypatch):
    """Fakes; notes the (split, code_noise, folder) of every audit, and what was exported.

    Files of plots are written where a test sets the noted `write_files` back.
    """
    notes = {"audits": [], "exported": [], "shift_on_test": 0.0, "references": []}
    notes["is_current"] = False

    def train(experiment):
        experiment.run.checkpoints.mkdir(parents=True)

    def audit_stage(experiment):
        config, run = experiment.config, experiment.run
        notes["references"].append((config.audit_split, config.reference))
        notes["audits"].append((config.audit_split, config.code_noise, run.root.parent.name))
        mcc, leakage = FIGURES[config.code_noise]
        shift = notes["shift_on_test"] if config.audit_split == "test" else 0.0
        content = audit(mcc, leakage + shift)
        files.write_json(run.audit(config.audit_split) / report_files.REPORT_JSON, content)

    monkeypatch.setattr(trials.train_stage, "run", train)
    monkeypatch.setattr(trials.audit_stage, "run", audit_stage)
    described = {"parts": "same", "pixels_sha256": "same", "labels_sha256": {}}
    monkeypatch.setattr(trials.splits, "describe_splits", lambda parts, images: described)
    # The database is opened once a folder and not at every step, which takes as long as its making.
    monkeypatch.setattr(trial_queue, "storage", functools.cache(trial_queue.storage))
    notes["write_files"] = sweep_plot.write_files
    monkeypatch.setattr(sweep_plot, "write_files", lambda figure, folder, name: None)
    monkeypatch.setattr(sweep.export_stage, "is_current", lambda chosen: notes["is_current"])
    return notes


def run_sweep(tmp_path, made, **settings):
    config = Config(
        **{
            "dataset": "faces",
            "stages": "sweep",
            "sweep": "code_noise=0|1|2",
            "workdir": str(tmp_path),
            **settings,
        }
    )

    def export(experiment):
        made["exported"].append((experiment.config.code_noise, experiment.run.export))
        with pytest.raises(filelock.Timeout):
            filelock.FileLock(tmp_path / "sweep" / sweep.DELIVERY).acquire(timeout=0)
        made["locked"] = True

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(sweep.export_stage, "run", export)
        sweep.run(Experiment(config, RunDirectory(tmp_path), None, None))
    return json.loads((tmp_path / "sweep" / "sweep.json").read_text())


def choice_of(tmp_path):
    return json.loads((tmp_path / "sweep" / "chosen.json").read_text())


def test_sweep_writes_results_page_and_plots_and_never_reads_t(tmp_path, made, monkeypatch):
    monkeypatch.setattr(sweep_plot, "write_files", made["write_files"])
    found = run_sweep(tmp_path, made)
    assert [p["settings"]["code_noise"] for p in found["points"]] == [0, 1, 2]
    assert all(point["on_front"] for point in found["points"])
    assert {split for split, _, _ in made["audits"]} == {"validation"}
    for name in ("sweep.html", "front.svg", "front.png"):
        assert (tmp_path / "sweep" / name).stat().st_size > 0
    assert made["exported"] == [] and not (tmp_path / "sweep" / "chosen.json").exists()


def test_second_run_audits_nothing_anew(tmp_path, made):
    first = run_sweep(tmp_path, made)
    audits = len(made["audits"])
    assert run_sweep(tmp_path, made) == first and len(made["audits"]) == audits


def test_point_that_fails_is_in_the_results_with_its_reason(tmp_path, made):
    found = run_sweep(tmp_path, made, sweep="code_levels=0|1")
    assert [point["state"] for point in found["points"]] == ["finished", "failed"]
    assert "--code_levels=1" in found["points"][1]["message"]


def test_sweep_whose_points_all_failed_ends_with_the_first_reason_and_has_its_page(tmp_path, made):
    with pytest.raises(
        ValueError, match=r"None of the 1 points of the sweep .* failed with ValueErr.*=1"
    ):
        run_sweep(tmp_path, made, sweep="code_levels=1", target="mean_mcc>=0.1")
    assert "--code_levels=1" in (tmp_path / "sweep" / "sweep.html").read_text()


def test_another_sweep_is_refused_in_words_before_data_are_read_and_nothing_is_lost(tmp_path, made):
    run_sweep(tmp_path, made, target="leakage.face_similarity<=0.25")
    before = [(tmp_path / "sweep" / name).read_bytes() for name in ("sweep.json", "chosen.json")]
    others = (
        ({"epochs": 77}, r"--epochs=\d+ \(now: 77\)"),
        ({"sweep": "code_noise=0|1"}, r"--sweep='code_noise=0\|1\|2' \(now: 'code_noise=0\|1'\)"),
        ({"sweep_trials": 2}, r"--sweep_trials=0 \(now: 'any number'\)"),
    )
    for changes, message in others:
        with pytest.raises(ValueError, match=f"{message}.*another --workdir, or --overwrite"):
            run_sweep(tmp_path, made, **changes)
        config = Config(**{"stages": "sweep", "sweep": "code_noise=0|1|2", **changes})
        with pytest.raises(ValueError, match="holds results with"):
            sweep.check(config, RunDirectory(tmp_path), [])
    after = [(tmp_path / "sweep" / name).read_bytes() for name in ("sweep.json", "chosen.json")]
    assert after == before


def test_overwrite_replaces_another_sweep_and_forgets_its_choice(tmp_path, made):
    run_sweep(tmp_path, made, target="leakage.face_similarity<=0.25")
    found = run_sweep(tmp_path, made, sweep="code_noise=0|1", overwrite=True)
    assert len(found["points"]) == 2 and not (tmp_path / "sweep" / "chosen.json").exists()


def test_sweep_of_an_older_version_goes_on(tmp_path, made):
    found = run_sweep(tmp_path, made)
    del found["settings"]
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(found))
    assert run_sweep(tmp_path, made)["settings"]["sweep"] == "code_noise=0|1|2"


def test_directory_is_the_sweep_s_own_before_its_first_point_is_done(tmp_path, made, monkeypatch):
    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(trials, "run_trial", killed)
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tmp_path, made)
    with pytest.raises(ValueError, match=r"--epochs=\d+ \(now: 77\)"):
        run_sweep(tmp_path, made, epochs=77)


def test_chosen_point_is_exported_once_and_again_where_its_export_is_another(tmp_path, made):
    wanted = "leakage.face_similarity<=0.25"
    # Whatever lies there is of no earlier choice.
    made["is_current"] = True
    run_sweep(tmp_path, made, target=wanted)
    run_sweep(tmp_path, made, target=wanted)
    assert len(made["exported"]) == 1
    run_sweep(tmp_path, made, target="leakage.face_similarity<=0.15")
    assert [noise for noise, _ in made["exported"]] == [1.0, 2.0]
    made["is_current"] = False
    run_sweep(tmp_path, made, target="leakage.face_similarity<=0.15")
    assert [noise for noise, _ in made["exported"]] == [1.0, 2.0, 2.0]


def test_target_that_holds_is_promised_audited_once_and_exported(tmp_path, made, capsys):
    run_sweep(tmp_path, made, target="leakage.face_similarity<=0.25")
    chosen = choice_of(tmp_path)
    assert chosen["held"] and chosen["promise"].startswith(
        "The target is met on the test images (T)"
    )
    assert made["exported"] == [(1.0, tmp_path / "export")]
    # No other process can choose meanwhile.
    assert made["locked"]
    on_test = [entry[1:] for entry in made["audits"] if entry[0] == "test"]
    assert on_test == [(0.0, "references"), (1.0, "points")]
    assert chosen["points_audited_on_test"] == 1
    assert "The target is met on the test images (T)" in capsys.readouterr().out
    assert chosen["promise"] in (tmp_path / "sweep" / "sweep.html").read_text().replace("&lt;", "<")


def test_promise_that_breaks_on_t_is_said_plainly(tmp_path, made, capsys):
    made["shift_on_test"] = 0.2
    run_sweep(tmp_path, made, target="leakage.face_similarity<=0.25")
    chosen = choice_of(tmp_path)
    assert not chosen["held"] and "leakage.face_similarity is 0.400" in chosen["promise"]
    assert "The target is NOT met on the test images (T)" in capsys.readouterr().out


def test_sweep_that_was_moved_audits_t_beside_the_reference_where_it_is_now(tmp_path, made):
    run_sweep(tmp_path / "before", made)
    (tmp_path / "before").rename(tmp_path / "after")
    run_sweep(tmp_path / "after", made, target="leakage.face_similarity<=0.25")
    on_test = [path for split, path in made["references"] if split == "test"]
    (reference,) = (tmp_path / "after" / "references").glob("*/")
    assert on_test == ["", str(reference)]


def test_utility_target_takes_the_least_leakage(tmp_path, made):
    run_sweep(tmp_path, made, target="mean_mcc>=0.8*reference")
    assert made["exported"][0][0] == 1.0


def test_where_none_qualifies_nothing_is_exported_and_t_stays_unread(tmp_path, made):
    with pytest.raises(target.NoPointQualifiesError, match="The nearest is code_noise=2"):
        run_sweep(tmp_path, made, target="leakage.face_similarity<=0.05")
    assert made["exported"] == [] and not (tmp_path / "sweep" / "chosen.json").exists()
    assert "test" not in {split for split, _, _ in made["audits"]}
    assert (tmp_path / "sweep" / "sweep.html").exists()


def test_choice_waits_for_points_of_other_processes(tmp_path, made, capsys):
    config = Config(dataset="faces", stages="sweep", sweep="code_noise=0|1", workdir=str(tmp_path))
    queue = sweep.open_queue(config, RunDirectory(tmp_path))
    queue.enqueue([trials.named_trial(config, {"code_noise": noise}) for noise in (0.0, 1.0)])
    held = queue.claim()
    run_sweep(tmp_path, made, sweep=config.sweep, target="leakage.face_similarity<=0.9")
    assert "1 points are still running in other processes" in capsys.readouterr().out
    assert made["exported"] == [] and held.point.overrides == {"code_noise": 0.0}


def test_sampled_sweep_has_as_many_points_as_asked(tmp_path, made):
    found = run_sweep(tmp_path, made, sweep="code_noise=0|1|2", sweep_trials=4)
    assert 1 <= len(found["points"]) <= 3
    assert {point["state"] for point in found["points"]} == {"finished"}


def test_sampled_sweep_may_be_given_more_points_and_a_later_command_knows_their_number(
    tmp_path, made
):
    run_sweep(tmp_path, made, sweep="code_noise=0|1|2", sweep_trials=1)
    done = len(made["audits"])
    found = run_sweep(tmp_path, made, sweep="code_noise=0|1|2", sweep_trials=6)
    assert len(found["points"]) > 1 and len(made["audits"]) > done
    assert "sweep_trials" in inheritance.inheritable_names()


def test_sweep_that_can_not_be_run_is_refused_before_data_are_read(tmp_path):
    config = Config(stages="sweep", sweep="code_noise=0..1")
    with pytest.raises(ValueError, match="--sweep_trials=N"):
        sweep.check(config, RunDirectory(tmp_path), [])
    sweep.check(dataclasses.replace(config, sweep_trials=2), RunDirectory(tmp_path), [])


def test_export_takes_the_gate_s_settings_from_the_present_command(tmp_path):
    run = RunDirectory(tmp_path)
    old = Config(require="mean_mcc>=0.1", code_noise=2.0)
    run_directory.write_config(run, old)
    now = Config(require="face_similarity<=0.3", allow_unaudited=True, code_noise=0.0)
    found = final_audits.recorded_config(run, **sweep.export_settings(now))
    assert (found.require, found.allow_unaudited) == ("face_similarity<=0.3", True)
    assert found.code_noise == 2.0
