"""What every kind of task says of itself: how a head learns it, and what its outputs mean."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Protocol

import keras
import numpy as np
import tensorflow as tf

# The most that a healthy training's task loss can be.
LOSS_LIMIT = 5.0


class TaskDecisions(Protocol):
    """How a head's outputs become answers; chosen on images that trained nothing."""

    def as_json(self, names: Sequence[str]) -> dict[str, Any]:
        """For files, with what belongs to each of the task's names."""


@dataclasses.dataclass(frozen=True)
class Finish:
    """From what a head learned to say to what it says once it is saved: factor * output + offset.

    It is a layer behind the trained head and changes no weight, so that nothing is done twice where
    a training goes on or starts from a saved head.

    Attributes:
        factor: float64 [K], > 0; None: outputs are saved as they are.
        offset: float64 [K].
        layer: name of the layer.
    """

    factor: np.ndarray | None = None
    offset: np.ndarray | None = None
    layer: str = "value"

    @classmethod
    def of_head(cls, head: keras.Model) -> "Finish":
        """What a saved head ends with."""
        last = head.layers[-1]
        if not isinstance(last, keras.layers.Rescaling):
            return cls()
        return cls(np.array(last.scale, np.float64), np.array(last.offset, np.float64))

    def finished(self, head: keras.Model) -> keras.Model:
        """A trained head with this behind it; it shares its weights with `head`."""
        if self.factor is None or self.offset is None:
            return head
        rescaling = keras.layers.Rescaling(
            self.factor.tolist(), self.offset.tolist(), name=self.layer
        )
        return keras.Model(head.input, rescaling(head.output), name=head.name)

    def started(
        self, kernel: np.ndarray, bias: np.ndarray, saved: "Finish"
    ) -> tuple[np.ndarray, np.ndarray]:
        """A saved head's last weights, as a head begins that will get this behind it.

        Both heads then say the same. The same arrays are returned where both end alike.

        Args:
            kernel: float32 [D, K].
            bias: float32 [K].
            saved: what the saved head ends with.
        """
        (factor, offset), (own_factor, own_offset) = (
            (np.ones(len(bias)), np.zeros(len(bias)))
            if each.factor is None or each.offset is None
            else (each.factor, each.offset)
            for each in (saved, self)
        )
        if np.array_equal(factor, own_factor) and np.array_equal(offset, own_offset):
            return kernel, bias
        bias = (bias * factor + offset - own_offset) / own_factor
        return (kernel * factor / own_factor).astype(np.float32), bias.astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Scale:
    """From labels to what a head learns, and back: (label - centre) / deviation.

    Attributes:
        centre: float64 [K]; None: labels are learned as they are.
        deviation: float64 [K], > 0.
    """

    centre: np.ndarray | None = None
    deviation: np.ndarray | None = None

    def learned(self, labels: np.ndarray) -> np.ndarray:
        """What the head learns of labels [N, K]; the same array where nothing is scaled."""
        if self.centre is None:
            return labels
        return ((labels - self.centre) / self.deviation).astype(np.float32)

    def values(self, outputs: np.ndarray) -> np.ndarray:
        """A head's outputs [N, K] in the labels' units."""
        if self.centre is None:
            return outputs
        return (outputs * self.deviation + self.centre).astype(np.float32)

    def finished(self, head: keras.Model) -> keras.Model:
        """A trained head with outputs in the labels' units; it shares its weights with `head`."""
        return Finish(self.deviation, self.centre).finished(head)


@dataclasses.dataclass(frozen=True)
class Measured:
    """Outputs of a head beside the truth, and the resamples of the images.

    Attributes:
        outputs: float32 [N, K].
        labels: [N, K].
        names: K names.
        weights: float [R, N], bootstrap resamples.
        thresholds: float [K] or [N, K]; read by tasks that have thresholds.
        decisions: chosen on other images; None: outputs as they are.
    """

    outputs: np.ndarray
    labels: np.ndarray
    names: tuple[str, ...]
    weights: np.ndarray
    thresholds: np.ndarray | float = 0.0
    decisions: Any = None


