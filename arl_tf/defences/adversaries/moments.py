"""Running second moments of codes and of what an adversary wants, and the maps they decide."""

import dataclasses
import math

import keras
import tensorflow as tf

from arl_tf.models import code_layers

# Share of the old moments that a step keeps, once there were enough of them.
MEMORY = 0.97
# A map costs the third power of a code's values in every step: of so many, 92 billion
# multiply-adds for its Cholesky factor, and moments of 0.3 GB.
MOST_VALUES = 8192
# Codes without Gaussian noise are taken to have noise of this share of their mean variance.
UNKNOWN_NOISE = 0.1
# Of the task output's mean variance: correlated logits have no inverse.
CONDITION_PENALTY = 1e-4
LEAST = 1e-9


@dataclasses.dataclass(frozen=True)
class Rows:
    """A batch as linear maps see it.

    Attributes:
        condition: float32 [B, 1 + A], 1 and what is known anyway.
        codes: float32 [B, D], without their noise, in units of it.
        targets: float32 [B, K], what the adversary wants to know.
    """

    condition: tf.Tensor
    codes: tf.Tensor
    targets: tf.Tensor

    @property
    def widths(self) -> list[int]:
        """1 + A, D and K."""
        return [each.shape[1] for each in (self.condition, self.codes, self.targets)]


@dataclasses.dataclass(frozen=True)
class Maps:
    """The best linear maps of some moments.

    Attributes:
        codes: float32 [1 + A, D], condition -> codes.
        targets: float32 [1 + A, K], condition -> targets.
        rest: float32 [D, K], what the first leaves of the codes -> what the second leaves of the
            targets.
        noise: variance of the noise on a value of a code, a scalar >= 0.
    """

    codes: tf.Tensor
    targets: tf.Tensor
    rest: tf.Tensor
    noise: tf.Tensor


@keras.saving.register_keras_serializable(package="arl_tf")
class Moments(keras.layers.Layer):
    """Second moments of `Rows`, a moving average over the steps of training.

    They stand beside the encoder: checkpoints have them, and no exported file.
    """

    def __init__(self, widths: list[int], noisy: bool, **kwargs):
        """Takes the widths of `Rows`, and whether codes are in units of noise that they have.

        Raises:
            ValueError: codes of more than MOST_VALUES values.
        """
        super().__init__(trainable=False, **kwargs)
        if widths[1] > MOST_VALUES:
            raise ValueError(
                f"The best linear map is computed for codes of at most {MOST_VALUES:,} values, got"
                f" {widths[1]:,}; use a deeper --cut, or fewer --code_channels."
            )
        self.widths, self.noisy = list(widths), noisy
        self.products, self.steps = (
            self.add_weight(
                name=name, shape=shape, initializer="zeros", trainable=False, aggregation="mean"
            )
            for name, shape in (("products", (sum(widths),) * 2), ("steps", ()))
        )
        self.built = True

    def take(self, rows: Rows) -> None:
        """Adds a batch to the averages."""
        joined = tf.concat([rows.condition, rows.codes, rows.targets], axis=1)
        products = tf.matmul(joined, joined, transpose_a=True) / tf.cast(
            tf.shape(joined)[0], "float32"
        )
        kept = tf.minimum(MEMORY, self.steps / (self.steps + 1))
        self.products.assign(kept * self.products + (1 - kept) * products)
        self.steps.assign_add(1.0)

    def maps(self) -> Maps:
        """The maps of least squared error beyond the condition; all 0 before the first batch.

        With the moments S, those without the condition are S_zz.c = S_zz - S_zc S_cc^-1 S_cz
        (Frisch and Waugh 1933), and the map of the rest is the Wiener filter for codes with noise
        of variance v: (S_zz.c + v I)^-1 S_zy.c (Wiener 1949).
        """
        of_condition, of_codes, _ = (
            tf.split(part, self.widths, axis=1)
            for part in tf.split(tf.convert_to_tensor(self.products), self.widths, axis=0)
        )
        level = tf.linalg.trace(of_condition[0]) / self.widths[0]
        known = of_condition[0] + (CONDITION_PENALTY * level + LEAST) * tf.eye(self.widths[0])
        factor = tf.linalg.cholesky(known)
        codes, targets = (tf.linalg.cholesky_solve(factor, each) for each in of_condition[1:])
        left = of_codes[1] - tf.matmul(of_codes[0], codes)
        shared = of_codes[2] - tf.matmul(of_codes[0], targets)
        noise = self.noise(left)
        rest = tf.linalg.cholesky_solve(
            tf.linalg.cholesky(left + (noise + LEAST) * tf.eye(self.widths[1])), shared
        )
        return Maps(codes, targets, rest, noise)

    def noise(self, covariance: tf.Tensor) -> tf.Tensor:
        """Variance of the noise on a value of a code; `covariance` is that of codes, [D, D]."""
        if self.noisy:
            return tf.ones(())
        return UNKNOWN_NOISE * tf.linalg.trace(covariance) / self.widths[1]


def code_deviation(encoder: keras.Model) -> tf.Tensor | None:
    """Deviation of an encoder's Gaussian noise, float32 of the code's shape; None without."""
    noisy, _ = code_layers.bounding_layers(encoder)
    return noisy.noise_deviation if noisy is not None and noisy.is_gaussian else None


def values_of(encoder: keras.Model) -> int:
    """How many values a code has."""
    return math.prod(encoder.output_shape[1:])


def explained(maps: Maps, rows: Rows) -> tuple[tf.Tensor, tf.Tensor]:
    """What the maps explain of the targets beyond the condition, and their variance; both [K].

    Of a guess g of what the condition leaves of a target y, the best multiple explains
    E[y g]^2 / E[g^2] of E[y^2]. Of the best map that is g itself. Of the map of earlier steps it is
    never below 0: whoever turns the sign of what the map reads hides nothing. The noise of codes is
    not drawn: of variance v, it adds v |w|^2 to E[g^2] for a column w of the map.
    """
    known = rows.targets - tf.matmul(rows.condition, maps.targets)
    guess = tf.matmul(rows.codes - tf.matmul(rows.condition, maps.codes), maps.rest)
    shared = tf.reduce_mean(known * guess, axis=0)
    power = tf.reduce_mean(tf.square(guess), axis=0)
    power += maps.noise * tf.reduce_sum(tf.square(maps.rest), axis=0)
    return tf.square(shared) / (power + LEAST), tf.reduce_mean(tf.square(known), axis=0)


def share(explained_part: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
    """The share of variances [K] that is explained, a scalar >= 0."""
    return tf.reduce_sum(explained_part) / (tf.reduce_sum(variance) + LEAST)
