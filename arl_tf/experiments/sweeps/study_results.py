"""What a study found: study.json's content, and its findings in sentences with intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.auditing.resamples import Resamples, paired_difference
from arl_tf.experiments.sweeps import later_tasks_study, sweep_results
from arl_tf.experiments.sweeps.studies import Contrast, Study, StudyPlace
from arl_tf.experiments.sweeps.trials import FINISHED

Record = dict[str, Any]


def assemble(
    name: str,
    study: Study,
    points: Sequence[StudyPlace],
    records: Sequence[Record],
    audits: Mapping[str, Mapping[str, Any]],
    resamples: Mapping[str, Resamples],
) -> Record:
    """The content of study.json.

    Args:
        name: of the study.
        study: its question and comparisons.
        points: in order.
        records: of each point.
        audits: name of a finished point -> its report.json.
        resamples: name of a finished point -> its figures' resamples, where they were kept.
    """
    rows = [
        place_facts(point, record, audits.get(record["name"]))
        for point, record in zip(points, records, strict=True)
    ]
    finished = [row for row in rows if row["state"] == FINISHED]
    findings = [finding(contrast, finished, resamples) for contrast in study.contrasts(points)]
    return {
        "study": name,
        "question": study.question,
        "note": study.note,
        "figures": list(study.figures),
        "columns": list(study.columns),
        "is_ordered": study.is_ordered,
        "measured_on": "validation",
        "attackers": sweep_results.attackers_of(audits),
        "untold": sweep_results.untold_of(audits),
        "points": rows,
        "findings": [found for found in findings if found],
        # Two places of the same settings are one point.
        "cost": sweep_results.cost(list({row["name"]: row for row in finished}.values())),
    }


def place_facts(point: StudyPlace, record: Record, audit: Mapping[str, Any] | None) -> Record:
    """A point's record with its place and what its audit found."""
    row = {
        **sweep_results.with_audit(record, audit),
        "label": point.label,
        "settings": dict(point.overrides),
        "series": point.series,
        "x": point.x,
        "labels": point.labels,
    }
    if audit is None:
        return row
    decoder = [attack for attack in audit["attacks"] if attack["name"] == "decoder"]
    others = {
        "decoder.face_similarity": decoder and decoder[0]["face_similarity"],
        "training_adversary.face_similarity": (audit["training_adversary"] or {}).get(
            "face_similarity"
        ),
        "task_output.face_similarity": audit["floors"]["task_output"]["face_similarity"],
    }
    others |= later_tasks_study.row_figures(audit, point.labels)
    known = {name: sweep_results.interval_of(found) for name, found in others.items() if found}
    return {**row, "figures": {**row["figures"], **known}}


def finding(
    contrast: Contrast, finished: Sequence[Record], resamples: Mapping[str, Resamples]
) -> Record | None:
    """A comparison with its interval, in words; None where no line has figures on both sides.

    The difference of the two sides' means, over the lines (or places) that have both.
    """
    matched = "series" if contrast.on == "x" else "x"
    sides = [
        {
            point[matched]: point
            for point in finished
            if point[contrast.on] == wanted and has_interval(point, contrast.figure)
        }
        for wanted in (contrast.first, contrast.last)
    ]
    both = [name for name in sides[0] if name in sides[1] and contrast.within in ("", name)]
    if not both:
        return None
    first, last = ([side[name] for name in both] for side in sides)
    change, interval, paired = difference(contrast.figure, first, last, resamples)
    return {
        "figure": contrast.figure,
        "first": contrast.first,
        "last": contrast.last,
        "difference": change,
        "ci95": list(interval),
        "paired": paired,
        "words": finding_words(contrast, change, interval),
    }


def difference(
    figure: str,
    first: Sequence[Record],
    last: Sequence[Record],
    resamples: Mapping[str, Resamples],
) -> tuple[float, tuple[float, float], bool]:
    """Difference of two sides' means, its 95 % interval, and whether that is a paired one.

    Points that were measured on the same images have the same bootstrap resamples, and are compared
    in each of them. Where that can't be done the points' intervals count as independent normal
    ones, and half widths add as squares: wider than the truth where images are shared.
    """
    estimates = [[point["figures"][figure] for point in side] for side in (first, last)]
    (before, one), (after, other) = (mean_with_half_width(side) for side in estimates)
    change, half = after - before, math.hypot(one, other)
    kept = [[resamples_of(point, figure, resamples) for point in side] for side in (first, last)]
    if None not in kept[0] + kept[1]:
        interval = paired_difference(figure, *kept)
        if interval:
            return change, interval, True
    return change, (change - half, change + half), False


def resamples_of(
    point: Record, figure: str, resamples: Mapping[str, Resamples]
) -> Resamples | None:
    """A row's resamples; those of later tasks are kept by the number of labelled codes."""
    kept = resamples.get(point["name"])
    if kept is None or figure not in later_tasks_study.FIGURES:
        return kept
    values = kept.figures.get(f"{figure}/{point['labels']}")
    return Resamples(kept.key, {} if values is None else {figure: values})


def has_interval(point: Mapping[str, Any], figure: str) -> bool:
    """Whether a figure was measured and has an interval."""
    return bool(point["figures"].get(figure, {}).get("ci95"))


def mean_with_half_width(estimates: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Mean of independent estimates, with the half width of its 95 % interval."""
    count = len(estimates)
    mean = sum(estimate["value"] for estimate in estimates) / count
    halves = [(estimate["ci95"][1] - estimate["ci95"][0]) / 2 for estimate in estimates]
    return mean, math.hypot(*halves) / count


def finding_words(contrast: Contrast, change: float, interval: tuple[float, float]) -> str:
    """The comparison in one sentence; a change is one where the interval leaves out 0."""
    where = f"From '{contrast.first}' to '{contrast.last}' {contrast.words}"
    low, high = interval
    if low <= 0 <= high:
        return (
            f"{where} does not change measurably: the difference is {change:+.3f}"
            f" ({low:+.3f} to {high:+.3f})."
        )
    smaller, larger = sorted((abs(low), abs(high)))
    verb = "rises" if low > 0 else "falls"
    return f"{where} {verb} by {abs(change):.3f} ({smaller:.3f} to {larger:.3f})."
