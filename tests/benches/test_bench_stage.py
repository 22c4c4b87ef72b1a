"""The bench stage with a formula in place of training and audit."""

import pytest
from bench_examples import FakeBench

from arl_tf.config.settings import Config
from arl_tf.experiments.benches import stage
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps.trial_queue import STORAGE, TrialQueue

pytestmark = pytest.mark.slow


@pytest.fixture
def bench(monkeypatch):
    return FakeBench(monkeypatch)


def by_name(results):
    return {entry["name"]: entry for entry in results["defences"]}


def test_each_has_its_trials_and_the_choice_is_audited_on_t(bench, tmp_path):
    results = bench(tmp_path)
    # Noise keeps 97 % up to 1.5, Laplace noise up to 3: .5, .75, .625 of .0333 to 30.
    assert sorted(bench.done) == sorted(
        ["none", *(f"{name} {s}" for name in ("noise", "laplace") for s in ("1", "5.48", "2.34"))]
    )
    assert sorted(bench.audited) == ["laplace 2.34", "noise 1", "none"]
    found = by_name(results)
    assert found["noise"]["finals"]["0.97"]["strength"] == 1.0
    assert found["laplace"]["finals"]["0.97"]["figures"]["leakage"]["value"] == pytest.approx(
        1 / 3.34
    )
    assert results["progress"]["is_complete"] and results["measured_on"] == "test"
    assert results["answers"][0]["least"] == "laplace" and results["answers"][0]["is_sure"]
    assert "At 97 %" in results["answers"][0]["words"]


def test_nothing_is_audited_on_t_before_all_trials_are_done(bench, tmp_path):
    bench.killed_at = "laplace 2.34"
    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path)
    assert bench.done and not bench.audited


def test_a_killed_bench_goes_on_with_its_queue_on_disk(monkeypatch, tmp_path):
    bench, few = FakeBench(monkeypatch, real_queue=True), {"bench_defences": "noise"}
    bench.killed_at = "noise 5.48"
    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path, **few, bench_trials=2)
    results = bench(tmp_path, **few, bench_trials=2)
    assert sorted(bench.done) == ["noise 1", "noise 5.48"]
    assert results["progress"]["is_complete"]


def test_benches_with_one_database_have_lists_of_their_own_and_a_killed_one_goes_on(
    monkeypatch, tmp_path
):
    bench = FakeBench(monkeypatch, real_queue=True)
    url = f"sqlite:///{tmp_path}/shared.db"
    few = {"bench_defences": "noise", "bench_trials": 1, "storage": url}
    bench.killed_at = "noise 1"
    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path / "a", **few)
    for name in ("b", "a"):
        assert bench(tmp_path / name, **few)["progress"]["is_complete"]
        assert not (tmp_path / name / "bench" / STORAGE).exists()
    assert bench.done == bench.audited == ["noise 1"] * 2
    assert (tmp_path / "shared.db").exists()


def test_a_killed_bench_goes_on_and_finds_the_same(bench, tmp_path):
    whole = bench(tmp_path / "whole")
    bench.done, bench.audited, bench.killed_at = [], [], "laplace 2.34"
    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path / "killed")
    assert bench(tmp_path / "killed") == whole
    assert len(set(bench.done)) == len(bench.done)


def test_the_same_command_again_does_nothing_again(bench, tmp_path):
    first = bench(tmp_path)
    done = (list(bench.done), list(bench.audited))
    assert bench(tmp_path) == first
    assert (bench.done, bench.audited) == done


def test_the_order_of_the_defences_changes_no_result(bench, tmp_path):
    one = bench(tmp_path / "one")
    other = bench(tmp_path / "other", bench_defences="laplace,noise,none")
    assert by_name(one) == by_name(other) and one["answers"] == other["answers"]


def test_more_trials_and_defences_go_on_from_what_is_there(bench, tmp_path):
    bench(tmp_path, bench_defences="noise")
    before = list(bench.done)
    bench(tmp_path, bench_defences="noise,laplace", bench_trials=4)
    assert bench.done[: len(before)] == before
    assert len(bench.done) == len(set(bench.done)) == 8


def test_fewer_defences_do_none_of_the_points_that_a_killed_bench_had_queued(monkeypatch, tmp_path):
    bench = FakeBench(monkeypatch, real_queue=True)
    bench.killed_at = "noise 1"
    with pytest.raises(KeyboardInterrupt):
        bench(tmp_path, bench_trials=1)
    bench.done = []
    bench(tmp_path, bench_trials=1, bench_defences="laplace")
    assert bench.done == ["laplace 1"]


def test_every_seed_is_audited_and_the_spread_widens_the_interval(bench, tmp_path):
    results = bench(tmp_path, bench_defences="noise", bench_seeds=3)
    assert bench.audited == ["noise 1", "noise 1 seed 1", "noise 1 seed 2"]
    found = by_name(results)["noise"]["finals"]["0.97"]["figures"]["leakage"]
    assert found["trainings"] == pytest.approx([0.5, 0.51, 0.52])
    assert found["ci95"][1] - found["value"] > 0.02


