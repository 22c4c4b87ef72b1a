"""Learned noise: training makes the noise of each value as large as the task allows."""

import keras
import tensorflow as tf

from arl_tf.defences.definition import Defence, Number, Step
from arl_tf.defences.noise import LaplaceNoise
from arl_tf.models import code_layers

# The scales are learned beside weights that move by a learning rate a step.
SCALE_SPEED = 20.0
LARGEST_SCALE = 10.0


@keras.saving.register_keras_serializable(package="arl_tf")
class LearnedLaplaceNoise(LaplaceNoise):
    """Adds Laplace noise whose scale is learned, one for every position and channel.

    The scale is at most LARGEST_SCALE, so that no loss is won by noise without end.
    """

    def __init__(self, start: float, **kwargs):
        """Takes the scale to start from, in (0, LARGEST_SCALE)."""
        super().__init__(**kwargs)
        self.start = start

    def build(self, input_shape):
        """One scale for every value of a code."""
        share = self.start / LARGEST_SCALE
        self.scale_logit = self.add_weight(
            name="scale_logit",
            shape=input_shape[1:],
            initializer=keras.initializers.Constant(
                float(tf.math.log(share / (1 - share))) / SCALE_SPEED
            ),
        )

    @property
    def scale(self) -> tf.Tensor:
        """The scales, float32 of the code's shape, in (0, LARGEST_SCALE)."""
        return LARGEST_SCALE * tf.sigmoid(SCALE_SPEED * self.scale_logit)

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "start": self.start}


def magnitude_loss(step: Step, bound: float) -> tf.Tensor:
    """Minus the mean magnitude of the noise, a scalar: in expectation minus the mean scale.

    The second term of Shredder's loss (Mireshghallah et al., ASPLOS 2020, arXiv 1905.11814, where
    the noise tensors are trained): the cross-entropy minus lambda times the sum of the noise's
    magnitudes. Theirs is a sum over one noise tensor, here it is a mean over values, and its
    expectation instead of a draw.
    """
    del bound
    noisy, _ = code_layers.bounding_layers(step.encoder)
    return -tf.reduce_mean(noisy.scale)


# Where ours differs: the paper freezes the network and trains several noise tensors, from which it
# samples in use. Here the distribution itself is trained, together with encoder and head, and has
# the mean 0, since a constant that everybody knows hides nothing.
SHREDDER = Defence(
    "Shredder (Mireshghallah et al., ASPLOS 2020, arXiv 1905.11814)",
    Number("Weight of the noise's mean magnitude, in nats.", 0.1, 1e-6),
    Number("Scale that the noise starts from.", 0.5, 1e-3, 9.0),
    layers=lambda strength, bound: [LearnedLaplaceNoise(bound, name="defence_noise")],
    loss=magnitude_loss,
)
