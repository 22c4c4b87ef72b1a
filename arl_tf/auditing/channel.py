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

    def differentiable(self, code: tf.Tensor) -> tf.Tensor:
        """What arrives of a code where the noise is 0, with the gradient of a code that passes.

        Limiting and rounding have gradients of 0 where they act; an attacker who searches by
        gradients takes theirs as 1 (straight-through estimator, Bengio et al. 2013, arXiv
        1308.3432, section 4). Without a limit it is the mean of what arrives.

        Args:
            code: float32 [B, ...].

        Returns:
            float32 [B, ...], equal to what `send` gives without noise.
        """
        return self._straight_through(code) if self.clip else tf.identity(code)

    def _straight_through(self, code: tf.Tensor) -> tf.Tensor:
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
