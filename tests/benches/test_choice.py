"""Which trial of a bench is chosen."""

import pytest

from arl_tf.config.settings import Config
from arl_tf.experiments.benches import choice
from arl_tf.experiments.benches.choice import TrialRow
from arl_tf.experiments.sweeps.trials import Trial


def row(position, kept, leakage):
    point = Trial(f"p{position}", "p", {})
    return TrialRow(position, position, point, {"state": "finished"}, 0.4, kept, leakage)


def test_of_those_that_keep_the_utility_the_one_that_leaks_least_is_chosen():
    rows = [row(0.5, 0.98, 0.6), row(0.25, 0.99, 0.5), row(0.75, 0.96, 0.1)]
    assert choice.choose(rows, 0.97).position == 0.25
    assert choice.choose(rows, 0.9).position == 0.75
    assert choice.choose(rows, 0.995) is None


def test_the_order_of_the_trials_does_not_matter():
    rows = [row(0.5, 0.98, 0.5), row(0.75, 0.98, 0.5), row(0.25, 0.98, 0.5)]
    assert choice.choose(rows, 0.97) == choice.choose(rows[::-1], 0.97) == rows[1]


def test_a_leakage_that_is_not_known_is_never_the_least():
    rows = [row(0.9, 0.98, None), row(0.5, 0.98, 0.9)]
    assert choice.choose(rows, 0.97).position == 0.5
    assert choice.choose(rows[:1], 0.97).position == 0.9


def test_a_failed_trial_is_never_chosen_and_never_the_nearest():
    assert choice.choose([row(0.5, None, None)], 0.1) is None
    assert choice.nearest([row(0.5, None, None)]) is None
    assert choice.nearest([row(0.5, None, None), row(0.2, 0.8, 0.3)]).position == 0.2


def test_the_judge_that_sees_more_counts():
    figures = {
        "leakage.face_similarity": {"value": 0.2, "ci95": [0.1, 0.3]},
        "leakage.face_similarity_2": {"value": 0.4, "ci95": [0.3, 0.5]},
    }
    assert choice.worse_judge(figures) == 0.4
    figures["leakage.face_similarity_2"] = {"value": None, "ci95": None}
    assert choice.worse_judge(figures) == 0.2
    # The second judge measured: what it makes of the leakage may be anything.
    assert choice.worse_judge({**figures, "face_similarity_2": {"value": 0.3}}) is None
    figures["leakage.face_similarity"]["ci95"] = None
    assert choice.worse_judge(figures) is None


@pytest.mark.parametrize("text", ["", "0.9,x", "0", "0.9,0.9", "97", "nan"])
def test_utilities_that_are_no_shares_are_refused_by_name(text):
    with pytest.raises(ValueError, match=r"--bench_utility=.*must be different numbers"):
        choice.utilities(Config(bench_utility=text))


def test_seeds_have_names_of_their_own_and_the_first_is_the_trial():
    contestant = choice.Contestant("noise", "", "", "defence_strength", 0.1, 10.0)
    config = Config(seed=4)
    first, next_one = (choice.trial_at(config, contestant, 0.5, seed) for seed in (4, 5))
    assert "seed" not in first.overrides and next_one.overrides["seed"] == 5
    assert first.name != next_one.name and next_one.label == "noise 1 seed 5"
