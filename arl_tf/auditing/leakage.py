"""Leakage: what the worst attack gains between the floor and the unprotected reference.

Also where that reference's measures are kept.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf.metrics import intervals, measures, utility
from arl_tf.metrics.reconstruction import MEASURES
from arl_tf.utils import run_files

FLOORS = ("mean_image", "task_output")
MEASURES_FILE = "measures.npz"
REMEDY = "Put back an intact copy, or audit the reference again: --stages=audit --overwrite."
# What keys of attacks on identity begin with in MEASURES_FILE.
IDENTITY = "identity_attacks"
# Before the names of candidates' hits in that file; no attack has such a name.
CANDIDATES = "candidates:"
PerImage = Mapping[str, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Reference:
    """The unprotected encoder's audit.

    Attributes:
        workdir: its run directory, as given.
        per_attack: attack -> measure -> per-image values float64 [N].
        code_shape: of its codes.
        identity: network -> attack on identity -> measure -> float64 [N]; empty in the audits of
            older versions.
        candidate_hits: see `candidates.match.CandidateMatch`; empty in older audits.
    """

    workdir: str
    per_attack: PerImage
    code_shape: tuple[int, ...]
    identity: Mapping[str, PerImage] = dataclasses.field(default_factory=dict)
    candidate_hits: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def worst_attacks(per_attack: PerImage) -> dict[str, str]:
    """Measure -> the attack with the highest mean: measures grow with the attacker's success."""
    return {
        measure: max(per_attack, key=lambda name: per_attack[name][measure].mean())
        for measure in MEASURES
    }


