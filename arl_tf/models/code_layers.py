"""Last layers of an encoder that bound what a code can carry: few levels, or noise.

Both compute in float32 whatever Keras' dtype policy is: rounding would add to the noise, or miss
the levels. Both are of elementwise operations, and part of the encoder wherever it runs: whoever
asks it for a code gets a bounded one.
"""

import math
import statistics
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from arl_tf.models import capacity

# The noise's shares are learned beside weights that move by a learning rate a step: this makes them
# cross their range within some hundred steps.
SHARE_SPEED = 20.0
# Parts of a noise's distribution that stand for all of it.
STRATA = 32
# Which values of a code have one share of noise together: none, all of a channel, all at a place.
SHARED_BY = ("value", "channel", "position")


def in_float32(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a layer that computes in float32, unless they name another dtype."""
    return {**settings, "dtype": settings.get("dtype") or "float32"}


@keras.saving.register_keras_serializable(package="arl_tf")
class QuantisedCode(layers.Layer):
    """Rounds every value to one of a few equally spaced levels; gradients pass straight through.

    Input and output are float32 of the same shape; the levels are those of
    `capacity.code_levels`. Gradients are those of clipping to the outermost levels (Bengio et al.
    2013, arXiv 1308.3432), in inference, too: white-box attackers get them.
    """

    def __init__(self, levels: int, **kwargs):
        """Takes the number of levels, >= 2."""
        super().__init__(**in_float32(kwargs))
        self.levels = levels
        self.outermost = float(capacity.outermost_level(levels))

    def call(self, values: tf.Tensor) -> tf.Tensor:
        """The nearest levels of values float32 [B, ...]; half-way goes up, so 0 has the sign +1."""
        step = 2 * self.outermost / (self.levels - 1)
        inside = tf.clip_by_value(values, -self.outermost, self.outermost)
        nearest = tf.floor((inside + self.outermost) / step + 0.5) * step - self.outermost
        # The difference is exactly 0: the value is a level to the last bit, the gradient inside's.
        return tf.stop_gradient(nearest) + (inside - tf.stop_gradient(inside))

    def mean(self, values: tf.Tensor, deviation: tf.Tensor) -> tf.Tensor:
        """The average level of values [B, ...] with Gaussian noise; `deviation` > 0, [...].

        The lowest level, and a step for each threshold times the probability to be above it.
        """
        step = 2 * self.outermost / (self.levels - 1)
        thresholds = step * (tf.range(self.levels - 1, dtype=tf.float32) + 0.5) - self.outermost
        beyond = (values[..., None] - thresholds) / (math.sqrt(2.0) * deviation[..., None])
        return step * tf.reduce_sum(0.5 * (1 + tf.math.erf(beyond)), axis=-1) - self.outermost

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "levels": self.levels}


class DrawnNoise(layers.Layer):
    """A layer whose noise is drawn anew for every code, trained or not: a base for such layers.

    Its `mix` makes any noise out of standard normal numbers. So a file of the encoder can take
    those as an input, whatever the noise is.

    Attributes:
        unpredictable: whether no seed decides the noise.
        is_gaussian: whether codes are `mean` plus Gaussian noise of `noise_deviation`, and
            `signal_share` says how much.
        kurtosis: of `standardised` noise: 3 where it is Gaussian.
    """

    is_gaussian = False
    kurtosis = 3.0

    def __init__(self, **kwargs):
        """Starts with noise that the global seed decides."""
        super().__init__(**in_float32(kwargs))
        self.unpredictable = False

    def call(self, values: tf.Tensor, training: bool = False) -> tf.Tensor:
        """The noisy values; float32 [B, ...] both."""
        return self.mix(values, self.draw(tf.shape(values)))

    def draw(self, shape: tf.Tensor) -> tf.Tensor:
        """Standard normal noise float32 of a shape: as the global seed has it, or unpredictable."""
        if not self.unpredictable:
            return tf.random.normal(shape)
        # Seeds of 0 have TensorFlow ask the operating system, whatever seed was set before.
        return tf.raw_ops.RandomStandardNormal(shape=shape, dtype=tf.float32, seed=0, seed2=0)

    def mix(self, values: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Values float32 [B, ...] with noise made of `noise`, standard normal of their shape."""
        raise NotImplementedError

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """What a code of these values float32 [B, ...] is on average; of the same shape."""
        raise NotImplementedError

    @property
    def noise_deviation(self) -> tf.Tensor:
        """Deviation of noise that does not depend on the values, float32 of the code's shape."""
        raise NotImplementedError

    def standardised(self, codes: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """The noise in codes [n, ...] of the mean [n, ...] in units in which its variance is 1."""
        return (codes - mean) / np.asarray(self.noise_deviation)


@keras.saving.register_keras_serializable(package="arl_tf")
class NoisyCode(DrawnNoise):
    """Mixes every value with Gaussian noise.

    A value u, limited to +-`capacity.SIGNAL_LIMIT`, leaves as sqrt(s) u + sqrt(1 - s) e with e from
    N(0, 1): the mixture keeps the variance 1 of a normalised code. The signal's share s of the
    variance is one number for every position and channel, or for all values of a channel or of a
    position; it starts at 1 / (1 + deviation^2). Where it is learned, a price on the code's rate
    makes the encoder choose what to say at all.
    """

    is_gaussian = True

    def __init__(self, deviation: float, learned: bool = False, shared_by: str = "value", **kwargs):
        """Takes the noise's deviation beside a signal of variance 1, and one of SHARED_BY.

        Raises:
            ValueError: a deviation that is not > 0, or other values that share.
        """
        super().__init__(**kwargs)
        if shared_by not in SHARED_BY:
            raise ValueError(f"shared_by must be one of {', '.join(SHARED_BY)}; got {shared_by!r}.")
        self.deviation = deviation
        self.learned = learned
        self.shared_by = shared_by

    def build(self, input_shape):
        """A share for every value of a code, or one of those that share it."""
        self.code_shape = tuple(input_shape[1:])
        start = -2 * tf.math.log(self.first_deviation(input_shape)) / SHARE_SPEED
        self.share_logit = self.add_weight(
            name="share_logit",
            shape=shares_shape(self.code_shape, self.shared_by),
            initializer=keras.initializers.Constant(float(start)),
            trainable=self.learned,
        )

    def first_deviation(self, input_shape: tuple[int | None, ...]) -> float:
        """The noise's deviation at the start, beside values [B, ...] of variance 1; > 0."""
        del input_shape
        return float(self.deviation)

    @property
    def logits(self) -> tf.Tensor:
        """The log odds of s, float32 of the code's shape."""
        return SHARE_SPEED * tf.broadcast_to(
            tf.convert_to_tensor(self.share_logit), self.code_shape
        )

    @property
    def signal_share(self) -> tf.Tensor:
        """s, float32 of the code's shape, in (0, 1)."""
        return tf.sigmoid(self.logits)

    @property
    def noise_share(self) -> tf.Tensor:
        """1 - s, float32 of the code's shape, in (0, 1).

        Where s is near 1 the difference would be a rounding error, and 0 has no gradient.
        """
        return tf.sigmoid(-self.logits)

    def call(self, values: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Noisy values float32 [B, ...]; in training the bits let through become a loss."""
        if training and self.learned:
            self.add_loss(tf.reduce_sum(rate_bits(self.noise_share)))
        return super().call(values)

    def mix(self, values: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Values float32 [B, ...] with noise from elsewhere: standard normal, of their shape."""
        return self.mean(values) + self.noise_deviation * noise

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """The values float32 [B, ...] without their noise: what a code is on average."""
        inside = tf.clip_by_value(values, -capacity.SIGNAL_LIMIT, capacity.SIGNAL_LIMIT)
        return tf.sqrt(self.signal_share) * inside

    @property
    def noise_deviation(self) -> tf.Tensor:
        """The noise's deviation, float32 of the code's shape, in (0, 1)."""
        return tf.sqrt(self.noise_share)

    def get_config(self):
        """What the layer is rebuilt from."""
        own = {"deviation": self.deviation, "learned": self.learned, "shared_by": self.shared_by}
        return {**super().get_config(), **own}


def shares_shape(code_shape: tuple[int, ...], shared_by: str) -> tuple[int, ...]:
    """The shape of the shares of a code [C] or [h, w, C], by one of SHARED_BY.

    The values of a vector are its channels, at one position.
    """
    *grid, channels = code_shape
    if shared_by == "channel":
        return (*(1 for _ in grid), channels)
    if shared_by == "position":
        return (*grid, 1)
    return code_shape


def rate_bits(noise_share: tf.Tensor) -> tf.Tensor:
    """Bits that a signal of variance 1 can carry through its noise: 0.5 log2(1 + SNR).

    `noise_share` is the noise's share of the mixture's variance, float32 in (0, 1), so that
    1 + SNR is 1 / noise_share; the result has its shape. The capacity of a Gaussian channel
    (Shannon 1948, theorem 17).
    """
    return -0.5 * tf.math.log(noise_share) / tf.math.log(2.0)


def learned_rate(encoder: keras.Model) -> tf.Tensor:
    """Bits that an encoder's learned noise lets through, a scalar >= 0; 0 without such noise."""
    noisy, _ = bounding_layers(encoder)
    if isinstance(noisy, NoisyCode) and noisy.learned:
        return tf.reduce_sum(rate_bits(noisy.noise_share))
    return tf.zeros(())


def bounding_layers(encoder: keras.Model) -> tuple[DrawnNoise | None, QuantisedCode | None]:
    """The layers of an encoder that bound its code; None for each that it lacks."""
    noisy = [layer for layer in encoder.layers if isinstance(layer, DrawnNoise)]
    quantised = [layer for layer in encoder.layers if isinstance(layer, QuantisedCode)]
    return (noisy or [None])[0], (quantised or [None])[0]


def make_unpredictable(encoder: keras.Model) -> None:
    """Has an encoder draw noise that no seed decides: before its codes are given to anybody.

    A seed that was set for training would be written into an exported graph, which would draw the
    same noise again after every start.
    """
    noisy, _ = bounding_layers(encoder)
    if noisy is not None:
        noisy.unpredictable = True


def fixed_noise(count: int, code_shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal noise that is the same each time, to compare two forms of an encoder by.

    float32 [count, *code_shape].
    """
    return np.random.default_rng(0).standard_normal((count, *code_shape), np.float32)


def signal_encoder(encoder: keras.Model) -> keras.Model:
    """The encoder up to its noise; itself where it adds none."""
    noisy, _ = bounding_layers(encoder)
    return encoder if noisy is None else keras.Model(encoder.inputs[0], noisy.input, name="signal")


def encoder_with_noise_input(encoder: keras.Model) -> keras.Model:
    """The same encoder with its noise as a second input, for runtimes that can't draw any.

    Inputs `image` float32 [B, S, S, 3] in [0, 1] and `noise` float32 of the code's shape, which
    must be standard normal and new for every code; a noise of 0 would give the code away.

    Raises:
        ValueError: the encoder adds no noise.
    """
    noisy, quantised = bounding_layers(encoder)
    if noisy is None:
        raise ValueError(f"The encoder {encoder.name} adds no noise; it needs no input for it.")
    signal = signal_encoder(encoder)
    image = keras.Input(encoder.input_shape[1:], name="image")
    noise = keras.Input(noisy.output.shape[1:], name="noise")
    code = MixedNoise(noisy, name="mixed")([signal(image), noise])
    if quantised is not None:
        code = quantised(code)
    return keras.Model({"image": image, "noise": noise}, code, name=f"{encoder.name}_with_noise")


class MixedNoise(layers.Layer):
    """A layer of noise that is handed in: inputs [values, noise], both float32 [B, ...]."""

    def __init__(self, noisy: DrawnNoise, **kwargs):
        """Takes the layer that mixes them."""
        super().__init__(**in_float32(kwargs))
        self.noisy = noisy

    def call(self, inputs: list[tf.Tensor]) -> tf.Tensor:
        """The mixture of [values, noise], both float32 [B, ...]."""
        return self.noisy.mix(*inputs)


def noiseless_encoder(encoder: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """The encoder with a noise of 0, float32 [B, S, S, 3] -> [B, ...]: to compare forms by."""
    return without_noise(encoder, lambda noisy, quantised, mean: quantised(mean))


def mean_encoder(encoder: keras.Model) -> Callable[[tf.Tensor], tf.Tensor]:
    """What an encoder's code is on average, image float32 [B, S, S, 3] -> float32 [B, ...].

    What a white-box attacker matches: the noise of a single answer would only be in its way. Of few
    levels, the average is not a level.
    """
    return without_noise(
        encoder, lambda noisy, quantised, mean: quantised.mean(mean, noisy.noise_deviation)
    )


def without_noise(
    encoder: keras.Model, quantise: Callable[..., tf.Tensor]
) -> Callable[[tf.Tensor], tf.Tensor]:
    """The encoder whose noise is left out; `quantise(noisy, quantised, mean)` gives few levels.

    Image float32 [B, S, S, 3] in [0, 1] -> code float32 [B, ...].
    """
    noisy, quantised = bounding_layers(encoder)
    if noisy is None:
        return lambda image: encoder(image, training=False)
    signal = signal_encoder(encoder)

    def code(image: tf.Tensor) -> tf.Tensor:
        mean = noisy.mean(tf.cast(signal(image, training=False), tf.float32))
        return mean if quantised is None else quantise(noisy, quantised, mean)

    return code


def spread_encoder(encoder: keras.Model) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """An encoder's codes with noise that stands for all of its noise, value by value.

    Image float32 [B, S, S, 3] -> float32 [STRATA, B, ...]: for each value, noise made of the
    middles of STRATA equally likely parts of the normal distribution. What happens to each value
    behind the encoder has the mean of these on average. None where there is no noise, or it is
    Gaussian and not rounded, which has closed forms.
    """
    noisy, quantised = bounding_layers(encoder)
    if noisy is None or (noisy.is_gaussian and quantised is None):
        return None
    signal, normal = signal_encoder(encoder), statistics.NormalDist()
    middles = [normal.inv_cdf((part + 0.5) / STRATA) for part in range(STRATA)]

    def codes(image: tf.Tensor) -> tf.Tensor:
        values = tf.cast(signal(image, training=False), tf.float32)
        mixed = [noisy.mix(values, tf.fill(tf.shape(values), each)) for each in middles]
        return tf.stack(mixed if quantised is None else [quantised(each) for each in mixed])

    return codes


def code_and_mean(encoder: keras.Model) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """The encoder in training: image float32 [B, S, S, 3] -> (code, code without its noise).

    Rounding is left out of the second, so that it tells how far codes vary beside the noise.
    """
    noisy, _ = bounding_layers(encoder)
    if noisy is None:

        def encode(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            code = encoder(image, training=True)
            return code, code

        return encode
    both = keras.Model(encoder.inputs[0], [encoder.outputs[0], noisy.input])

    def encode_both(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        code, signal = both(image, training=True)
        return code, noisy.mean(tf.cast(signal, tf.float32))

    return encode_both
