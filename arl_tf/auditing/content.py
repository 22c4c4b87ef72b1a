"""report.json's content: what the attacks' measures mean, beside floors and reference."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf.attacks.knowledge import KNEW
from arl_tf.auditing import judging, leakage, learning_curve, remarks, yardsticks
from arl_tf.auditing.disclosure import describe_codes
from arl_tf.auditing.identity import section as identity_section
from arl_tf.auditing.leakage import mean_estimate, tail_estimate, worst_estimate, worst_tail
from arl_tf.auditing.measurements import Measurements, chosen_tasks, is_floor
from arl_tf.metrics import intervals, measures, utility
from arl_tf.metrics.reconstruction import MEASURES


def assemble(found: Measurements) -> dict[str, Any]:
    """report.json's content but for its verdict (docs/report_json.md)."""
    weights = found.weights(found.rows.target)
    chosen = chosen_tasks(found)
    every, on_output = found.attacks, found.attacks_on(floor=True)
    worst = judging.with_networks(
        {measure: worst_estimate(measure, every, weights) for measure in MEASURES}, every
    )
    leaks = {
        measure: leakage.leakage(measure, every, found.floors, found.reference, weights)
        for measure in MEASURES
    }
    adversary = describe_adversary(found, weights)
    attacks = [describe_attack(found, n, weights) for n in chosen if not is_floor(n)]
    reference = None
    if found.reference:
        reference = leakage.describe_reference(found.reference, every, weights)
    judges = judging.describe(found.judged, weights)
    return {
        "level": found.settings.audit,
        "utility": found.task.section(found.utility),
        "floors": {
            "mean_image": estimates(found.measured["mean_image"], weights),
            "task_output": best_floor(on_output, weights),
        },
        "floor_attacks": [describe_attack(found, n, weights) for n in chosen if is_floor(n)],
        "attacks": attacks,
        "yardsticks": yardsticks.describe(found.yardsticks, weights),
        "judges": judges,
        "worst": worst,
        "tail": {
            "share": intervals.TAIL_SHARE,
            "images": intervals.tail_size(len(found.rows.target)),
            **worst_tail(every, weights),
        },
        "leakage": leaks,
        "codes": describe_codes(found),
        "identity_attacks": identity_section.describe(
            found.identity, found.reference, weights, list(found.attacks_on(floor=False))
        ),
        "learning_curve": learning_curve.describe(found.curve, found.measured, weights),
        "reference": reference,
        "training_adversary": adversary,
        "warnings": judging.confusion_warning(judges)
        + remarks.warnings(found, attacks, worst, adversary, reference),
        "assumptions": remarks.assumptions(found),
        "not_tested": remarks.not_tested(found),
        "measured_on": {
            "split": found.settings.audit_split,
            "images": len(found.rows.target),
            "image_size": found.images.images.shape[1],
            "identities": len(np.unique(found.originals.identities)),
            "attacker_images": len(found.rows.attacker),
            "chance_rank1": chance_of_rank1(found.originals.identities),
            "identities_known": found.images.identities_known,
            "faces": faces_words(found),
        },
        "provenance": dict(found.provenance),
    }


def faces_words(found: Measurements) -> str:
    """Which faces identity networks judged: "photographs", "drawn", or "none"."""
    if not found.images.has_faces:
        return "none"
    return "photographs" if found.photographs else "drawn"


def chance_of_rank1(identities: np.ndarray) -> float:
    """How often one of N images drawn at random is of the person sought; identities int [N]."""
    _, counts = np.unique(identities, return_counts=True)
    return float(np.square(counts / len(identities)).sum())


def estimates(found: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, Any]:
    """Each measure's mean and the tail, with intervals.

    `found`: measure -> float64 [N]; `weights` float [R, N] are bootstrap resamples.
    """
    described = {measure: mean_estimate(found[measure], weights) for measure in MEASURES}
    return {**described, "tail": tail_estimate(found, weights)}


def best_floor(
    on_output: Mapping[str, Mapping[str, np.ndarray]], weights: np.ndarray
) -> dict[str, Any]:
    """What the best attack on the task output alone gets; undefined where there is no output.

    `on_output`: attack -> measure -> float64 [N]; `weights` float [R, N] are bootstrap resamples.
    """
    if not on_output:
        return {name: utility.estimate(None) for name in (*MEASURES, "tail")}
    described = {measure: worst_estimate(measure, on_output, weights) for measure in MEASURES}
    return {**described, "tail": worst_tail(on_output, weights)}


def describe_attack(found: Measurements, name: str, weights: np.ndarray) -> dict[str, Any]:
    """One entry of `attacks`; `weights` float [R, N] are bootstrap resamples."""
    tasks = [task.name for task in found.tasks if task.name.partition("@")[0] == name]
    facts = found.facts[chosen_tasks(found)[name]]
    described = {
        "name": name,
        "knowledge": facts["knowledge"],
        KNEW: facts["settings"][KNEW],
        "settings": {k: v for k, v in facts["settings"].items() if k not in ("late_gain", KNEW)},
        "seconds": round(sum(found.facts[task]["seconds"] for task in tasks), 1),
        "held_out_loss": facts["held_out_loss"],
        "late_gain": facts["settings"].get("late_gain"),
        **estimates(found.measured[chosen_tasks(found)[name]], weights),
    }
    if len(tasks) > 1:
        described["seeds"] = {
            "count": len(tasks),
            **{
                m: spread_of_seeds([measures.mean(found.measured[task][m]) for task in tasks])
                for m in MEASURES
                if not np.isnan(found.measured[tasks[0]][m]).all()
            },
        }
    return described


def spread_of_seeds(values: Sequence[float]) -> dict[str, float]:
    """Lowest, highest and standard deviation over seeds."""
    return {
        "lowest": float(min(values)),
        "highest": float(max(values)),
        "deviation": float(np.std(values, ddof=1)),
    }


def describe_adversary(found: Measurements, weights: np.ndarray) -> dict[str, Any] | None:
    """Training's own decoder on the codes under attack; None where none was trained.

    `weights` float [R, N] are bootstrap resamples.
    """
    if "training_adversary" not in found.measured:
        return None
    return estimates(found.measured["training_adversary"], weights)
