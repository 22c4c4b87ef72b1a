"""study.json's findings and intervals, by hand."""

import json
import math

import numpy as np
import pytest
from reports import report_content

from arl_tf.auditing.resamples import Resamples
from arl_tf.experiments.sweeps import study_results
from arl_tf.experiments.sweeps.studies import Contrast, Study, StudyPoint

RISE = Contrast("mean_mcc", "the mean MCC", "low", "high")


def row(x, value, half=0.01, series="a", state="finished", name=""):
    ends = None if half is None else [value - half, value + half]
    figures = {"mean_mcc": {"value": value, "ci95": ends}}
    return {"x": x, "series": series, "state": state, "figures": figures, "name": name}


def test_a_difference_has_the_root_of_the_squares_of_the_half_widths():
    found = study_results.finding(RISE, [row("low", 0.2, 0.03), row("high", 0.5, 0.04)], {})
    assert found["difference"] == pytest.approx(0.3)
    assert found["ci95"] == pytest.approx([0.25, 0.35])
    assert found["words"] == "From 'low' to 'high' the mean MCC rises by 0.300 (0.250 to 0.350)."


def test_a_fall_is_told_as_a_positive_amount_with_its_interval_in_order():
    found = study_results.finding(RISE, [row("low", 0.5, 0.03), row("high", 0.2, 0.04)], {})
    assert found["difference"] == pytest.approx(-0.3)
    assert found["ci95"] == pytest.approx([-0.35, -0.25])
    assert found["words"] == "From 'low' to 'high' the mean MCC falls by 0.300 (0.250 to 0.350)."


def test_a_difference_within_its_interval_is_no_change_that_can_be_told():
    found = study_results.finding(RISE, [row("low", 0.5, 0.03), row("high", 0.52, 0.04)], {})
    assert found["words"].endswith(
        "does not change measurably: the difference is +0.020 (-0.030 to +0.070)."
    )


def test_lines_are_averaged_and_their_half_widths_with_them():
    points = [
        row("low", 0.1, 0.03, "a"),
        row("low", 0.3, 0.04, "b"),
        row("high", 0.4, 0.0, "a"),
        row("high", 0.8, 0.0, "b"),
    ]
    found = study_results.finding(RISE, points, {})
    assert found["difference"] == pytest.approx(0.6 - 0.2)
    half = math.hypot(0.03, 0.04) / 2
    assert found["ci95"] == pytest.approx([0.4 - half, 0.4 + half])


def resamples(key="same", **figures):
    return Resamples(key, {name: np.array(values) for name, values in figures.items()})


def test_points_of_the_same_images_are_compared_resample_by_resample():
    points = [row("low", 0.2, 0.3, name="one"), row("high", 0.3, 0.3, name="other")]
    draws = np.random.default_rng(0).normal(0.2, 0.15, 400)
    steps = np.linspace(0.06, 0.14, 400)
    kept = {"one": resamples(mean_mcc=draws), "other": resamples(mean_mcc=draws + steps)}
    found = study_results.finding(RISE, points, kept)
    assert found["paired"] and found["difference"] == pytest.approx(0.1)
    # 95 % of the steps lie between these, however wide each point's own interval is.
    assert found["ci95"] == pytest.approx([0.062, 0.138])
    assert "rises by 0.100 (0.062 to 0.138)" in found["words"]


@pytest.mark.parametrize(
    "other",
    [
        None,
        resamples("other images", mean_mcc=[0.3, 0.3]),
        resamples(accuracy=[0.3, 0.3]),
        resamples(mean_mcc=[math.nan, math.nan]),
    ],
)
def test_points_that_can_not_be_paired_count_as_independent(other):
    points = [row("low", 0.2, 0.03, name="one"), row("high", 0.5, 0.04, name="other")]
    kept = {"one": resamples(mean_mcc=[0.2, 0.2])} | ({"other": other} if other else {})
    found = study_results.finding(RISE, points, kept)
    assert not found["paired"]
    assert found["ci95"] == pytest.approx([0.25, 0.35])


def test_a_line_with_one_side_alone_counts_for_neither():
    points = [row("low", 0.1, 0, "a"), row("high", 0.4, 0, "a"), row("high", 0.9, 0, "b")]
    assert study_results.finding(RISE, points, {})["difference"] == pytest.approx(0.3)


def test_series_are_compared_place_by_place():
    contrast = Contrast("mean_mcc", "the mean MCC", "a", "b", "series")
    points = [row("low", 0.1, 0, "a"), row("high", 0.9, 0, "a"), row("low", 0.3, 0, "b")]
    assert study_results.finding(contrast, points, {})["difference"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    "points",
    [
        [],
        [row("low", 0.1)],
        [row("low", 0.1), row("high", 0.4, half=None)],
        [row("low", 0.1, series="a"), row("high", 0.4, series="b")],
    ],
)
def test_without_both_sides_there_is_no_finding(points):
    assert study_results.finding(RISE, points, {}) is None


def record(name, state="finished", seconds=10.0):
    return {
        "name": name,
        "label": "of the first place",
        "settings": {},
        "state": state,
        "message": "" if state == "finished" else "ValueError: no",
        "directory": f"points/{name}",
        "seconds": {"train": seconds, "audit_validation": 5.0},
        "shared": "s",
        "reference": "r",
        "shared_seconds": {"train": 100.0},
        "reference_seconds": {"audit_validation": 7.0},
    }


def assembled():
    points = [
        StudyPoint("a", "low", {"public_share": 0.1}),
        StudyPoint("a", "high", {"public_share": 1.0}),
        StudyPoint("b", "also high", {}),
        StudyPoint("a", "none", {"epochs": 0}),
    ]
    records = [record("low"), record("high"), record("high"), record("none", "failed")]
    audits = {"low": report_content(0.3), "high": report_content(0.6)}
    study = Study("Why?", None, lambda _: [RISE], ("mean_mcc", "face_similarity"), "Note.")
    return study_results.assemble("data", study, points, records, audits, {})


def test_each_place_has_its_own_label_and_settings_though_two_share_a_point():
    rows = assembled()["points"]
    assert [row["label"] for row in rows] == ["a: low", "a: high", "b: also high", "a: none"]
    assert rows[1]["settings"] == {"public_share": 1.0} and rows[2]["settings"] == {}
    assert rows[1]["figures"] == rows[2]["figures"]


def test_a_shared_point_is_paid_once():
    # Encoder 100, two points of 15 each, one audit of the reference.
    cost = assembled()["cost"]
    assert cost["points"] == 2
    assert cost["sweep_seconds"] == 100 + 2 * 15 + 7


def test_figures_of_decoder_adversary_and_floor_stand_beside_the_worst():
    figures = assembled()["points"][0]["figures"]
    assert figures["decoder.face_similarity"]["value"] == 0.5
    assert figures["training_adversary.face_similarity"]["value"] == 0.3
    assert figures["task_output.face_similarity"]["value"] == 0.2
    assert figures["leakage.face_similarity"]["value"] == 0.3


def test_a_run_without_adversary_has_no_figure_of_one():
    content = report_content(0.3) | {"training_adversary": None}
    point = StudyPoint("a", "low", {})
    figures = study_results.described(point, record("low"), content)["figures"]
    assert "training_adversary.face_similarity" not in figures


def test_failed_points_keep_their_reason_and_enter_no_finding():
    results = assembled()
    assert results["points"][-1]["message"] == "ValueError: no"
    assert "figures" not in results["points"][-1]
    assert [found["difference"] for found in results["findings"]] == [0]
    assert json.loads(json.dumps(results)) == results
