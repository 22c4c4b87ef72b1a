"""Chooses the operating point that meets a target, by the cautious ends of its intervals."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.config.conditions import (
    OF_ITS_OWN_REPORT,
    PRIVACY_MEASURES,
    Condition,
    Outcome,
    check_conditions,
)
from arl_tf.experiments.sweeps.sweep_results import LEAKAGE, UTILITY, is_known
from arl_tf.experiments.sweeps.trials import FINISHED

Record = Mapping[str, Any]


class NoPointQualifiesError(ValueError):
    """No point meets the target; the message names the nearest."""


MET = "The target is met on the test images (T)"


@dataclasses.dataclass(frozen=True)
class Choice:
    """The chosen point and how it stands to every condition."""

    point: Record
    outcomes: tuple[Outcome, ...]


def choose_trial(conditions: Sequence[Condition], results: Record) -> Choice:
    """Among the points that meet all conditions, the best of what they leave open.

    Conditions on what attackers gain leave the utility open: the most mean MCC is chosen.
    Conditions on utility alone: the least leakage.

    Args:
        conditions: what is asked, at least one.
        results: sweep.json's content.

    Raises:
        NoPointQualifiesError: no point meets them.
    """
    finished = [point for point in results["points"] if point["state"] == FINISHED]
    judged = [
        Choice(point, outcomes_of(conditions, point, results["references"])) for point in finished
    ]
    qualified = [choice for choice in judged if all(o.holds for o in choice.outcomes)]
    if not qualified:
        raise NoPointQualifiesError(nearest_words(conditions, judged, len(results["points"])))
    for_privacy = any(condition.measure in PRIVACY_MEASURES for condition in conditions)
    if for_privacy:
        return max(qualified, key=lambda choice: figure(choice.point, UTILITY, -math.inf))
    return min(qualified, key=lambda choice: leakage_of(choice.point))


def figure(point: Record, name: str, unknown: float) -> float:
    """A figure's value, or what stands for one that is not known."""
    value = point["figures"][name]["value"]
    return unknown if value is None else value


def leakage_of(point: Record) -> float:
    """What ranks points by leakage: a value without an interval may be anything."""
    return figure(point, LEAKAGE, math.inf) if is_known(point) else math.inf


def outcomes_of(
    conditions: Sequence[Condition], point: Record, references: Record
) -> tuple[Outcome, ...]:
    """Every condition beside a point's figures, and its own reference's.

    What attackers gain from the reference is what the point's audit says of it.
    """
    own = references[point["reference"]]["figures"]
    reference = {
        **point["reference_figures"],
        **{name: own[name] for name in OF_ITS_OWN_REPORT if name in own},
    }
    return check_conditions(conditions, point["figures"], reference)


def nearest_words(conditions: Sequence[Condition], judged: Sequence[Choice], tried: int) -> str:
    """That nothing qualifies, and what comes nearest."""
    asked = ", ".join(map(str, conditions))
    if not judged:
        return f"--target={asked}: none of {tried} points is finished; nothing is exported."
    nearest = min(judged, key=lambda choice: sum(map(shortfall, choice.outcomes)))
    missed = "; ".join(outcome.words for outcome in nearest.outcomes if not outcome.holds)
    return (
        f"--target={asked}: none of {len(judged)} finished points meets it on validation data;"
        f" nothing is exported. The nearest is {nearest.point['label']}: {missed}."
    )


def shortfall(outcome: Outcome) -> float:
    """By how much a condition is missed, as a share of its bound; infinite where it is unknown."""
    if outcome.holds:
        return 0.0
    if outcome.compared is None or outcome.bound is None:
        return math.inf
    return abs(outcome.compared - outcome.bound) / max(abs(outcome.bound), 1e-9)


def promise_words(outcomes: Sequence[Outcome]) -> str:
    """Whether the target is met on the test images (T), in one sentence."""
    clauses = "; ".join(outcome.words for outcome in outcomes)
    if all(outcome.holds for outcome in outcomes):
        return f"{MET}, by the worse end of the interval: {clauses}."
    if all(outcome.holds or meets_by_value(outcome) for outcome in outcomes):
        return f"{MET} by the value, not by the whole interval: {clauses}."
    return f"The target is NOT met on the test images (T): {clauses}."


def meets_by_value(outcome: Outcome) -> bool:
    """Whether the value itself meets the condition, wherever its interval reaches.

    Never without an interval: such a value may be anything.
    """
    if outcome.value is None or outcome.compared is None or outcome.bound is None:
        return False
    if outcome.condition.operator == "<=":
        return outcome.value <= outcome.bound
    return outcome.value >= outcome.bound
