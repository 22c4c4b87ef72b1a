"""The report's `codes.later_tasks`: what a code buys, what it tells of protected attributes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from arl_tf.auditing.later_tasks.learning import CODE, TASK_OUTPUT, LaterTasks
from arl_tf.data.image_sets import ImageSet
from arl_tf.metrics import few_labels, intervals, utility


def check_protected(protected: tuple[str, ...], images: ImageSet) -> None:
    """Raises ValueError where the data have no such attribute outside the task."""
    unknown = [name for name in protected if name not in images.other_attribute_names]
    if unknown:
        others = ", ".join(images.other_attribute_names) or "none"
        raise ValueError(
            f"--protected_attributes names {', '.join(unknown)}; expected attributes of the data"
            f" set that the task leaves out, of which there are: {others}. --task_attributes names"
            " those of the task; of a metadata.csv --label_columns names those of the task."
        )


def describe(
    found: LaterTasks | None,
    reference: Mapping[str, np.ndarray],
    protected: tuple[str, ...],
    weights: np.ndarray,
) -> dict[str, Any] | None:
    """The report's `codes.later_tasks`; None where the task leaves no attribute out.

    Args:
        found: what was predicted.
        reference: `LaterTasks.kept` of the unprotected encoder's audit; empty without one.
        protected: names that a code must not tell beyond the task output.
        weights: float [R, N], bootstrap resamples of the images that utility is measured on.
    """
    if found is None:
        return None
    rows = np.vstack([np.ones(len(found.truth)), weights])
    sizes = [key.partition("/")[2] for key in found.predicted if key.startswith(f"{CODE}/")]
    mcc = {size: mcc_by_source(found, reference, size, rows) for size in sizes}
    return {
        "learned_from": "X2",
        "images": len(found.truth),
        "sizes": [
            {
                "labels": int(size),
                "draws": len(found.predicted[f"{CODE}/{size}"]),
                "mean": estimates({s: v.mean(axis=1) for s, v in mcc[size].items()}),
                "attributes": {
                    name: estimates({s: v[:, column] for s, v in mcc[size].items()})
                    for column, name in enumerate(found.names)
                },
            }
            for size in sizes
        ],
        "protected": describe_protected(found.names, mcc[sizes[-1]], protected),
    }


def mcc_by_source(
    found: LaterTasks, reference: Mapping[str, np.ndarray], size: str, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Source -> MCC float64 [1 + R, K]: of all images, and of each resample; with the `gain`."""
    predicted = {source: found.predicted.get(f"{source}/{size}") for source in (CODE, TASK_OUTPUT)}
    kept = [reference.get(f"{size}/{name}") for name in found.names]
    shape = predicted[CODE].shape[:2]
    if all(each is not None and each.shape == shape for each in kept):
        predicted["unprotected"] = np.stack(kept, axis=-1)
    mcc = {
        source: few_labels.resampled_mcc(each, found.truth, rows)
        for source, each in predicted.items()
        if each is not None
    }
    if TASK_OUTPUT in mcc:
        mcc["gain"] = mcc[CODE] - mcc[TASK_OUTPUT]
    return mcc


def estimates(values: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Source -> estimate of float64 [1 + R], the first being that of all images."""
    return {
        source: utility.estimate(float(values[source][0]), values[source][1:])
        if source in values
        else utility.estimate(None)
        for source in (CODE, TASK_OUTPUT, "unprotected", "gain")
    }


def describe_protected(
    names: tuple[str, ...], mcc: Mapping[str, np.ndarray], protected: tuple[str, ...]
) -> dict[str, Any] | None:
    """What a code tells of protected attributes beyond the task output; None without either.

    The interval of the largest gain covers its being the largest of several.
    """
    if not protected or "gain" not in mcc:
        return None
    gains = mcc["gain"][:, [names.index(name) for name in protected]]
    each = {
        name: utility.estimate(float(gains[0, column]), gains[1:, column])
        for column, name in enumerate(protected)
    }
    return {
        "attributes": {
            name: {"gain": gain, "told": gain["ci95"][0] > 0} for name, gain in each.items()
        },
        "largest_gain": {
            "attribute": protected[int(gains[0].argmax())],
            "value": float(gains[0].max()),
            "ci95": list(intervals.simultaneous_interval(gains[0], gains[1:])),
        },
    }
