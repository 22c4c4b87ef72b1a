"""Figures of several trainings of one setting as one estimate."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from arl_tf.auditing.resamples import Resamples
from arl_tf.metrics import measures

Estimate = Mapping[str, Any]
UNKNOWN: Estimate = {"value": None, "ci95": None}


def over_trainings(found: Sequence[Estimate]) -> dict[str, Any]:
    """The mean over trainings that were measured on the same images, with its 95 % interval.

    Two things vary, and their half widths add as squares. People: all trainings were measured on
    the same ones, so that averaging gains nothing, and the half width is the mean of the
    trainings'. Trainings: Student's t for the mean of so few. One training says nothing of the
    second; its interval is that of people alone.

    Args:
        found: {"value", "ci95"} of each training, at least one.

    Returns:
        {"value", "ci95", "trainings": the single values}; without a value, or an interval, where
        a training has none.
    """
    values = [estimate["value"] for estimate in found]
    if None in values:
        return {**UNKNOWN, "trainings": values}
    mean = sum(values) / len(values)
    intervals = [estimate["ci95"] for estimate in found]
    if not all(intervals):
        return {"value": mean, "ci95": None, "trainings": values}
    below = sum(value - low for value, (low, _) in zip(values, intervals, strict=True))
    above = sum(high - value for value, (_, high) in zip(values, intervals, strict=True))
    half = half_width(values)
    ends = (
        mean - math.hypot(below / len(values), half),
        mean + math.hypot(above / len(values), half),
    )
    return {"value": mean, "ci95": list(ends), "trainings": values}


def half_width(values: Sequence[float]) -> float:
    """Half the 95 % interval of a mean by Student's t; 0 for one value, which tells nothing."""
    if len(values) < 2:
        return 0.0
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return float(stats.t.ppf(0.975, len(values) - 1)) * error


def share(
    part: Estimate,
    whole: Estimate,
    name: str,
    resamples: tuple[Resamples | None, Resamples | None],
) -> dict[str, Any]:
    """A figure as a share of another encoder's on the same images, with a paired interval.

    Args:
        part: the figure.
        whole: the other's.
        name: of the figure in the resamples.
        resamples: of part and whole. Where they are not of the same images there is no interval.
    """
    if part["value"] is None or not whole["value"]:
        return dict(UNKNOWN)
    value = part["value"] / whole["value"]
    first, second = resamples
    if first is None or second is None or first.key != second.key:
        return {"value": value, "ci95": None}
    if name not in first.figures or name not in second.figures:
        return {"value": value, "ci95": None}
    return {
        "value": value,
        "ci95": list(measures.interval(first.figures[name] / second.figures[name])),
    }
