"""Leakage: what the worst attack gains between the floor and the unprotected reference.

Also where that reference's measures are kept.
"""

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf import intervals, metrics, run_files, runs, utility
from arl_tf.config import Config
from arl_tf.rulers import MEASURES

FLOORS = ("mean_image", "task_output")
MEASURES_FILE = "measures.npz"
REMEDY = "Put back an intact copy, or audit the reference again: --stages=audit --overwrite."
# Settings in which an encoder and its unprotected reference must agree, or leakage compares unlike
# things: a weak attack beside a strong one would look like protection.
SHARED_AUDIT = (
    "audit",
    "audit_seeds",
    "mu",
    "perceptual",
    "perceptual_layers",
    "attacker_width",
    "attacker_depth",
    "attacker_steps",
    "attacker_batch_size",
    "attacker_learning_rate",
    "attacker_dataset",
    "public_fraction",
    "public_images",
    "public_share",
    "public_overlap",
    "public_dataset",
)
# What the unprotected encoder has: no adversary, and nothing that bounds its code on its way.
UNPROTECTED = {
    "defence": "none",
    "code_levels": 0,
    "code_noise": 0.0,
    "channel_clip": 0.0,
    "channel_levels": 0,
    "channel_noise": 0.0,
}
SHARED_MODEL = ("dataset", "image_size", "encoder", "cut", "code_channels", "task_attributes")
PerImage = Mapping[str, Mapping[str, np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Reference:
    """The unprotected encoder's audit.

    Attributes:
        workdir: its run directory, as given.
        per_attack: attack -> measure -> per-image values float64 [N].
        code_shape: of its codes.
    """

    workdir: str
    per_attack: PerImage
    code_shape: tuple[int, ...]


def worst_attacks(per_attack: PerImage) -> dict[str, str]:
    """Measure -> the attack with the highest mean: measures grow with the attacker's success."""
    return {
        measure: max(per_attack, key=lambda name: per_attack[name][measure].mean())
        for measure in MEASURES
    }


def mean_estimate(values: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Mean of per-image values with its bootstrap interval."""
    return utility.estimate(float(values.mean()), metrics.weighted_means(values, weights))


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
        [metrics.weighted_means(per_attack[name][measure], weights) for name in names], axis=1
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
    gaps = metrics.weighted_means(unprotected - floor, weights)
    shares, resampled = [], []
    for values in per_attack.values():
        gained = values[measure] - floor
        shares.append(gained.mean() / gap)
        gains = metrics.weighted_means(gained, weights)
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


def is_foreign(settings: Mapping[str, Any]) -> bool:
    """Whether an audit was of an encoder that arl_tf did not train."""
    return any(settings.get(name) for name in ("codes", "encoder_saved_model", "encoder_tflite"))


def check_reference(config: Config) -> pathlib.Path:
    """Returns the file of per-image measures that --reference holds.

    Raises:
        ValueError: it is not audited, is protected itself, is of another shape or data, or was
            attacked with other settings.
    """
    run = runs.RunDirectory(pathlib.Path(config.reference))
    path = run.audit(config.audit_split) / MEASURES_FILE
    # What that very audit was run with; config.json tells of the directory's latest command.
    recorded = runs.finished_stages(run).get(f"audit_{config.audit_split}")
    if path.exists():
        run_files.require_whole(path, REMEDY)
    if not path.exists() or recorded is None:
        raise ValueError(
            f"--reference={config.reference} holds no {path.relative_to(run.root)}; train it with"
            f" --defence=none and audit it with --audit_split={config.audit_split} first, or use"
            " --reference=auto."
        )
    foreign = is_foreign(recorded)
    if not foreign:
        refuse_protected(config.reference, recorded)
    shared = SHARED_AUDIT
    if not foreign and not is_foreign(config.settings("audit")):
        shared += SHARED_MODEL
    differing = runs.differing_settings(recorded, {name: getattr(config, name) for name in shared})
    if differing:
        raise ValueError(f"--reference={config.reference} differs: {', '.join(differing)}.")
    return path


def refuse_protected(reference: str, recorded: Mapping[str, Any]) -> None:
    """Raises ValueError where the settings recorded of a reference's training protect its code."""
    protected = [
        f"--{name}={recorded[name]}"
        for name, without in UNPROTECTED.items()
        if recorded.get(name, without) != without
    ]
    if protected:
        raise ValueError(
            f"--reference={reference} was trained or audited with {' '.join(protected)}; the"
            " reference must be unprotected (--defence=none, no --code_levels or --code_noise, no"
            " --channel_*)."
        )


def load_reference(config: Config, test_hash: str) -> Reference:
    """Reads the audit of the run directory that --reference names.

    Raises:
        ValueError: as `check_reference`, or it was measured on other images.
    """
    with run_files.open_arrays(check_reference(config), remedy=REMEDY) as saved:
        measured_on = str(saved["test_hash"])
        per_attack = {
            name: {measure: saved[f"{name}/{measure}"] for measure in MEASURES}
            for name in saved["attacks"].tolist()
        }
        code_shape = tuple(saved["code_shape"].tolist())
    if measured_on != test_hash:
        raise ValueError(
            f"--reference={config.reference} was measured on other images; use the same data and"
            " --seed."
        )
    return Reference(config.reference, per_attack, code_shape)


def save_measures(
    path: pathlib.Path,
    per_image: PerImage,
    attack_names: Sequence[str],
    test_hash: str,
    code_shape: Sequence[int],
) -> None:
    """Writes the per-image measures (no image), by rename, for later audits with this reference."""
    arrays = {
        f"{name}/{measure}": values
        for name, measures in per_image.items()
        for measure, values in measures.items()
    }
    unfinished = path.with_name("unfinished_" + path.name)
    np.savez_compressed(
        unfinished,
        attacks=np.array(attack_names),
        test_hash=np.array(test_hash),
        code_shape=np.array(code_shape),
        **arrays,
    )
    unfinished.replace(path)
