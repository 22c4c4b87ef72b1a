"""Decisions of what is audited, such as thresholds, from codes of X1's validation part."""

import numpy as np

from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.data.image_sets import ImageSet
from arl_tf.metrics.tasks.definition import TaskDecisions
from arl_tf.metrics.tasks.registry import task_of


def fit_decisions(
    images: ImageSet, rows: np.ndarray, audited_encoder: AuditedEncoder, cache: CodeCache, seed: int
) -> TaskDecisions | None:
    """Chooses the task's decisions on codes as they leave; None without labels or task head.

    Args:
        images: the data set.
        rows: int [n], X1's validation part.
        audited_encoder: with its task head.
        cache: of its codes.
        seed: of the channel's noise.
    """
    logits = task_logits(rows, audited_encoder, cache, seed)
    if logits is None or not images.attribute_names or not len(rows):
        return None
    return task_of(images.task_kind).fit(logits, images.attributes[rows])


def task_logits(
    rows: np.ndarray, audited_encoder: AuditedEncoder, cache: CodeCache, seed: int
) -> np.ndarray | None:
    """The task output float32 [n, A] for rows int [n] of the data set; None without a head."""
    if audited_encoder.recorded_logits is not None:
        return audited_encoder.recorded_logits[rows]
    if audited_encoder.task_output is None:
        return None
    return audited_encoder.task_output(cache.codes(rows, seed))
