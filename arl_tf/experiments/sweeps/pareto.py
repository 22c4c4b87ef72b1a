"""The trade-off between what codes are good for and what they give away: which points are best.

Utility is to be high, leakage low.
"""

import numpy as np


def dominates(
    utility: np.ndarray, leakage: np.ndarray, others_utility: np.ndarray, others_leakage: np.ndarray
) -> np.ndarray:
    """Which points dominate which others: no worse in both figures, better in one.

    Args:
        utility: float [N].
        leakage: float [N].
        others_utility: float [M].
        others_leakage: float [M].

    Returns:
        bool [N, M]: point n dominates other m.
    """
    better = utility[:, None] - others_utility[None]
    safer = others_leakage[None] - leakage[:, None]
    return (better >= 0) & (safer >= 0) & ((better > 0) | (safer > 0))


def front(utility: np.ndarray, leakage: np.ndarray) -> np.ndarray:
    """Booleans [N]: the points that no other dominates; equal points stand on it together.

    Args:
        utility: float [N].
        leakage: float [N].
    """
    return ~dominates(utility, leakage, utility, leakage).any(axis=0)


def surely_dominated(utility_ci: np.ndarray, leakage_ci: np.ndarray) -> np.ndarray:
    """Booleans [N]: points that are dominated even where all intervals are read in their favour.

    Some other point's worst ends (low utility, high leakage) dominate this one's best ends. The
    rest may be on the front for all that was measured.

    Args:
        utility_ci: float [N, 2], low and high ends.
        leakage_ci: float [N, 2].
    """
    return dominates(utility_ci[:, 0], leakage_ci[:, 1], utility_ci[:, 1], leakage_ci[:, 0]).any(
        axis=0
    )


def hypervolume(utility: np.ndarray, leakage: np.ndarray, reference: tuple[float, float]) -> float:
    """Area of what the points dominate, up to a reference point that is worse than all.

    Points that are no better than the reference in both figures add nothing.

    Args:
        utility: float [N].
        leakage: float [N].
        reference: (utility, leakage) of the worst that is of interest.
    """
    lowest, worst = reference
    useful = (utility > lowest) & (leakage < worst)
    order = np.lexsort((leakage[useful], -utility[useful]))
    area, covered = 0.0, worst
    # From the highest utility downwards, each point adds a slab as deep as it leaks less.
    for gained, leaked in zip(utility[useful][order], leakage[useful][order], strict=True):
        if leaked < covered:
            area += (gained - lowest) * (covered - leaked)
            covered = leaked
    return float(area)


def hypervolume_bounds(
    utility_ci: np.ndarray, leakage_ci: np.ndarray, reference: tuple[float, float]
) -> tuple[float, float]:
    """Hypervolumes of all points at their worst and at their best ends; wider than 95 %.

    Args:
        utility_ci: float [N, 2], low and high ends.
        leakage_ci: float [N, 2].
        reference: as for `hypervolume`.
    """
    return (
        hypervolume(utility_ci[:, 0], leakage_ci[:, 1], reference),
        hypervolume(utility_ci[:, 1], leakage_ci[:, 0], reference),
    )