def mean_estimate(values: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Mean of per-image values with its bootstrap interval."""
    return utility.estimate(float(values.mean()), measures.weighted_means(values, weights))


def tail_estimate(measures: Mapping[str, np.ndarray], weights: np.ndarray) -> dict[str, Any]:
    """Mean face similarity of the worst-protected images, with its bootstrap interval."""
    values = measures["face_similarity"]
    return utility.estimate(
        intervals.tail_mean(values), intervals.resampled_tail_means(values, weights)
    )


def worst_estimate(measure: str, per_attack: PerImage, weights: np.ndarray) -> dict[str, Any]:
    """The worst attack's mean, with an interval that accounts for its being the maximum."""
    names = list(per_attack)
    values = np.array([per_attack[name][measure].mean() for name in names])
    resampled = np.stack(
        [measures.weighted_means(per_attack[name][measure], weights) for name in names], axis=1
    )
    return {
        "attack": names[int(values.argmax())],
        "value": float(values.max()),
        "ci95": list(intervals.simultaneous_interval(values, resampled)),
    }


def leakage(
    measure: str,
    per_attack: PerImage,
    floors: PerImage,
    reference: Reference | None,
    weights: np.ndarray,
) -> dict[str, Any]:
    """(worst - floor) / (reference - floor), where the floor is the best of the floors.

    Null without a reference, or where the reference gives away no more than the floor. The
    reference's worst attack is sought among those that were let at this code, too. The interval
    resamples the same people in all three terms, and accounts for the maximum over attacks; floor
    and reference are those chosen on all images.

    Args:
        measure: one of MEASURES.
        per_attack: attack -> measure -> float64 [N], attacks on the code.
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
        interval = list(intervals.simultaneous_interval(shares, resampled))
    return {"value": float(shares.max()), "ci95": interval}


def attack_shares(
    measure: str,
    per_attack: PerImage,
    floors: PerImage,
    reference: Reference | None,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The share of each of K attacks that `leakage` takes the largest of, float64 [K] and [R, K].

    The second array is of the bootstrap resamples; NaN where the reference is no better than the
    floor in one. None where there is no reference, or none above the floor.
    """
    if reference is None:
        return None
    floor = max((values[measure] for values in floors.values()), key=np.mean)
    shared = comparable(reference, per_attack)
    unprotected = shared[worst_attacks(shared)[measure]][measure]
    gap = unprotected.mean() - floor.mean()
    if gap <= 0:
        return None
    gaps = measures.weighted_means(unprotected - floor, weights)
    shares, resampled = [], []
    for values in per_attack.values():
        gained = values[measure] - floor
        shares.append(gained.mean() / gap)
        gains = measures.weighted_means(gained, weights)
        resampled.append(np.divide(gains, gaps, out=np.full_like(gaps, np.nan), where=gaps > 0))
    return np.array(shares), np.stack(resampled, axis=1)


def comparable(reference: Reference, names: Iterable[str]) -> PerImage:
    """The reference's attacks that were let at the audited code, too."""
    shared = {name: reference.per_attack[name] for name in names if name in reference.per_attack}
    if not shared:
        raise ValueError(
            f"--reference={reference.workdir} was attacked by {', '.join(reference.per_attack)}"
            f" only, this code by {', '.join(names)}; audit both with the same --audit level."
        )
    return shared


def describe_reference(
    reference: Reference, names: Iterable[str], weights: np.ndarray
) -> dict[str, Any]:
    """The report's `reference` section: its worst attacks among the shared ones."""
    shared = comparable(reference, names)
    by_face = worst_attacks(shared)["face_similarity"]
    return {
        "workdir": reference.workdir,
        "worst": {measure: worst_estimate(measure, shared, weights) for measure in MEASURES},
        "tail": tail_estimate(shared[by_face], weights),
    }


def load_measures(path: pathlib.Path, workdir: str, test_hash: str) -> Reference:
    """Reads what `save_measures` wrote of an unprotected encoder.

    Args:
        path: of the file.
        workdir: the reference as --reference names it.
        test_hash: of the names of the images now under attack.

    Raises:
        ValueError: it is damaged, or was measured on other images.
    """
    with run_files.open_arrays(path, remedy=REMEDY) as saved:
        measured_on = str(saved["test_hash"])
        per_attack = {
            name: {measure: saved[f"{name}/{measure}"] for measure in MEASURES}
            for name in saved["attacks"].tolist()
        }
        code_shape = tuple(saved["code_shape"].tolist())
        identity = identity_measures(saved)
        candidate_hits = {
            key.removeprefix(CANDIDATES): saved[key] for key in saved if key.startswith(CANDIDATES)
        }
    if measured_on != test_hash:
        raise ValueError(
            f"--reference={workdir} was measured on other images; use the same data and --seed."
        )
    return Reference(workdir, per_attack, code_shape, identity, candidate_hits)


def identity_measures(saved: Mapping[str, np.ndarray]) -> dict[str, dict[str, dict]]:
    """Network -> attack on identity -> measure -> float64 [N], of `save_measures`' arrays."""
    found: dict[str, dict[str, dict]] = {}
    for key in saved:
        kind, _, rest = key.partition("/")
        if kind == IDENTITY and rest.count("/") == 2:
            network, attack, measure = rest.split("/")
            found.setdefault(network, {}).setdefault(attack, {})[measure] = saved[key]
    return found


def save_measures(
    path: pathlib.Path,
    per_image: PerImage,
    attack_names: Sequence[str],
    test_hash: str,
    code_shape: Sequence[int],
    identity: Mapping[str, PerImage] | None = None,
    candidate_hits: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Writes the per-image measures (no image), by rename, for later audits with this reference."""
    arrays = {
        f"{name}/{measure}": values
        for name, measures in per_image.items()
        for measure, values in measures.items()
    }
    arrays |= {
        f"{IDENTITY}/{network}/{attack}/{measure}": values
        for network, attacks in (identity or {}).items()
        for attack, measures in attacks.items()
        for measure, values in measures.items()
    }
    arrays |= {CANDIDATES + name: values for name, values in (candidate_hits or {}).items()}
    unfinished = path.with_name("unfinished_" + path.name)
    np.savez_compressed(
        unfinished,
        attacks=np.array(attack_names),
        test_hash=np.array(test_hash),
        code_shape=np.array(code_shape),
        **arrays,
    )
    unfinished.replace(path)
