"""Averages of the weights over the steps of a phase: they vary less than the last step's."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class WeightAverage(keras.layers.Layer):
    """Exponential moving averages of variables; they are saved with the model that holds them."""

    def __init__(self, variables: Sequence[keras.Variable], decay: float, **kwargs: Any):
        """Takes the variables that are followed, and the share of the old average in a step.

        The variables stay their owners': those that are no floats, such as seeds, are left out.
        """
        super().__init__(trainable=False, **kwargs)
        self.decay = decay
        self.averages = [
            self.add_weight(
                shape=variable.shape, dtype=variable.dtype, initializer="zeros", trainable=False
            )
            for variable in floats(variables)
        ]
        self.built = True

    def begin(self, variables: Sequence[keras.Variable]) -> None:
        """Starts again from the variables as they are."""
        for average, variable in zip(self.averages, floats(variables), strict=True):
            average.assign(variable)

    def follow(self, variables: Sequence[keras.Variable], step: tf.Tensor) -> None:
        """Moves the averages towards the variables, after `step` steps, a scalar (first: 1).

        The decay is min(decay, step / (step + 9)): in the beginning an average follows quickly, so
        that it does not hold on to the weights that the phase began with.
        """
        step = tf.cast(step, tf.float32)
        share = 1 - tf.minimum(self.decay, step / (step + 9))
        for average, variable in zip(self.averages, floats(variables), strict=True):
            average.assign_add(tf.cast(share, average.dtype) * (variable - average))

    def use(self, variables: Sequence[keras.Variable]) -> None:
        """Gives the variables the averages' values."""
        for average, variable in zip(self.averages, floats(variables), strict=True):
            variable.assign(average)


def begun(
    averages: WeightAverage | None, variables: Sequence[keras.Variable], decay: float
) -> WeightAverage | None:
    """Averages that start from the variables as they are: those of a phase before, or new ones.

    With a decay of 0 nothing is averaged: what there was of a phase before stays as it is.
    """
    if not decay:
        return averages
    averages = averages or WeightAverage(variables, decay)
    averages.decay = decay
    averages.begin(variables)
    return averages


class UseAverages(keras.callbacks.Callback):
    """Puts the averages in the place of the weights after the last epoch of a `fit`.

    It comes first of the callbacks, so that the others measure and save these weights. A callback
    that stops the training does so behind this one, after an epoch that was not to be the last: the
    averages take their place when `fit` ends, before the others' own end. A callback that then
    gives back the weights of its best epoch has the last word.
    """

    def __init__(self, epochs: int):
        """Takes the `epochs` of the `fit`."""
        super().__init__()
        self.epochs = epochs
        self.is_due = False

    def on_epoch_begin(self, epoch, logs=None):
        """`epoch` counts from 0. Without one that began, the weights stay as they are."""
        self.is_due = True

    def on_epoch_end(self, epoch, logs=None):
        """`epoch` counts from 0."""
        if epoch + 1 == self.epochs:
            self.use()

    def on_train_end(self, logs=None):
        """After a training that ended before its last epoch."""
        if self.is_due:
            self.use()

    def use(self) -> None:
        """Once: what other callbacks make of the weights afterwards stays."""
        self.model.use_averages()
        self.is_due = False


def with_averages(learner: keras.Model, callbacks: Any, epochs: int) -> Any:
    """The callbacks of a `fit`, after UseAverages.

    Args:
        learner: with `use_averages`.
        callbacks: one, several, a CallbackList or None. A list stays as it is, for another `fit`.
        epochs: of the `fit`.
    """
    first = UseAverages(epochs)
    if isinstance(callbacks, keras.callbacks.CallbackList):
        # A CallbackList is a callback, too. Keras gives one neither parameters nor a history, so
        # the inner one keeps those that it has.
        return keras.callbacks.CallbackList([first, callbacks], model=learner)
    if callbacks is None:
        return [first]
    several = callbacks if isinstance(callbacks, (list, tuple)) else [callbacks]
    return [first, *several]


def floats(variables: Sequence[keras.Variable]) -> list[keras.Variable]:
    """Those variables that hold floats."""
    return [variable for variable in variables if "float" in str(variable.dtype)]
