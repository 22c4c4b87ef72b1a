"""What attackers that combine others' pictures are given, and when they are run again."""

import numpy as np

from arl_tf.attacks.evidence import AttackerOptions, AttackResult
from arl_tf.attacks.knowledge import KNEW
from arl_tf.auditing.attack_runs import Task
from arl_tf.auditing.attack_store import AttackStore
from arl_tf.auditing.identity import combining

OPTIONS = AttackerOptions(
    width=4, depth=0, steps=10, batch_size=4, learning_rate=1e-3, mu=0.0, seed=0
)
KNOWN = {"noise": "known", "words": "codes; the noise"}
UNTOLD = {"noise": "not told", "words": "codes"}


def result(name, settings):
    picture = np.zeros((2, 4, 4, 3), np.float32)
    return AttackResult(name, "black-box", settings, 0.1, (0.5,), picture, picture)


def tasks(*names):
    return [
        Task(name, name.split("/")[-1].partition("@")[0], name.startswith("task_output/"), 1)
        for name in names
    ]


def filled(folder, names):
    store = AttackStore(folder, "key")
    for number, task in enumerate(tasks(*names)):
        store.save(result(task.name, {KNEW: KNOWN if number else UNTOLD}))
    return store


def combined(store, names, seen=None):
    """The tasks of one combiner and one that comes after it; `seen` notes their members."""

    def combiner(evidence, members, options, *, name):
        if seen is not None:
            seen[name] = [member.name for member in members]
        return result(name, {"weights": {member.name: 1.0 for member in members}})

    combiners = {"first": combiner, "second": combiner}
    return combining.combine(tasks(*names), "code", "output", combiners, OPTIONS, store)


NAMES = ["linear", "decoder", "decoder@1", "retrieval", "decoder_other_domain"]
FLOOR = ["task_output/linear", "task_output/decoder"]


def test_each_side_gets_its_own_pictures_of_one_seed_and_later_ones_what_came_before(tmp_path):
    seen, names = {}, NAMES + FLOOR
    done = combined(filled(tmp_path, names), names, seen)
    assert [task.name for task in done] == list(seen)
    assert seen == {
        "first": ["linear", "decoder"],
        "second": ["linear", "decoder", "first"],
        "task_output/first": FLOOR,
        "task_output/second": [*FLOOR, "task_output/first"],
    }
    assert [task.on_floor for task in done] == [False, False, True, True]


def test_single_attack_has_nothing_to_be_combined_with(tmp_path):
    assert combined(filled(tmp_path, ["linear"]), ["linear"]) == []


def test_kept_results_count_only_for_the_same_attacks(tmp_path):
    names, seen = ["linear", "decoder"], {}
    store = filled(tmp_path, [*names, "map"])
    combined(store, names)
    store.save_measures("first", {"psnr": np.zeros(2)})
    combined(store, names, seen)
    assert seen == {}
    assert store.measures("first") is not None
    combined(store, [*names, "map"], seen)
    assert seen["first"] == [*names, "map"]
    # The measures were of other pictures.
    assert store.measures("first") is None


def test_combiner_knew_once_what_each_knew_whom_it_used(tmp_path):
    names = ["linear", "decoder"]
    store = filled(tmp_path, names)
    combined(store, names)
    knew = store.facts("first")["settings"][KNEW]
    assert knew == {"noise": "known", "words": "codes; the noise"}
