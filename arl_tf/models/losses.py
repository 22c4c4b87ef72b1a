"""The losses of the method as pure tensor functions.

Source: arXiv 1911.10143; formulas (1) and (2) are those of docs/method.md.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def task_loss(logits: tf.Tensor, attributes: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy, mean over images and attributes, in nats (log 2 for logits of 0).

    Args:
        logits: float32 [B, A].
        attributes: float32 [B, A] in {0, 1}.

    Returns:
        Scalar >= 0: L_task of formula (2).
    """
    return tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(attributes, logits))


def categorical_loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Softmax cross-entropy, mean over images, in nats (log A for logits of 0).

    Args:
        logits: float32 [B, A].
        labels: class numbers int [B] or [B, 1], or one-hot float32 [B, A].

    Returns:
        Scalar >= 0.
    """
    if labels.shape.rank == 2 and labels.shape[1] == logits.shape[1] and logits.shape[1] != 1:
        one_hot = tf.cast(labels, logits.dtype)
        return tf.reduce_mean(tf.nn.softmax_cross_entropy_with_logits(one_hot, logits))
    classes = tf.cast(tf.reshape(labels, [-1]), tf.int32)
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(classes, logits))


def one_hot_classes(labels: tf.Tensor, classes: int) -> tf.Tensor:
    """The class of each row as float32 [B, A] of 0 and 1, for A classes.

    Labels as of `categorical_loss`; of probabilities [B, A] the likeliest class counts.
    """
    if labels.shape.rank == 2 and labels.shape[1] == classes and classes != 1:
        return tf.one_hot(tf.argmax(labels, axis=1), classes)
    return tf.one_hot(tf.cast(tf.reshape(labels, [-1]), tf.int32), classes)


def binary_loss(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """`task_loss` of logits and labels [B, A], labels of any numeric type; a scalar, nats."""
    return task_loss(logits, tf.cast(labels, logits.dtype))


@keras.saving.register_keras_serializable("arl_tf")
class BalancedBinary(keras.losses.Loss):
    """Binary cross-entropy with weights of an attribute's positives and of its negatives.

    The mean over images and attributes of w+ y log(1 + e^-z) + w- (1 - y) log(1 + e^z), z the
    logit, y the label, in nats.
    """

    def __init__(
        self,
        positive: Sequence[float],
        negative: Sequence[float],
        name: str = "balanced_binary",
        **settings: Any,
    ):
        """Takes the weights w+ and w-, > 0, of A attributes each; `settings` are Keras' own."""
        super().__init__(name=name, **settings)
        self.positive = [float(weight) for weight in positive]
        self.negative = [float(weight) for weight in negative]

    @classmethod
    def of_labels(cls, labels: np.ndarray) -> "BalancedBinary":
        """Weights by which positives and negatives of each attribute count the same in all.

        N / (2 n) for n of N labels, so that an attribute's mean weight is 1; n counts as 1 at
        least. Labels are {0, 1} [N, A].
        """
        count, positives = len(labels), labels.sum(axis=0, dtype=np.float64)
        weights = [count / (2 * np.maximum(n, 1)) for n in (positives, count - positives)]
        return cls(*weights)

    def call(self, y_true: tf.Tensor, y_pred: tf.Tensor) -> tf.Tensor:
        """The loss of each image, [B]; labels in [0, 1] and logits are [B, A]."""
        labels = tf.cast(y_true, y_pred.dtype)
        positive, negative = (
            tf.constant(weights, y_pred.dtype) for weights in (self.positive, self.negative)
        )
        told = positive * labels * tf.nn.softplus(-y_pred)
        return tf.reduce_mean(told + negative * (1 - labels) * tf.nn.softplus(y_pred), axis=-1)

    def get_config(self) -> dict[str, Any]:
        """Both lists of weights, beside Keras' own settings."""
        return {**super().get_config(), "positive": self.positive, "negative": self.negative}


# Names that mean probabilities in Keras are taken on logits here: task heads give logits.
TASK_LOSSES = {
    "binary": binary_loss,
    "binary_crossentropy": binary_loss,
    "categorical": categorical_loss,
    "categorical_crossentropy": categorical_loss,
    "sparse_categorical_crossentropy": categorical_loss,
}


