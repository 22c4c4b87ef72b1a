"""Tiny players and a batch for the tests of defences."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from arl_tf.defences import registry
from arl_tf.models import architectures
from arl_tf.training import phases
from arl_tf.training.learner import AdversarialRepresentationLearner

SIZE, BATCH, ATTRIBUTES = 8, 6, 2


def build_learner(choice, phase=None, optimizer=None, private_labels=None):
    """Tiny players around a defence's layers; private attributes where it cannot do without."""
    keras.utils.set_random_seed(4)
    image = keras.Input((SIZE, SIZE, 3))
    features = layers.Conv2D(4, 3, 2, padding="same", use_bias=False)(image)
    code = layers.BatchNormalization(center=False, scale=False)(features)
    code = architectures.bounded(code, architectures.CodeBounds(layers=registry.layers_of(choice)))
    head_code = keras.Input(code.shape[1:])
    logits = layers.Dense(ATTRIBUTES)(layers.Flatten()(head_code))
    decoder_code = keras.Input(code.shape[1:])
    picture = layers.Conv2DTranspose(3, 4, 2, padding="same", activation="sigmoid")(decoder_code)
    learner = AdversarialRepresentationLearner(
        keras.Model(image, code),
        keras.Model(head_code, logits),
        keras.Model(decoder_code, picture),
        perceptual_features=lambda pictures: [tf.nn.l2_normalize(pictures, axis=-1)],
    )
    adversary = registry.trains_decoders(choice.name)
    needed = int(registry.DEFENCES[choice.name].private)
    learner.compile(
        optimizer or keras.optimizers.SGD(0.05),
        privacy=None,
        phase=phase or (phases.ADVERSARIAL if adversary else phases.DEFENCE),
        defence=choice,
        private_labels=needed if private_labels is None else private_labels,
    )
    return learner


def batch(private_labels=0):
    """((private_image, labels), public_images) of random pictures."""
    rng = np.random.default_rng(0)
    private = tf.constant(rng.random((BATCH, SIZE, SIZE, 3), np.float32))
    labels = tf.constant(rng.integers(0, 2, (BATCH, ATTRIBUTES + private_labels)), tf.float32)
    return (private, labels), tf.constant(rng.random((1, BATCH, SIZE, SIZE, 3), np.float32))
