"""Later tasks in words: sentences say whether a gain is shown by its interval."""

import copy

import pytest

from arl_tf.report import later_tasks_words
from tests.helpers.reports import later_tasks, report_content


def content_of(found):
    content = report_content()
    content["codes"]["later_tasks"] = found
    return content


def test_sentence_gives_every_source_and_what_the_code_buys():
    found = later_tasks_words.section(report_content())
    assert found.sentence == (
        "Learned later from 400 labelled codes, 1 attribute outside the task has a mean MCC of"
        " 0.500 [0.450, 0.550], from the task output alone 0.300 [0.250, 0.350], from an"
        " unprotected code 0.600 [0.550, 0.650]; this is what sending the code buys over the task"
        " output: 0.200 [0.150, 0.250]."
    )
    assert found.largest == "400 labelled codes, all"
    means = ("mean of all attributes", "mean of those that are not protected")
    assert [(kind, learned) for kind, learned, _ in found.rows] == [
        (kind, learned)
        for learned in ("100 labelled codes, mean of 5 draws", found.largest)
        for kind in (*means, "mean of protected ones")
    ]
    assert found.protected == [
        "Young is to be protected. The code tells more of it than the task output: the gain in MCC"
        " is 0.200 [0.150, 0.250]."
    ]


def test_gain_whose_interval_reaches_0_is_not_shown():
    found = copy.deepcopy(later_tasks())
    gain = found["sizes"][-1]["mean"]["gain"]
    gain["ci95"] = [0.0, 0.4]
    found["protected"]["attributes"]["Young"] = {"gain": gain, "told": False}
    words = later_tasks_words.section(content_of(found))
    assert "is not shown to be above 0" in words.sentence
    assert "is not shown to tell more of it" in words.protected[0]


def test_without_protected_attributes_all_are_wanted_and_one_mean_is_enough():
    found = copy.deepcopy(later_tasks())
    nothing = {source: {"value": None, "ci95": None} for source in later_tasks_words.SOURCES}
    found["sizes"][0]["protected_mean"] = nothing
    del found["sizes"][1]["protected_mean"], found["sizes"][1]["wanted"]
    rows = later_tasks_words.section(content_of(found)).rows
    assert [kind for kind, _, _ in rows] == ["mean of all attributes"] * 2


@pytest.mark.parametrize("found", [None, "older"])
def test_without_attributes_outside_the_task_and_in_older_audits_there_is_no_section(found):
    content = content_of(None)
    if found == "older":
        del content["codes"]["later_tasks"]
    assert later_tasks_words.section(content) is None


def test_without_a_task_output_only_the_code_s_figure_is_said():
    found = copy.deepcopy(later_tasks())
    nothing = {"value": None, "ci95": None}
    found["sizes"][-1]["mean"] |= dict.fromkeys(("task_output", "unprotected", "gain"), nothing)
    words = later_tasks_words.sentence({**found, "protected": None})
    assert words.endswith("a mean MCC of 0.500 [0.450, 0.550].")