def is_categorical(loss: str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> bool:
    """Whether a task's loss, on logits [B, A], is of one class among several."""
    names = [name for name, function in TASK_LOSSES.items() if function is categorical_loss]
    classes = (keras.losses.CategoricalCrossentropy, keras.losses.SparseCategoricalCrossentropy)
    return loss in names if isinstance(loss, str) else isinstance(loss, classes)


def named_task_loss(
    loss: str | Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
) -> Callable[[tf.Tensor, tf.Tensor], tf.Tensor]:
    """A task's loss as a function (logits, labels) -> scalar.

    Args:
        loss: a key of TASK_LOSSES, another name of keras.losses, or a function (labels, logits),
            as Keras has them; labels and logits are [B, ...].

    Raises:
        ValueError: an unknown name, or a loss on probabilities.
    """
    if isinstance(loss, str) and loss in TASK_LOSSES:
        return TASK_LOSSES[loss]
    try:
        of_keras = keras.losses.get(loss)
    except ValueError:
        raise ValueError(
            f"loss must be one of {', '.join(TASK_LOSSES)}, a loss of Keras, or a function; got"
            f" {loss!r}."
        ) from None
    if takes_probabilities(of_keras):
        raise ValueError(
            f"The loss {loss!r} takes probabilities, and task heads give logits: give it"
            " from_logits=True."
        )
    if not isinstance(of_keras, keras.losses.Loss):
        return lambda logits, labels: tf.reduce_mean(of_keras(labels, logits))

    def undivided(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
        # Keras divides its losses by the number of replicas, and knows nothing of the other terms:
        # left so, it would multiply their weights.
        replicas = tf.distribute.get_strategy().num_replicas_in_sync
        return tf.reduce_mean(of_keras(labels, logits)) * replicas

    return undivided


def takes_probabilities(loss: Callable[[tf.Tensor, tf.Tensor], tf.Tensor]) -> bool:
    """Whether a loss or metric says of itself that it takes no logits: from_logits is False.

    It is called with (labels, predictions), both [B, ...].
    """
    for name in ("from_logits", "_from_logits"):
        if hasattr(loss, name):
            return getattr(loss, name) is False
    if not inspect.isroutine(loss) and not isinstance(loss, functools.partial):
        return False
    try:
        said = inspect.signature(loss).parameters.get("from_logits")
    except (TypeError, ValueError):  # A function of C tells no arguments.
        return False
    return said is not None and said.default is False


def pixel_loss(reconstruction: tf.Tensor, image: tf.Tensor) -> tf.Tensor:
    """Mean squared error over images, pixels and channels: L_pix.

    Both float32 [B, H, W, 3] in [0, 1] (or broadcastable to that); returns a scalar in [0, 1].
    """
    return tf.reduce_mean(tf.math.squared_difference(reconstruction, image))


def perceptual_loss(
    reconstruction_features: Sequence[tf.Tensor], image_features: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Squared feature distance L_perc: a sum over layers and channels, a mean over the rest.

    Args:
        reconstruction_features: a float32 [B, h, w, c] for each layer, channels of unit length at
            every position.
        image_features: likewise (or broadcastable).

    Returns:
        Scalar in [0, 4 * layers]: two unit vectors are at most 2 apart.

    Raises:
        ValueError: the two have different numbers of layers.
    """
    distances = [
        tf.reduce_mean(tf.reduce_sum(tf.math.squared_difference(one, other), axis=-1))
        for one, other in zip(reconstruction_features, image_features, strict=True)
    ]
    return tf.add_n(distances)


def negative(distance: tf.Tensor, margin: float) -> tf.Tensor:
    """The paper's privacy term: the farther, the better. Both scalars; the margin is not used."""
    del margin
    return -distance


def hinge(distance: tf.Tensor, margin: float) -> tf.Tensor:
    """The negative term, bounded: beyond `margin` it is constant, without gradient. Scalars."""
    return -tf.minimum(distance, margin)


def toward_target(distance: tf.Tensor, margin: float) -> tf.Tensor:
    """The distance itself, a scalar >= 0, to a picture that gives nothing away."""
    del margin
    return distance


HINGE, TOWARD_MEAN, TOWARD_TASK = "hinge", "toward_mean", "toward_task"
FORMS: dict[str, Callable[[tf.Tensor, float], tf.Tensor]] = {
    "negative": negative,
    HINGE: hinge,
    TOWARD_MEAN: toward_target,
    TOWARD_TASK: toward_target,
}


@dataclasses.dataclass(frozen=True)
class PrivacyObjective:
    """What the encoder wants of the decoder's reconstructions.

    Attributes:
        form: a key of FORMS.
        lambda_pixel: weight of the pixel distance, >= 0.
        lambda_perceptual: weight of the perceptual distance, >= 0.
        margin_pixel: of the hinge, mean squared error.
        margin_perceptual: of the hinge, perceptual distance.
    """

    form: str
    lambda_pixel: float
    lambda_perceptual: float
    margin_pixel: float = 0.0
    margin_perceptual: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for an unknown form, and for a hinge that rewards nothing."""
        if self.form not in FORMS:
            raise ValueError(
                f"A privacy objective's form must be one of {', '.join(FORMS)}; got {self.form!r}."
            )
        for kind in ("pixel", "perceptual"):
            weight, margin = (getattr(self, f"{part}_{kind}") for part in ("lambda", "margin"))
            if self.form == HINGE and weight and not margin:
                raise ValueError(
                    f"A hinge with lambda_{kind}={weight} and margin_{kind}=0 rewards nothing;"
                    " expected a margin > 0."
                )

    def loss(self, pixel_distance: tf.Tensor, perceptual_distance: tf.Tensor) -> tf.Tensor:
        """The privacy term that formula (2) adds to L_task; a scalar, lower is more private.

        Both distances are scalars >= 0, of `pixel_loss` and `perceptual_loss`.
        """
        bounded = FORMS[self.form]
        return self.lambda_pixel * bounded(
            pixel_distance, self.margin_pixel
        ) + self.lambda_perceptual * bounded(perceptual_distance, self.margin_perceptual)
