"""The players that a learner holds: whether they fit together, and how a file keeps them."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from arl_tf.models.pretrained import perceptual

if TYPE_CHECKING:
    from arl_tf.training.learner import AdversarialRepresentationLearner

# A perceptual network g: images float32 [B, S, S, 3] in [0, 1] -> a feature map for each layer.
Features = Callable[[tf.Tensor], Sequence[tf.Tensor]]

DEFAULT_PERCEPTUAL = "efficientnet_lite0"
CUSTOM_PERCEPTUAL = "custom"
PLAYERS = ("encoder", "task_head", "decoder", "task_decoder")


def check_players(encoder: keras.Model, task_head: keras.Model, decoder: keras.Model) -> None:
    """Raises ValueError where head or decoder do not take the code, or pictures differ in size.

    So it does for a model whose shapes are not known.
    """
    for name, player in (("encoder", encoder), ("task_head", task_head), ("decoder", decoder)):
        check_shapes_are_known(name, player)
    code = encoder.output_shape[1:]
    for name, player in (("task_head", task_head), ("decoder", decoder)):
        if player.input_shape[1:] != code:
            raise ValueError(
                f"{name} takes {list(player.input_shape[1:])}, expected the encoder's code"
                f" {list(code)}."
            )
    if decoder.output_shape[1:] != encoder.input_shape[1:]:
        raise ValueError(
            f"decoder gives pictures {list(decoder.output_shape[1:])}, expected the encoder's"
            f" {list(encoder.input_shape[1:])}."
        )


def check_shapes_are_known(name: str, player: keras.Model) -> None:
    """Raises ValueError for what is no Keras model with an input of its own."""
    try:
        known = isinstance(player.input_shape, tuple) and isinstance(player.output_shape, tuple)
    except (AttributeError, ValueError):
        known = False
    if not known:
        raise ValueError(
            f"{name} must be a functional or Sequential Keras model that begins with a keras.Input"
            f" and has one input and one output; got {type(player).__name__}."
        )


def named_features(features: str | Features, image_size: int) -> tuple[str, Features]:
    """A perceptual network g, and the name under which a file keeps it.

    Args:
        features: a name of `perceptual.PERCEPTUAL_NETWORKS`, or a function.
        image_size: S of the images float32 [B, S, S, 3] that it gets.

    Raises:
        ValueError: an unknown name.
    """
    if isinstance(features, str):
        return features, perceptual.perceptual_features(features, image_size)
    return CUSTOM_PERCEPTUAL, features


def config_of(learner: "AdversarialRepresentationLearner") -> dict[str, Any]:
    """Players, name of g and mean image of a learner, as `save` keeps them."""
    players = {name: getattr(learner, name) for name in PLAYERS}
    mean = learner.mean_image
    return {
        "name": learner.name,
        "players": {name: serialised(player) for name, player in players.items() if player},
        "more_decoders": [serialised(decoder) for decoder in learner.more_decoders],
        "perceptual_features": learner.perceptual_name,
        "mean_image": None if mean is None else mean[0].numpy().tolist(),
    }


def arguments_of(config: Mapping[str, Any], custom_objects: Any = None) -> dict[str, Any]:
    """Arguments of a learner that `config_of` described; ValueError for a g that was a function."""
    if config["perceptual_features"] == CUSTOM_PERCEPTUAL:
        raise ValueError(
            "This learner was saved with a perceptual_features function, which a file can't"
            " hold: build the learner again with it and use load_weights()."
        )

    def player(description: Any) -> keras.Model:
        return keras.saving.deserialize_keras_object(description, custom_objects)

    mean = config["mean_image"]
    return {
        **{name: player(description) for name, description in config["players"].items()},
        "more_decoders": [player(description) for description in config["more_decoders"]],
        "perceptual_features": config["perceptual_features"],
        "mean_image": None if mean is None else np.array(mean, np.float32),
        "name": config["name"],
    }


def serialised(value: Any) -> Any:
    """A Keras object as its file holds it; names stay names."""
    return keras.saving.serialize_keras_object(value)
