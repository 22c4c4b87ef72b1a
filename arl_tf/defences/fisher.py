"""dFIL: as much noise as makes any unbiased reconstruction at least so wrong."""

import math

import keras
import tensorflow as tf

from arl_tf.defences.definition import Defence, Number, Step
from arl_tf.models import capacity, code_layers

# Share of the old estimate that a step keeps, once there were enough of them.
MEMORY = 0.99


@keras.saving.register_keras_serializable(package="arl_tf")
class FisherNoise(code_layers.NoisyCode):
    """Gaussian noise sized for a mean squared error that no unbiased attacker gets below.

    Maeng et al. (NeurIPS 2023, arXiv 2305.04146), their definition of the diagonal Fisher
    information leakage (dFIL) and its bound for unbiased attackers, that of Cramer and Rao: of a
    code f(x) + N(0, s^2) the Fisher information is J^T J / s^2 with the Jacobian J of f, dFIL(x) =
    |J|^2 / (d s^2) for the d pixel values of an image, and an unbiased attacker's mean squared
    error a pixel value is at least 1 / dFIL. So s^2 is |J|^2 / d times the error asked for.

    Where ours differs: the paper's second bound, for attackers who know what images look like, is
    not used. The paper takes |J|^2 of each image. Here it is the mean over images of the
    training, so the bound holds for the mean over images (the mean of 1 / dFIL is at least 1 over
    its mean), and one noise is known for all codes.
    """

    def __init__(self, error: float, **kwargs):
        """Takes the mean squared error asked for, pixels in [0, 1]; > 0."""
        kwargs.pop("deviation", None)
        kwargs.pop("learned", None)
        super().__init__(1.0, **kwargs)
        self.error = error

    def build(self, input_shape):
        """|J|^2 / d, an average over steps, and how many there were."""
        self.code_shape = tuple(input_shape[1:])
        self.sensitivity, self.steps = (
            self.add_weight(
                name=name, shape=(), initializer=start, trainable=False, aggregation="mean"
            )
            # Until something is known, half of the variance is noise.
            for name, start in (("sensitivity", self.first()), ("steps", "zeros"))
        )

    def first(self) -> keras.Initializer:
        """The sensitivity at which signal and noise have the same variance."""
        return keras.initializers.Constant(1 / self.error)

    def take(self, sensitivity: tf.Tensor) -> None:
        """Adds a batch's |J|^2 / d, a scalar, to the average."""
        kept = tf.minimum(MEMORY, self.steps / (self.steps + 1))
        self.sensitivity.assign(kept * self.sensitivity + (1 - kept) * sensitivity)
        self.steps.assign_add(1.0)

    @property
    def signal_share(self) -> tf.Tensor:
        """1 / (1 + s^2) for noise s beside a signal of variance 1; float32 of the code's shape."""
        return tf.fill(self.code_shape, 1 / (1 + self.variance))

    @property
    def noise_share(self) -> tf.Tensor:
        """s^2 / (1 + s^2), float32 of the code's shape."""
        return tf.fill(self.code_shape, self.variance / (1 + self.variance))

    @property
    def variance(self) -> tf.Tensor:
        """s^2, a scalar > 0."""
        return tf.maximum(self.sensitivity * self.error, 1e-6)

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "error": self.error}


def sensitivity(signal: keras.Model, images: tf.Tensor) -> tf.Tensor:
    """|J|^2 / d of the limited code before its noise, a mean over images; a scalar >= 0.

    By one random vector v of signs: the expectation of |J^T v|^2 is |J|^2 (Hutchinson 1990).

    Args:
        signal: image -> code before the noise.
        images: float32 [B, S, S, 3].
    """
    with tf.GradientTape() as tape:
        tape.watch(images)
        code = signal(images, training=False)
        limited = tf.clip_by_value(code, -capacity.SIGNAL_LIMIT, capacity.SIGNAL_LIMIT)
        signs = tf.sign(tf.random.uniform(tf.shape(limited), -1.0, 1.0))
        total = tf.reduce_sum(limited * signs)
    gradient = tape.gradient(total, images)
    per_image = tf.reduce_sum(tf.square(gradient), axis=(1, 2, 3))
    return tf.reduce_mean(per_image) / math.prod(images.shape[1:])


def observe(step: Step, bound: float) -> None:
    """Measures the encoder on the step's images."""
    del bound
    noisy, _ = code_layers.bounding_layers(step.encoder)
    noisy.take(sensitivity(code_layers.signal_encoder(step.encoder), step.images))


FISHER = Defence(
    "dFIL (Maeng et al., NeurIPS 2023, arXiv 2305.04146)",
    Number("Mean squared error that no unbiased attacker gets below.", 0.05, 1e-6, 1e3),
    layers=lambda strength, bound: [FisherNoise(strength, name="defence_noise")],
    observe=observe,
)
