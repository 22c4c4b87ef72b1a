"""Fewer channels: a learned projection onto a subspace of the code's channels."""

import math

import keras
import tensorflow as tf

from arl_tf.defences.definition import Defence, Number

SEED = 20
# Added to A^T A, as a share of its mean diagonal: no two directions can be so alike that the
# Cholesky factor does not exist.
RIDGE = 1e-6


@keras.saving.register_keras_serializable(package="arl_tf")
class ProjectedCode(keras.layers.Layer):
    """Projects the channels C onto `ceil(share C)` learned directions, and back.

    The code keeps its shape, so that figures can be compared with those of the unprotected encoder
    of the same shape. It has no more information than its `ceil(share C)` numbers a position. With
    the directions A [C, r] it leaves as c A (A^T A)^-1 A^T, divided by the root of r / C, which
    keeps the variance. The length of the directions and the angles between them change nothing, so
    training can't make the code larger beside noise that comes later.
    """

    def __init__(self, share: float, **kwargs):
        """Takes the share of the channels that is kept, in (0, 1]."""
        super().__init__(**kwargs)
        self.share = share

    def build(self, input_shape):
        """One matrix for all positions."""
        channels = input_shape[-1]
        self.kept = kept_directions(self.share, channels)
        # Half precision would leave a projection that is none.
        self.directions = self.add_weight(
            name="directions",
            shape=(channels, self.kept),
            initializer=keras.initializers.Orthogonal(seed=SEED),
            autocast=False,
        )

    @property
    def projection(self) -> tf.Tensor:
        """A (A^T A)^-1 A^T, float32 [C, C].

        It depends on weights alone: TFLite's converter makes it a constant.
        """
        directions = tf.convert_to_tensor(self.directions)
        gram = tf.matmul(directions, directions, transpose_a=True)
        gram += RIDGE * tf.linalg.trace(gram) / self.kept * tf.eye(self.kept)
        orthonormal = tf.linalg.triangular_solve(tf.linalg.cholesky(gram), tf.transpose(directions))
        return tf.matmul(orthonormal, orthonormal, transpose_a=True)

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """Values float32 [B, h, w, C] or [B, C]; so is the result."""
        square = tf.cast(self.projection * math.sqrt(values.shape[-1] / self.kept), values.dtype)
        if len(values.shape) == 2:
            return tf.matmul(values, square)
        return tf.nn.conv2d(values, square[None, None], strides=1, padding="VALID")

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "share": self.share}


def kept_directions(share: float, channels: int) -> int:
    """How many of `channels` directions a share in (0, 1] keeps; >= 1."""
    return math.ceil(share * channels)


# Where ours differs: ResSFL puts convolutions with few channels around the cut, and the code that
# is sent has their shape. Here the shape stays, see `ProjectedCode`.
BOTTLENECK = Defence(
    "The bottleneck of ResSFL (Li et al., CVPR 2022, section 4)",
    Number("How many times fewer channels carry the code.", 4.0, 1.0, 4096.0, (1.0, 64.0)),
    layers=lambda strength, bound: [ProjectedCode(1 / strength, name="defence_projection")],
)
