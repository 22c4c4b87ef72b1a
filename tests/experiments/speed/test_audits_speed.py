"""Figures of audits: composed by hand from seconds; one audit of a few faces, for real."""

import pytest

from arl_tf.auditing import attack_runs
from arl_tf.experiments.speed import audits
from arl_tf.experiments.speed.audits import AuditSize, Timed


def of(total):
    return Timed(attacking=total / 2, measuring=total / 4, writing=total / 4)


def test_figures_are_ratios_to_the_audit_without_anything_kept():
    whole = Timed(6.0, 3.0, 1.0, {"linear": 1.0, "decoder": 4.0, "identity": 0.5})
    found = audits.figures(whole, cached=of(5.0), half=of(8.0), more=of(15.0), larger=of(30.0))
    assert found == pytest.approx(
        {
            "cached_audit_speedup": 2.0,
            "audit_seconds_share_linear": 0.1,
            "audit_seconds_share_decoder": 0.4,
            "audit_seconds_share_identity": 0.05,
            "audit_seconds_share_measuring": 0.3,
            "audit_seconds_share_report": 0.1,
            "audit_time_twice_the_images": 1.5,
            "audit_time_twice_the_side": 3.0,
            "audit_time_twice_the_attackers": 1.25,
        }
    )


def test_an_audit_begins_with_nothing_kept_but_where_an_earlier_one_was(monkeypatch):
    made = []

    def timed(size, attackers, workdir):
        made.append((size.faces, size.side, attackers, workdir.name))
        return of(1.0)

    monkeypatch.setattr(audits, "timed_audit", timed)
    assert audits.measure_audit()["cached_audit_speedup"] == 1.0
    n, side = audits.FACES, audits.SIDE
    assert made[2:] == [
        (n, side, audits.HALF, "earlier"),
        (n, side, audits.EARLIER, "earlier"),
        (n, side, audits.ALL, "earlier"),
        (n, side, audits.ALL, "whole"),
        (2 * n, side, audits.ALL, "more"),
        (n, 2 * side, audits.ALL, "larger"),
    ]
    # Networks of both sizes are built before.
    assert {warmed for _, warmed, _, _ in made[:2]} == {side, 2 * side}


def test_one_attacker_is_left_for_the_second_command_and_half_are_half():
    assert set(audits.HALF) < set(audits.EARLIER) < set(audits.ALL)
    assert len(audits.ALL) == len(audits.EARLIER) + 1 == 2 * len(audits.HALF)


@pytest.mark.slow
def test_a_second_audit_runs_only_the_attacker_that_was_added(tmp_path, monkeypatch):
    monkeypatch.setattr(audits.audits, "write_files", lambda *args, **kwargs: None)
    run, ran = attack_runs.run_task, []

    def noted(task, *args):
        ran.append(task.name)
        run(task, *args)

    monkeypatch.setattr(attack_runs, "run_task", noted)
    size = AuditSize(faces=240, side=32, steps=6)
    first = audits.timed_audit(size, ("linear",), tmp_path / "run")
    assert ran == ["linear", "task_output/linear"]
    assert set(first.by_attacker) == {"linear", "identity"}
    assert min(first.attacking, first.measuring) > 0
    second = audits.timed_audit(size, ("linear", "retrieval"), tmp_path / "run")
    assert ran[2:] == ["retrieval", "task_output/retrieval"]
    assert set(second.by_attacker) == {"linear", "retrieval", "identity"}
    assert second.by_attacker["linear"] == first.by_attacker["linear"]
    assert sum(second.by_attacker.values()) > 0
    # What ran before took its time before.
    audits.timed_audit(size, ("linear",), tmp_path / "other")
    assert ran[4:] == ["linear", "task_output/linear"]
