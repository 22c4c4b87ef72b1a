"""What a sweep found: sweep.json's content, made of its points' records and audits."""

import collections
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf.config.audit_figures import reference_figures, report_figures
from arl_tf.config.conditions import UTILITY, by_worse_judge
from arl_tf.experiments.sweeps import pareto
from arl_tf.experiments.sweeps.trials import FINISHED
from arl_tf.report.utility_words import beside_headline
from arl_tf.report.verdict import untold
from arl_tf.report.wording import worst_by_headline

# By which points are ranked: the leakage of face similarity by the judge who sees more of it.
LEAKAGE = "leakage.worse_judge"
# Hypervolume counts from a useless code that is not protected at all.
WORST_POINT = (0.0, 1.0)
AUDIT = "audit_validation"
MCC = "mean MCC"
FLOOR_MEASURES = ("face_similarity", "reid_rank1")
Record = dict[str, Any]
UNKNOWN = {"value": None, "ci95": None}
CODE_FACTS = (
    "shape",
    "bytes",
    "capacity_bits",
    "packed_bytes",
    "encoder_multiply_adds",
    "task_head_multiply_adds",
)


def assemble(
    records: Sequence[Record],
    audits: Mapping[str, Mapping[str, Any]],
    references: Mapping[str, Mapping[str, Any]],
) -> Record:
    """The content of sweep.json.

    Args:
        records: of points, in order, of any state.
        audits: name of a finished point -> its report.json.
        references: name of a reference -> its report.json.
    """
    points = [with_audit(record, audits.get(record["name"])) for record in records]
    finished = [point for point in points if point["state"] == FINISHED]
    known = [point for point in finished if is_known(point)]
    mark_front(known)
    return {
        "measured_on": "validation",
        "utility_name": utility_name(audits),
        "attackers": attackers_of(audits),
        "untold": untold_of(audits),
        "points": points,
        "references": {name: reference_facts(found) for name, found in references.items()},
        "hypervolume": hypervolume(known),
        "cost": cost(finished),
    }


def utility_name(audits: Mapping[str, Mapping[str, Any]]) -> str:
    """What the points' `utility` is, such as "mean MCC": the points have one task."""
    names = [audit["utility"].get("headline", {}).get("name", MCC) for audit in audits.values()]
    return names[0] if names else MCC


