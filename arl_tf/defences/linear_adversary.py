"""An adversary solved exactly: the best linear map from codes to what a face looks like."""

import math
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from arl_tf.defences.adversaries import moments
from arl_tf.defences.adversaries.moments import Moments, Rows
from arl_tf.defences.definition import Defence, Number, Step
from arl_tf.models.pretrained import perceptual

# Cosine components of a picture for each direction and channel.
FREQUENCIES = 8
# Of the identity-like embedding: it is that of no judge.
NETWORK, LAYERS, DIRECTIONS, SEED = "efficientnet_lite0", ("block15",), 128, 17


class LinearAdversary(Moments):
    """The moments of an encoder's codes and of the adversary's targets, and how these are made."""

    def __init__(
        self, encoder: keras.Model, task_head: keras.Model, private_labels: int = 0, **kwargs
    ):
        """Takes the players: image [B, S, S, 3] -> code -> logits [B, A]."""
        del private_labels
        size = encoder.input_shape[1]
        components = cosine_components(size)
        pixels = 3 * len(components) ** 2
        widths = [1 + math.prod(task_head.output_shape[1:]), moments.values_of(encoder)]
        noisy = moments.code_deviation(encoder) is not None
        super().__init__([*widths, pixels + DIRECTIONS], noisy, **kwargs)
        self.pixels = pixels
        self.components = components
        self.embed = embedding(size)

    def targets(self, images: tf.Tensor) -> tf.Tensor:
        """Images float32 [B, S, S, 3] -> [B, K]: their cosine components, then an embedding."""
        components = tf.constant(self.components)
        pixels = tf.einsum("fs,bstc,gt->bfgc", components, images, components)
        pixels = tf.reshape(pixels, (-1, self.pixels))
        return tf.concat([pixels, self.embed(images)], axis=1)


def cosine_components(size: int) -> np.ndarray:
    """The lowest rows of the discrete cosine transform, orthonormal float32 [F, S].

    They stand for principal components of pictures, which they resemble (Ahmed, Natarajan and Rao
    1974). The share of a variance that is explained is that of the subspace, whatever its basis.
    """
    places = (np.arange(size) + 0.5) * math.pi / size
    rows = np.cos(np.arange(min(FREQUENCIES, size))[:, None] * places) * math.sqrt(2 / size)
    rows[0] /= math.sqrt(2)
    return rows.astype(np.float32)


def embedding(size: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Images float32 [B, S, S, 3] -> [B, DIRECTIONS], of a frozen network's deep features.

    Random orthonormal directions keep lengths on average (Johnson and Lindenstrauss 1984).
    """
    features = perceptual.perceptual_features(NETWORK, size, LAYERS)
    (shape,) = (each.shape[1:] for each in features(tf.zeros((1, size, size, 3))))
    values = math.prod(shape)
    drawn = np.random.default_rng(SEED).standard_normal((values, DIRECTIONS))
    directions = (np.linalg.qr(drawn)[0] if values > DIRECTIONS else drawn).astype(np.float32)

    def embed(images: tf.Tensor) -> tf.Tensor:
        return tf.matmul(tf.reshape(features(images)[0], (-1, values)), tf.constant(directions))

    return embed


def rows_of(step: Step) -> Rows:
    """A step as linear maps see it; gradients pass the codes alone.

    The task output is that of the code without its noise: what the codes tell of it costs nothing.
    """
    if "rows" not in step.shared:
        step.shared["rows"] = new_rows(step)
    return step.shared["rows"]


def new_rows(step: Step) -> Rows:
    """`rows_of` a step that was not asked for yet."""
    codes, deviation = step.means, moments.code_deviation(step.encoder)
    if deviation is not None:
        codes = codes / deviation
    size = tf.shape(codes)[0]
    known = tf.reshape(step.task_head(step.means, training=False), (size, -1))
    condition = tf.concat([tf.ones((size, 1)), tf.cast(known, tf.float32)], axis=1)
    return Rows(
        tf.stop_gradient(condition),
        tf.reshape(tf.cast(codes, tf.float32), (size, moments.values_of(step.encoder))),
        tf.stop_gradient(step.memory.targets(step.images)),
    )


def loss(step: Step, bound: float) -> tf.Tensor:
    """What codes tell an exact linear adversary beyond the task output; a share >= 0.

    With t = (1, task output), code z in units of its noise, targets y, and their residuals of a
    ridge regression on t, z_t and y_t:

        W = (Cov(z_t) + I)^-1 Cov(z_t, y_t),  g = W' z_t
        loss = sum_k E[y_tk g_k]^2 / (E[g_k^2] + |w_k|^2)  /  sum_k E[y_tk^2]

    W is the Wiener filter (Wiener 1949), the inner optimum of formula (2) for a linear decoder, and
    |w_k|^2 what new noise in each code adds to the variance of its guess. For the W of the batch's
    own covariances the loss is the share of variance that W explains. Since W is the best map, the
    gradient of that share is the one with W held (Danskin 1967), and none passes the solve. The
    covariances are running ones, of steps before this one: so the batch was not fitted to.

    Cosine components and embedding have a share each; `bound` is the weight of the second.
    """
    parts = moments.explained(step.memory.maps(), rows_of(step))
    pixels = step.memory.pixels
    of_pixels = moments.share(*(part[:pixels] for part in parts))
    return (1 - bound) * of_pixels + bound * moments.share(*(part[pixels:] for part in parts))


def observe(step: Step, bound: float) -> None:
    """Adds the step's codes and targets to the moments."""
    del bound
    step.memory.take(rows_of(step))


LINEAR_ADVERSARY = Defence(
    "The best linear decoder in closed form, this project's",
    Number("Weight of the explained share, in nats.", 1.0, 1e-6),
    bound=Number("Weight of the embedding's share; pixels have the rest.", 0.5, 1e-6, 1.0),
    loss=loss,
    observe=observe,
    memory=LinearAdversary,
)