class Task(abc.ABC):
    """A kind of task.

    Attributes:
        kind: one of data.task_kinds.TASK_KINDS.
        loss: of the training, a name or a loss that `losses.named_task_loss` takes.
        headline: the key in report.json's `utility` of the one number that utility is.
        headline_name: that number's name.
        outputs: names of the served head's outputs.
    """

    kind: ClassVar[str]
    loss: str | keras.losses.Loss
    headline: ClassVar[str]
    headline_name: ClassVar[str]
    outputs: ClassVar[tuple[str, ...]]

    def loss_limit(self, count: int) -> float:
        """What the task's loss can be at most in a healthy training of `count` outputs."""
        del count
        return LOSS_LIMIT

    def balanced(self, labels: np.ndarray) -> "Task":
        """The same task, whose loss balances labels by how often they are there, [N, K].

        Raises:
            ValueError: the kind of task has no such loss.
        """
        del labels
        raise ValueError(
            f"--label_weights=balanced: a {self.kind} task has no positives and negatives to"
            " balance; expected a multi_label task, or --label_weights=none."
        )

    def scale(self, labels: np.ndarray) -> Scale:
        """How labels are scaled before they are learned, by the training labels [N, K]."""
        del labels
        return Scale()

    def finish(self, labels: np.ndarray) -> Finish:
        """What a trained head gets behind it before it is saved, by the training labels [N, K]."""
        scale = self.scale(labels)
        return Finish(scale.deviation, scale.centre)

    def unit(self, outputs: np.ndarray) -> float:
        """What differences of outputs float [N, K] by rounding are to be measured in; > 0."""
        del outputs
        return 1.0

    def thresholds(
        self, decisions: Any, labelled: tuple[np.ndarray, np.ndarray, np.ndarray] | None
    ) -> np.ndarray | float:
        """Thresholds of the measured outputs; 0 for tasks without.

        Args:
            decisions: of the head.
            labelled: outputs [N, K], labels [N, K] and identities [N] of the measured images,
                where these are the ones that decisions were chosen on; None for others.
        """
        del decisions, labelled
        return 0.0

    @abc.abstractmethod
    def keras_loss(self) -> keras.losses.Loss:
        """The loss of perceptrons that are fitted to codes."""

    @abc.abstractmethod
    def first_outputs(self, labels: np.ndarray) -> np.ndarray:
        """Outputs float64 [K] that an untrained head begins with; labels [N, K] as learned."""

    @abc.abstractmethod
    def answers(self, outputs: tf.Tensor) -> tf.Tensor:
        """What a teacher's outputs [B, K] tell a student, in the place of labels; [B, K]."""

    @abc.abstractmethod
    def score(self, outputs: np.ndarray, labels: np.ndarray, decisions: Any = None) -> float:
        """The headline of outputs [N, K] beside labels [N, K].

        `decisions` of the head count where the task has thresholds; None: thresholds of 0.
        """

    @abc.abstractmethod
    def undecided(self, count: int) -> Any:
        """Decisions where none were chosen, for `count` outputs."""

    @abc.abstractmethod
    def fit(self, outputs: np.ndarray, labels: np.ndarray) -> Any:
        """Chooses decisions on images that the head was not trained on, [N, K] both."""

    @abc.abstractmethod
    def read(self, content: Mapping[str, Any], names: Sequence[str]) -> Any:
        """Decisions that `as_json` wrote; ValueError for others."""

    @abc.abstractmethod
    def serve(self, outputs: tf.Tensor, decisions: Any) -> dict[str, tf.Tensor]:
        """The served outputs [B, K] by name, in the order of `outputs`, of a head's [B, K]."""

    @abc.abstractmethod
    def served(self, outputs: np.ndarray, decisions: Any) -> dict[str, np.ndarray]:
        """The same of arrays [N, K]."""

    @abc.abstractmethod
    def measure(self, measured: Measured) -> dict[str, Any]:
        """The report's `utility` section, but for `task_kind` and `headline`."""

    @abc.abstractmethod
    def nothing(self) -> dict[str, Any]:
        """The same where nothing could be measured."""

    @abc.abstractmethod
    def resampled(self, measured: Measured) -> np.ndarray:
        """The headline in each resample, float64 [R]."""

    @abc.abstractmethod
    def decision_bits(self, count: int) -> int | None:
        """Bits of a head's decision over `count` outputs; None where nothing is decided."""

    def section(self, measured: Measured | None) -> dict[str, Any]:
        """The report's `utility` section; None: without labels or a task head."""
        found = self.nothing() if measured is None else self.measure(measured)
        headline = {"measure": self.headline, "name": self.headline_name}
        return {"task_kind": self.kind, "headline": {**headline, **found[self.headline]}, **found}
