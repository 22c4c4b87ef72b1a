"""What tasks of attributes and of classes share: their heads give logits."""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from arl_tf.metrics import utility
from arl_tf.metrics.tasks.definition import Task

MEANS = ("mean_mcc", "mean_mcc_at_0", "mean_mcc_two_classes", "accuracy", "roc_auc")


class Classification(Task):
    """A task whose outputs are logits, calibrated probabilities and decisions."""

    headline: ClassVar[str] = "mean_mcc"
    outputs: ClassVar[tuple[str, ...]] = ("logits", "probability", "decision")

    def served(self, outputs: np.ndarray, decisions: Any) -> Mapping[str, np.ndarray]:
        """What the exported head serves, of arrays: logits [N, A] -> {name: array [N, A]}."""
        return {
            "logits": outputs,
            "probability": decisions.probability(outputs),
            "decision": decisions.decide(outputs),
        }

    def nothing(self) -> dict[str, Any]:
        """Every figure undefined."""
        undefined = {name: utility.estimate(None) for name in MEANS}
        lists = {"attributes": {}, "undefined_mcc": [], "one_class": []}
        return {**undefined, **lists, "thresholds": {}, "calibration": None}