def attackers_of(audits: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Names of the attackers of all audits, in the order they were run."""
    return list(dict.fromkeys(a["name"] for audit in audits.values() for a in audit["attacks"]))


def untold_of(audits: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """What attackers did not have, in sentences -> in how many of the audits."""
    return dict(collections.Counter(said for audit in audits.values() for said in untold(audit)))


def with_audit(record: Record, audit: Mapping[str, Any] | None) -> Record:
    """A point's record with what its audit found."""
    if audit is None:
        return dict(record)
    codes = audit["codes"]
    return {
        **record,
        "on_front": False,
        "surely_dominated": False,
        "figures": figures_of_audit(audit),
        "reference_figures": {
            name: interval_of(found) for name, found in reference_figures(audit).items()
        },
        "worst_attack": worst_by_headline(audit)["attack"],
        "codes": {name: codes[name] for name in CODE_FACTS if name in codes},
    }


def figures_of_audit(audit: Mapping[str, Any]) -> Record:
    """An audit's estimates by name, what stands beside utility, the leakage by the worse judge."""
    estimates = {**report_figures(audit), **beside_headline(audit["utility"])}
    figures = {name: interval_of(found) for name, found in estimates.items()}
    return figures | {LEAKAGE: by_worse_judge(figures)}


def is_known(point: Mapping[str, Any]) -> bool:
    """Whether a point's utility and leakage are known well enough to compare it.

    Leakage has no interval where the unprotected encoder gives away hardly more than the task
    output; mean MCC has no value where no attribute varies.
    """
    figures = point["figures"]
    return bool(figures[LEAKAGE]["ci95"]) and figures[UTILITY]["value"] is not None


def interval_of(found: Mapping[str, Any]) -> Record:
    """An estimate's value and interval alone."""
    return {"value": found["value"], "ci95": found["ci95"]}


def reference_facts(audit: Mapping[str, Any]) -> Record:
    """The unprotected encoder's figures, the floors, and what sending the task output costs.

    The task output's leakage is 0 by definition. The mean image's is where that floor lies on the
    same scale.
    """
    floors = {
        name: {measure: audit["floors"][name][measure]["value"] for measure in FLOOR_MEASURES}
        for name in ("task_output", "mean_image")
    }
    unprotected = audit["worst"]["face_similarity"]["value"]
    lowest = floors["mean_image"]["face_similarity"]
    known = None not in (unprotected, lowest, floors["task_output"]["face_similarity"])
    highest = max(lowest, floors["task_output"]["face_similarity"]) if known else None
    return {
        "figures": figures_of_audit(audit),
        "floors": floors,
        "mean_image_leakage": share(lowest - highest, unprotected - highest) if known else None,
        "task_output_bits": audit["codes"].get("task_output_bits"),
        "shape": audit["codes"]["shape"],
    }


def estimate_ends(point: Record, name: str) -> tuple[float, float]:
    """Low and high end of a figure's interval; the value twice where there is none."""
    found = point["figures"][name]
    return tuple(found["ci95"] or [found["value"]] * 2)


def figures_of(points: Sequence[Record], name: str) -> np.ndarray:
    """A figure's values, float64 [N]."""
    return np.array([point["figures"][name]["value"] for point in points], float)


def intervals_of(points: Sequence[Record], name: str) -> np.ndarray:
    """Low and high ends of a figure, float64 [N, 2]."""
    ends = [estimate_ends(point, name) for point in points]
    return np.array(ends, float).reshape(-1, 2)


def mark_front(finished: Sequence[Record]) -> None:
    """Notes in every point whether it is on the front, and whether it surely is not."""
    on_front = pareto.front(figures_of(finished, UTILITY), figures_of(finished, LEAKAGE))
    beaten = pareto.surely_dominated(
        intervals_of(finished, UTILITY), intervals_of(finished, LEAKAGE)
    )
    for point, best, worse in zip(finished, on_front, beaten, strict=True):
        point |= {"on_front": bool(best), "surely_dominated": bool(worse)}


def hypervolume(finished: Sequence[Record]) -> Record:
    """The front's hypervolume, with those of all intervals' worst and best ends."""
    value = pareto.hypervolume(
        figures_of(finished, UTILITY), figures_of(finished, LEAKAGE), WORST_POINT
    )
    bounds = pareto.hypervolume_bounds(
        intervals_of(finished, UTILITY), intervals_of(finished, LEAKAGE), WORST_POINT
    )
    return {"value": value, "bounds": list(bounds), "worst_point": list(WORST_POINT)}


def cost(finished: Sequence[Record]) -> Record:
    """What the sweep cost beside as many full runs, which train the shared part once each.

    Points that were interrupted, or whose shared encoder was, have no whole time and are left out.
    Both sides count the points' audits and one audit of every reference.
    """
    timed = [point for point in finished if None not in times(point)]
    shared = {point["shared"]: point["shared_seconds"]["train"] for point in timed}
    references = {point["reference"]: point["reference_seconds"][AUDIT] for point in timed}
    training = sum(times(point)[0] for point in timed)
    audits = sum(times(point)[1] for point in timed) + sum(references.values())
    once = sum(shared.values())
    each = sum(shared[point["shared"]] for point in timed)
    return {
        "points": len(timed),
        "shared_encoders": len(shared),
        "sweep_seconds": once + training + audits,
        "full_runs_seconds": each + training + audits,
        "ratio": share(once + training + audits, each + training + audits),
        "training_ratio": share(once + training, each + training),
    }


def times(point: Record) -> tuple[float | None, ...]:
    """Seconds of a point's training and audit, of its shared encoder's and its reference's."""
    return (
        # A point whose players were copied from another's was not trained.
        point["seconds"].get("train", 0.0),
        point["seconds"].get(AUDIT),
        point["shared_seconds"].get("train"),
        point["reference_seconds"].get(AUDIT),
    )


def share(part: float, whole: float) -> float | None:
    """The quotient; None for 0 / 0."""
    return part / whole if whole else None
