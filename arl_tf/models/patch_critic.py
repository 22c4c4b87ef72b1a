"""A critic of patches, and what it and the decoders that it judges minimise: L_gan."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from keras import layers

# Of the critic beside training's decoders.
WIDTH = 32
RATE, BETA = 2e-4, 0.5
# The name of its loss in logs.
TRACKER = "critic_loss"


def build_patch_critic(image_size: int, *, width: int, name: str = "patch_critic") -> keras.Model:
    """Tells real patches from reconstructed ones (Isola et al. 2017): image -> scores.

    Args:
        image_size: S, pixels; a multiple of 8.
        width: channels after the first convolution.
        name: of the model.

    Returns:
        A model: image float32 [B, S, S, 3] in [0, 1] -> scores float32 [B, S/8, S/8, 1], high for
        real ones.
    """
    # In float32 under any dtype policy: its small gradients have no loss scale.
    exact = {"dtype": "float32"}
    image = keras.Input((image_size, image_size, 3), name="image")
    features = layers.Rescaling(2.0, offset=-1.0, name="centred", **exact)(image)
    for stage in range(3):
        features = layers.Conv2D(
            width << stage, 4, 2, padding="same", activation="silu", name=f"stage{stage}", **exact
        )(features)
    scores = layers.Conv2D(1, 3, padding="same", name="scores", **exact)(features)
    return keras.Model(image, scores, name=name)


def critic_loss(real: tf.Tensor, reconstructed: tf.Tensor) -> tf.Tensor:
    """The critic's hinge loss (Lim and Ye 2017): real above 1, reconstructed below -1.

    Args:
        real: scores of images, float32 of any shape.
        reconstructed: scores of reconstructions, likewise.

    Returns:
        Scalar >= 0; 2 for scores of 0.
    """
    return tf.reduce_mean(tf.nn.relu(1.0 - real)) + tf.reduce_mean(tf.nn.relu(1.0 + reconstructed))


def decoder_loss(reconstructed: tf.Tensor) -> tf.Tensor:
    """L_gan of a decoder: minus the mean score of its reconstructions; a scalar."""
    return -tf.reduce_mean(reconstructed)


class AdversaryCritic(keras.layers.Layer):
    """A patch critic with its optimizer; both are saved with the learner that holds them."""

    def __init__(self, image_size: int, **kwargs: Any):
        """Takes the side of the pictures, in pixels."""
        super().__init__(**kwargs)
        self.network = build_patch_critic(image_size, width=WIDTH)
        self.tracker = keras.metrics.Mean(name=TRACKER)
        self.built = True

    def begin(self) -> None:
        """Takes a fresh optimizer."""
        self.optimizer = keras.optimizers.Adam(RATE, beta_1=BETA)
        # Built here, or loading a checkpoint would silently skip its state.
        self.optimizer.build(self.network.trainable_variables)

    def decoders_loss(self, pictures: Sequence[tf.Tensor]) -> tf.Tensor:
        """L_gan of the decoders that made these pictures, float32 [B, S, S, 3]; their sum."""
        scores = [self.network(each, training=True) for each in pictures]
        return tf.add_n([decoder_loss(each) for each in scores])

    def learn(
        self, move: Callable[..., None], real: tf.Tensor, pictures: Sequence[tf.Tensor]
    ) -> None:
        """One step to tell images from all decoders' pictures.

        Args:
            move: (optimizer, gradients, variables), takes the optimizer's step.
            real: float32 [B, S, S, 3] in [0, 1].
            pictures: likewise, one of each decoder.
        """
        made = tf.stop_gradient(tf.concat(pictures, axis=0))
        with tf.GradientTape() as tape:
            loss = critic_loss(self.network(real, training=True), self.network(made, training=True))
        variables = self.network.trainable_variables
        move(self.optimizer, tape.gradient(loss, variables), variables)
        self.tracker.update_state(loss)
