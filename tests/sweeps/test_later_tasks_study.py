"""The study of later tasks: its points, and the figures that its rows take from audits."""

import copy

import numpy as np
import pytest
from reports import report_content
from study_examples import record

from arl_tf.auditing.resamples import Resamples
from arl_tf.config.settings import Config
from arl_tf.experiments.sweeps import later_tasks_study, study_report, study_results
from arl_tf.experiments.sweeps.later_tasks_study import (
    ALL_CODES,
    GAIN,
    LARGE_HEAD,
    SMALL_NETWORK,
    STUDY,
)

NAMES = ("Smiling", "Male", "Bald", "Young")
FEW, SOME = "100 labelled codes", "1,000 labelled codes"


def planned(**settings):
    return STUDY.points(Config(**settings), NAMES)


def audit(code, gain):
    content = report_content(0.3)
    content["codes"] = copy.deepcopy(content["codes"])
    for size in content["codes"]["later_tasks"]["sizes"]:
        size["wanted"] = size["wanted"] | {
            "code": {"value": code, "ci95": [code - 0.1, code + 0.1]},
            "gain": {"value": gain, "ci95": [gain - 0.1, gain + 0.1]},
        }
    return content


def test_every_level_has_a_row_for_each_number_of_labelled_codes_of_the_same_encoder():
    rows = {(point.series, point.x): point.overrides for point in planned()}
    levels = ["unprotected", "price 5e-05", "price 0.0002", "price 0.0006"]
    assert [x for series, x in rows if series == ALL_CODES] == levels
    for level in levels:
        assert rows[FEW, level] == rows[SOME, level] == rows[ALL_CODES, level]
    assert rows[ALL_CODES, "unprotected"]["code_noise"] == 0
    assert rows[ALL_CODES, levels[-1]]["lambda_rate"] == 6e-4


def test_task_leaves_out_what_the_data_have_and_protects_male_and_young():
    overrides = planned()[0].overrides
    assert overrides["task_attributes"] == "-Smiling,-Male,-Young"
    assert overrides["protected_attributes"] == "Male,Young"


def test_task_that_the_settings_name_is_kept():
    given = {"task_attributes": "-Bald,-Male", "protected_attributes": "Male"}
    for point in planned(**given):
        assert not {"task_attributes", "protected_attributes"} & set(point.overrides)


def test_data_without_the_known_names_leave_out_their_last_attribute():
    overrides = STUDY.points(Config(), ("A", "B", "C"))[0].overrides
    assert (overrides["task_attributes"], overrides["protected_attributes"]) == ("-C", "")


def test_larger_head_differs_by_its_hidden_layers_alone():
    rows = {(point.series, point.x): point.overrides for point in planned()}
    heads = [level for series, level in rows if series == LARGE_HEAD]
    assert heads == ["unprotected", "price 0.0002"]
    for level in heads:
        assert rows[LARGE_HEAD, level] == {**rows[ALL_CODES, level], **later_tasks_study.HEAD}


def test_network_of_the_encoder_s_cost_lacks_the_rest_of_the_backbone_alone():
    points = planned()
    (small,) = [point for point in points if point.series == SMALL_NETWORK]
    unprotected = next(point for point in points if point.x == small.x)
    assert small.overrides == {**unprotected.overrides, "head_rest": False}
    contrast = STUDY.contrasts(points)[-1]
    assert (contrast.first, contrast.last, contrast.figure) == (
        SMALL_NETWORK,
        LARGE_HEAD,
        "mean_mcc",
    )


def test_row_has_the_figures_of_its_number_of_labelled_codes():
    found = report_content()
    for labels, value in (("100", 0.3), ("400", 0.5), ("all", 0.5)):
        assert later_tasks_study.row_figures(found, labels)["wanted.code"]["value"] == value
    assert later_tasks_study.row_figures(found, "1000") == {}


@pytest.mark.parametrize("codes", [{}, {"later_tasks": None}])
def test_audits_without_later_tasks_have_no_figures_of_them(codes):
    assert later_tasks_study.row_figures({"codes": codes}, "all") == {}


@pytest.fixture(scope="module")
def results():
    """Gains fall with the price from .4 by .1 a level; each is an encoder of its own."""
    points = planned()
    levels = list(dict.fromkeys(point.x for point in points))
    names = [
        f"{point.x}{point.series if point.series in (LARGE_HEAD, SMALL_NETWORK) else ''}"
        for point in points
    ]
    audits, kept = {}, {}
    for name, point in zip(names, points, strict=True):
        gain = 0.4 - 0.1 * levels.index(point.x)
        audits[name] = audit(0.9, gain)
        figures = {f"{GAIN}/all": gain + np.linspace(-0.01, 0.01, 101), "mean_mcc": np.zeros(101)}
        kept[name] = Resamples("same", figures)
    records = [record(name) for name in names]
    return study_results.assemble("later_tasks", STUDY, points, records, audits, kept)


def test_findings_begin_with_what_protection_costs_later_tasks(results):
    first, *others = results["findings"]
    assert first["figure"] == GAIN and first["difference"] == pytest.approx(-0.3)
    # All resamples differ by just that.
    assert first["paired"] and first["ci95"] == pytest.approx([-0.3, -0.3])
    assert first["words"].startswith(
        "From 'unprotected' to 'price 0.0006' the gain of later tasks over the task output, in MCC,"
        " falls by 0.300"
    )
    assert {found["figure"] for found in others} >= {"protected_mean.gain", "mean_mcc"}


def test_comparison_within_a_line_counts_that_line_alone(results):
    row = next(r for r in results["points"] if (r["series"], r["x"]) == (FEW, "unprotected"))
    assert row["labels"] == "100" and row["figures"][GAIN]["value"] == pytest.approx(0.4)
    more = [dict(each) for each in results["points"]]
    for each in more:
        if each["series"] == FEW:
            each["figures"] = each["figures"] | {GAIN: {"value": 9.0, "ci95": [9.0, 9.0]}}
    contrast = STUDY.contrasts(planned())[0]
    assert study_results.finding(contrast, more, {})["difference"] == pytest.approx(-0.3)


def test_page_counts_encoders_and_shows_the_figures_of_later_tasks(results, tmp_path):
    study_report.write_page(results, tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "7 of 7 points are finished" in page
    for words in ("Later tasks, gain in MCC", "Protected attributes, gain in MCC"):
        assert f'<th scope="col">{words}</th>' in page
    assert "Face similarity, new decoder" not in page
    # What sending the task output would cost the device: of the example, 12 and 3.4 million.
    assert "Encoder and task head" in page
