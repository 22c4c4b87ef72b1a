"""Noise of a fixed size on a limited code: Gaussian or Laplace, with its differential privacy."""

import math

import keras
import numpy as np
import tensorflow as tf
from scipy import optimize, special

from arl_tf.defences.definition import Defence, Number
from arl_tf.models import capacity, code_layers

# Of (epsilon, delta): less than one in the number of people whose codes anybody has.
DELTA = 1e-5
# Coefficients of the polynomial in `laplace`, of rising degree.
ERFC = (
    -1.26551223,
    1.00002368,
    0.37409196,
    0.09678418,
    -0.18628806,
    0.27886807,
    -1.13520398,
    1.48851587,
    -0.82215223,
    0.17087277,
)


def laplace(normal: tf.Tensor) -> tf.Tensor:
    """Turns standard normal numbers into Laplace numbers of scale 1; float32, any shape.

    A number z becomes sign(z) (-log P(|Z| > |z|)): the magnitude of a Laplace number is
    exponential. P(|Z| > |z|) = erfc(|z| / sqrt(2)) by the rational Chebyshev fit of Press et al.
    (Numerical Recipes, section 6.2), whose relative error is below 1.2e-7. It takes operations that
    every runtime of TFLite has, which an inverse distribution function would not.
    """
    x = tf.abs(normal) / math.sqrt(2.0)
    t = 1.0 / (1.0 + 0.5 * x)
    series = tf.zeros_like(x)
    for coefficient in reversed(ERFC):
        series = series * t + coefficient
    # Near 0 the fit may give a probability a rounding above 1.
    magnitude = tf.nn.relu(tf.square(x) - series - tf.math.log(t))
    return tf.sign(normal) * magnitude


def epsilon(scale: float, limit: float = capacity.SIGNAL_LIMIT, values: int = 1) -> float:
    """The epsilon of local differential privacy of Laplace noise (Dwork et al. 2006, theorem 1).

    Two images differ by at most `2 limit` in every value, so by `2 limit values` in the L1 norm,
    and epsilon is that divided by the scale. It holds for one code of an image; n codes of it have
    n times as much.

    Args:
        scale: of the noise, > 0.
        limit: largest absolute value of the code before the noise.
        values: of the code; 1 gives the epsilon of a single value.
    """
    return 2 * limit * values / scale


def gaussian_delta(epsilon: float, ratio: float) -> float:
    """The least delta of Gaussian noise at an epsilon (Balle and Wang 2018, theorem 8).

    Phi(r / 2 - epsilon / r) - e^epsilon Phi(-r / 2 - epsilon / r), by logarithms: e^epsilon alone
    may be beyond any float.

    Args:
        epsilon: >= 0.
        ratio: r > 0, the L2 distance of two codes without noise in deviations of the noise.
    """
    within = special.ndtr(ratio / 2 - epsilon / ratio)
    beyond = np.exp(epsilon + special.log_ndtr(-ratio / 2 - epsilon / ratio))
    return float(within - beyond)


def gaussian_epsilon(
    deviation: float,
    limit: float = capacity.SIGNAL_LIMIT,
    values: int = 1,
    delta: float = DELTA,
) -> float:
    """The epsilon of local differential privacy of Gaussian noise at a delta.

    The exact one: the epsilon at which `gaussian_delta` is delta. Two images differ by at most
    `2 limit` in every value, so by `2 limit sqrt(values)` in the L2 norm. It holds for one code of
    an image.

    Args:
        deviation: of the noise, > 0, beside the limited values.
        limit: largest absolute value of the code before the noise.
        values: of the code; 1 gives the epsilon of a single value.
        delta: in (0, 1).
    """
    ratio = 2 * limit * math.sqrt(values) / deviation
    if gaussian_delta(0.0, ratio) <= delta:
        return 0.0
    # Above it by concentrated differential privacy (Bun and Steinke 2016, proposition 1.3).
    most = ratio**2 / 2 + ratio * math.sqrt(2 * math.log(1 / delta))
    return float(optimize.brentq(lambda each: gaussian_delta(each, ratio) - delta, 0.0, most))


class LaplaceNoise(code_layers.DrawnNoise):
    """Laplace noise: a base of layers that say how large it is for each value (`scale`)."""

    kurtosis = 6.0

    @property
    def scale(self) -> tf.Tensor:
        """Scale of the noise, float32 that broadcasts to a code's shape, > 0."""
        raise NotImplementedError

    def mix(self, values: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """The limited values float32 [B, ...] with noise made of standard normal numbers."""
        return self.mean(values) + self.scale * laplace(noise)

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """The limited values; float32 [B, ...]."""
        return tf.clip_by_value(values, -capacity.SIGNAL_LIMIT, capacity.SIGNAL_LIMIT)

    @property
    def noise_deviation(self) -> tf.Tensor:
        """sqrt(2) times the scale, of its shape."""
        return math.sqrt(2.0) * self.scale


@keras.saving.register_keras_serializable(package="arl_tf")
class LaplaceCode(LaplaceNoise):
    """Limits every value to +-`capacity.SIGNAL_LIMIT` and adds Laplace noise of one scale."""

    def __init__(self, noise_scale: float, **kwargs):
        """Takes the noise's scale, > 0, beside a code of variance 1."""
        super().__init__(**kwargs)
        self.noise_scale = noise_scale

    def build(self, input_shape):
        """The scale is a weight, so that the hash of the encoder's weights covers it."""
        self.kept_scale = self.add_weight(
            name="noise_scale",
            shape=(),
            initializer=keras.initializers.Constant(self.noise_scale),
            trainable=False,
        )

    @property
    def scale(self) -> tf.Tensor:
        """The scale, for every value the same; a scalar > 0."""
        return tf.convert_to_tensor(self.kept_scale)

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "noise_scale": self.noise_scale}


def described_epsilon(strength: float, code_shape: tuple[int, ...]) -> str:
    """The epsilon of a choice of Laplace noise, in a sentence."""
    whole = epsilon(strength, values=int(np.prod(code_shape)))
    return (
        f"Laplace noise of scale {strength:g} on values within +-{capacity.SIGNAL_LIMIT:g} is"
        f" differentially private with epsilon {epsilon(strength):.3g} for a single value and"
        f" {whole:.3g} for a code"
    )


def described_gaussian(strength: float, code_shape: tuple[int, ...]) -> str:
    """The epsilon and delta of a choice of Gaussian noise, in a sentence."""
    single, whole = (
        gaussian_epsilon(strength, values=values) for values in (1, int(np.prod(code_shape)))
    )
    return (
        f"Gaussian noise of deviation {strength:g} on values within +-{capacity.SIGNAL_LIMIT:g} is"
        f" differentially private with epsilon {single:.3g} for a single value and {whole:.3g} for"
        f" a code, each at a delta of {DELTA:g}"
    )


GAUSSIAN_NOISE = Defence(
    "Gaussian noise on the code, as by He et al. (ACSAC 2019, section 7)",
    Number("Deviation of the noise, for a code of variance 1.", 1.0, 1e-3, 100.0),
    layers=lambda strength, bound: [code_layers.NoisyCode(strength, name="defence_noise")],
    describe=described_gaussian,
)
LAPLACE_NOISE = Defence(
    "The Laplace mechanism (Dwork et al., TCC 2006) on a limited code",
    Number("Scale of the noise, for a code of variance 1.", 1.0, 1e-3, 100.0),
    layers=lambda strength, bound: [LaplaceCode(strength, name="defence_noise")],
    describe=described_epsilon,
)
