"""DISCO: the channels that help a decoder most are 0."""

import math

import keras
import tensorflow as tf

from arl_tf.defences.adversaries import attribute_adversary
from arl_tf.defences.definition import Defence, Number, Step

TEMPERATURE = 0.1


@keras.saving.register_keras_serializable(package="arl_tf")
class PrunedChannels(keras.layers.Layer):
    """Sets the channels with the lowest learned scores to 0; as many as `share` says.

    The gradient of a channel's score is that of a sigmoid around the threshold (straight through),
    so that a pruned channel can come back.
    """

    def __init__(self, share: float, **kwargs):
        """Takes the share of the channels that are 0, in (0, 1); at least one stays."""
        super().__init__(**kwargs)
        self.share = share

    def build(self, input_shape):
        """A score for every channel; they start nearly equal."""
        channels = input_shape[-1]
        self.kept = max(1, channels - max(1, math.floor(self.share * channels)))
        self.scores = self.add_weight(
            name="scores",
            shape=(channels,),
            initializer=keras.initializers.RandomNormal(stddev=0.01, seed=2012),
        )

    @property
    def mask(self) -> tf.Tensor:
        """1 for a channel that stays, else 0; float32 [C]."""
        scores = tf.convert_to_tensor(self.scores)
        lowest = tf.stop_gradient(tf.sort(scores, direction="DESCENDING")[self.kept - 1])
        stays = tf.cast(scores >= lowest, tf.float32)
        soft = tf.sigmoid((scores - lowest) / TEMPERATURE)
        return stays + soft - tf.stop_gradient(soft)

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """The values of the channels that stay; float32 [B, ..., C], as given."""
        return values * self.mask

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "share": self.share}


def loss(step: Step, bound: float) -> tf.Tensor:
    """Minus the decoders' mean squared error, and what is known of private attributes; a scalar.

    What is pruned must be what the adversaries need.

    DISCO's pruning filter (Singh et al., CVPR 2021, arXiv 2012.11025) is trained against the loss
    of a proxy adversary. Theirs guesses a private attribute, in their published benchmark also the
    picture. Ours does both: decoders rebuild the picture, and where --private_attributes names
    some, a network guesses them, which is to know nothing (`attribute_adversary.information`). Ours
    differs in two more ways: the filter is one for all images (theirs is dynamic: it depends on the
    code), so that files of lower precision prune the same channels; and the encoder moves, too.
    """
    del bound
    errors = [
        tf.reduce_mean(tf.math.squared_difference(picture, step.images))
        for picture in step.pictures
    ]
    return attribute_adversary.information(step) - tf.add_n(errors) / len(errors)


PRUNING = Defence(
    "DISCO (Singh et al., CVPR 2021, arXiv 2012.11025)",
    Number("Weight of the decoders' mean squared error.", 1.0, 1e-6),
    Number("Share of the channels that are 0.", 0.5, 1e-3, 0.999),
    layers=lambda strength, bound: [PrunedChannels(bound, name="defence_pruning")],
    loss=loss,
    observe=attribute_adversary.observe,
    memory=attribute_adversary.memory,
    adversary=True,
    private_optional=True,
)
