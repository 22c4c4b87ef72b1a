"""One of several classes: softmax, the likeliest class is the decision."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf
from scipy import optimize, special

from arl_tf.data.task_kinds import SINGLE_LABEL
from arl_tf.metrics import measures, utility
from arl_tf.metrics.decisions import LARGEST_LOG_TEMPERATURE, calibration_error
from arl_tf.metrics.tasks.classification import Classification
from arl_tf.metrics.tasks.definition import LOSS_LIMIT, Measured

RULE = "argmax"


@dataclasses.dataclass(frozen=True)
class ClassDecisions:
    """The likeliest class; probabilities are softmax(logits / temperature).

    Attributes:
        temperature: > 0.
    """

    temperature: float = 1.0

    def decide(self, logits: np.ndarray) -> np.ndarray:
        """Bool [N, K], one true a row: the highest logit [N, K], the first of equal ones."""
        return np.arange(logits.shape[1]) == logits.argmax(axis=1)[:, None]

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated probabilities [N, K] of logits [N, K]; each row sums to 1."""
        return special.softmax(logits / self.temperature, axis=1)

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """For files: `temperature`, and the rule of the decision."""
        del names
        return {"temperature": float(self.temperature), "rule": RULE}


class SingleLabel(Classification):
    """One-hot labels {0, 1} [N, K], a logit a class; a temperature is chosen, no thresholds."""

    kind: ClassVar[str] = SINGLE_LABEL
    loss: str | keras.losses.Loss = "categorical"
    headline_name: ClassVar[str] = "macro MCC"

    def keras_loss(self) -> keras.losses.Loss:
        """Softmax cross-entropy of logits."""
        return keras.losses.CategoricalCrossentropy(from_logits=True)

    def loss_limit(self, count: int) -> float:
        """A guess among `count` classes costs log(count) nats."""
        return LOSS_LIMIT + float(np.log(count))

    def first_outputs(self, labels: np.ndarray) -> np.ndarray:
        """Log frequencies float64 [K] of labels [N, K], with one image more of each class."""
        counts = labels.sum(axis=0, dtype=np.float64) + 1
        return np.log(counts / counts.sum())

    def answers(self, outputs: tf.Tensor) -> tf.Tensor:
        """Probabilities [B, K] of the classes, of logits [B, K]."""
        return tf.nn.softmax(outputs)

    def score(self, outputs: np.ndarray, labels: np.ndarray, decisions: Any = None) -> float:
        """Macro MCC: the mean over classes, each against the rest, of the likeliest class.

        Logits and one-hot labels are [N, K]. A temperature changes no order of classes.
        """
        del decisions
        counts = confusion(outputs, labels).sum(axis=0)
        return float(measures.matthews_correlation(counts).mean())

    def undecided(self, count: int) -> ClassDecisions:
        """A temperature of 1."""
        del count
        return ClassDecisions()

    def fit(self, outputs: np.ndarray, labels: np.ndarray) -> ClassDecisions:
        """The temperature of the least cross-entropy, of logits and one-hot labels [N, K]."""
        return ClassDecisions(fit_temperature(outputs, labels))

    def read(self, content: Mapping[str, Any], names: Sequence[str]) -> ClassDecisions:
        """What `ClassDecisions.as_json` wrote; ValueError for anything else."""
        del names
        found = content.get("temperature")
        if content.get("rule") != RULE or not isinstance(found, int | float) or not found > 0:
            raise ValueError(
                f"no decisions of a {SINGLE_LABEL} task: expected a temperature > 0 and the rule"
                f" {RULE}, got {dict(content)}"
            )
        return ClassDecisions(float(found))

    def serve(self, outputs: tf.Tensor, decisions: ClassDecisions) -> dict[str, tf.Tensor]:
        """`logits`, calibrated `probability`, `decision`, one true a row, [B, K] each."""
        return {
            "logits": outputs,
            "probability": tf.nn.softmax(outputs / decisions.temperature),
            "decision": tf.one_hot(tf.argmax(outputs, axis=1), outputs.shape[1], True, False),
        }

    def measure(self, measured: Measured) -> dict[str, Any]:
        """Accuracy, macro MCC, ROC AUC, a table of the classes, calibration."""
        counts = confusion(measured.outputs, measured.labels)
        totals, correct = counts.sum(axis=0), counts[..., 0].sum(axis=1)
        macro = utility.estimate(
            float(measures.matthews_correlation(totals).mean()), self.resampled(measured)
        )
        positives, predicted = totals[:, 0] + totals[:, 2], totals[:, 0] + totals[:, 1]
        one_class = positives % len(counts) == 0
        undefined = one_class | (predicted % len(counts) == 0)
        return {
            "mean_mcc": macro,
            # There are no thresholds to leave out.
            "mean_mcc_at_0": utility.estimate(None),
            "mean_mcc_two_classes": utility.over_fewer(macro, len(totals), int(one_class.sum())),
            "accuracy": utility.estimate(
                float(correct.mean()), measures.weighted_means(correct, measured.weights)
            ),
            "roc_auc": utility.mean_auc(
                special.log_softmax(measured.outputs, axis=1),
                measured.labels,
                measured.weights[: utility.AUC_RESAMPLES],
            ),
            "attributes": class_table(measured.names, totals),
            "undefined_mcc": utility.flagged_names(measured.names, undefined),
            "one_class": utility.flagged_names(measured.names, one_class),
            "thresholds": {},
            "calibration": calibration(measured, correct),
        }

    def resampled(self, measured: Measured) -> np.ndarray:
        """Macro MCC in each resample, float64 [R]."""
        decided = ClassDecisions().decide(measured.outputs).astype(np.float64)
        return utility.resampled_mean_mcc(decided, measured.labels, measured.weights)

    def decision_bits(self, count: int) -> int:
        """Bits of the number of one of `count` classes."""
        return int(np.ceil(np.log2(count)))


