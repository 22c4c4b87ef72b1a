"""What the codes are good for: MCC, accuracy and ROC AUC, with intervals over identities."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from arl_tf.metrics import measures

AUC_RESAMPLES = 200


def estimate(value: float | None, resampled: np.ndarray | None = None) -> dict[str, Any]:
    """A reported number: {"value", "ci95"}; None stands for undefined.

    `resampled` float [R] are its values in bootstrap resamples; None: it gets no interval.
    """
    if value is None or resampled is None or np.isnan(resampled).all():
        return {"value": value, "ci95": None}
    return {"value": value, "ci95": list(measures.interval(resampled))}


def measure_utility(
    logits: np.ndarray,
    attributes: np.ndarray,
    names: tuple[str, ...],
    weights: np.ndarray,
    thresholds: np.ndarray | float = 0.0,
) -> dict[str, Any]:
    """The report's `utility` section.

    Args:
        logits: float32 [N, A]; an attribute is predicted where its logit is above its threshold.
        attributes: {0, 1} [N, A].
        names: A names.
        weights: float [R, N], bootstrap resamples.
        thresholds: float [A], or [N, A] where images have thresholds of their own.

    Returns:
        mean_mcc, accuracy and roc_auc, each {"value", "ci95"}, and mean_mcc_at_0 with thresholds of
        0; `attributes`: name -> mcc, mcc_at_0, accuracy, positives; `undefined_mcc`: attributes
        whose MCC is undefined (actual or predicted values are of one class only) and counts as 0 in
        mean_mcc; `one_class`: those of them whose actual values are of one class, of which these
        images can tell nothing; `mean_mcc_two_classes`: mean_mcc without those.
    """
    margins = logits - thresholds
    counts = measures.confusion_counts(margins > 0, attributes)
    per_attribute = measures.matthews_correlation(counts.sum(axis=0))
    at_0 = measures.confusion_counts(logits > 0, attributes).sum(axis=0)
    mcc_at_0 = measures.matthews_correlation(at_0)
    num_images = len(attributes)
    correct = counts[..., 0] + counts[..., 3]
    positives = attributes.sum(axis=0)
    predicted = (margins > 0).sum(axis=0)
    one_class = positives % num_images == 0
    undefined = one_class | (predicted % num_images == 0)
    mean_mcc = estimate(
        float(per_attribute.mean()), resampled_mean_mcc(margins, attributes, weights)
    )
    return {
        "mean_mcc": mean_mcc,
        "mean_mcc_at_0": estimate(
            float(mcc_at_0.mean()), resampled_mean_mcc(logits, attributes, weights)
        ),
        "mean_mcc_two_classes": over_fewer(mean_mcc, len(names), int(one_class.sum())),
        "accuracy": estimate(
            float(correct.mean()), measures.weighted_means(correct.mean(axis=1), weights)
        ),
        "roc_auc": mean_auc(logits, attributes, weights[:AUC_RESAMPLES]),
        "attributes": {
            name: {
                "mcc": float(per_attribute[column]),
                "mcc_at_0": float(mcc_at_0[column]),
                "accuracy": float(correct[:, column].mean()),
                "positives": int(positives[column]),
            }
            for column, name in enumerate(names)
        },
        "undefined_mcc": flagged_names(names, undefined),
        "one_class": flagged_names(names, one_class),
    }


def flagged_names(names: tuple[str, ...], flags: np.ndarray) -> list[str]:
    """The names whose flag is set; bool [A]."""
    return [name for name, flag in zip(names, flags, strict=True) if flag]


def over_fewer(mean: Mapping[str, Any], count: int, zeros: int) -> dict[str, Any]:
    """A mean of `count` values without the `zeros` of them that are 0, here and in any resample.

    Undefined where none is left.
    """
    if zeros == count:
        return estimate(None)
    factor = count / (count - zeros)
    ends = mean["ci95"] and [factor * end for end in mean["ci95"]]
    return {"value": factor * mean["value"], "ci95": ends}


def resampled_mean_mcc(
    margins: np.ndarray, attributes: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Mean MCC in each bootstrap resample, float64 [R].

    `margins` float [N, A] are logits less their thresholds; the rest is as of `measure_utility`.
    """
    counts = measures.confusion_counts(margins > 0, attributes)
    num_images, num_attributes = attributes.shape
    resampled = (weights @ counts.reshape(num_images, -1)).reshape(-1, num_attributes, 4)
    return measures.matthews_correlation(resampled).mean(axis=1)


def mean_auc(logits: np.ndarray, attributes: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
    """Mean ROC AUC over the attributes that have both classes.

    Args:
        logits: float32 [N, A].
        attributes: {0, 1} [N, A].
        weights: float [R, N], bootstrap resamples.

    Returns:
        {"value", "ci95"}; the value is None where no attribute has both classes.
    """
    rows = np.concatenate([np.ones((1, len(logits))), weights])
    columns = [
        measures.roc_auc(logits[:, column], attributes[:, column], rows)
        for column in range(attributes.shape[1])
    ]
    with_both = [column for column in columns if not np.isnan(column[0])]
    if not with_both:
        return estimate(None)
    # A resample may lose a rare class; the attribute is then left out of that resample's mean, and
    # a resample without any attribute out of the interval (a masked mean; nanmean would warn).
    aucs = np.ma.masked_invalid(np.stack(with_both))
    means = aucs.mean(axis=0).filled(np.nan)
    return estimate(float(means[0]), means[1:])
