"""Models that compute in half precision, with float32 variables and float32 at their interfaces."""

from collections.abc import Iterable, Iterator

import keras
from keras import layers

from arl_tf.models import rebuilding
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
    last = {
        tensor._keras_history.operation
        for each in models_inside(model)
        for tensor in keras.tree.flatten(each.outputs)
    }

    def changes(layer: layers.Layer) -> dict[str, str]:
        exact = layer in last or isinstance(layer, EXACT)
        return {"dtype": FLOAT32 if exact else policy}

    return rebuilding.rebuilt(model, changes)


def models_inside(model: keras.Model) -> Iterator[keras.Model]:
    """A model and those among its layers, at any depth."""
    yield model
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            yield from models_inside(layer)


def in_float32(model: keras.Model) -> keras.Model:
    """The model in float32: itself where it computes in nothing else."""
    dtypes = {layer.compute_dtype for layer in rebuilding.all_layers([model])}
    return model if dtypes <= {FLOAT32} else with_precision(model, FLOAT32)


def needs_loss_scale(models: Iterable[keras.Model]) -> bool:
    """Whether a layer computes in float16, whose small gradients would become 0."""
    return any(layer.compute_dtype == "float16" for layer in rebuilding.all_layers(models))
