"""Attacks are planned, forecast, run one by one, and not run again."""

import dataclasses

import numpy as np
import pytest
from absl import logging

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import (
    BLACK_BOX,
    AttackerOptions,
    AttackResult,
    Evidence,
    PublicPairs,
    TaskOutputs,
)
from arl_tf.auditing import attack_runs
from arl_tf.auditing.attack_store import AttackStore

SETTINGS = AttackerOptions(
    width=4, depth=0, steps=10, batch_size=4, learning_rate=1e-3, mu=0.0, seed=3
)
IMAGES = np.zeros((8, 8, 8, 3), np.uint8)


def evidence(**changes):
    codes = np.zeros((8, 2, 2, 1), "f4")
    held = Evidence(
        PublicPairs(codes, IMAGES, codes[:2], IMAGES[:2]),
        codes[:3],
        lambda image: [image],
        task_outputs=TaskOutputs(codes[:, 0, 0], codes[:2, 0, 0], codes[:3, 0, 0]),
    )
    return dataclasses.replace(held, **changes)


def test_quick_plan_attacks_the_code_and_then_the_task_output_alone():
    names = [task.name for task in attack_runs.planned("quick", 1, 0, evidence())]
    assert names == [
        "linear",
        "retrieval",
        "decoder",
        "task_output/linear",
        "task_output/retrieval",
        "task_output/decoder",
    ]


def test_attackers_of_codes_alone_still_have_a_floor():
    tasks = attack_runs.planned("standard", 1, 0, evidence(), ["decoder_tenth"])
    assert [task.name for task in tasks] == ["decoder_tenth", "task_output/linear"]


def test_attackers_that_all_lack_something_are_refused_with_what_that_is():
    with pytest.raises(ValueError, match="another data set, because none was named"):
        attack_runs.planned("standard", 1, 0, evidence(), ["decoder_other_domain"])


def test_without_a_task_head_there_is_no_floor_to_attack():
    names = [task.name for task in attack_runs.planned("quick", 1, 0, evidence(task_outputs=None))]
    assert names == ["linear", "retrieval", "decoder"]


def test_seeds_repeat_what_is_trained_and_nothing_else():
    tasks = attack_runs.planned("quick", 3, 5, evidence())
    names = [task.name for task in tasks if not task.on_floor]
    assert names == ["linear", "retrieval", "decoder", "decoder@1", "decoder@2"]
    assert len({task.seed for task in tasks if task.attacker == "decoder"}) == 3


def test_no_attack_has_the_seed_of_the_training():
    assert all(task.seed != 5 for task in attack_runs.planned("full", 3, 5, evidence()))


def test_attention_runs_where_searches_cannot_and_where_everything_is_asked_for():
    def runs(level, names=(), **changes):
        tasks = attack_runs.planned(level, 1, 0, evidence(**changes), names)
        return "attention" in [task.name for task in tasks]

    inside = {"encode": lambda image: image}
    assert runs("standard")
    assert not runs("standard", **inside)
    assert runs("full", **inside)
    assert runs("standard", ["attention"], **inside)


def test_an_attacker_that_another_outdid_is_named_among_those_of_higher_levels():
    inside = evidence(encode=lambda image: image)
    (beyond,) = [
        said for said in attack_runs.not_tested("standard", inside) if "higher levels" in said
    ]
    assert "attention," in beyond
    assert "attention," not in " ".join(attack_runs.not_tested("full", inside))
    assert attack_runs.LEFT_OUT not in " ".join(attack_runs.not_tested("standard", inside))


def test_what_could_not_be_run_is_said():
    said = " ".join(attack_runs.not_tested("standard", evidence()))
    assert "white-box" in said
    assert "decoder_deep" in said
    whole = " ".join(attack_runs.not_tested("full", evidence()))
    assert "--attacker_dataset" in whole
    assert "decoder_deep" not in whole


