"""Copies of functional models whose layers differ in their settings, and not in their weights."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
from keras import layers


def rebuilt(
    model: keras.Model, changes: Callable[[layers.Layer], Mapping[str, Any]]
) -> keras.Model:
    """A copy of a functional model with the same weights.

    Args:
        model: of layers that are rebuilt from their configuration; models inside are copied, too.
        changes: layer -> entries of its configuration that the copy has otherwise.

    Returns:
        A model of the same name and shapes.
    """

    def copied(layer: keras.Operation) -> keras.Operation:
        if isinstance(layer, keras.Model):
            return rebuilt(layer, changes)
        if not isinstance(layer, layers.Layer):
            # An operation such as a sum holds nothing, and computes in what it is given.
            return layer
        return type(layer).from_config({**layer.get_config(), **changes(layer)})

    copy = keras.models.clone_model(model, clone_function=copied)
    copy.set_weights(model.get_weights())
    return copy


def all_layers(models: Iterable[keras.Model]) -> Iterator[layers.Layer]:
    """The layers of models, those of models inside included."""
    for model in models:
        for layer in model.layers:
            if isinstance(layer, keras.Model):
                yield from all_layers([layer])
            else:
                yield layer
