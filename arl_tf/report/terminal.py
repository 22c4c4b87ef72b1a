"""An audit's summary for the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.auditing.leakage import FLOORS
from arl_tf.report import utility_words
from arl_tf.report.verdict import sentences
from arl_tf.report.wording import (
    FLOOR_NAMES,
    has_faces,
    shown_measures,
)

# The terminal's labels of the yardsticks, with faces and without, and the width of its labels.
SHORT = {"same_person": "same person", "blurred_copy": "blurred copy", "two_strangers": "strangers"}
OF_GROUPS = {**SHORT, "same_person": "same group", "two_strangers": "two groups"}
LABEL = 31
# Short names: the table fits 110 columns of a terminal.
COLUMNS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "feature_similarity": "feat. sim.",
    "face_similarity": "face sim.",
    "face_similarity_2": "face sim. 2",
    "reid_rank1": "rank 1",
    "reid_rank5": "rank 5",
    "reid_other_photo_rank1": "other photo",
}


def table_rows(content: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """(label, measures) of the terminal's table: reference, worst, attacks, floors, yardsticks.

    From those who know most to those who know nothing; training's adversary is below the attacks.
    """
    rows = [("this code, worst", content["worst"])]
    rows += [(f"attack: {attack['name']}", attack) for attack in content["attacks"]]
    if content["reference"]:
        rows.insert(0, ("unprotected code, worst", content["reference"]["worst"]))
    if content["training_adversary"]:
        rows.append(("adversary of the training", content["training_adversary"]))
    rows += [(f"floor: {FLOOR_NAMES[name]}", content["floors"][name]) for name in reversed(FLOORS)]
    measured = content.get("yardsticks", {})
    labels = SHORT if has_faces(content) else OF_GROUPS
    rows += [(f"compare: {labels[name]}", measured[name]) for name in labels if name in measured]
    return rows


def headline(content: Mapping[str, Any]) -> str:
    """The terminal's summary: utility, attacks beside their floors, warnings, the verdict."""
    shown = shown_measures(content)
    lines = ["", f"{'':{LABEL}s}" + "".join(f"{COLUMNS[name]:>{width(name)}s}" for name in shown)]
    for label, measures in table_rows(content):
        values = {name: measures[name]["value"] for name in shown}
        lines.append(f"{label[:LABEL]:{LABEL}s}" + cells(values))
    leaks = {name: content["leakage"][name]["value"] for name in shown}
    if any(value is not None for value in leaks.values()):
        lines.append(f"{'leakage':{LABEL}s}" + cells(leaks))
    warned = [f"Warning: {text}" for text in content["warnings"]]
    utility = utility_lines(content["utility"])
    return "\n".join([*utility, *lines, "", *warned, *sentences(content)])


def utility_lines(utility: Mapping[str, Any]) -> list[str]:
    """Utility for the terminal, and which attributes it leaves out."""
    left_out = utility_words.one_class_words(utility)
    at_0 = utility.get("mean_mcc_at_0", {}).get("value")
    thresholds = [] if at_0 is None else [f"With thresholds of 0: mean MCC {at_0:.3f}"]
    found = f"Utility: {utility_words.figures(utility)}"
    return [found, *thresholds, *([left_out] if left_out else [])]


def width(measure: str) -> int:
    """Characters of a measure's column in the terminal."""
    return max(len(COLUMNS[measure]), 5) + 2


def cells(values: Mapping[str, float | None]) -> str:
    """Measure -> value, in their columns; a dash where one is undefined."""
    return "".join(
        f"{'-' if value is None else f'{value:.3f}':>{width(measure)}s}"
        for measure, value in values.items()
    )
