"""An adversary who guesses private attributes from codes, trained beside the encoder."""

import math
from typing import Any

import keras
import tensorflow as tf

from arl_tf.defences.definition import Step

WIDTH = 256
RATE = 1e-3
# No share of a batch is nearer to 0 or 1: an attribute that everybody has tells nothing.
LEAST = 1e-6


class AttributeAdversary(keras.layers.Layer):
    """A perceptron from codes to private attributes with its optimizer.

    Checkpoints have both; no exported file does.
    """

    def __init__(self, encoder: keras.Model, private_labels: int, **kwargs: Any):
        """Takes the encoder, image -> code, and how many attributes are guessed."""
        super().__init__(**kwargs)
        values = math.prod(encoder.output_shape[1:])
        self.network = keras.Sequential(
            [
                keras.Input((values,), dtype="float32"),
                keras.layers.LayerNormalization(dtype="float32"),
                keras.layers.Dense(WIDTH, activation="relu", dtype="float32"),
                keras.layers.Dense(private_labels, dtype="float32"),
            ],
            name="attribute_adversary",
        )
        self.optimizer = keras.optimizers.Adam(RATE)
        # Built here, or loading a checkpoint would silently skip its state.
        self.optimizer.build(self.network.trainable_variables)
        self.built = True

    def guess(self, codes: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Logits float32 [B, P] of codes [B, ...]."""
        flat = tf.reshape(tf.cast(codes, tf.float32), (-1, self.network.input_shape[1]))
        return self.network(flat, training=training)

    def learn(self, step: Step) -> None:
        """One step on the cross-entropy of a batch's private attributes; the encoder stays."""
        codes = tf.stop_gradient(step.codes)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(cross_entropy(step.private, self.guess(codes, training=True)))
        variables = self.network.trainable_variables
        step.move(self.optimizer, tape.gradient(loss, variables), variables)


def memory(
    encoder: keras.Model, task_head: keras.Model, private_labels: int
) -> AttributeAdversary | None:
    """An adversary for the private attributes; None where none are named."""
    del task_head
    return AttributeAdversary(encoder, private_labels) if private_labels else None


def information(step: Step) -> tf.Tensor:
    """What the adversary knows of the private attributes, in nats an attribute; a scalar >= 0.

    The entropy of an attribute in the batch less the cross-entropy of its guess, a mean over
    attributes. It stops at 0: an adversary who is led to the wrong answer would only have to turn
    it around. 0 where no attributes are named.
    """
    if step.memory is None:
        return tf.zeros(())
    told = cross_entropy(step.private, step.memory.guess(step.codes))
    share = tf.clip_by_value(tf.reduce_mean(step.private, axis=0), LEAST, 1 - LEAST)
    known = cross_entropy(step.private, tf.math.log(share / (1 - share))[None])
    return tf.reduce_mean(tf.nn.relu(known - told))


def observe(step: Step, bound: float) -> None:
    """The adversary's own step."""
    del bound
    if step.memory is not None:
        step.memory.learn(step)


def cross_entropy(labels: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
    """Binary cross-entropy in nats of each attribute, a mean over the batch; float32 [P].

    `labels` are float32 [B, P] in {0, 1}, `logits` [B, P] or [1, P].
    """
    logits = tf.broadcast_to(logits, tf.shape(labels))
    return tf.reduce_mean(
        tf.nn.sigmoid_cross_entropy_with_logits(labels=labels, logits=logits), axis=0
    )
