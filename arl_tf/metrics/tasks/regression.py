"""Numbers in units, such as an age: a standardised Huber loss, values in the labels' units."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data.task_kinds import REGRESSION
from arl_tf.metrics import measures, utility
from arl_tf.metrics.tasks.classification import MEANS
from arl_tf.metrics.tasks.definition import Measured, Scale, Task

RULE = "value"
# Of the mean: a target that varies by less is constant but for rounding, and learned as it is.
LEAST_DEVIATION = 1e-9


@dataclasses.dataclass(frozen=True)
class NoDecisions:
    """Values are the answer: nothing is decided, nothing calibrated."""

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """For files: the rule alone."""
        del names
        return {"rule": RULE}


class Regression(Task):
    """Labels float32 [N, K] in units of their own; the head learns them standardised."""

    kind: ClassVar[str] = REGRESSION
    loss: str | keras.losses.Loss = "huber"
    headline: ClassVar[str] = "mean_r2"
    headline_name: ClassVar[str] = "mean R²"
    outputs: ClassVar[tuple[str, ...]] = ("value",)

    def keras_loss(self) -> keras.losses.Loss:
        """Huber's loss of standardised targets: quadratic within a deviation, linear beyond."""
        return keras.losses.Huber()

    def scale(self, labels: np.ndarray) -> Scale:
        """Mean and deviation of the training labels [N, K]."""
        labels = np.asarray(labels, np.float64)
        mean, deviation = labels.mean(axis=0), labels.std(axis=0)
        varies = deviation > LEAST_DEVIATION * np.abs(mean)
        return Scale(mean, np.where(varies, deviation, 1.0))

    def unit(self, outputs: np.ndarray) -> float:
        """The size of the values [N, K], at least 1: large ones are rounded more."""
        return max(1.0, float(np.abs(outputs).max()))

    def first_outputs(self, labels: np.ndarray) -> np.ndarray:
        """The mean of labels [N, K] as learned; float64 [K]."""
        return labels.mean(axis=0, dtype=np.float64)

    def answers(self, outputs: tf.Tensor) -> tf.Tensor:
        """Values [B, K] as they are."""
        return outputs

    def score(self, outputs: np.ndarray, labels: np.ndarray, decisions: Any = None) -> float:
        """Mean R² over the targets of values, labels [N, K]; the same in any units."""
        del decisions
        return float(r_squared(outputs, labels, np.ones((1, len(labels))))[0].mean())

    def undecided(self, count: int) -> NoDecisions:
        """Nothing to decide."""
        del count
        return NoDecisions()

    def fit(self, outputs: np.ndarray, labels: np.ndarray) -> NoDecisions:
        """Nothing to choose by outputs and labels [N, K]."""
        del outputs, labels
        return NoDecisions()

    def read(self, content: Mapping[str, Any], names: Sequence[str]) -> NoDecisions:
        """What `NoDecisions.as_json` wrote; ValueError for anything else."""
        del names
        if content.get("rule") != RULE:
            raise ValueError(f"no decisions of a {REGRESSION} task: {dict(content)}")
        return NoDecisions()

    def serve(self, outputs: tf.Tensor, decisions: Any) -> dict[str, tf.Tensor]:
        """`value` [B, K] in the labels' units."""
        del decisions
        return {"value": outputs}

    def served(self, outputs: np.ndarray, decisions: Any) -> dict[str, np.ndarray]:
        """The same of arrays [N, K]."""
        del decisions
        return {"value": outputs}

    def measure(self, measured: Measured) -> dict[str, Any]:
        """Mean R², MAE, and both of each target; what is of classes is undefined."""
        rows = np.vstack([np.ones(len(measured.labels)), measured.weights])
        r2 = r_squared(measured.outputs, measured.labels, rows)
        errors = np.abs(measured.outputs - measured.labels.astype(np.float64))
        mae = np.stack([measures.weighted_means(column, rows) for column in errors.T], axis=1)
        targets = {
            name: {
                "r2": utility.estimate(float(r2[0, column]), r2[1:, column]),
                "mae": utility.estimate(float(mae[0, column]), mae[1:, column]),
                "mean": float(measured.labels[:, column].mean()),
                "deviation": float(measured.labels[:, column].std()),
            }
            for column, name in enumerate(measured.names)
        }
        means = r2.mean(axis=1)
        # Errors of several targets are in several units, of which no mean means anything.
        only = utility.estimate(None) if len(targets) > 1 else next(iter(targets.values()))["mae"]
        return {
            **self.nothing(),
            "mean_r2": utility.estimate(float(means[0]), means[1:]),
            "mae": only,
            "targets": targets,
        }

    def nothing(self) -> dict[str, Any]:
        """Every figure undefined."""
        undefined = {name: utility.estimate(None) for name in (*MEANS, "mean_r2", "mae")}
        lists = {"attributes": {}, "undefined_mcc": [], "one_class": [], "targets": {}}
        return {**undefined, **lists, "thresholds": {}, "calibration": None}

    def resampled(self, measured: Measured) -> np.ndarray:
        """Mean R² in each resample, float64 [R]."""
        return r_squared(measured.outputs, measured.labels, measured.weights).mean(axis=1)

    def decision_bits(self, count: int) -> None:
        """Nothing is decided."""
        del count


def r_squared(outputs: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The coefficient of determination of each target in each row of image weights.

    1 - (squared errors) / (squared distances to the labels' own mean): 1 for the truth, 0 for its
    mean, below 0 for worse. 0 where a target does not vary, of which nothing can be told.

    Args:
        outputs: float [N, K].
        labels: float [N, K].
        weights: float [R, N], e.g. how often a resample drew each image.

    Returns:
        float64 [R, K].
    """
    labels = labels.astype(np.float64)
    # Centred, or the difference of two large sums would be all rounding.
    mean = labels.mean(axis=0)
    centred = labels - mean
    errors = weights @ np.square(outputs - labels)
    total = weights.sum(axis=1, keepdims=True)
    spread = weights @ np.square(centred) - np.square(weights @ centred) / total
    # What rounding leaves of a constant target is no spread, in whatever units.
    least = 1e-12 * np.square(centred).mean(axis=0) + np.square(LEAST_DEVIATION * mean)
    varies = spread > least * total
    quotient = np.divide(errors, spread, out=np.ones_like(errors), where=varies)
    return 1 - quotient
