"""kill -9 and a full disk in a sweep, study, bench: it ends, and no point is done twice.

What trainings, audits and the export make is copied from one finished run: what is looked at is
which process does which point, and when.
"""

import dataclasses

import pytest
from faults import (
    NONE,
    TINY,
    Fault,
    finish,
    finish_tiny_run,
    read_json,
    stop,
    timeless,
    unfinished,
)

TRAIN, AUDIT = "arl_tf.experiments.train_stage:run", "arl_tf.experiments.audit_stage:run"
TOLD = "arl_tf.experiments.sweeps.trial_queue:TrialQueue.finish"
SWEEP = ("--stages=sweep", "--sweep=lambda_perceptual=0.02|0.2", "--target=mean_mcc>=-1")
BENCH = ("--stages=bench", "--bench_defences=none", "--bench_seeds=1")


@pytest.fixture
def finished(made_once):
    """The run that every training and every audit copies."""
    return made_once("tiny_run", finish_tiny_run) / "run"


def sweep_places(disk):
    """Where one command after the other ends, from the shared encoder to the delivery."""
    return {
        "before the shared encoder": Fault(TRAIN),
        "the shared encoder trained, but not noted": Fault(TRAIN, after=True),
        "the reference audited, but not noted": Fault(AUDIT, after=True),
        "before the first point": Fault(TRAIN),
        "no room for the first point's audit": disk.full(AUDIT),
        "the first point recorded, but not told to the queue": Fault(TOLD),
        "inside the second point": Fault(AUDIT, after=True),
        "before the chosen point's audit on T": Fault(
            "arl_tf.experiments.sweeps.final_audits:ensure", call=2
        ),
        "before the export": Fault("arl_tf.experiments.export_stage:run"),
    }


def interrupt(faults, finished, *flags, room=lambda: None):
    """Runs a command again and again, with a fault each time, and at last without one."""
    for fault in faults:
        stop(dataclasses.replace(fault, finished=str(finished)), *flags)
        room()
    finish(*flags, fault=dataclasses.replace(NONE, finished=str(finished)))


def work_of(root):
    """Names of the folders in which something was trained or audited, by kind."""
    kinds = ("points", "shared", "references")
    return {kind: sorted(path.name for path in (root / kind).iterdir()) for kind in kinds}


@pytest.mark.slow
@pytest.mark.release
def test_a_sweep_interrupted_at_every_turn_chooses_and_exports_what_one_that_was_not_does(
    finished, small_disk, tmp_path
):
    run, whole = small_disk.folder / "run", tmp_path / "whole"
    flags = (*TINY, *SWEEP, f"--workdir={run}")
    interrupt(sweep_places(small_disk).values(), finished, *flags, room=small_disk.make_room)
    interrupt([], finished, *TINY, *SWEEP, f"--workdir={whole}")
    found, expected = (read_json(root / "sweep" / "sweep.json") for root in (run, whole))
    assert [point["state"] for point in found["points"]] == ["finished", "finished"]
    for key in ("points", "references"):
        assert timeless(found[key]) == timeless(expected[key])
    chosen, other = (read_json(root / "sweep" / "chosen.json") for root in (run, whole))
    assert chosen == other
    assert work_of(run) == work_of(whole)
    assert (run / "export" / "manifest.json").exists()
    for kind in ("points", "shared", "references"):
        assert not unfinished(run / kind)


@pytest.mark.slow
@pytest.mark.release
def test_a_bench_that_was_killed_goes_on_and_has_its_point_once(finished, tmp_path):
    flags = (*TINY, *BENCH, f"--workdir={tmp_path}")
    interrupt([Fault(AUDIT, after=True), Fault(TRAIN), Fault(TOLD)], finished, *flags)
    assert read_json(tmp_path / "bench" / "bench.json")["progress"]["is_complete"]
    assert {kind: len(names) for kind, names in work_of(tmp_path).items()} == {
        "points": 1,
        "shared": 1,
        "references": 1,
    }


@pytest.mark.slow
@pytest.mark.release
def test_a_study_that_was_killed_goes_on_and_has_each_point_once(finished, faces_folder, tmp_path):
    data = ("--dataset=celeba", f"--data_dir={faces_folder}")
    flags = (*TINY, *data, "--stages=study", "--study=tasks", f"--workdir={tmp_path}")
    interrupt([Fault(TRAIN, call=2), Fault(AUDIT, call=2), Fault(TOLD)], finished, *flags)
    points = read_json(tmp_path / "study" / "study.json")["points"]
    assert [point["state"] for point in points] == ["finished", "finished"]
    assert work_of(tmp_path)["points"] == sorted(point["name"] for point in points)
