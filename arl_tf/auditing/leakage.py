"""Leakage: what the worst attack gains between the floor and the unprotected reference."""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from arl_tf.attacks.registry import ATTACKERS
from arl_tf.auditing.attack_runs import FLOOR_PREFIX
from arl_tf.auditing.identity.combining import AMPLIFIED, FUSED, is_combined
from arl_tf.metrics import intervals, measures, utility
from arl_tf.metrics.reconstruction import MEASURES, headline, headline_values

FLOORS = ("mean_image", "task_output")
# The attacks that are made of others.
COMBINED = (FUSED, AMPLIFIED)
PerImage = Mapping[str, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Reference:
    """The unprotected encoder's audit.

    Attributes:
        workdir: its run directory, as given.
        per_attack: attack on its code or on the task output computed from it -> measure ->
            per-image values float64 [N].
        code_shape: of its codes.
        identity: network -> attack on identity -> measure -> float64 [N]; empty in the audits of
            older versions.
        candidate_hits: see `candidates.match.CandidateMatch`; empty in older audits.
        later_tasks: see `later_tasks.learning.LaterTasks.kept`; empty in older audits.
    """

    workdir: str
    per_attack: PerImage
    code_shape: tuple[int, ...]
    identity: Mapping[str, PerImage] = dataclasses.field(default_factory=dict)
    candidate_hits: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    later_tasks: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def worst_attacks(per_attack: PerImage) -> dict[str, str]:
    """Measure -> the attack with the highest mean: measures grow with the attacker's success.

    Without the measures that are defined for no image.
    """
    return {
        measure: max(per_attack, key=lambda name: measures.mean(per_attack[name][measure]))
        for measure in MEASURES
        if is_defined(measure, per_attack)
    }


def headline_attack(per_attack: PerImage) -> str:
    """The worst attack by face similarity, or by feature similarity where no faces are judged."""
    worst = worst_attacks(per_attack)
    return worst[headline(worst)]


def is_defined(measure: str, per_attack: PerImage) -> bool:
    """Whether every attack has the measure of some image; drawn faces have no second judge."""
    return all(not np.isnan(found[measure]).all() for found in per_attack.values())


def mean_estimate(values: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Mean of per-image values, without those that are NaN, with its bootstrap interval.

    `values` float64 [N], `weights` float [R, N].
    """
    if np.isnan(values).all():
        return utility.estimate(None)
    return utility.estimate(measures.mean(values), measures.weighted_means(values, weights))


def tail_estimate(measures: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, Any]:
    """Mean headline measure of the worst-protected images, with its bootstrap interval.

    `measures`: measure -> float64 [N]; `weights` float [R, N].
    """
    values = headline_values(measures)
    return utility.estimate(
        intervals.tail_mean(values), intervals.resampled_tail_means(values, weights)
    )


def worst_tail(per_attack: PerImage, weights: np.ndarray) -> dict[str, Any]:
    """The highest tail of all attacks, with its attack and an interval that covers the choice.

    It may be another attack's than the one with the highest mean. `per_attack`: attack -> measure
    -> float64 [N]; `weights` float [R, N] are bootstrap resamples.
    """
    measure = headline([name for name in MEASURES if is_defined(name, per_attack)])
    columns = [found[measure] for found in per_attack.values()]
    values = np.array([intervals.tail_mean(each) for each in columns])
    resampled = [intervals.resampled_tail_means(each, weights) for each in columns]
    ends = intervals.simultaneous_interval(values, np.stack(resampled, axis=1))
    return {
        "attack": list(per_attack)[int(values.argmax())],
        "value": float(values.max()),
        "ci95": within_range(measure, ends),
    }


def worst_estimate(measure: str, per_attack: PerImage, weights: np.ndarray) -> dict[str, Any]:
    """The worst attack's mean, with an interval that accounts for its being the maximum.

    Of ranks over networks, too. Undefined, with no attack, where the measure is. `per_attack`:
    attack -> measure -> float64 [N]; `weights` float [R, N] are bootstrap resamples.
    """
    if not is_defined(measure, per_attack):
        return {"attack": None, **utility.estimate(None)}
    columns = by_network(measure, per_attack)
    values = np.array([measures.mean(each) for _, each in columns])
    resampled = np.stack([measures.weighted_means(each, weights) for _, each in columns], axis=1)
    return {
        "attack": columns[int(values.argmax())][0],
        "value": float(values.max()),
        "ci95": within_range(measure, intervals.simultaneous_interval(values, resampled)),
    }


def by_network(measure: str, per_attack: PerImage) -> list[tuple[str, np.ndarray]]:
    """(attack, values float64 [N]) for each network that a rank is counted by, or for the measure.

    A rank is that of the network that finds most people (`reconstruction.best_ranks`), a choice
    that has to be made anew in every resample.
    """
    return [
        (name, each)
        for name, found in per_attack.items()
        for each in [found[k] for k in found if k.startswith(f"{measure}/")] or [found[measure]]
    ]


def within_range(measure: str, ends: tuple[float, float]) -> list[float]:
    """An interval cut to what a measure can be: simultaneous bands are symmetric and go beyond.

    Ranks lie in [0, 1], similarities and SSIM in [-1, 1]; PSNR has no upper end.
    """
    lowest = 0.0 if measure == "psnr" or measure.startswith("reid_") else -1.0
    highest = math.inf if measure == "psnr" else 1.0
    return [min(max(end, lowest), highest) for end in ends]


def leakage(
    measure: str,
    per_attack: PerImage,
    floors: PerImage,
    reference: Reference | None,
    weights: np.ndarray,
) -> dict[str, Any]:
    """(worst - floor) / (reference - floor): what the code gives away beyond the task output.

    The worst is the maximum over the attacks on the code and on the task output computed from it,
    and over the mean image: whoever gets less from the code shows that instead. So leakage is never
    below 0. The floor is the best of the floors, the reference the worst attack on the unprotected
    encoder, sought among those that were let at this code, too. Null without a reference, or where
    the reference gives away no more than the floor.

    The interval resamples the same people in all three terms. Floor and reference are chosen anew
    in each resample; bands that cover every attack at once cover the choice of the worst.

    Args:
        measure: one of MEASURES.
        per_attack: attack -> measure -> float64 [N], attacks on the code or on the task output.
        floors: likewise, attacks on less than the code.
        reference: of the unprotected encoder.
        weights: float [R, N], bootstrap resamples.
    """
    found = attack_shares(measure, per_attack, floors, reference, weights)
    if found is None:
        return utility.estimate(None)
    shares, resampled = found
    interval = None
    # A reference that is hardly above the floor: the ratio has no interval worth the name.
    if np.isnan(resampled).any(axis=1).mean() <= 0.05:
        ends = intervals.simultaneous_interval(shares, resampled)
        interval = [max(0.0, end) for end in ends]
    return {"value": max(0.0, float(shares.max())), "ci95": interval}


def attack_shares(
    measure: str,
    per_attack: PerImage,
    floors: PerImage,
    reference: Reference | None,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The share of each of K attacks on the code, float64 [K] and [R, K]; `leakage` takes the best.

    The second array is of the bootstrap resamples, with floor and reference chosen anew in each;
    NaN where the reference is no better than the floor in one. Of ranks every network counts as an
    attack. Attacks that are floors themselves are left out: their share is 0 at most. None where
    there is no reference, or none above the floor.
    """
    if reference is None:
        return None
    shared = comparable(reference, per_attack)
    known = known_rows(measure, per_attack, floors, shared)
    if not known.any():
        return None
    # All images first, then those of each resample.
    weights = np.where(known, np.vstack([np.ones(len(known)), weights]), 0.0)
    on_code = {name: found for name, found in per_attack.items() if name not in floors}
    floor = best_means(measure, floors, weights)
    gaps = best_means(measure, shared, weights) - floor
    if not gaps[0] > 0:
        return None
    shares = [
        np.divide(means - floor, gaps, out=np.full_like(gaps, np.nan), where=gaps > 0)
        for means in (
            measures.weighted_means(each, weights) for _, each in by_network(measure, on_code)
        )
    ]
    return np.array([each[0] for each in shares]), np.stack([each[1:] for each in shares], axis=1)


def known_rows(measure: str, *groups: PerImage) -> np.ndarray:
    """The images that every attack of every group has the measure of; bool [N]."""
    each = [found[measure] for group in groups for found in group.values()]
    return ~np.isnan(each).any(axis=0)


def best_means(measure: str, per_attack: PerImage, weights: np.ndarray) -> np.ndarray:
    """The highest mean of several attacks in each resample [R, N], of ranks by any network."""
    means = [measures.weighted_means(each, weights) for _, each in by_network(measure, per_attack)]
    return np.max(means, axis=0)


def lacking(reference: Reference, names: Iterable[str]) -> list[str]:
    """Attacks on the reference's code that its combined attacks used and that were not run here.

    `names` are those of the attacks on the audited code. To compare the reference's combined
    attacks with those of fewer attacks would make the leakage look small.
    """
    names = set(names)
    return [
        name
        for name in reference.per_attack
        if name not in names
        and not name.startswith(FLOOR_PREFIX)
        and name not in COMBINED
        and is_combined(name)
    ]


def comparable(reference: Reference, names: Iterable[str]) -> PerImage:
    """The reference's attacks that were let at the audited code, or at its task output, too.

    Without its combined attacks where these are of others (`lacking`).

    Raises:
        ValueError: none of them was an attack on the code.
    """
    names = list(names)
    shared = {name: reference.per_attack[name] for name in names if name in reference.per_attack}
    if lacking(reference, names):
        for name in COMBINED:
            shared.pop(name, None)
    if not any(not name.startswith(FLOOR_PREFIX) for name in shared):
        raise ValueError(
            f"--reference={reference.workdir} was attacked by {', '.join(reference.per_attack)}"
            f" only, this code by {', '.join(names)}; audit both with the same --audit level."
        )
    return shared


def left_out(reference: Reference, names: Iterable[str]) -> list[str]:
    """Attacks on the reference's code that leakages leave out; arguments as of `comparable`.

    With them the reference would give away more, and the audited code a smaller share of it, only
    because it was spared them: an encoder without gradients would look better than it is.
    """
    shared = comparable(reference, names)
    return [
        name
        for name in reference.per_attack
        if name not in shared and not name.startswith(FLOOR_PREFIX)
    ]


def spared(reference: Reference, names: Iterable[str]) -> list[str]:
    """Attacks of `names` that the reference was spared because others find more there.

    They count for the audited code alone: an attacker is left out where the one that outdoes it can
    attack, and that one may need what the audited encoder does not give.
    """
    return [
        name
        for name in names
        if name not in reference.per_attack
        and name in ATTACKERS
        and ATTACKERS[name].outdone_by in reference.per_attack
    ]


def describe_reference(
    reference: Reference, names: Iterable[str], weights: np.ndarray
) -> dict[str, Any]:
    """The report's `reference` section: its worst attacks among the shared ones.

    `names` are those of the attacks on this code; `weights` float [R, N] are bootstrap resamples.
    """
    names = list(names)
    shared = comparable(reference, names)
    return {
        "workdir": reference.workdir,
        "worst": {measure: worst_estimate(measure, shared, weights) for measure in MEASURES},
        "tail": worst_tail(shared, weights),
        "left_out": left_out(reference, names),
        "spared": spared(reference, names),
    }
