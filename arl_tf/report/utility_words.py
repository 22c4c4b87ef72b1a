"""What the code is good for, in words and as a table, for every kind of task."""

from collections.abc import Mapping
from typing import Any

from arl_tf.metrics.tasks.multi_label import MultiLabel
from arl_tf.metrics.tasks.regression import Regression
from arl_tf.metrics.tasks.single_label import SingleLabel
from arl_tf.report.wording import MISSING, format_estimate

MULTI_LABEL, SINGLE_LABEL = MultiLabel.kind, SingleLabel.kind
REGRESSION = Regression.kind
# What a task's names are the names of.
NOUNS = {MULTI_LABEL: "attributes", SINGLE_LABEL: "classes", REGRESSION: "targets"}
NAMED = {MULTI_LABEL: "Attribute", SINGLE_LABEL: "Class", REGRESSION: "Target"}
UNMEASURED = "no labels were given: utility was not measured"
FIGURES = {"accuracy": "accuracy", "roc_auc": "ROC AUC"}
COLUMNS: Mapping[str, Mapping[str, str]] = {
    MULTI_LABEL: {"MCC": "mcc", "Accuracy": "accuracy", "Positives": "positives"},
    SINGLE_LABEL: {
        "Precision": "precision",
        "Recall": "recall",
        "MCC against the rest": "mcc",
        "Images": "positives",
    },
    REGRESSION: {
        "R²": "r2",
        "Mean absolute error": "mae",
        "Mean of the labels": "mean",
        "Their deviation": "deviation",
    },
}
THRESHOLDS = ["MCC at 0", "Threshold"]
MCC_AT_0, CALIBRATION_ERROR = "mean_mcc_at_0", "calibration_error"
BESIDE_HEADLINE = {
    MCC_AT_0: "Mean MCC at thresholds of 0",
    CALIBRATION_ERROR: "Calibration error (ECE)",
}


def kind_of(utility: Mapping[str, Any]) -> str:
    """The task's kind; reports of older versions are of attributes."""
    return utility.get("task_kind", MULTI_LABEL)


def headline(utility: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The one number that utility is: its name, and the estimate.

    Attributes and classes of one kind in the measured images are left out of a mean MCC, which is
    undefined there; report.json's `mean_mcc`, which conditions read, counts them as 0.
    """
    if kind_of(utility) == REGRESSION:
        return utility["headline"]["name"], utility["mean_r2"]
    name = utility.get("headline", {}).get("name", "mean MCC")
    count, left_out = len(utility["attributes"]), len(utility.get("one_class", ()))
    if not left_out:
        return name, utility["mean_mcc"]
    noun = NOUNS[kind_of(utility)]
    return f"{name} over {count - left_out} of {count} {noun}", utility["mean_mcc_two_classes"]


def is_measured(utility: Mapping[str, Any]) -> bool:
    """Whether labels were given; without them there is neither an attribute nor a target."""
    return bool(utility.get("attributes") or utility.get("targets"))


def figures(utility: Mapping[str, Any]) -> str:
    """The headline and what stands beside it, such as "mean MCC 0.41, accuracy ..."."""
    if not is_measured(utility):
        return UNMEASURED
    name, found = headline(utility)
    said = [f"{name} {format_estimate(found)}"]
    if kind_of(utility) == REGRESSION:
        if utility["mae"]["value"] is not None:
            said.append(f"mean absolute error {format_estimate(utility['mae'])}")
    else:
        said += [f"{words} {format_estimate(utility[key])}" for key, words in FIGURES.items()]
    return ", ".join(said)


def sentences(utility: Mapping[str, Any]) -> list[str]:
    """What belongs to the figures: thresholds, calibration, what is left out, answers of one kind.

    Empty in a report without a task head.
    """
    said = [decision_words(utility), one_class_words(utility)]
    same = always_same(utility)
    if same:
        always = "always gives the same answer for"
        if kind_of(utility) == SINGLE_LABEL:
            always = "never chooses, or always chooses,"
        said.append(f"The task head {always} {', '.join(same)}; their MCC counts as 0.")
    return [sentence for sentence in said if sentence]


def decision_words(utility: Mapping[str, Any]) -> str:
    """How the task head decides, and how well its probabilities are calibrated."""
    calibration = utility.get("calibration")
    if calibration is None:
        return ""
    error = (
        f"Calibration error of the probabilities: {calibration['error']:.3f} (not calibrated:"
        f" {calibration['error_uncalibrated']:.3f})."
    )
    if kind_of(utility) == SINGLE_LABEL:
        return f"The likeliest class is the answer. {error}"
    at_0 = utility.get("mean_mcc_at_0", MISSING)
    return (
        "Each attribute has a threshold of its own, chosen on X1's validation part. With thresholds"
        f" of 0 the mean MCC is {format_estimate(at_0)}. {error}"
    )


def one_class_words(utility: Mapping[str, Any]) -> str:
    """Which attributes or classes the mean MCC leaves out, in a sentence; empty for none."""
    names = utility.get("one_class", ())
    if not names:
        return ""
    return (
        f"Left out, because all measured images have the same value: {', '.join(names)}."
        " report.json counts them as 0 in mean_mcc:"
        f" {format_estimate(utility['mean_mcc'])}."
    )


def always_same(utility: Mapping[str, Any]) -> list[str]:
    """The attributes for which the task head gives the same answer for all measured images."""
    one_class = utility.get("one_class", ())
    return [name for name in utility["undefined_mcc"] if name not in one_class]


def columns(utility: Mapping[str, Any]) -> list[str]:
    """The heads of `rows`."""
    return [*COLUMNS[kind_of(utility)]] + (THRESHOLDS if has_thresholds(utility) else [])


def rows(utility: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """(name, cells) of each attribute, class or target."""
    kind = kind_of(utility)
    found = []
    for name, values in utility["targets" if kind == REGRESSION else "attributes"].items():
        cells = [cell(values[key]) for key in COLUMNS[kind].values()]
        if has_thresholds(utility):
            cells += [cell(values["mcc_at_0"]), cell(utility["thresholds"][name])]
        found.append((name, cells))
    return found


def beside_headline(utility: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """What tables give beside the headline: mean MCC at thresholds of 0, calibration error (ECE).

    Undefined for tasks that have no such figure, and in older audits.
    """
    calibration = utility.get("calibration") or {}
    return {
        MCC_AT_0: utility.get("mean_mcc_at_0", MISSING),
        CALIBRATION_ERROR: {"value": calibration.get("error"), "ci95": None},
    }


def has_thresholds(utility: Mapping[str, Any]) -> bool:
    """Whether attributes have thresholds of their own."""
    return bool(utility.get("thresholds"))


def cell(value: Any) -> str:
    """A figure, a count or an estimate in the table."""
    if isinstance(value, Mapping):
        return format_estimate(value)
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
