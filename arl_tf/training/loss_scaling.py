"""Each player's loss at a scale of its own, so that float16 gradients neither vanish nor overflow.

A scale is its optimizer's: it multiplies the loss that this optimizer's gradients are of, and
divides them again before they are clipped and applied. One scale for both players would multiply
lambda, the weight between them.
"""

from collections.abc import Iterable
from typing import Any

import keras

from arl_tf.models.precision import needs_loss_scale


def scaled(
    optimizer: keras.optimizers.Optimizer, players: Iterable[keras.Model]
) -> keras.optimizers.Optimizer:
    """The optimizer with a loss scale where one of the players computes in float16.

    The scale doubles after 2,000 steps without an overflow and halves at each; the step of an
    overflow is left out (Micikevicius et al. 2018, arXiv 1710.03740).
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer) or not needs_loss_scale(players):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)


def inner(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.Optimizer:
    """The optimizer that moves the weights: without the loss scale around it."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def scale(optimizer: keras.optimizers.Optimizer) -> Any:
    """By how much the loss is multiplied, float32 scalar; 1 without a loss scale."""
    return getattr(optimizer, "dynamic_scale", 1.0)
