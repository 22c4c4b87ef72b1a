"""What happens to a code between encoder and network: noise, a limited range, few levels."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf

# More would run into float32's resolution, where two levels become one.
MOST_LEVELS = 65536
FLOAT_BITS = 32
# Beyond so many levels a step is next to nothing of the range.
MOST_SUMMED_LEVELS = 64
# Of the range; where some values have no noise.
LEAST_DEVIATION = 1e-6


@dataclasses.dataclass(frozen=True)
class Channel:
    """Quantise(clip(code + noise)): how a deployment sends its codes. Zeros leave them as they are.

    The noise comes first because it is the sender's: what leaves the device must fit the range and
    the levels that receiver and sender agreed on, and noise added to a rounded code would need more
    levels than were agreed. Limiting and rounding what is noisy already tells a receiver nothing
    more (data processing). A guarantee of differential privacy would need another order: a code
    must be limited before the noise as well, or its sensitivity is unbounded; nothing of the kind
    is claimed.

    Attributes:
        clip: values are limited to [-clip, clip]; 0: not limited.
        levels: values are rounded to so many equally spaced values, -clip and clip among them;
            0: not rounded. An even number has no level at 0.
        noise: deviation of the Gaussian noise, in the code's unit; 0: none.
    """

    clip: float = 0.0
    levels: int = 0
    noise: float = 0.0

    def __post_init__(self) -> None:
        """Raises ValueError for values that describe no channel."""
        for name in ("clip", "noise"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"A channel's {name} must be finite and >= 0, got {value}.")
        if self.levels and not 2 <= self.levels <= MOST_LEVELS:
            raise ValueError(
                f"A channel's levels must be 0 (not rounded) or from 2 to {MOST_LEVELS}, got"
                f" {self.levels}."
            )
        if self.levels and not self.clip:
            raise ValueError(
                f"{self.levels} levels need a range to lie in: expected clip > 0, got {self.clip}."
            )

    @property
    def is_identity(self) -> bool:
        """Whether codes pass untouched."""
        return not (self.clip or self.levels or self.noise)

    def send(self, codes: np.ndarray, seed: int | Sequence[int]) -> np.ndarray:
        """What arrives of the codes.

        Args:
            codes: float32 [N, ...].
            seed: draws the noise, one for the whole array: parts that are sent one by one need
                seeds of their own, or they all get the same noise.

        Returns:
            float32 [N, ...], a new array.
        """
        sent = codes.astype(np.float64)
        if self.noise:
            sent += self.noise * np.random.default_rng(seed).standard_normal(codes.shape)
        if self.clip:
            sent = np.clip(sent, -self.clip, self.clip)
        if self.levels:
            sent = np.round((sent + self.clip) / self.step) * self.step - self.clip
        return sent.astype(np.float32)

    @property
    def step(self) -> float:
        """Distance of neighbouring levels; only where there are levels."""
        return 2 * self.clip / (self.levels - 1)

    def differentiable(self, code: tf.Tensor, deviation: tf.Tensor | float = 0.0) -> tf.Tensor:
        """What arrives of a code on average, with the gradient of a code that passes.

        Limiting and rounding have gradients of 0 where they act; an attacker who searches by
        gradients takes theirs as 1 (straight-through estimator, Bengio et al. 2013, arXiv
        1308.3432, section 4). Noise of half a step makes the rounding's mean the value itself, but
        for 1 % of a step (dither, Schuchman 1964): then it is left out.

        Args:
            code: float32 [B, ...], without noise.
            deviation: of the Gaussian noise that is in the code before the channel adds its own;
                one number, or float32 of a code's shape.

        Returns:
            float32 [B, ...]; where there is no noise, equal to what `send` gives.
        """
        if not self.clip:
            return tf.identity(code)
        total = np.sqrt(np.square(np.asarray(deviation, np.float32)) + np.float32(self.noise) ** 2)
        if not total.any():
            return self._straight_through(code)
        mean = self._mean(code, np.maximum(total, LEAST_DEVIATION * self.clip))
        return code + tf.stop_gradient(mean - code)

    def _mean(self, code: tf.Tensor, deviation: np.ndarray) -> tf.Tensor:
        """The mean of what arrives of codes [B, ...] with noise of `deviation` > 0, [...]."""
        is_dithered = not self.levels or deviation.min() >= self.step / 2
        if not is_dithered and self.levels <= MOST_SUMMED_LEVELS:
            return rounded_mean(code, tf.constant(deviation), self.clip, self.levels)
        mean = limited_mean(code, tf.constant(deviation), self.clip)
        return mean if is_dithered else self._straight_through(mean)

    def _straight_through(self, code: tf.Tensor) -> tf.Tensor:
        """Codes [B, ...] limited and rounded, with a gradient of 1."""

        # As in code + stop_gradient(sent - code), but free of its rounding.
        @tf.custom_gradient
        def pass_on(values):
            sent = tf.clip_by_value(tf.cast(values, tf.float64), -self.clip, self.clip)
            if self.levels:
                sent = tf.round((sent + self.clip) / self.step) * self.step - self.clip
            return tf.cast(sent, values.dtype), lambda upstream: upstream

        return pass_on(code)

    def describe(self) -> dict[str, Any]:
        """For the report: the settings, `words`, and `bits_per_value` of an uncompressed code."""
        bits = math.ceil(math.log2(self.levels)) if self.levels else FLOAT_BITS
        return {**dataclasses.asdict(self), "bits_per_value": bits, "words": self._words()}

    def _words(self) -> str:
        parts = []
        if self.noise:
            parts.append(f"Gaussian noise of deviation {self.noise:g} is added")
        if self.clip:
            parts.append(f"values are limited to ±{self.clip:g}")
        if self.levels:
            parts.append(f"values are rounded to {self.levels} levels")
        return ", then ".join(parts) if parts else "codes are sent as they are"


def limited_mean(code: tf.Tensor, deviation: tf.Tensor, limit: float) -> tf.Tensor:
    """The mean of codes with Gaussian noise once they are limited to [-limit, limit].

    E[min(max(u + d e, -l), l)] with e from N(0, 1): what lies inside has the mean of a truncated
    normal distribution, and each tail counts as its limit.

    Args:
        code: u, float32 [B, ...].
        deviation: d, float32, > 0; of a code's shape or one number.
        limit: l, > 0.

    Returns:
        float32 [B, ...] in [-limit, limit].
    """
    low, high = (-limit - code) / deviation, (limit - code) / deviation
    below, under_high = normal_cdf(low), normal_cdf(high)
    density = normal_density(low) - normal_density(high)
    inside = code * (under_high - below) + deviation * density
    return inside + limit * (1 - under_high) - limit * below


def rounded_mean(code: tf.Tensor, deviation: tf.Tensor, limit: float, levels: int) -> tf.Tensor:
    """The mean level of codes with Gaussian noise, rounded to levels of [-limit, limit].

    The lowest level, and a step for each threshold times the probability to be above it.

    Args:
        code: float32 [B, ...].
        deviation: float32, > 0; of a code's shape or one number.
        limit: > 0, the outermost levels.
        levels: how many, >= 2.

    Returns:
        float32 [B, ...] in [-limit, limit].
    """
    step = 2 * limit / (levels - 1)
    mean = -limit * tf.ones_like(code)
    for number in range(levels - 1):
        threshold = -limit + (number + 0.5) * step
        mean += step * normal_cdf((code - threshold) / deviation)
    return mean


def normal_cdf(values: tf.Tensor) -> tf.Tensor:
    """The distribution function of N(0, 1), in [0, 1]; any shape."""
    return 0.5 * (1 + tf.math.erf(values / math.sqrt(2.0)))


def normal_density(values: tf.Tensor) -> tf.Tensor:
    """The density of N(0, 1), > 0; any shape."""
    return tf.exp(-0.5 * tf.square(values)) / math.sqrt(2 * math.pi)
