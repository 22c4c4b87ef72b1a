"""Models that compute in half precision, with float32 variables and float32 at their interfaces."""

from collections.abc import Iterable, Iterator

import keras
from keras import layers

from arl_tf.models.code_layers import DrawnNoise, QuantisedCode

FLOAT32 = "float32"
# What bounds a code must be exact: rounding would add to its noise, or miss its levels.
EXACT = (DrawnNoise, QuantisedCode)


def with_precision(model: keras.Model, policy: str) -> keras.Model:
    """A copy of a functional model whose layers compute as a Keras dtype policy says.

    Variables stay float32 and have the same values. The layers that give the model's outputs, and
    those that bound a code, compute in float32, so what a model gives is float32.

    Args:
        model: of layers that are rebuilt from their configuration; models inside are copied, too.
        policy: "float32", "mixed_bfloat16" or "mixed_float16".

    Returns:
        A model of the same name and shapes, float32 -> float32.
    """
    last = {tensor._keras_history.operation for tensor in keras.tree.flatten(model.outputs)}

    def copied(layer: keras.Operation) -> keras.Operation:
        if isinstance(layer, keras.Model):
            return with_precision(layer, policy)
        if not isinstance(layer, layers.Layer):
            # An operation such as a sum holds nothing, and computes in what it is given.
            return layer
        exact = layer in last or isinstance(layer, EXACT)
        config = {**layer.get_config(), "dtype": FLOAT32 if exact else policy}
        return type(layer).from_config(config)

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def in_float32(model: keras.Model) -> keras.Model:
    """The model in float32: itself where it computes in nothing else."""
    dtypes = {layer.compute_dtype for layer in all_layers([model])}
    return model if dtypes <= {FLOAT32} else with_precision(model, FLOAT32)


def all_layers(models: Iterable[keras.Model]) -> Iterator[layers.Layer]:
    """The layers of models, those of models inside included."""
    for model in models:
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                yield from all_layers([layer])
            else:
                yield layer


def needs_loss_scale(models: Iterable[keras.Model]) -> bool:
    """Whether a layer computes in float16, whose small gradients would become 0."""
    return any(layer.compute_dtype == "float16" for layer in all_layers(models))