class Recorder:
    """Attackers that only note that they ran, and from what they started."""

    def __init__(self, fails_at=None):
        self.ran, self.fails_at = [], fails_at

    def __call__(self, held, settings, *, name, start=None):
        if name == self.fails_at:
            raise KeyboardInterrupt
        self.ran.append((name, start and start.name, settings.seed))
        pictures = np.zeros((3, 8, 8, 3), np.float32)
        return AttackResult(name, BLACK_BOX, {}, 0.1, (0.5,), pictures, pictures[:2])


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    attackers = {
        "one": registry.Attacker(recorder, "quick", floor=True),
        "two": registry.Attacker(recorder, "quick", starts_from="one"),
    }
    monkeypatch.setattr(registry, "ATTACKERS", attackers)
    monkeypatch.setattr(attack_runs, "multiply_adds_per_second", lambda *_: 1.0)
    return recorder


def run(store, seeds=1):
    held = evidence()
    tasks = attack_runs.planned("quick", seeds, 0, held)
    attack_runs.run_attacks(tasks, held, held, SETTINGS, store)


def test_attacks_run_in_order_each_from_the_result_it_improves(recorder, tmp_path):
    run(AttackStore(tmp_path, "key"), seeds=2)
    assert [(name, start) for name, start, _ in recorder.ran] == [
        ("one", None),
        ("one@1", None),
        ("two", "one"),
        ("two@1", "one@1"),
        ("task_output/one", None),
        ("task_output/one@1", None),
    ]


def test_attack_that_improves_one_without_a_seed_starts_from_its_only_result(
    recorder, tmp_path, monkeypatch
):
    once = dataclasses.replace(registry.ATTACKERS["one"], trained=False)
    monkeypatch.setitem(registry.ATTACKERS, "one", once)
    run(AttackStore(tmp_path, "key"), seeds=2)
    starts = [start for name, start, _ in recorder.ran if name.startswith("two")]
    assert starts == ["one", "one"]


def test_killed_audit_goes_on_where_it_was_and_a_finished_one_runs_nothing(recorder, tmp_path):
    store = AttackStore(tmp_path, "key")
    recorder.fails_at = "two"
    with pytest.raises(KeyboardInterrupt):
        run(store)
    recorder.fails_at = None
    run(store)
    assert [name for name, *_ in recorder.ran] == ["one", "two", "task_output/one"]
    run(store)
    assert len(recorder.ran) == 3


def test_other_codes_or_settings_are_attacked_anew(recorder, tmp_path):
    run(AttackStore(tmp_path, "key"))
    run(AttackStore(tmp_path, "other"))
    assert len(recorder.ran) == 6


def test_cost_is_said_before_the_first_attack_and_progress_at_each(recorder, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(logging, "info", lambda text, *values: said.append(text % values))
    run(AttackStore(tmp_path, "key"))
    assert said[0].startswith("3 attacks to run, at most about")
    assert any(line.strip().startswith("task_output/one") for line in said)
    assert sum("of 3:" in line for line in said) == 3


def test_progress_within_an_attack_is_told_now_and_then_only(monkeypatch):
    said, clock = [], iter([0.0, 10.0, 31.0, 31.0, 40.0])
    monkeypatch.setattr(logging, "info", lambda text, *values: said.append(text % values))
    monkeypatch.setattr(attack_runs.time, "perf_counter", lambda: next(clock))
    note = attack_runs.progress_of("decoder")
    for share in (0.1, 0.25, 0.4):
        note(share, 0.5)
    assert said == ["Attack decoder: 25 % of its steps at most, held-out loss 0.5000"]


@pytest.mark.parametrize(("seconds", "words"), [(7.2, "7 s"), (89, "89 s"), (180, "3 min")])
def test_durations_are_for_people(seconds, words):
    assert attack_runs.minutes(seconds) == words


def test_attackers_asked_for_by_name_are_planned_alone_and_the_rest_named_as_left_out():
    held = evidence()
    names = [task.name for task in attack_runs.planned("standard", 1, 0, held, ["linear"])]
    assert names == ["linear", "task_output/linear"]
    said = " ".join(attack_runs.not_tested("standard", held, ["linear"]))
    # Those that lack something are no loss; those of higher levels were not asked for.
    assert f"{attack_runs.LEFT_OUT}retrieval, kernel, decoder, attention" in said
    assert "attackers of higher levels of --audit: " in said
    assert "decoder_pixel" in said.split("higher levels")[1]
    whole = " ".join(attack_runs.not_tested("standard", held))
    assert attack_runs.LEFT_OUT not in whole and "higher levels" in whole
