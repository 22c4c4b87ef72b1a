"""The list of points: claimed once, taken up again after a kill, failures kept with reasons."""

import signal

import optuna
import pytest
from commands import run_module

from arl_tf.experiments.sweeps import search_space
from arl_tf.experiments.sweeps.trial_queue import STORAGE, TrialQueue, suggest, work_through
from arl_tf.experiments.sweeps.trials import Trial

pytestmark = pytest.mark.slow

POINTS = [Trial(f"noise_{n}", f"noise {n}", {"code_noise": float(n)}) for n in range(3)]


@pytest.fixture
def queue(tmp_path):
    made = TrialQueue(tmp_path, "points", 1)
    made.enqueue(POINTS)
    return made


def record(state="finished", message=""):
    return {"state": state, "message": message}


def states(queue):
    return {trial.user_attrs["point"]: trial.state.name for trial in queue.trials()}


def test_points_are_queued_once_however_often_they_are_named(queue):
    queue.enqueue(POINTS)
    assert [t.user_attrs["point"] for t in queue.trials()] == [p.name for p in POINTS]


def test_two_queues_on_one_storage_never_take_the_same_point(queue, tmp_path):
    other = TrialQueue(tmp_path, "points", 1)
    claims = [queue.claim(), other.claim(), queue.claim()]
    assert sorted(claim.point.name for claim in claims) == [p.name for p in POINTS]
    assert queue.claim() is None and other.claim() is None


def test_claimed_point_is_the_one_that_was_queued(queue):
    assert queue.claim().point == POINTS[0]


def test_point_of_a_killed_process_is_taken_up_again(queue, tmp_path):
    killed = run_module("tests.helpers.processes.claim_and_die", tmp_path)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    taken = []
    while claim := queue.claim():
        taken.append(claim.point.name)
        queue.finish(claim, record(), (0.5, 0.2))
    assert killed.stdout.strip() in taken and sorted(taken) == [p.name for p in POINTS]
    assert set(states(queue).values()) == {"COMPLETE"}


@pytest.mark.parametrize("step", ["enqueue_trial", "tell"])
@pytest.mark.parametrize("is_done", [False, True])
def test_point_is_neither_lost_nor_doubled_where_it_is_queued_again_and_that_is_killed(
    queue, monkeypatch, step, is_done
):
    # Nobody holds its lock: its process is gone.
    lost = queue.claim()
    lost.lock.release()
    whole = getattr(optuna.Study, step)

    def killed(*arguments, **named):
        if is_done:
            whole(*arguments, **named)
        raise KeyboardInterrupt

    monkeypatch.setattr(optuna.Study, step, killed)
    with pytest.raises(KeyboardInterrupt):
        queue.claim()
    monkeypatch.setattr(optuna.Study, step, whole)
    claims = list(iter(queue.claim, None))
    assert sorted(claim.point.name for claim in claims) == [p.name for p in POINTS]
    for claim in claims:
        queue.finish(claim, record(), (0.5, 0.2))
    assert set(states(queue).values()) == {"COMPLETE"} and queue.claim() is None


def test_failed_point_keeps_its_reason_and_is_not_taken_again(queue):
    claim = queue.claim()
    queue.finish(claim, record("failed", "ValueError: no"), ())
    assert queue.trials()[0].user_attrs["message"] == "ValueError: no"
    # Held: a claim that nobody holds any more counts as a killed process's.
    others = [queue.claim(), queue.claim()]
    assert claim.point.name not in {other.point.name for other in others}
    assert queue.claim() is None


def test_failed_points_are_queued_again_once_when_asked(queue):
    first = queue.claim()
    queue.finish(first, record("failed", "ValueError: no"), ())
    for _ in range(2):
        queue.retry_failed()
    claims = list(iter(queue.claim, None))
    assert sorted(claim.point.name for claim in claims) == [point.name for point in POINTS]


def test_sampler_draws_as_many_points_as_asked_within_the_space(tmp_path):
    space = search_space.parse_space(
        "lambda_pixel=0.1..10;decoder_steps=1..3;objective=hinge|negative"
    )
    queue, drawn = TrialQueue(tmp_path, "sampled", 1), []

    def sampler(trial):
        drawn.append(suggest(trial, space))
        return Trial(f"point_{len(drawn)}", "", drawn[-1])

    while claim := queue.claim(sampler, 3):
        queue.finish(claim, record(), (0.5, 0.2))
    assert len(drawn) == 3 and len({chosen["lambda_pixel"] for chosen in drawn}) == 3
    for chosen in drawn:
        assert 0.1 <= chosen["lambda_pixel"] <= 10 and chosen["decoder_steps"] in (1, 2, 3)
        assert chosen["objective"] in ("hinge", "negative")


def test_work_goes_on_after_a_failed_point(queue):
    after = []
    work_through(
        queue,
        lambda point: record("failed", "no") if point == POINTS[1] else record(),
        lambda _: (0.5, 0.2),
        after_each=lambda: after.append(states(queue)),
    )
    assert list(after[-1].values()) == ["COMPLETE", "FAIL", "COMPLETE"] and len(after) == 3


@pytest.mark.parametrize("name", ["what?", "{a,b}", "100%25 #1", "lr=[1e-3]*"])
def test_a_queue_lies_in_a_folder_of_any_name(tmp_path, name):
    folder = tmp_path / name
    made = TrialQueue(folder, "points", 1)
    made.enqueue(POINTS)
    assert (folder / STORAGE).is_file()
    assert list(states(TrialQueue(folder, "points", 1))) == [point.name for point in POINTS]
    assert [path.name for path in tmp_path.iterdir()] == [name]
