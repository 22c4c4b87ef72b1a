"""The verdict and the terminal's lines say what the figures say."""

import pytest
from reports import audit_report, report_content

from arl_tf import report_words


def test_verdict_names_the_floor_where_leakage_is_unknown():
    said = report_words.verdict(report_content())
    assert "leakage is unknown" in said
    assert "the task output alone gives 0.200" in said


def test_verdict_gives_leakage_its_interval_the_attacker_and_the_task():
    said = report_words.verdict(report_content(leakage=0.37))
    assert "gives away 37 % (32 to 42 %)" in said
    assert "the worst of 2 attackers (decoder)" in said
    assert "mean MCC of 0.410" in said


@pytest.mark.parametrize(
    ("value", "ci95", "words"),
    [
        (0.05, [0.0, 0.09], "strong protection"),
        # The value alone would be strong; what it may well be is not.
        (0.05, [0.0, 0.2], "good protection"),
        (0.3, [0.2, 0.45], "some protection"),
        (0.6, [0.5, 0.7], "weak protection"),
        (0.95, [0.8, 1.1], "no protection"),
        (0.05, None, "strong protection"),
    ],
)
def test_grade_is_by_the_upper_end_of_the_interval(value, ci95, words):
    assert report_words.grade({"value": value, "ci95": ci95}).startswith(words)


def test_verdict_does_without_labels():
    content = report_content(leakage=0.37)
    content["utility"]["mean_mcc"] = {"value": None, "ci95": None}
    assert "MCC" not in report_words.verdict(content)


def test_headline_sets_the_attacks_beside_their_floors_and_ends_with_warnings_and_verdict():
    content = audit_report(leakage=0.37).content
    lines = report_words.headline(content).splitlines()
    starts = (
        "utility",
        " ",
        "attack: decoder",
        "attack: linear",
        "training's adversary",
        "floor: from the task",
        "floor: no code",
        "leakage",
        "warning: warned thing",
        report_words.verdict(content),
    )
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    assert "0.370" in lines[7]


def test_undefined_figures_are_dashes():
    assert report_words.format_estimate({"value": None, "ci95": None}) == "–"
    assert report_words.cells([None, 0.5]).split() == ["-", "0.500"]
