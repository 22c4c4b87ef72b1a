"""What a study found: study.json's content, and its findings in sentences with intervals."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf import sweep_results
from arl_tf.points import FINISHED
from arl_tf.studies import Contrast, Study, StudyPoint

Record = dict[str, Any]


def assemble(
    name: str,
    study: Study,
    points: Sequence[StudyPoint],
    records: Sequence[Record],
    audits: Mapping[str, Mapping[str, Any]],
) -> Record:
    """The content of study.json.

    Args:
        name: of the study.
        study: its question and comparisons.
        points: in order.
        records: of each point.
        audits: name of a finished point -> its report.json.
    """
    rows = [
        described(point, record, audits.get(record["name"]))
        for point, record in zip(points, records, strict=True)
    ]
    finished = [row for row in rows if row["state"] == FINISHED]
    findings = [finding(contrast, finished) for contrast in study.contrasts(points)]
    return {
        "study": name,
        "question": study.question,
        "note": study.note,
        "figures": list(study.figures),
        "is_ordered": study.is_ordered,
        "measured_on": "validation",
        "points": rows,
        "findings": [found for found in findings if found],
        # Two places of the same settings are one point.
        "cost": sweep_results.cost(list({row["name"]: row for row in finished}.values())),
    }


def described(point: StudyPoint, record: Record, audit: Mapping[str, Any] | None) -> Record:
    """A point's record with its place and what its audit found."""
    row = {
        **sweep_results.described(record, audit),
        "label": point.label,
        "settings": dict(point.overrides),
        "series": point.series,
        "x": point.x,
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
    known = {name: sweep_results.interval_of(found) for name, found in others.items() if found}
    return {**row, "figures": {**row["figures"], **known}}


def finding(contrast: Contrast, finished: Sequence[Record]) -> Record | None:
    """A comparison with its interval, in words; None where no line has figures on both sides.

    The difference of the two sides' means, over the lines (or places) that have both. Its interval
    takes the points' intervals as independent normal ones: half widths add as squares. They come
    from the same images, mostly, so that the true one is narrower.
    """
    matched = "series" if contrast.on == "x" else "x"
    sides = [
        {
            point[matched]: point["figures"][contrast.figure]
            for point in finished
            if point[contrast.on] == wanted and has_interval(point, contrast.figure)
        }
        for wanted in (contrast.first, contrast.last)
    ]
    both = [name for name in sides[0] if name in sides[1]]
    if not both:
        return None
    first, last = (mean_with_half_width([side[name] for name in both]) for side in sides)
    change = last[0] - first[0]
    half = math.hypot(first[1], last[1])
    return {
        "figure": contrast.figure,
        "first": contrast.first,
        "last": contrast.last,
        "difference": change,
        "ci95": [change - half, change + half],
        "words": finding_words(contrast, change, half),
    }


def has_interval(point: Mapping[str, Any], figure: str) -> bool:
    """Whether a figure was measured and has an interval."""
    return bool(point["figures"].get(figure, {}).get("ci95"))


def mean_with_half_width(estimates: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Mean of independent estimates, with the half width of its 95 % interval."""
    count = len(estimates)
    mean = sum(estimate["value"] for estimate in estimates) / count
    halves = [(estimate["ci95"][1] - estimate["ci95"][0]) / 2 for estimate in estimates]
    return mean, math.hypot(*halves) / count


def finding_words(contrast: Contrast, change: float, half: float) -> str:
    """The comparison in one sentence."""
    where = f"From '{contrast.first}' to '{contrast.last}' {contrast.words}"
    interval = f"{abs(change) - half:.3f} to {abs(change) + half:.3f}"
    if abs(change) <= half:
        return (
            f"{where} does not change measurably: the difference is {change:+.3f}"
            f" ({change - half:+.3f} to {change + half:+.3f})."
        )
    return f"{where} {'rises' if change > 0 else 'falls'} by {abs(change):.3f} ({interval})."
