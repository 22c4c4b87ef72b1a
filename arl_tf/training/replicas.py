"""One training step on several devices: each has a share of the batch, and all take the same step.

These functions are called inside a step. With one replica they return what they are given, so that
a training on one device stays the same to the last bit. Losses are means over a replica's own
images, and the mean over replicas is that over the batch, because the shares are of equal size.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

from arl_tf.models import rebuilding
from arl_tf.training import loss_scaling


def count() -> int:
    """Replicas of the strategy that is in force; 1 without one."""
    return tf.distribute.get_strategy().num_replicas_in_sync


def mean(values: Any) -> Any:
    """Mean over replicas of each tensor in a structure; gradients pass it."""
    if count() == 1:
        return values
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)


def shared_gradients(
    gradients: Sequence[tf.Tensor | None], optimizer: keras.optimizers.Optimizer
) -> Sequence[tf.Tensor | None]:
    """What every replica must apply so that all take the step of the whole batch.

    A Keras optimizer clips the gradients of each replica and then sums them. The norm of a share's
    gradient is not that of the batch's, and a sum would multiply every weight in the loss by the
    number of replicas. So the mean is taken and clipped here. Its N-th part is within the limits of
    the optimizer, which leaves it as it is, and the sum over N replicas is the mean again.

    Args:
        gradients: of a replica's loss, at the optimizer's loss scale.
        optimizer: that is to apply them.

    Returns:
        Tensors of the same shapes, equal on all replicas.
    """
    replicas = count()
    if replicas == 1:
        return gradients
    # A variable that the loss does not reach has None.
    present = [gradient for gradient in gradients if gradient is not None]
    clipped = iter(clip(mean(present), optimizer))
    return [None if each is None else next(clipped) / replicas for each in gradients]


def clip(
    gradients: Sequence[tf.Tensor], optimizer: keras.optimizers.Optimizer
) -> Sequence[tf.Tensor]:
    """Gradients as the optimizer would clip them, of the same shapes.

    Its limits are those before the loss scale.
    """
    own = loss_scaling.inner(optimizer)
    scale = loss_scaling.scale(optimizer)
    if own.clipnorm:
        return [tf.clip_by_norm(gradient, own.clipnorm * scale) for gradient in gradients]
    if own.global_clipnorm:
        return tf.clip_by_global_norm(gradients, own.global_clipnorm * scale)[0]
    if own.clipvalue:
        limit = own.clipvalue * scale
        return [tf.clip_by_value(gradient, -limit, limit) for gradient in gradients]
    return gradients


def logs(values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """A step's logs as `fit` takes them from a strategy; scalars in.

    Keras takes the mean over replicas itself on one machine. On several it wants an axis for it.
    """
    if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
        return {name: tf.reshape(value, (1,)) for name, value in values.items()}
    return dict(values)


def with_shared_moments(model: keras.Model) -> keras.Model:
    """A copy whose batch normalisations take the moments of all replicas' images together."""
    return set_shared_moments(model, True)


def on_replicas(model: keras.Model) -> keras.Model:
    """A model for the strategy in force: with shared moments where there are several replicas."""
    return with_shared_moments(model) if count() > 1 else model


def with_own_moments(model: keras.Model) -> keras.Model:
    """A copy as it was before `with_shared_moments`: for files, and for one device."""
    return set_shared_moments(model, False)


def set_shared_moments(model: keras.Model, shared: bool) -> keras.Model:
    """A copy of a functional model with the same weights; itself where nothing would change."""
    if all(
        layer.synchronized == shared
        for layer in rebuilding.all_layers([model])
        if isinstance(layer, layers.BatchNormalization)
    ):
        return model

    def changes(layer: layers.Layer) -> dict[str, Any]:
        return {"synchronized": shared} if isinstance(layer, layers.BatchNormalization) else {}

    return rebuilding.rebuilt(model, changes)