def test_a_failed_trial_is_recorded_and_a_weaker_one_tried(bench, tmp_path):
    bench.fails = ("noise 1",)
    results = bench(tmp_path, bench_defences="noise", bench_trials=2)
    rows = by_name(results)["noise"]["trials"]
    assert [row["state"] for row in rows] == ["failed", "finished"]
    assert rows[0]["message"] == "ValueError: no" and rows[1]["strength"] < 1


def test_overwrite_tries_the_failed_ones_again(bench, tmp_path):
    bench.fails = ("noise 1",)
    with pytest.raises(ValueError, match=r"None of the 1 trials of the bench .*: no\."):
        bench(tmp_path, bench_defences="noise", bench_trials=1)
    bench.fails = ()
    results = bench(tmp_path, bench_defences="noise", bench_trials=1, overwrite=True)
    assert by_name(results)["noise"]["trials"][0]["state"] == "finished"


def test_a_bench_whose_audits_on_t_all_failed_ends_with_the_first_reason(bench, tmp_path):
    bench.fails_on_t = ("noise 1", "none")
    with pytest.raises(ValueError, match=r"None of the 2 audits on T of .*: no\."):
        bench(tmp_path, bench_defences="none,noise", bench_trials=1, bench_utility="0.9")


def test_a_choice_whose_audit_failed_has_failed_and_nobody_waits_for_it(bench, tmp_path):
    bench.fails_on_t = ("noise 1",)
    few = {"bench_trials": 1, "bench_utility": "0.9"}
    results = bench(tmp_path, **few, bench_defences="none,noise")
    found = by_name(results)["noise"]["finals"]["0.9"]
    assert found["state"] == "failed" and found["runs"][0]["message"] == "ValueError: no"
    assert results["answers"][0]["failed"] == ["noise"]
    assert results["progress"]["is_complete"] and results["progress"]["audits_failed"] == 1
    bench.fails_on_t = ("noise 1 seed 1",)
    results = bench(tmp_path, **few, bench_defences="none,noise", bench_seeds=2, overwrite=True)
    assert by_name(results)["noise"]["finals"]["0.9"]["state"] == "failed"


def test_a_defence_whose_trials_all_failed_has_failed(bench, tmp_path):
    bench.fails = ("noise 1",)
    results = bench(tmp_path, bench_defences="none,noise", bench_trials=1)
    assert by_name(results)["noise"]["finals"]["0.97"]["state"] == "failed"
    assert results["answers"][0]["failed"] == ["noise"]


def test_a_bench_of_other_settings_is_refused_and_overwrite_replaces_it(bench, tmp_path):
    few = {"bench_defences": "noise", "bench_trials": 1, "bench_utility": "0.9"}
    bench(tmp_path, **few)
    with pytest.raises(ValueError, match=r"--epochs=\d+ \(now: 77\).*another --workdir, or --over"):
        bench(tmp_path, **few, epochs=77)
    other = Config(stages="bench", num_faces=240, image_size=32, epochs=77)
    with pytest.raises(ValueError, match="holds results with"):
        stage.check(other, RunDirectory(tmp_path), ["bench"])
    assert bench(tmp_path, **few, epochs=77, overwrite=True)["settings"]["epochs"] == 77


def test_who_keeps_the_utility_nowhere_is_not_looked_at_on_t(bench, tmp_path):
    results = bench(tmp_path, bench_defences="noise", bench_trials=1, bench_utility="0.99")
    final = by_name(results)["noise"]["finals"]["0.99"]
    assert final["state"] == "not kept" and final["kept_on_validation"] == pytest.approx(0.98)
    assert bench.audited == [] and "there is no answer" in results["answers"][0]["words"]


def test_other_attackers_audit_t_again_and_train_nothing(bench, tmp_path):
    bench(tmp_path, bench_defences="noise", bench_trials=1, bench_utility="0.9")
    trained = list(bench.done)
    bench(tmp_path, bench_defences="noise", bench_trials=1, bench_utility="0.9", audit="full")
    assert bench.done == trained and bench.audited == ["noise 1"] * 2


def test_a_point_of_another_process_is_waited_for_and_taken_over(tmp_path, monkeypatch):
    bench = FakeBench(monkeypatch, real_queue=True)
    claims, waited = [], []
    enqueue = TrialQueue.enqueue

    def enqueue_and_lose(queue, points):
        enqueue(queue, points)
        if not claims and points:
            claims.append(queue.claim())

    def sleep(seconds):
        waited.append(seconds)
        claims[0].lock.release()

    monkeypatch.setattr(TrialQueue, "enqueue", enqueue_and_lose)
    monkeypatch.setattr(stage.time, "sleep", sleep)
    results = bench(tmp_path, bench_defences="noise", bench_trials=1, bench_utility="0.9")
    assert waited == [stage.PATIENCE] and results["progress"]["is_complete"]


def test_an_unknown_defence_ends_the_command_before_data_are_read(tmp_path):
    config = Config(stages="bench", bench_defences="nosie")
    with pytest.raises(ValueError, match=r"no defence 'nosie'.*Did you mean noise\?"):
        stage.check(config, RunDirectory(tmp_path), ["bench"])
