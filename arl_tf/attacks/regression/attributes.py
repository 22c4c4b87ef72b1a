"""Kernel ridge regression from codes to attributes, in closed form."""

import numpy as np

from arl_tf.attacks.regression.code_view import CodeView
from arl_tf.attacks.regression.kernel_ridge import averaged_predictions, kernel_maps


def attribute_scores(
    view: CodeView, labels: np.ndarray, held_out_labels: np.ndarray, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """How far each attribute is there, by the kernel ridge regression that fits held-out codes.

    The kernel and the penalty with the least squared error of held-out labels count; so does
    whether one regression predicts or, where noise is drawn, the mean of several.

    Args:
        view: the codes.
        labels: {0, 1} [N, K], of all public codes; `view.rows` are learned from.
        held_out_labels: {0, 1} [H, K].
        seed: draws the noise.

    Returns:
        float32 [H, K] of held-out codes and [M, K] of those under attack; about 0 to 1.
    """
    truth = labels[view.rows].astype(np.float32)

    def error(scores: np.ndarray) -> float:
        return float(np.square(scores - held_out_labels).mean())

    least, chosen, held_out = np.inf, None, None
    for each in kernel_maps(view, seed):
        scores = each.predict(view.held_out, truth)
        if chosen is None or error(scores) < least:
            least, chosen, held_out = error(scores), each, scores
    target = chosen.predict(view.target, truth)
    for _, *mean in averaged_predictions(view, chosen, truth, seed):
        if error(mean[0]) < least:
            least, (held_out, target) = error(mean[0]), mean
    return held_out, target
