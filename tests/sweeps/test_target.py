"""The choice by target: cautious ends, the nearest where none qualifies, the promise in words."""

import pytest

from arl_tf.config.conditions import check_conditions, parse_conditions
from arl_tf.experiments.sweeps import target


def estimate(value, half=0.02):
    return {"value": value, "ci95": None if half is None else [value - half, value + half]}


def point(label, mcc, leakage, *, face=0.3, half=0.02, state="finished"):
    figures = {
        "utility": estimate(mcc, 0.01),
        "mean_mcc": estimate(mcc, 0.01),
        "leakage.face_similarity": estimate(leakage, half),
        "leakage.worse_judge": estimate(leakage, half),
        "face_similarity": estimate(face),
    }
    # What this point's attackers find in the reference: less than its own audit's.
    found = {"face_similarity": estimate(0.6)}
    return {
        "label": label,
        "state": state,
        "reference": "plain",
        "figures": figures,
        "reference_figures": found,
    }


def results(*points):
    reference = {"figures": {"mean_mcc": estimate(0.6), "face_similarity": estimate(0.8)}}
    return {"points": list(points), "references": {"plain": reference}}


def chosen(text, *points):
    return target.choose_trial(parse_conditions(text), results(*points)).point["label"]


def test_bound_on_leakage_chooses_the_most_useful_of_those_that_meet_it():
    tried = (point("safe", 0.3, 0.1), point("best", 0.5, 0.2), point("leaky", 0.6, 0.4))
    assert chosen("leakage.face_similarity<=0.25", *tried) == "best"


def test_bits_are_computed_and_count_without_an_interval():
    tried = (point("few", 0.3, 0.1), point("many", 0.5, 0.1))
    for each, bits in zip(tried, (50.0, 90.0), strict=True):
        each["figures"]["capacity_bits"] = {"value": bits, "ci95": None}
    assert chosen("capacity_bits<=60", *tried) == "few"
    assert chosen("capacity_bits<=100", *tried) == "many"


def test_point_whose_interval_reaches_over_the_bound_is_not_chosen():
    tried = (point("sure", 0.4, 0.20), point("unsure", 0.5, 0.24))
    assert chosen("leakage.face_similarity<=0.25", *tried) == "sure"
    assert chosen("leakage.face_similarity<=0.261", *tried) == "unsure"


def test_bound_on_utility_chooses_the_least_leakage_by_the_low_end():
    # The bound is 0.9 * 0.6 = 0.54; the low ends are 0.58, 0.55 and 0.535.
    tried = (point("a", 0.59, 0.5), point("b", 0.56, 0.3), point("c", 0.545, 0.1))
    assert chosen("mean_mcc>=0.9*reference", *tried) == "b"


def test_bound_on_an_attacker_is_a_share_of_what_the_same_attackers_find_in_the_reference():
    # The high end is 0.32; the bound is 0.5 * 0.6, not 0.5 * 0.8.
    with pytest.raises(target.NoPointQualifiesError, match=r"the bound is 0\.300"):
        chosen("face_similarity<=0.5*reference", point("a", 0.5, 0.1))
    assert chosen("face_similarity<=0.6*reference", point("a", 0.5, 0.1)) == "a"


def test_all_conditions_must_hold():
    tried = (point("a", 0.59, 0.5), point("b", 0.5, 0.2), point("c", 0.4, 0.1))
    assert chosen("leakage.face_similarity<=0.3,mean_mcc>=0.45", *tried) == "b"


def test_points_that_failed_are_not_chosen():
    tried = (point("best", 0.5, 0.1, state="failed"), point("left", 0.3, 0.1))
    assert chosen("leakage.face_similarity<=0.25", *tried) == "left"


def test_figure_without_interval_meets_no_condition():
    with pytest.raises(target.NoPointQualifiesError, match="has no interval: it may be anything"):
        chosen("leakage.face_similarity<=0.25", point("unknown", 0.5, 0.1, half=None))


@pytest.mark.parametrize("second", [estimate(None, None), estimate(0.1, None)])
def test_point_whose_second_judge_knows_no_leakage_meets_no_condition_on_it(second):
    tried = point("half", 0.5, 0.1)
    tried["figures"] |= {"face_similarity_2": estimate(0.3), "leakage.face_similarity_2": second}
    with pytest.raises(target.NoPointQualifiesError, match=r"leakage\.face_similarity_2"):
        chosen("leakage.face_similarity<=0.25", tried)


def test_unknown_leakage_comes_after_every_known_one():
    unknown = point("unknown", 0.59, 0.1)
    for judged in ("face_similarity", "worse_judge"):
        unknown["figures"][f"leakage.{judged}"] = {"value": None, "ci95": None}
    assert chosen("mean_mcc>=0.5", unknown, point("known", 0.55, 0.9)) == "known"
    assert chosen("mean_mcc>=0.5", unknown) == "unknown"
    # A value that has no interval may be anything.
    for judged in ("face_similarity", "worse_judge"):
        unknown["figures"][f"leakage.{judged}"] = estimate(-40.0, None)
    assert chosen("mean_mcc>=0.5", unknown, point("known", 0.55, 0.9)) == "known"


def test_where_none_qualifies_the_nearest_is_named_with_its_figure():
    tried = (point("far", 0.5, 0.6), point("near", 0.4, 0.3), point("off", 0.1, 0.9))
    with pytest.raises(target.NoPointQualifiesError) as caught:
        chosen("leakage.face_similarity<=0.25", *tried)
    words = str(caught.value)
    assert "none of 3 finished points meets it on validation data; nothing is exported" in words
    assert "The nearest is near: leakage.face_similarity<=0.25 is missed" in words
    assert "is 0.300, the high end of its interval 0.320" in words


def test_where_nothing_is_finished_that_is_said():
    with pytest.raises(target.NoPointQualifiesError, match="none of 1 points is finished"):
        chosen("leakage.face_similarity<=0.25", point("a", 0.5, 0.1, state="failed"))


def test_shortfall_is_a_share_of_the_bound():
    asked = parse_conditions("face_similarity<=0.2,mean_mcc>=0.5,psnr<=1")
    figures = {"face_similarity": estimate(0.3, 0), "mean_mcc": estimate(0.6, 0)}
    outcomes = check_conditions(asked, figures)
    assert [target.shortfall(outcome) for outcome in outcomes] == [
        pytest.approx(0.5),
        0,
        float("inf"),
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.20, "The target is met on the test images (T), by the worse end of the interval: "),
        (
            0.24,
            "The target is met on the test images (T) by the value, not by the whole interval: ",
        ),
        (0.30, "The target is NOT met on the test images (T): "),
    ],
)
def test_promise_is_said_to_be_held_half_held_or_broken(value, words):
    asked = parse_conditions("face_similarity<=0.25")
    said = target.promise_words(check_conditions(asked, {"face_similarity": estimate(value)}))
    assert said.startswith(words) and f"face_similarity is {value:.3f}" in said


def test_promise_on_utility_is_judged_the_other_way_round():
    asked = parse_conditions("mean_mcc>=0.5")
    for value, words in (
        (0.53, "is met on the test images (T),"),
        (0.51, "by the value"),
        (0.49, "NOT"),
    ):
        said = target.promise_words(check_conditions(asked, {"mean_mcc": estimate(value)}))
        assert words in said


@pytest.mark.parametrize("figures", [{}, {"face_similarity": estimate(0.1, None)}])
def test_promise_on_a_figure_that_was_not_measured_is_broken(figures):
    outcomes = check_conditions(parse_conditions("face_similarity<=0.25"), figures)
    assert target.promise_words(outcomes).startswith("The target is NOT met")
