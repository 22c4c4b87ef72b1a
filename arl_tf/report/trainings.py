"""Several trainings of one kind side by side: each figure with its spread, the worst one to quote.

One training says little of the next. So a claim is made of three at least, and is the worst's.
"""

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arl_tf.config import audit_figures, conditions
from arl_tf.report import scale
from arl_tf.report.utility_words import CALIBRATION_ERROR, MCC_AT_0, beside_headline
from arl_tf.report.wording import MISSING, format_estimate

Content = Mapping[str, Any]
Estimate = Mapping[str, Any]
# Fewer trainings are no ground for a claim.
ENOUGH = 3
# Sections that figures are read from: measure -> estimate.
SECTIONS: Mapping[str, Callable[[Content], Mapping[str, Estimate]]] = {
    "utility": lambda content: {**content["utility"], **beside_headline(content["utility"])},
    "worst": lambda content: content["worst"],
    "leakage": lambda content: content["leakage"],
    # What conditions are about, see config.audit_figures.
    "conditions": audit_figures.report_figures,
}
# (a section, measure) -> words, and which end is the worst.
FIGURES: Mapping[tuple[str, str], tuple[str, Callable]] = {
    ("utility", "mean_mcc"): ("mean MCC of the task", min),
    ("utility", MCC_AT_0): ("mean MCC at thresholds of 0", min),
    ("utility", CALIBRATION_ERROR): ("calibration error (ECE)", max),
    ("utility", "mean_r2"): ("mean R² of the task", min),
    ("worst", "face_similarity"): ("face similarity, worst attack", max),
    ("worst", "face_similarity_2"): ("face similarity by the second judge", max),
    ("worst", "reid_rank1"): ("rank 1, worst attack", max),
    ("leakage", "face_similarity"): ("leakage of face similarity", max),
    ("leakage", "face_similarity_2"): ("leakage of it, second judge", max),
    ("leakage", "reid_rank1"): ("leakage of rank 1", max),
    ("conditions", conditions.EMBEDDING_LEAKAGE): ("leakage of the identity embedding", max),
    ("conditions", conditions.EMBEDDING_RANK1): ("rank 1 by predicted embedding", max),
    ("conditions", conditions.CAPACITY_BITS): ("bits of a code at most", max),
}
JUDGES = {
    "face_similarity": "Face similarity",
    "face_similarity_2": "Face similarity, second judge",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """A figure of several trainings.

    Attributes:
        words: what it is.
        values: of each training; at least two.
        worst: the estimate that is quoted.
        run: of that training.
        digits: behind the point.
    """

    words: str
    values: tuple[float, ...]
    worst: Estimate
    run: str
    digits: int = 3

    @property
    def mean(self) -> float:
        """Over the trainings."""
        return statistics.fmean(self.values)

    @property
    def deviation(self) -> float:
        """The standard deviation between trainings, of n - 1."""
        return statistics.stdev(self.values)


def check_comparable(reports: Mapping[str, Content]) -> None:
    """Raises ValueError for reports that are not of several trainings on the same images.

    Args:
        reports: run -> report.json's content.
    """
    if len(reports) < 2:
        raise ValueError(f"A spread needs two trainings at least, got {', '.join(reports)}.")
    encoders: dict[str, str] = {}
    for run, content in reports.items():
        sha256 = content["provenance"]["encoder_sha256"]
        if sha256 in encoders:
            raise ValueError(f"{encoders[sha256]} and {run} are the same training.")
        encoders[sha256] = run
    first, *others = reports.items()
    for run, content in others:
        for words, read in SAME.items():
            one, other = read(first[1]), read(content)
            if one != other:
                raise ValueError(
                    f"{first[0]} and {run} do not compare: the {words} is {one!r} in the first and"
                    f" {other!r} in the other. Audit all trainings in the same way."
                )


SAME: Mapping[str, Callable[[Content], Any]] = {
    "level of --audit": lambda content: content["level"],
    "part of the images": lambda content: content["measured_on"]["split"],
    "number of images": lambda content: content["measured_on"]["images"],
    "list of attackers": lambda content: ", ".join(sorted(a["name"] for a in content["attacks"])),
    "number of codes a photo": lambda content: content["codes"].get("codes_per_photo", 1),
}


def rows(reports: Mapping[str, Content]) -> list[Row]:
    """The figures that every training has, in the order of FIGURES."""
    found = []
    for (section, measure), (words, worse) in FIGURES.items():
        read = SECTIONS[section]
        estimates = {run: read(each).get(measure, MISSING) for run, each in reports.items()}
        row = row_of(words, estimates, worse)
        if row is not None:
            digits = 0 if measure == conditions.CAPACITY_BITS else row.digits
            found.append(dataclasses.replace(row, digits=digits))
    return found


def row_of(words: str, estimates: Mapping[str, Estimate], worse: Callable) -> Row | None:
    """A row; None where a training lacks the figure."""
    values = {run: found["value"] for run, found in estimates.items()}
    if None in values.values():
        return None
    run = worse(values, key=values.get)
    return Row(words, tuple(values.values()), estimates[run], run)


def scale_rows(reports: Mapping[str, Content], measure: str) -> list[Row]:
    """The absolute figures on one scale; a step that a training lacks is left out."""
    steps = {run: scale.steps(content, measure) for run, content in reports.items()}
    found = [
        row_of(words, {run: each[name] for run, each in steps.items()}, max)
        for name, words in scale.STEPS.items()
    ]
    return [row for row in found if row is not None]


def markdown(reports: Mapping[str, Content]) -> str:
    """The table of figures, and the absolute figures on one scale beside it.

    Raises:
        ValueError: as `check_comparable`.
    """
    check_comparable(reports)
    measured = next(iter(reports.values()))["measured_on"]
    lines = [
        f"# {len(reports)} trainings: every figure with its spread",
        "",
        f"Measured on {measured['images']:,} {measured['split']} images. Quote the worst training."
        " Its interval is over people; the spread is between trainings.",
    ]
    if len(reports) < ENOUGH:
        lines += ["", f"**Fewer than {ENOUGH} trainings: no claim can be made of these figures.**"]
    lines += ["", *table("Figure", "worst", rows(reports))]
    for measure, words in JUDGES.items():
        absolute = scale_rows(reports, measure)
        if any(row.words == scale.STEPS["code"] for row in absolute):
            lines += ["", f"## {words} on one scale", "", *table("From", "highest", absolute)]
    lines += ["", "Runs: " + ", ".join(f"`{run}`" for run in reports) + "."]
    return "\n".join(lines) + "\n"


def table(of: str, end: str, found: Sequence[Row]) -> list[str]:
    """A Markdown table; `end` says which training stands first, the one to quote."""
    lines = [
        f"| {of} | {end} | in | mean | deviation | each training |",
        "|---|---|---|---|---|---|",
    ]
    for row in found:
        mean, deviation, *each = (
            f"{value:.{row.digits}f}" for value in (row.mean, row.deviation, *row.values)
        )
        worst = format_estimate(row.worst, row.digits)
        lines.append(
            f"| {row.words} | **{worst}** | `{row.run}` | {mean} | {deviation} |"
            f" {', '.join(each)} |"
        )
    return lines
