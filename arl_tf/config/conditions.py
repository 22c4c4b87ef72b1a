"""Conditions on an audit's figures, such as 'face_similarity<=0.25, mean_mcc>=0.95*reference'.

Parsed from a flag, checked against figures; an interval counts by its cautious end. A figure that
should have an interval and has none was not measured.
"""

import dataclasses
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

# An estimate as reports hold it: {"value": float | None, "ci95": [low, high] | None}.
Figures = Mapping[str, Mapping[str, Any]]

# What a code is good for: more is better. `utility` is the one number of the task's kind: the mean
# MCC of attributes or of classes, the mean R² of a regression.
UTILITY = "utility"
UTILITY_MEASURES = (UTILITY, "mean_mcc", "accuracy", "roc_auc", "mean_r2")
# Of a regression with one target: its mean absolute error, in the target's unit.
MAE = "mae"
# What an attacker gains: less is better. The same names as reconstruction.MEASURES.
ATTACK_MEASURES = (
    "psnr",
    "ssim",
    "feature_similarity",
    "face_similarity",
    "face_similarity_2",
    "reid_rank1",
    "reid_rank5",
    "reid_other_photo_rank1",
)
# Photographs have two judges of identity. A condition on the first is held against both.
SECOND_JUDGE = {
    "face_similarity": "face_similarity_2",
    "leakage.face_similarity": "leakage.face_similarity_2",
}
FACE_LEAKAGE = "leakage.face_similarity"
LEAKAGE_MEASURES = tuple(f"leakage.{measure}" for measure in ATTACK_MEASURES)
# The most that a code tells of --protected_attributes beyond the task output, as a gain in MCC.
PROTECTED_GAIN = "protected_gain"
# What is gained by the identity embedding that is predicted from a code, without a picture: the
# leakage of its cosine, and how often the right person comes first.
EMBEDDING_LEAKAGE, EMBEDDING_RANK1 = "leakage.identity_embedding", "embedding_rank1"
EMBEDDING_RANK1_LEAKAGE = "leakage.embedding_rank1"
EMBEDDING_MEASURES = (EMBEDDING_LEAKAGE, EMBEDDING_RANK1, EMBEDDING_RANK1_LEAKAGE)
# What a code can carry at most: computed, so that it counts without an interval.
CAPACITY_BITS = "capacity_bits"
PRIVACY_MEASURES = (
    *ATTACK_MEASURES,
    *LEAKAGE_MEASURES,
    *EMBEDDING_MEASURES,
    "linkage_auc",
    PROTECTED_GAIN,
    CAPACITY_BITS,
)
# What FACTOR*reference reads in the reference's own report: no attacker has a part in these.
OF_ITS_OWN_REPORT = (*UTILITY_MEASURES, MAE, CAPACITY_BITS)
DIRECTIONS = {
    **dict.fromkeys(UTILITY_MEASURES, ">="),
    MAE: "<=",
    **dict.fromkeys(PRIVACY_MEASURES, "<="),
}
UNKNOWN: Mapping[str, Any] = {"value": None, "ci95": None}
REFERENCE = "reference"
NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
CONDITION = re.compile(
    rf"(?P<measure>[\w.]+)\s*(?P<operator><=|>=)\s*"
    rf"(?:(?P<factor>{NUMBER})\s*\*\s*)?(?P<bound>{NUMBER}|{REFERENCE})"
)


