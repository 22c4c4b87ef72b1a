"""Fewer channels: a learned projection onto a subspace of the code's channels."""

import math

import keras
import tensorflow as tf

from arl_tf.defences.definition import Defence, Number

SEED = 20


@keras.saving.register_keras_serializable(package="arl_tf")
class ProjectedCode(keras.layers.Layer):
    """Projects the channels C onto `ceil(share C)` learned directions, and back: c A A^T.

    The code keeps its shape, so that figures can be compared with those of the unprotected encoder
    of the same shape. It has no more information than its `ceil(share C)` numbers a position.
    A starts orthonormal; the result is divided by the root of the share, which keeps the variance.
    """

    def __init__(self, share: float, **kwargs):
        """Takes the share of the channels that is kept, in (0, 1]."""
        super().__init__(**kwargs)
        self.share = share

    def build(self, input_shape):
        """One matrix for all positions."""
        channels = input_shape[-1]
        self.kept = math.ceil(self.share * channels)
        self.directions = self.add_weight(
            name="directions",
            shape=(channels, self.kept),
            initializer=keras.initializers.Orthogonal(seed=SEED),
        )

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Values float32 [B, h, w, C] or [B, C]; so is the result."""
        directions = tf.convert_to_tensor(self.directions)
        square = tf.matmul(directions, directions, transpose_b=True)
        square *= math.sqrt(values.shape[-1] / self.kept)
        if len(values.shape) == 2:
            return tf.matmul(values, square)
        return tf.nn.conv2d(values, square[None, None], strides=1, padding="VALID")

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "share": self.share}


# Where ours differs: ResSFL puts convolutions with few channels around the cut, and the code that
# is sent has their shape. Here the shape stays, see `ProjectedCode`.
BOTTLENECK = Defence(
    "The bottleneck of ResSFL (Li et al., CVPR 2022, section 4)",
    Number("How many times fewer channels carry the code.", 4.0, 1.0, 4096.0, (1.0, 64.0)),
    layers=lambda strength, bound: [ProjectedCode(1 / strength, name="defence_projection")],
)
