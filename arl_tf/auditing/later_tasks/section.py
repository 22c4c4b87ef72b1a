"""The report's `codes.later_tasks`: what a code buys, what it tells of protected attributes."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from arl_tf.auditing.later_tasks.learning import CODE, TASK_OUTPUT, LaterTasks
from arl_tf.data.image_sets import ImageSet
from arl_tf.metrics import few_labels, intervals, utility

WANTED, PROTECTED, ALL_LABELS = "wanted", "protected_mean", "all"
# Number of labelled codes -> source -> MCC float64 [1 + R, K]: of all images, of each resample.
MccBySize = Mapping[str, Mapping[str, np.ndarray]]


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


def mcc_by_size(
    found: LaterTasks | None, reference: Mapping[str, np.ndarray], weights: np.ndarray
) -> MccBySize:
    """Number of labelled codes, the fewest first -> source -> MCC float64 [1 + R, K].

    Args:
        found: what was predicted; None: nothing, and the result is empty.
        reference: `LaterTasks.kept` of the unprotected encoder's audit; empty without one.
        weights: float [R, N], bootstrap resamples of the images that utility is measured on.
    """
    if found is None:
        return {}
    rows = np.vstack([np.ones(len(found.truth)), weights])
    sizes = [key.partition("/")[2] for key in found.predicted if key.startswith(f"{CODE}/")]
    return {size: mcc_by_source(found, reference, size, rows) for size in sizes}


def describe(
    found: LaterTasks | None, mcc: MccBySize, protected: tuple[str, ...]
) -> dict[str, Any] | None:
    """The report's `codes.later_tasks`; None where the task leaves no attribute out.

    Args:
        found: what was predicted.
        mcc: of it, see `mcc_by_size`.
        protected: names that a code must not tell beyond the task output.
    """
    if found is None:
        return None
    return {
        "learned_from": "X2",
        "images": len(found.truth),
        "sizes": [
            {
                "labels": int(size),
                "draws": len(found.predicted[f"{CODE}/{size}"]),
                "mean": estimates({s: v.mean(axis=1) for s, v in mcc[size].items()}),
                **{
                    kind: estimates(means)
                    for kind, means in kind_means(found.names, mcc[size], protected).items()
                },
                "attributes": {
                    name: estimates({s: v[:, column] for s, v in mcc[size].items()})
                    for column, name in enumerate(found.names)
                },
            }
            for size in mcc
        ],
        "protected": describe_protected(found.names, mcc[list(mcc)[-1]], protected),
    }


def kind_means(
    names: tuple[str, ...], mcc: Mapping[str, np.ndarray], protected: tuple[str, ...]
) -> dict[str, dict[str, np.ndarray]]:
    """WANTED and PROTECTED -> source -> MCC float64 [1 + R], the mean over attributes of the kind.

    Attributes that are not protected are wanted. A kind without any attribute has no source.
    `mcc`: source -> float64 [1 + R, K], K attributes by `names`.
    """
    is_protected = np.isin(names, protected)
    return {
        kind: {source: each[:, chosen].mean(axis=1) for source, each in mcc.items()}
        if chosen.any()
        else {}
        for kind, chosen in ((WANTED, ~is_protected), (PROTECTED, is_protected))
    }


def resampled_figures(
    names: tuple[str, ...], mcc: MccBySize, protected: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """KIND.SOURCE/LABELS -> float64 [R], of the means of `kind_means` in the resamples.

    LABELS is a number of labelled codes; ALL_LABELS beside the largest.
    """
    sizes = {**mcc, ALL_LABELS: mcc[list(mcc)[-1]]} if mcc else {}
    return {
        f"{kind}.{source}/{size}": values[1:]
        for size, by_source in sizes.items()
        for kind, means in kind_means(names, by_source, protected).items()
        for source, values in means.items()
    }


def mcc_by_source(
    found: LaterTasks, reference: Mapping[str, np.ndarray], size: str, rows: np.ndarray
) -> dict[str, np.ndarray]:
    """Source -> MCC float64 [1 + R, K]: of all images, and of each resample; with the `gain`.

    `rows` float [1 + R, N] are the weights of images in both; the rest is as of `mcc_by_size`.
    """
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

    `mcc`: source -> float64 [1 + R, K], K attributes by `names`, `gain` among the sources.
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
