"""report.json's `identity_attacks`: who finds a person by an embedding predicted from a code."""

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from arl_tf.attacks.identity.faces import IdentityResult
from arl_tf.attacks.knowledge import KNEW
from arl_tf.auditing import leakage
from arl_tf.auditing.attack_runs import FLOOR_PREFIX
from arl_tf.auditing.identity.measurements import IDENTITY_MEASURES, MeasuredIdentity, PerAttack
from arl_tf.auditing.identity.runs import CODE, FUSION, TASK_OUTPUT
from arl_tf.auditing.leakage import Reference
from arl_tf.metrics import measures, utility

UNPROTECTED = "unprotected"
# A share of resamples in which the unprotected code gives away no more than the task output.
MOST_UNDEFINED = 0.05


def describe(
    found: MeasuredIdentity,
    reference: Reference | None,
    weights: np.ndarray,
    pictures: Collection[str] = (),
) -> dict[str, Any]:
    """The report's `identity_attacks`.

    Args:
        found: the attacks and their measures.
        reference: the unprotected encoder's audit, with its own attacks on identity.
        weights: float64 [R, N], bootstrap resamples of the people under attack.
        pictures: names of the attacks that made pictures from the code, which fusion has.
    """
    unprotected = reference.identity if reference else {}
    unlike = bool(reference and pictures_beyond(reference, pictures))
    results = {
        source: {each.name: each for each in listed} for source, listed in found.results.items()
    }
    return {
        "networks": {
            network: describe_network(
                {**sources, UNPROTECTED: unprotected.get(network, {})},
                results,
                weights,
                found.comparisons[network][CODE],
                {FUSION} if unlike else (),
            )
            for network, sources in found.measured.items()
        }
    }


def pictures_beyond(reference: Reference, pictures: Collection[str]) -> list[str]:
    """Attacks that made pictures from the reference's code and were not let at this one.

    The reference's fusion has their pictures, this code's has not: to compare the two would make
    the leakage look small.
    """
    if not any(FUSION in attacks for attacks in reference.identity.values()):
        return []
    theirs = [name for name in reference.per_attack if not name.startswith(FLOOR_PREFIX)]
    return [name for name in theirs if name not in pictures]


def describe_network(
    sources: Mapping[str, PerAttack],
    results: Mapping[str, Mapping[str, IdentityResult]],
    weights: np.ndarray,
    comparisons: Mapping[str, str],
    unlike: Collection[str] = (),
) -> dict[str, Any]:
    """One network's attacks, the worst of them and their leakage.

    Args:
        sources: CODE, TASK_OUTPUT, UNPROTECTED -> attack -> measure -> float64 [N].
        results: CODE, TASK_OUTPUT -> attack -> its result.
        weights: float64 [R, N], bootstrap resamples.
        comparisons: attack on the code -> name of the comparison that ranks candidates.
        unlike: attacks that the leakage leaves out on all sides, because the reference's knew more.
            It also leaves out those on the unprotected code that were none on this one.
    """
    on_code, on_output = sources[CODE], sources.get(TASK_OUTPUT, {})
    # What can be computed from a code counts for the code.
    counted = {**on_code, **{f"{TASK_OUTPUT}/{name}": each for name, each in on_output.items()}}
    unprotected = sources[UNPROTECTED]
    gained, floor, whole = (
        {name: each for name, each in side.items() if name.split("/")[-1] not in unlike}
        for side in (counted, on_output, unprotected)
    )
    # Whom this code was not shown to would make its share of the reference look small.
    beyond = [name for name in whole if name not in on_code]
    whole = {name: each for name, each in whole.items() if name not in beyond}
    return {
        "attacks": [
            {
                **describe_attack(results[CODE][name], name, sources, weights),
                "ruler": comparisons[name],
            }
            for name in on_code
        ],
        "worst": {
            CODE: worst(counted, weights),
            TASK_OUTPUT: worst(on_output, weights),
            UNPROTECTED: worst(unprotected, weights),
        },
        "leakage": {
            measure: share_gained(measure, gained, floor, whole, weights)
            for measure in IDENTITY_MEASURES
        },
        "left_out": sorted({*unlike, *beyond}),
    }


