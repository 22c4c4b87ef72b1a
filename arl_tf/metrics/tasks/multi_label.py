"""Several attributes, each there or not: the task of face attributes."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.metrics import decisions as rules
from arl_tf.metrics import measures, utility
from arl_tf.metrics.decisions import Decisions, calibration_error
from arl_tf.metrics.tasks.classification import Classification
from arl_tf.metrics.tasks.definition import Finish, Measured
from arl_tf.models.losses import BalancedBinary
from arl_tf.models.perceptron import log_odds


class MultiLabel(Classification):
    """Labels {0, 1} [N, A], a logit an attribute; thresholds and a temperature are chosen."""

    kind: ClassVar[str] = MULTI_LABEL
    loss: str | keras.losses.Loss = "binary"
    headline_name: ClassVar[str] = "mean MCC"

    def keras_loss(self) -> keras.losses.Loss:
        """Binary cross-entropy of logits, with the weights of a balanced task."""
        if isinstance(self.loss, keras.losses.Loss):
            return self.loss
        return keras.losses.BinaryCrossentropy(from_logits=True)

    def balanced(self, labels: np.ndarray) -> "MultiLabel":
        """The task whose loss counts an attribute's positives as much as its negatives, in all.

        By labels {0, 1} [N, A].
        """
        task = MultiLabel()
        task.loss = BalancedBinary.of_labels(labels)
        return task

    def finish(self, labels: np.ndarray) -> Finish:
        """Of a balanced task: what makes log odds of its head's logits again.

        The loss of `BalancedBinary` is least at the log odds plus log(w+ / w-), which differs from
        attribute to attribute: no temperature of all can take it back. The labels [N, A] are those
        that the weights are of, already.
        """
        del labels
        if not isinstance(self.loss, BalancedBinary):
            return Finish()
        positive, negative = np.array(self.loss.positive), np.array(self.loss.negative)
        shift = np.log(positive / negative)
        return Finish(np.ones_like(shift), -shift, layer="log_odds")

    def first_outputs(self, labels: np.ndarray) -> np.ndarray:
        """Log odds float64 [A] of labels [N, A]; one count of each class more than there are."""
        return log_odds(labels)

    def answers(self, outputs: tf.Tensor) -> tf.Tensor:
        """Probabilities [B, A] in [0, 1] of logits [B, A]."""
        return tf.sigmoid(outputs)

    def score(
        self, outputs: np.ndarray, labels: np.ndarray, decisions: Decisions | None = None
    ) -> float:
        """Mean MCC over attributes, in [-1, 1], at the thresholds of `decisions` or at 0.

        Outputs and labels {0, 1} are [N, A].
        """
        chosen = decisions or self.undecided(outputs.shape[1])
        counts = measures.confusion_counts(chosen.decide(outputs), labels).sum(axis=0)
        return float(measures.matthews_correlation(counts).mean())

    def undecided(self, count: int) -> Decisions:
        """Thresholds of 0 and a temperature of 1."""
        return rules.undecided(count)

    def fit(self, outputs: np.ndarray, labels: np.ndarray) -> Decisions:
        """Thresholds and a temperature, of logits [N, A] and labels {0, 1} [N, A]."""
        return rules.fit(outputs, labels)

    def read(self, content: Mapping[str, Any], names: Sequence[str]) -> Decisions:
        """As `decisions.from_json`."""
        return rules.from_json(content, names)

    def thresholds(
        self, decisions: Any, labelled: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    ) -> np.ndarray | float:
        """Chosen ones [A]; on the images they were chosen on, those that other people chose.

        Then they are [N, A]; 0 where none were chosen. `labelled`: outputs, labels [N, A] and
        identities [N].
        """
        if decisions is None:
            return 0.0
        return decisions.thresholds if labelled is None else rules.halves_thresholds(*labelled)

    def serve(self, outputs: tf.Tensor, decisions: Decisions) -> dict[str, tf.Tensor]:
        """`logits`, calibrated `probability`, `decision` at the thresholds, [B, A] each."""
        return {
            "logits": outputs,
            "probability": tf.sigmoid(outputs / decisions.temperature),
            "decision": outputs > decisions.thresholds,
        }

    def measure(self, measured: Measured) -> dict[str, Any]:
        """Mean MCC, accuracy, ROC AUC, each attribute, thresholds and calibration."""
        labels, outputs = measured.labels, measured.outputs
        plain = self.undecided(len(measured.names))
        chosen = measured.decisions or plain
        return {
            **utility.measure_utility(
                outputs, labels, measured.names, measured.weights, measured.thresholds
            ),
            "thresholds": chosen.as_json(measured.names)["thresholds"],
            "calibration": {
                "temperature": chosen.temperature,
                "error": calibration_error(chosen.probability(outputs), labels),
                "error_uncalibrated": calibration_error(plain.probability(outputs), labels),
            },
        }

    def resampled(self, measured: Measured) -> np.ndarray:
        """Mean MCC in each resample, float64 [R]."""
        return utility.resampled_mean_mcc(
            measured.outputs - measured.thresholds, measured.labels, measured.weights
        )

    def decision_bits(self, count: int) -> int:
        """A bit an attribute."""
        return count
