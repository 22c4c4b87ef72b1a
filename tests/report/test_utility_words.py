"""What a code is good for, in words, for tasks of classes and for regressions."""

import numpy as np
from reports import audit_report

from arl_tf.metrics.tasks.definition import Measured
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.report import html_page, terminal, utility_words, verdict


def classes():
    """Five of six right; a report's utility."""
    labels = np.eye(3, dtype=np.uint8)[[0, 0, 1, 1, 2, 2]]
    logits = 4 * np.eye(3, dtype=np.float32)[[0, 0, 1, 1, 2, 0]]
    found = Measured(logits, labels, ("cat", "dog", "owl"), np.ones((3, 6)))
    return task_of("single_label").section(found)


def ages(names=("age",)):
    labels = np.repeat(np.float32([[20], [30], [40], [50]]), len(names), axis=1)
    return task_of("regression").section(Measured(labels + 2, labels, names, np.ones((3, 4))))


def report_with(utility):
    found = audit_report(leakage=0.37)
    found.content["utility"] = utility
    # As an audit has it: nothing is decided where there are values.
    decided = task_of(utility["task_kind"]).decision_bits(40)
    found.content["codes"] |= {"task_output_bits": 1280, "task_decision_bits": decided}
    return found


def page_of(found):
    return html_page.render(found, embed_originals=True, reference_pictures=None)


def test_classes_have_a_table_of_precision_and_recall_and_no_thresholds():
    utility = classes()
    assert utility_words.figures(utility).startswith("macro MCC 0.780")
    rows = dict(utility_words.rows(utility))
    assert rows["cat"][:2] == ["0.667", "1.000"] and rows["owl"][:2] == ["1.000", "0.500"]
    page = page_of(report_with(utility))
    assert "The likeliest class is the answer." in page and "Precision" in page
    assert "threshold of its own" not in page
    assert "The task reaches a macro MCC of 0.780" in verdict.verdict(report_with(utility).content)


def test_a_class_that_never_occurs_is_called_a_class():
    utility = classes() | {"one_class": ["owl"]}
    assert utility_words.headline(utility)[0] == "macro MCC over 2 of 3 classes"


def test_a_regression_is_told_by_r2_and_its_error_in_the_targets_unit():
    utility = ages()
    # Errors of 2, of which 4 x 4 of a spread of 500.
    expected = "mean R² 0.968 [0.968, 0.968], mean absolute error 2.000 [2.000, 2.000]"
    assert utility_words.figures(utility) == expected
    content = report_with(utility).content
    assert terminal.headline(content).splitlines()[0] == f"Utility: {expected}"
    assert "The task reaches a mean R² of 0.968" in verdict.verdict(content)
    page = page_of(report_with(utility))
    assert "the task output instead of a code: 40 numbers." in page
    assert f"Mean R²{expected.removeprefix('mean R²')}." in page and "MCC at 0" not in page


def test_several_targets_have_no_common_error():
    utility = ages(("age", "height"))
    assert "error" not in utility_words.figures(utility)
    assert [name for name, _ in utility_words.rows(utility)] == ["age", "height"]


def test_reports_without_a_task_head_say_so_for_every_kind():
    for kind in ("single_label", "regression"):
        utility = task_of(kind).section(None)
        assert utility_words.headline(utility)[1]["value"] is None
        assert utility_words.rows(utility) == utility_words.sentences(utility) == []
        assert "The task reaches" not in verdict.verdict(report_with(utility).content)


def test_utility_without_labels_was_not_measured():
    assert utility_words.figures({"attributes": {}}) == utility_words.UNMEASURED
