"""The verdict and the terminal's lines say what the figures say."""

import pytest
from reports import audit_report, report_content

from arl_tf.report import wording


def test_verdict_names_the_floor_where_leakage_is_unknown():
    said = wording.verdict(report_content())
    assert "leakage is unknown" in said
    assert "the task output alone gives 0.200" in said


def test_verdict_gives_leakage_its_interval_the_attacker_and_the_task():
    said = wording.verdict(report_content(leakage=0.37))
    assert "gives away 37 % (32 to 42 %)" in said
    assert "the worst of 2 attackers (decoder)" in said
    assert "mean MCC of 0.410" in said


def test_verdict_says_that_nothing_was_found_beyond_the_task_output():
    said = wording.verdict(report_content(leakage=-0.24))
    assert "gives away no more than the task output, a leakage of -24 % (-29 to -19 %)" in said
    assert "the worst of 2 attackers (decoder): strong protection" in said


@pytest.mark.parametrize(
    ("value", "ci95", "words"),
    [
        (0.05, [0.0, 0.09], "strong protection"),
        # The value alone would be strong; what it may well be is not.
        (0.05, [0.0, 0.2], "good protection"),
        (0.3, [0.2, 0.45], "some protection"),
        (0.6, [0.5, 0.7], "weak protection"),
        (0.95, [0.8, 1.1], "no protection"),
        # The best of values says little where its interval is unknown.
        (0.05, None, "too uncertain for a grade"),
    ],
)
def test_grade_is_by_the_upper_end_of_the_interval(value, ci95, words):
    assert wording.grade({"value": value, "ci95": ci95}).startswith(words)


def test_verdict_does_without_labels():
    content = report_content(leakage=0.37)
    content["utility"]["mean_mcc"] = {"value": None, "ci95": None}
    assert "MCC" not in wording.verdict(content)


def test_verdict_says_when_the_reference_is_no_better_than_the_floor():
    content = report_content(leakage=0.37)
    content["leakage"]["face_similarity"] = {"value": None, "ci95": None}
    said = wording.verdict(content)
    assert "its unprotected reference gives away no more than that" in said
    assert "without an unprotected reference" not in said


def test_verdict_counts_attackers_properly():
    content = report_content(leakage=0.37)
    content["attacks"] = content["attacks"][:1]
    assert "the only attacker (decoder)" in wording.verdict(content)


@pytest.mark.parametrize(
    ("late_gain", "words"), [(None, ""), (0.0099, "yes"), (-0.2, "yes"), (0.031, "no: 3.1 %")]
)
def test_attacker_has_converged_below_one_percent(late_gain, words):
    assert wording.converged({"late_gain": late_gain}) == words


def test_notes_say_what_an_attacker_is_and_how_far_its_seeds_lie_apart():
    attack = {"settings": {"words": "a decoder"}}
    assert wording.attack_notes(attack) == "a decoder"
    attack["seeds"] = {"count": 3, "face_similarity": {"lowest": 0.3, "highest": 0.34}}
    assert wording.attack_notes(attack) == ("a decoder; 3 seeds: face similarity 0.300 to 0.340")
    assert wording.attack_notes({"settings": {}}) == ""


def test_gaps_are_training_against_fresh_attackers():
    content = report_content()
    assert ("face_similarity", 0.3, 0.5) in wording.training_gaps(content)
    content["training_adversary"] = None
    assert wording.training_gaps(content) == []


def test_headline_sets_the_attacks_beside_their_floors_and_ends_with_warnings_and_verdict():
    content = audit_report(leakage=0.37).content
    lines = wording.headline(content).splitlines()
    starts = (
        "utility",
        " ",
        "unprotected reference",
        "attack: decoder",
        "attack: linear",
        "training's adversary",
        "floor: from the task",
        "floor: no code",
        "leakage",
        "warning: warned thing",
        wording.verdict(content),
    )
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    assert "0.370" in lines[8]


def test_undefined_figures_are_dashes():
    assert wording.format_estimate({"value": None, "ci95": None}) == "–"
    assert wording.cells([None, 0.5]).split() == ["-", "0.500"]
