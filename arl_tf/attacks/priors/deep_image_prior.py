"""White-box inversion with an untrained network for a prior, which needs no public faces.

Ulyanov, Vedaldi and Lempitsky 2018 (arXiv 1711.10925): a convolutional network that has learned
nothing makes smooth pictures sooner than noise. Its weights are changed until the picture's code is
the one under attack, and the search is left early.
"""

import itertools
import time
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from arl_tf.attacks.code_search import Search, check_white_box, search_result
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence

CHANNELS = 16
MOST_DOUBLINGS = 3
ITERATIONS, RATE = 60, 0.02
EPSILON = 1e-5
LEAK = 0.2


def deep_image_prior(
    evidence: Evidence, settings: AttackerOptions, *, start: AttackResult | None
) -> AttackResult:
    """Adam on the weights of one untrained network for each code, until the code matches.

    Every picture starts as the public mean image. When to stop, and how much of the change is kept,
    are chosen by formula (1) on held-out public images.

    Args:
        evidence: with `encode`; of the public images only their mean is used to make pictures.
        settings: seed, mu, and a bound on the iterations (steps).
        start: not used, a network can't take up another attack's pictures.

    Raises:
        ValueError: no `encode`, or the search diverged.
    """
    del start
    started = time.perf_counter()
    check_white_box(evidence, "deep_image_prior")
    pairs = evidence.pairs
    network = UntrainedNetwork(pairs.mean_image, settings.seed)
    search = Search(
        picture=network.picture,
        project=tf.identity,
        prior=lambda weights: tf.zeros_like(weights[:, 0]),
        prior_weights=(0.0,),
        learning_rate=RATE,
        iterations=min(ITERATIONS, settings.steps),
    )
    starts = tuple(
        np.repeat(network.first_weights[None], count, axis=0)
        for count in (len(evidence.target_codes), len(pairs.held_out_codes))
    )
    return search_result(
        evidence,
        settings,
        search,
        starts,
        name="deep_image_prior",
        started=started,
        extra={
            "words": "a search for the weights of an untrained network whose picture has a code"
            " that matches",
            "parameters": network.first_weights.size,
        },
    )


class UntrainedNetwork:
    """A network of 3 x 3 convolutions and doublings, with weights of its own for every picture.

    Attributes:
        first_weights: float32 [P], with which the picture is the mean image.
    """

    def __init__(self, mean: np.ndarray, seed: int):
        """Takes the mean image float32 [S, S, 3] in [0, 1], and what draws input and weights."""
        rng = np.random.default_rng(seed)
        self._doublings = doublings(mean.shape[0])
        side = mean.shape[0] >> self._doublings
        self._input = rng.uniform(0, 1, (1, side, side, CHANNELS)).astype(np.float32)
        self._mean = mean
        kernels = [(9 * CHANNELS, CHANNELS)] * (self._doublings + 1)
        self._shapes = [*kernels, (CHANNELS, 3)]
        drawn = [
            rng.normal(0, np.sqrt(2 / inputs), (inputs, outputs)) for inputs, outputs in kernels
        ]
        # With nothing in the last layer the picture is the mean image.
        drawn.append(np.zeros((CHANNELS, 3)))
        self.first_weights = np.concatenate([part.ravel() for part in drawn]).astype(np.float32)

    def picture(self, weights: tf.Tensor) -> tf.Tensor:
        """Weights float32 [B, P] -> pictures float32 [B, S, S, 3] in [0, 1]."""
        *kernels, last = unpacked(weights, self._shapes)
        features = tf.repeat(tf.constant(self._input), tf.shape(weights)[0], axis=0)
        for number, kernel in enumerate(kernels):
            if number:
                side = 2 * features.shape[1]
                features = tf.image.resize(features, (side, side), "bilinear")
            features = tf.nn.leaky_relu(normalised(convolved(features, kernel)), LEAK)
        change = tf.einsum("bhwc,bcd->bhwd", features, last)
        return tf.clip_by_value(tf.constant(self._mean) + change, 0.0, 1.0)


def doublings(image_size: int) -> int:
    """How often the input's grid is doubled to the image's: MOST_DOUBLINGS, or fewer if odd."""
    possible = itertools.takewhile(
        lambda count: image_size % 2**count == 0, range(1, MOST_DOUBLINGS + 1)
    )
    return max(possible, default=0)


def unpacked(weights: tf.Tensor, shapes: Sequence[tuple[int, int]]) -> list[tf.Tensor]:
    """Flat weights [B, P] as matrices [B, inputs, outputs]."""
    parts = tf.split(weights, [inputs * outputs for inputs, outputs in shapes], axis=1)
    return [tf.reshape(part, (-1, *shape)) for part, shape in zip(parts, shapes, strict=True)]


def convolved(features: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """A 3 x 3 convolution with a kernel [B, 9 c, d] for each item of features [B, h, w, c]."""
    height, width = features.shape[1:3]
    padded = tf.pad(features, ((0, 0), (1, 1), (1, 1), (0, 0)), "REFLECT")
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return tf.einsum("bhwc,bcd->bhwd", tf.concat(shifted, axis=-1), kernel)


def normalised(features: tf.Tensor) -> tf.Tensor:
    """Every channel of float32 [B, H, W, C] with mean 0 and variance 1 over its grid."""
    mean, variance = tf.nn.moments(features, axes=(1, 2), keepdims=True)
    return (features - mean) * tf.math.rsqrt(variance + EPSILON)