def confusion(logits: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Per image and class, each class against the rest: logits, labels [N, K] -> [N, K, 4].

    See `measures.confusion_counts`.
    """
    return measures.confusion_counts(ClassDecisions().decide(logits), labels)


def class_table(names: tuple[str, ...], totals: np.ndarray) -> dict[str, dict[str, Any]]:
    """Each class against the rest; totals float64 [K, 4]. None where a share has nothing below."""
    mcc = measures.matthews_correlation(totals)
    table = {}
    for name, value, (true_pos, false_pos, false_neg, true_neg) in zip(
        names, mcc, totals.tolist(), strict=True
    ):
        table[name] = {
            "mcc": float(value),
            "mcc_at_0": None,
            "accuracy": (true_pos + true_neg) / (true_pos + false_pos + false_neg + true_neg),
            "positives": int(true_pos + false_neg),
            "precision": share(true_pos, true_pos + false_pos),
            "recall": share(true_pos, true_pos + false_neg),
        }
    return table


def share(part: float, whole: float) -> float | None:
    """The quotient; None for 0 / 0."""
    return part / whole if whole else None


def calibration(measured: Measured, correct: np.ndarray) -> dict[str, float]:
    """How far the likeliest class's probability is from the share of right answers.

    The expected calibration error of Guo et al. 2017, equation 3; correct {0, 1} [N].
    """
    plain = ClassDecisions()
    chosen = measured.decisions or plain
    errors = [
        calibration_error(each.probability(measured.outputs).max(axis=1), correct)
        for each in (chosen, plain)
    ]
    return {
        "temperature": chosen.temperature,
        "error": errors[0],
        "error_uncalibrated": errors[1],
    }


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The temperature of the least softmax cross-entropy (Guo et al. 2017, section 4.2).

    Args:
        logits: float [N, K].
        labels: one-hot [N, K].
    """
    logits, labels = np.asarray(logits, np.float64), np.asarray(labels, np.float64)

    def cross_entropy(log_temperature: float) -> float:
        scaled = special.log_softmax(logits * np.exp(-log_temperature), axis=1)
        return float(-np.mean((labels * scaled).sum(axis=1)))

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    found = optimize.minimize_scalar(cross_entropy, bounds=bounds, method="bounded")
    return float(np.exp(found.x))
