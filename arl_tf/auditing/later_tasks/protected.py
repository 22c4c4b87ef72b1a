"""Protected attributes, read as well as this project can: by ridge regression or by kernels.

The gate on protected attributes would be too lenient if only the linear regressions of later tasks
were asked: kernel ridge regression reads more of most codes.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from arl_tf.attacks.evidence import Evidence
from arl_tf.attacks.regression.attributes import attribute_scores
from arl_tf.attacks.regression.code_view import code_view
from arl_tf.metrics import few_labels, measures

Features = Mapping[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Reading:
    """Attributes as one reader predicts them.

    Attributes:
        held_out: bool [H, K], of held-out public images, which it did not learn from.
        asked: bool [M, K], of the images that are asked for.
    """

    held_out: np.ndarray
    asked: np.ndarray


def by_ridge(known: Features, labels: np.ndarray, asked: np.ndarray, count: int) -> Reading:
    """The ridge regressions of later tasks; held-out rows are read by those of the other rows.

    Args:
        known: kind -> features float [N, D] of all labelled rows, the held-out ones last.
        labels: {0, 1} [N, K].
        asked: bool [M, K], what regressions on all labelled rows say.
        count: labelled rows that are not held out.
    """
    learned, others = (
        {kind: features[part] for kind, features in known.items()}
        for part in (slice(count), slice(count, None))
    )
    return Reading(few_labels.predict_best(learned, labels[:count], others), asked)


def by_kernel(seen: Evidence, labels: np.ndarray, count: int, seed: int) -> Reading:
    """Kernel ridge regression on codes or on task outputs, as the attribute probe has it.

    An attribute is predicted where its score is above a threshold that as many held-out scores
    exceed as have it.

    Args:
        seen: public pairs, maybe with mirror images, and as `target_codes` those asked for.
        labels: {0, 1} [N, K], of all labelled rows, the held-out ones last.
        count: labelled rows that are not held out.
        seed: draws the noise.
    """
    learned = np.concatenate([labels[:count]] * (len(seen.pairs.codes) // count))
    held_out, asked = attribute_scores(code_view(seen, seed), learned, labels[count:], seed)
    thresholds = few_labels.share_thresholds(held_out, labels[count:])
    return Reading(held_out > thresholds, asked > thresholds)


def strongest(readings: Sequence[Reading], held_out_labels: np.ndarray) -> np.ndarray:
    """Each attribute by the reader with the highest MCC on held-out images; bool [M, K].

    `held_out_labels` are {0, 1} [H, K]. Of equally good readers the first counts.
    """
    scores = [
        measures.matthews_correlation(
            measures.confusion_counts(reading.held_out, held_out_labels).sum(axis=0)
        )
        for reading in readings
    ]
    best = np.argmax(scores, axis=0)
    asked = np.stack([reading.asked for reading in readings])
    return asked[best, :, np.arange(held_out_labels.shape[1])].T
