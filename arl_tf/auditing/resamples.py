"""An audit's figures in every bootstrap resample: what two audits of the same images differ by."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from arl_tf.auditing import leakage
from arl_tf.auditing.later_tasks import section as later_section
from arl_tf.auditing.measurements import Measurements
from arl_tf.data.splits import names_hash
from arl_tf.metrics import measures
from arl_tf.metrics.reconstruction import MEASURES


@dataclasses.dataclass(frozen=True)
class Resamples:
    """Figures in the bootstrap resamples of an audit.

    Resamples depend on the people and on --seed alone: those of two audits of the same images are
    the same, and differences between them are paired.

    Attributes:
        key: of images and seed; the same key, the same resamples.
        figures: "utility", also by its own name such as "mean_mcc", each of MEASURES for the worst
            attack, ATTACK.MEASURE for every attack,
            leakage.MEASURE where it is defined, KIND.SOURCE/LABELS of later tasks -> float64 [R].
            The worst attack, the floor and the reference's worst are chosen anew in each resample.
    """

    key: str
    figures: Mapping[str, np.ndarray]


def resampled(found: Measurements) -> Resamples:
    """An audit's figures in its resamples."""
    names = [found.images.names[row] for part in roles(found) for row in part]
    key = f"{names_hash(names)} {len(found.rows.target)} {found.settings.seed}"
    return Resamples(key, resampled_figures(found))


def roles(found: Measurements) -> tuple[np.ndarray, np.ndarray]:
    """Rows int64 [M] under attack, and rows int64 [N] that utility is measured on."""
    return found.rows.target, found.rows.utility


def resampled_figures(found: Measurements) -> dict[str, np.ndarray]:
    """Figure -> float64 [R]."""
    weights, attacks = found.weights(found.rows.target), found.attacks
    values = {
        f"{name}.{measure}": measures.weighted_means(per_image[measure], weights)
        for name, per_image in attacks.items()
        for measure in MEASURES
        if not np.isnan(per_image[measure]).all()
    }
    for measure in leakage.worst_attacks(attacks):
        values[measure] = np.max([values[f"{name}.{measure}"] for name in attacks], axis=0)
        shares = leakage.attack_shares(measure, attacks, found.floors, found.reference, weights)
        if shares is not None:
            values[f"leakage.{measure}"] = np.maximum(0.0, shares[1].max(axis=1))
    if found.utility is not None:
        values["utility"] = values[found.task.headline] = found.task.resampled(found.utility)
    if found.later_tasks is not None:
        values |= later_section.resampled_figures(
            found.later_tasks.names, found.later_mcc, found.settings.protected_attributes
        )
    return values


def paired_difference(
    figure: str, first: Sequence[Resamples], last: Sequence[Resamples]
) -> tuple[float, float] | None:
    """The central 95 % of the difference of two sides' means, resample by resample.

    Args:
        figure: a key of `Resamples.figures`.
        first: audits of the one side.
        last: of the other.

    Returns:
        (low, high); None where an audit lacks the figure, or is of other images than the rest.
    """
    audits = [*first, *last]
    if len({audit.key for audit in audits}) > 1 or any(figure not in a.figures for a in audits):
        return None
    sides = [np.mean([audit.figures[figure] for audit in side], axis=0) for side in (first, last)]
    differences = sides[1] - sides[0]
    return None if np.isnan(differences).all() else measures.interval(differences)