@dataclasses.dataclass(frozen=True)
class Condition:
    """MEASURE <= BOUND for what attackers gain, MEASURE >= BOUND for what the code is good for.

    Attributes:
        measure: a key of DIRECTIONS.
        factor: the bound itself, or, with `of_reference`, what the reference's figure is
            multiplied by.
        of_reference: whether the bound is a share of the unprotected reference's figure.
    """

    measure: str
    factor: float
    of_reference: bool = False

    @property
    def operator(self) -> str:
        """'<=' or '>=', as the measure demands."""
        return DIRECTIONS[self.measure]

    def __str__(self) -> str:
        """The condition as a flag takes it; rounded to 12 digits."""
        bound = f"{self.factor:.12g}*{REFERENCE}" if self.of_reference else f"{self.factor:.12g}"
        return f"{self.measure}{self.operator}{bound}"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """A condition beside what was measured.

    Attributes:
        condition: what was asked.
        measure: whose figure it is; the condition's, or that of the second judge of identity
            where the second judge sees more.
        value: the figure; None where it was not measured.
        compared: the cautious end of the figure's interval: the high end for `<=`, the low end for
            `>=`, or the value of what is computed; None where it was not measured, or so badly that
            it has no interval.
        bound: what it was compared with; None where the reference's figure was not measured.
        holds: whether the condition is met; never without a figure or a bound.
    """

    condition: Condition
    measure: str
    value: float | None
    compared: float | None
    bound: float | None
    holds: bool

    @property
    def words(self) -> str:
        """The outcome in a clause."""
        verdict = "holds" if self.holds else "is missed"
        if self.compared is None:
            return f"{self.condition} {verdict}: {self.missing_words}"
        if self.bound is None:
            return f"{self.condition} {verdict}: {self.unknown_reference_words}"
        found = f"{self.measure} is {self.value:.3f}"
        if self.compared != self.value:
            end = "high" if self.condition.operator == "<=" else "low"
            found += f", the {end} end of its interval {self.compared:.3f}"
        bound = f" (the bound is {self.bound:.3f})" if self.condition.of_reference else ""
        return f"{self.condition} {verdict}: {found}{bound}"

    @property
    def missing_words(self) -> str:
        """Why there is nothing to compare, in a clause."""
        if self.value is not None:
            return f"{self.measure} is {self.value:.3f}, but has no interval: it may be anything"
        if self.measure != self.condition.measure:
            return f"the second judge measured the pictures, but has no figure of {self.measure}"
        return "the audit has no figure for it"

    @property
    def unknown_reference_words(self) -> str:
        """Why there is no bound, in a clause."""
        why = f"this audit has no {self.measure} of the reference by the attackers of this code"
        if self.measure in OF_ITS_OWN_REPORT:
            why = f"its own report is not there, or has no {self.measure}"
        return f"the reference's figure is not known: {why}"


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Reads conditions separated by commas; an empty text has none.

    Each is `MEASURE<=BOUND` or `MEASURE>=BOUND`, the bound a number, a product of two, or
    `reference` with a factor or without.

    Raises:
        ValueError: a condition that can't be read, an unknown measure, or a comparison that would
            ask for a worse code.
    """
    return tuple(parse_condition(part) for part in map(str.strip, text.split(",")) if part)


def parse_condition(text: str) -> Condition:
    """Reads one condition; raises ValueError as `parse_conditions`."""
    found = CONDITION.fullmatch(text.strip())
    if found is None:
        raise ValueError(
            f"The condition {text!r} can't be read; expected MEASURE<=BOUND or MEASURE>=BOUND with"
            " BOUND a number, FACTOR*NUMBER or FACTOR*reference, such as"
            " face_similarity<=0.25 or mean_mcc>=0.95*reference."
        )
    measure, operator = found["measure"], found["operator"]
    if measure not in DIRECTIONS:
        raise ValueError(
            f"The condition {text!r} names the unknown measure {measure!r}; one of"
            f" {', '.join(DIRECTIONS)}."
        )
    if operator != DIRECTIONS[measure]:
        raise ValueError(
            f"The condition {text!r} asks for a worse code: {measure} takes {DIRECTIONS[measure]}."
        )
    factor = float(found["factor"] or 1)
    of_reference = found["bound"] == REFERENCE
    bound = factor if of_reference else factor * float(found["bound"])
    if not math.isfinite(bound):
        raise ValueError(f"The condition {text!r} has the bound {bound}; expected a finite number.")
    return Condition(measure, bound, of_reference)


def check_conditions(
    conditions: Sequence[Condition], figures: Figures, reference: Figures | None = None
) -> tuple[Outcome, ...]:
    """Compares every condition with what was measured.

    Args:
        conditions: what is asked.
        figures: measure -> {"value", "ci95"}; a measure that is missing or has no interval was not
            measured.
        reference: the same of the unprotected encoder; its figures count by their values.

    Returns:
        An outcome for each condition, in order.
    """
    return tuple(check_condition(condition, figures, reference or {}) for condition in conditions)


def check_condition(condition: Condition, figures: Figures, reference: Figures) -> Outcome:
    """One condition beside what was measured; by the judge that is further from meeting it.

    A second judge that measured the pictures must have the figure: one that is missing holds
    nothing.
    """
    first = check_figure(condition, condition.measure, figures, reference)
    second = SECOND_JUDGE.get(condition.measure)
    if second is None or not has_second_judge(figures):
        return first
    found = (first, check_figure(condition, second, figures, reference))
    return min(found, key=margin)


def has_second_judge(figures: Figures) -> bool:
    """Whether a second judge of identity measured the pictures."""
    return any(value_of(figures, name) is not None for name in SECOND_JUDGE.values())


def value_of(figures: Figures, measure: str) -> float | None:
    """A measure's value; None where it was not measured."""
    return (figures.get(measure) or UNKNOWN).get("value")


def by_worse_judge(figures: Figures) -> dict[str, Any]:
    """The leakage of face similarity by the judge of identity who sees more of it.

    Without an interval where one of the judges has none: it may be anything. So is its value where
    a judge that measured the pictures has none.
    """
    first, second = FACE_LEAKAGE, SECOND_JUDGE[FACE_LEAKAGE]
    names = (first, second) if has_second_judge(figures) else (first,)
    found = [figures.get(name) or UNKNOWN for name in names]
    worse = max(found, key=lambda each: math.inf if each["value"] is None else each["value"])
    return dict(worse) if all(each["ci95"] for each in found) else {**worse, "ci95": None}


def margin(outcome: Outcome) -> float:
    """By how much an upper bound is kept; below 0 where it is missed or a figure is missing."""
    if outcome.compared is None or outcome.bound is None:
        return -math.inf
    return outcome.bound - outcome.compared


def check_figure(
    condition: Condition, measure: str, figures: Figures, reference: Figures
) -> Outcome:
    """A condition held against the figure of one measure."""
    compared = cautious_end(figures, measure)
    bound: float | None = condition.factor
    if condition.of_reference:
        value = value_of(reference, measure)
        bound = None if value is None else condition.factor * value
    holds = (
        compared is not None
        and bound is not None
        and (compared <= bound if condition.operator == "<=" else compared >= bound)
    )
    return Outcome(condition, measure, value_of(figures, measure), compared, bound, holds)


def cautious_end(figures: Figures, measure: str) -> float | None:
    """The end of a figure's interval that is harder to pass; the value of what is computed.

    None without an interval: leakage has none where the reference is hardly above the floor, and
    its value may be anything.
    """
    value = value_of(figures, measure)
    if value is None or measure == CAPACITY_BITS:
        return value
    ends = figures[measure].get("ci95")
    if not ends:
        return None
    return ends[1] if DIRECTIONS[measure] == "<=" else ends[0]
