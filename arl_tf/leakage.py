"""Leakage: what the worst attack gains between the floor and the unprotected reference.

Also where that reference's measures are kept.
"""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf import metrics, runs, utility
from arl_tf.config import Config
from arl_tf.rulers import MEASURES

FLOORS = ("mean_image", "task_output")
MEASURES_FILE = "measures.npz"
# Settings in which an encoder and its unprotected reference must agree, or leakage compares unlike
# things: a weak attack beside a strong one would look like protection.
SHARED_WITH_REFERENCE = (
    "dataset",
    "image_size",
    "encoder",
    "cut",
    "code_channels",
    "perceptual",
    "perceptual_layers",
    "mu",
    "attacker_width",
    "attacker_depth",
    "attacker_steps",
    "attacker_batch_size",
    "attacker_learning_rate",
)


@dataclasses.dataclass(frozen=True)
class Reference:
    """The unprotected encoder's audit.

    Attributes:
        workdir: its run directory, as given.
        worst: measure -> per-image values float64 [N] of its worst attack.
        worst_attack: measure -> that attack's name.
    """

    workdir: str
    worst: Mapping[str, np.ndarray]
    worst_attack: Mapping[str, str]


def worst_attacks(per_attack: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, str]:
    """Measure -> the attack with the highest mean: measures grow with the attacker's success."""
    return {
        measure: max(per_attack, key=lambda name: per_attack[name][measure].mean())
        for measure in MEASURES
    }


def mean_estimate(values: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Mean of per-image values with its bootstrap interval."""
    return utility.estimate(float(values.mean()), metrics.weighted_means(values, weights))


def leakage(
    measure: str,
    per_image: Mapping[str, Mapping[str, np.ndarray]],
    worst: str,
    reference: Reference | None,
    weights: np.ndarray,
) -> dict[str, Any]:
    """(worst - floor) / (reference - floor), where the floor is the better of the two.

    Null without a reference, or where the reference gives away no more than the floor. The interval
    resamples the same people in all three terms.
    """
    if reference is None:
        return utility.estimate(None)
    floor = max(FLOORS, key=lambda name: per_image[name][measure].mean())
    terms = [per_image[worst][measure], per_image[floor][measure], reference.worst[measure]]
    attacked, least, unprotected = (values.mean() for values in terms)
    if unprotected <= least:
        return utility.estimate(None)
    attacked_s, least_s, unprotected_s = (metrics.weighted_means(v, weights) for v in terms)
    gap = unprotected_s - least_s
    resampled = np.divide(attacked_s - least_s, gap, out=np.full_like(gap, np.nan), where=gap > 0)
    return utility.estimate(float((attacked - least) / (unprotected - least)), resampled)


def describe_reference(reference: Reference, weights: np.ndarray) -> dict[str, Any]:
    """The report's `reference` section."""
    return {
        "workdir": reference.workdir,
        "worst": {
            measure: {
                "attack": reference.worst_attack[measure],
                **mean_estimate(reference.worst[measure], weights),
            }
            for measure in MEASURES
        },
    }


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
    if not path.exists() or recorded is None:
        raise ValueError(
            f"--reference={config.reference} holds no {path.relative_to(run.root)}; train it with"
            f" --defence=none and audit it with --audit_split={config.audit_split} first."
        )
    if recorded["defence"] != "none":
        raise ValueError(
            f"--reference={config.reference} was trained with --defence={recorded['defence']}; the"
            " reference must be unprotected (--defence=none)."
        )
    now = {name: getattr(config, name) for name in SHARED_WITH_REFERENCE}
    differing = runs.differing_settings(recorded, now)
    if differing:
        raise ValueError(f"--reference={config.reference} differs: {', '.join(differing)}.")
    return path


def load_reference(config: Config, test_hash: str) -> Reference:
    """Reads the audit of the run directory that --reference names.

    Raises:
        ValueError: as `check_reference`, or it was measured on other images.
    """
    path = check_reference(config)
    with np.load(path) as saved:
        if str(saved["test_hash"]) != test_hash:
            raise ValueError(
                f"--reference={config.reference} was measured on other images; use the same data"
                " and --seed."
            )
        per_attack = {
            name: {measure: saved[f"{name}/{measure}"] for measure in MEASURES}
            for name in saved["attacks"].tolist()
        }
    worst = worst_attacks(per_attack)
    return Reference(config.reference, {m: per_attack[name][m] for m, name in worst.items()}, worst)


def save_measures(
    path: pathlib.Path,
    per_image: Mapping[str, Mapping[str, np.ndarray]],
    attack_names: Sequence[str],
    test_hash: str,
) -> None:
    """Writes the per-image measures (no image), by rename, for later audits with this reference."""
    arrays = {
        f"{name}/{measure}": values
        for name, measures in per_image.items()
        for measure, values in measures.items()
    }
    unfinished = path.with_name("unfinished_" + path.name)
    np.savez_compressed(
        unfinished, attacks=np.array(attack_names), test_hash=np.array(test_hash), **arrays
    )
    unfinished.replace(path)
