"""kill -9 and a full disk in and between attackers: the report is that of an audit at one go."""

import json
import shutil

import numpy as np
import pytest
from faults import (
    TINY,
    Fault,
    finish,
    finish_tiny_run,
    jump,
    read_json,
    stop,
    timeless,
    unfinished,
)

ATTACK = "arl_tf.auditing.attack_runs:run_task"
ARRAYS = ("measures.npz", "resamples.npz", "reconstructions.npz")


def places(disk):
    """Where one command after the other ends, and how many of the four attacks it found done."""
    return {
        "its pictures written, but not named": (
            Fault("arl_tf.auditing.attack_store:np.savez_compressed", after=True),
            0,
        ),
        "no room for its pictures": (
            disk.full("arl_tf.auditing.attack_store:AttackStore.save"),
            0,
        ),
        "between two attackers": (Fault(ATTACK, call=2, years=10), 0),
        "inside the decoder's training": (
            Fault("arl_tf.attacks.decoder_training:averaged_loss", call=2),
            1,
        ),
        "while attacks are measured": (
            Fault("arl_tf.auditing.attack_store:AttackStore.save_measures", call=2, years=-10),
            1,
        ),
        "no room for the report": (disk.full("arl_tf.report.report_files:save_measures"), 4),
    }


def trained_only(whole, run):
    """Copies a finished run as it was before its audit."""
    shutil.copytree(whole, run)
    for folder in ("audit", "export", "logs"):
        shutil.rmtree(run / folder)
    (run / "decisions.json").unlink()
    for path in (run / "cache").glob("codes_*"):
        path.unlink()
    stages = {"train": read_json(run / "stages.json")["train"]}
    (run / "stages.json").write_text(json.dumps(stages))


@pytest.mark.slow
@pytest.mark.release
def test_an_audit_interrupted_at_every_turn_reports_what_one_that_was_not_reports(
    made_once, small_disk
):
    whole, run = made_once("tiny_run", finish_tiny_run) / "run", small_disk.folder / "run"
    trained_only(whole, run)
    flags = (*TINY, f"--workdir={run}", "--stages=audit")
    for number, (place, (fault, done)) in enumerate(places(small_disk).items()):
        said = stop(fault, *flags)
        small_disk.make_room()
        assert (f"{done} of 4 attacks are finished already" in said) is (done > 0), place
        assert ("Attack 1 of" in said) is (done < 4), place
        assert "audit_test" not in read_json(run / "stages.json"), place
        jump(run, years=(-10, 10)[number % 2])
    assert "Attack 1 of" not in finish(*flags)
    audit, expected = run / "audit", whole / "audit"
    found, report = (timeless(read_json(each / "report.json")) for each in (audit, expected))
    assert found == report
    for name in ARRAYS:
        with np.load(audit / name) as one, np.load(expected / name) as other:
            assert one.files == other.files
            for key in other.files:
                np.testing.assert_array_equal(one[key], other[key], err_msg=f"{name} {key}")
    grid = "reconstructions.png"
    assert (audit / grid).read_bytes() == (expected / grid).read_bytes()
    assert not unfinished(run)