def describe_attack(
    result: IdentityResult, name: str, sources: Mapping[str, PerAttack], weights: np.ndarray
) -> dict[str, Any]:
    """One attack: its measures from each source, and the leakage by this attack alone.

    `sources` and `weights` float64 [R, N] are as of `describe_network`.
    """
    each = {
        source: {name: attacks[name]} if name in attacks else {}
        for source, attacks in sources.items()
    }
    return {
        "name": name,
        "knowledge": result.knowledge,
        "settings": {k: v for k, v in result.settings.items() if k != KNEW},
        KNEW: result.settings.get(KNEW),
        "seconds": round(result.seconds, 1),
        **{
            source: estimates(each.get(source, {}).get(name), weights)
            for source in (CODE, TASK_OUTPUT, UNPROTECTED)
        },
        "leakage": {
            measure: share_gained(
                measure, each[CODE], each.get(TASK_OUTPUT, {}), each[UNPROTECTED], weights
            )
            for measure in IDENTITY_MEASURES
        },
    }


def estimates(found: Mapping[str, np.ndarray] | None, weights: np.ndarray) -> dict[str, Any]:
    """Measure -> mean with its interval; undefined where nothing was measured.

    `found`: measure -> float64 [N]; `weights` float64 [R, N] are bootstrap resamples.
    """
    if found is None:
        return {measure: utility.estimate(None) for measure in IDENTITY_MEASURES}
    return {m: leakage.mean_estimate(found[m], weights) for m in IDENTITY_MEASURES}


def worst(per_attack: PerAttack, weights: np.ndarray) -> dict[str, Any]:
    """Measure -> the best attacker's name, mean and interval; undefined without attacks.

    Of attacks' measures float64 [N]; `weights` float64 [R, N] are bootstrap resamples.
    """
    if not per_attack:
        return {m: {"attack": None, **utility.estimate(None)} for m in IDENTITY_MEASURES}
    return {m: leakage.worst_estimate(m, per_attack, weights) for m in IDENTITY_MEASURES}


def share_gained(
    measure: str, code: PerAttack, floor: PerAttack, unprotected: PerAttack, weights: np.ndarray
) -> dict[str, Any]:
    """(code - task output) / (unprotected - task output), the best attack of each.

    The best attacks are chosen anew in every resample of the people. Undefined where one of the
    three was not measured, or the unprotected code gives away no more than the task output.

    Args:
        measure: one of IDENTITY_MEASURES.
        code: attack -> measure -> float64 [N].
        floor: likewise, on the task output.
        unprotected: likewise, on the unprotected code.
        weights: float64 [R, N].
    """
    if not (code and floor and unprotected):
        return utility.estimate(None)
    everybody = np.ones((1, weights.shape[1]))
    value = shares(measure, code, floor, unprotected, everybody)[0]
    if np.isnan(value):
        return utility.estimate(None)
    resampled = shares(measure, code, floor, unprotected, weights)
    interval = None
    if np.isnan(resampled).mean() <= MOST_UNDEFINED:
        interval = list(measures.interval(resampled))
    return {"value": float(value), "ci95": interval}


def shares(
    measure: str, code: PerAttack, floor: PerAttack, unprotected: PerAttack, weights: np.ndarray
) -> np.ndarray:
    """The share gained in each resample, float64 [R]; NaN where it is undefined."""
    best = [
        np.max([measures.weighted_means(m[measure], weights) for m in side.values()], axis=0)
        for side in (code, floor, unprotected)
    ]
    gap = best[2] - best[1]
    return np.divide(best[0] - best[1], gap, out=np.full(len(gap), np.nan), where=gap > 0)
