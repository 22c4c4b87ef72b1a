"""The adversarial step's work, divided into parts that can be timed alone.

The parts together compute what a step with one decoder does, once each. A step that takes much
longer than their sum computes something twice, or copies.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from arl_tf.training import objective
from arl_tf.training.learner import AdversarialRepresentationLearner

Batch = tuple[tuple[tf.Tensor, tf.Tensor], tf.Tensor]


def parts_of(
    learner: AdversarialRepresentationLearner, batch: Batch
) -> dict[str, Callable[[], object]]:
    """Name -> a function without arguments that computes the part; weights move.

    Args:
        learner: compiled for the phase adversarial, with one decoder and one decoder step.
        batch: ((private images float32 [B, S, S, 3] in [0, 1], labels [B, A]), public images
            [1, B, S, S, 3] likewise).
    """
    (private, labels), public = batch[0], batch[1][0]
    encoder, decoder = learner.encoder, learner.decoder
    public_code, code = (encoder(each, training=False) for each in (public, private))
    # Not the same everywhere: the code is normalised, and a gradient of ones would not pass.
    of_code = tf.random.stateless_normal(code.shape, (0, 0))

    def learn_to_reconstruct():
        with tf.GradientTape() as tape:
            distances = learner.distances(decoder(public_code, training=True), public)
            loss = distances[0] + learner.mu * distances[1]
        return tape.gradient(loss, learner.adversary_variables)

    def encode_and_learn():
        with tf.GradientTape() as tape:
            found = encoder(private, training=True)
        return tape.gradient(found, encoder.trainable_variables, output_gradients=of_code)

    def read_attributes():
        with tf.GradientTape() as tape:
            tape.watch(code)
            loss = learner.task_loss(learner.task_head(code, training=True), labels)
        return tape.gradient(loss, [code, *learner.task_head.trainable_variables])

    def spoil_the_reconstruction():
        with tf.GradientTape() as tape:
            tape.watch(code)
            loss = objective.privacy_loss(learner, code, labels, private)
        return tape.gradient(loss, code)

    return {
        "encode_public": compiled(lambda: encoder(public, training=False)),
        "learn_to_reconstruct": compiled(learn_to_reconstruct),
        "move_decoder": move(learner.adversary_optimizer, learner.adversary_variables),
        "encode_and_learn": compiled(encode_and_learn),
        "read_attributes": compiled(read_attributes),
        "spoil_the_reconstruction": compiled(spoil_the_reconstruction),
        "move_encoder_and_head": move(learner.protector_optimizer, learner.protector_variables),
    }


def compiled(part: Callable[[], object]) -> Callable[[], object]:
    """The part as a graph, run once a call."""
    return tf.function(part, autograph=False)


def move(
    optimizer: keras.optimizers.Optimizer, variables: list[keras.Variable]
) -> Callable[[], object]:
    """An optimizer's step along gradients that are at hand."""
    gradients = [tf.fill(variable.shape, 1e-6) for variable in variables]
    return compiled(lambda: optimizer.apply(gradients, variables))
