"""Dropout that stays on: a random share of a code's values is 0."""

import math
import statistics

import keras
import numpy as np
import tensorflow as tf

from arl_tf.defences.definition import Defence, Number
from arl_tf.models import code_layers


@keras.saving.register_keras_serializable(package="arl_tf")
class DroppedCode(code_layers.DrawnNoise):
    """Sets every value to 0 with the probability `rate`, anew for every code.

    He et al. (ACSAC 2019, section 7, "dropout defense") leave the values that stay as they are.
    Here they are divided by 1 - rate, so that codes have the mean that the task head knows.
    """

    def __init__(self, rate: float, **kwargs):
        """Takes the probability, in (0, 1)."""
        super().__init__(**kwargs)
        self.rate = rate
        # A standard normal number is below it with the probability `rate`.
        self.threshold = statistics.NormalDist().inv_cdf(rate)
        kept = 1 - rate
        self.kurtosis = (kept**3 + rate**3) / (kept * rate)

    def build(self, input_shape):
        """The rate is a weight, so that the hash of the encoder's weights covers it."""
        self.kept_rate = self.add_weight(
            name="drop_rate",
            shape=(),
            initializer=keras.initializers.Constant(self.rate),
            trainable=False,
        )

    def mix(self, values: tf.Tensor, noise: tf.Tensor) -> tf.Tensor:
        """Values float32 [B, ...] that stay; standard normal numbers of their shape decide."""
        stays = tf.cast(noise >= self.threshold, values.dtype)
        return values * stays / (1 - self.rate)

    def mean(self, values: tf.Tensor) -> tf.Tensor:
        """The values float32 [B, ...] themselves."""
        return values

    def standardised(self, codes: np.ndarray, mean: np.ndarray) -> np.ndarray:
        """The noise in codes [n, ...] of the mean [n, ...], in units of its deviation.

        That is proportional to each value.
        """
        deviation = np.abs(mean) * math.sqrt(self.rate / (1 - self.rate))
        return (codes - mean) / np.maximum(deviation, np.finfo(np.float32).tiny)

    def get_config(self):
        """What the layer is rebuilt from."""
        return {**super().get_config(), "rate": self.rate}


DROPOUT = Defence(
    "He et al. (ACSAC 2019, section 7)",
    Number("Probability that a value is 0.", 0.5, 0.01, 0.99),
    layers=lambda strength, bound: [DroppedCode(strength, name="defence_noise")],
)
