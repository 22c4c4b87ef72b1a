"""An audit's summary for the terminal."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arl_tf.auditing.leakage import FLOORS
from arl_tf.metrics.reconstruction import MEASURES
from arl_tf.report.verdict import sentences
from arl_tf.report.wording import FLOOR_NAMES, format_estimate, mean_mcc, one_class_words

# The terminal's labels of the yardsticks, and the width of its labels.
SHORT = {"same_person": "same person", "blurred_copy": "blurred copy", "two_strangers": "strangers"}
LABEL = 30


def table_rows(content: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """(label, measures) of the terminal's table: reference, worst, attacks, floors, yardsticks.

    From those who know most to those who know nothing; training's adversary is below the attacks.
    """
    rows = [("this code, worst", content["worst"])]
    rows += [(f"attack: {attack['name']}", attack) for attack in content["attacks"]]
    if content["reference"]:
        rows.insert(0, ("unprotected code, worst", content["reference"]["worst"]))
    if content["training_adversary"]:
        rows.append(("training's own decoder", content["training_adversary"]))
    rows += [(f"floor: {FLOOR_NAMES[name]}", content["floors"][name]) for name in reversed(FLOORS)]
    measured = content.get("yardsticks", {})
    rows += [
        (f"compare: {words}", measured[name]) for name, words in SHORT.items() if name in measured
    ]
    return rows


def headline(content: Mapping[str, Any]) -> str:
    """The terminal's summary: utility, attacks beside their floors, warnings, the verdict."""
    lines = ["", f"{'':{LABEL}s}" + "".join(f"{name:>{width(name)}s}" for name in MEASURES)]
    for label, measures in table_rows(content):
        values = (measures[name]["value"] for name in MEASURES)
        lines.append(f"{label[:LABEL]:{LABEL}s}" + cells(values))
    leaks = [content["leakage"][name]["value"] for name in MEASURES]
    if any(value is not None for value in leaks):
        lines.append(f"{'leakage':{LABEL}s}" + cells(leaks))
    warned = [f"Warning: {text}" for text in content["warnings"]]
    utility = utility_lines(content["utility"])
    return "\n".join([*utility, *lines, "", *warned, *sentences(content)])


def utility_lines(utility: Mapping[str, Any]) -> list[str]:
    """Utility for the terminal, and which attributes it leaves out."""
    name, mcc = mean_mcc(utility)
    figures = [f"{name} {format_estimate(mcc)}"]
    figures += [
        f"{words} {format_estimate(utility[key])}"
        for key, words in (("accuracy", "accuracy"), ("roc_auc", "ROC AUC"))
    ]
    left_out = one_class_words(utility)
    at_0 = utility.get("mean_mcc_at_0", {}).get("value")
    thresholds = [] if at_0 is None else [f"With thresholds of 0: mean MCC {at_0:.3f}"]
    return [f"Utility: {', '.join(figures)}", *thresholds, *([left_out] if left_out else [])]


def width(measure: str) -> int:
    """Characters of a measure's column in the terminal."""
    return max(len(measure), 6) + 2


def cells(values: Iterable[float | None]) -> str:
    """Values in the columns of MEASURES; a dash where one is undefined."""
    return "".join(
        f"{'-' if value is None else f'{value:.3f}':>{width(measure)}s}"
        for measure, value in zip(MEASURES, values, strict=True)
    )
