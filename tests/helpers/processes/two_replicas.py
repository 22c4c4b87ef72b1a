"""Steps on two logical CPUs beside the same steps on one device, in a process of its own.

Prints a JSON object: name of the case -> {"difference": greatest difference of a weight after the
steps, "moved": greatest way of a weight from its start}.
"""

import json

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from arl_tf.models.losses import PrivacyObjective
from arl_tf.models.precision import with_precision
from arl_tf.training import learner, replicas, strategies

SIZE, BATCH, STEPS = 8, 6, 3
NEGATIVE = PrivacyObjective("negative", 0.7, 0.3)
# Between the distances of the two shares of a batch, so that it bends for one of them alone.
HINGE = PrivacyObjective("hinge", 0.7, 0.3, margin_pixel=0.085, margin_perceptual=0.5)
CASES = {
    "loss_of_keras_and_hinge": {
        "loss": keras.losses.BinaryCrossentropy(from_logits=True),
        "privacy": HINGE,
    },
    "clipped_and_averaged": {"clip": 0.05, "weight_average": 0.9},
    "loss_scale": {"policy": "mixed_float16", "clip": 0.05},
    "unshared_moments": {"shared": False},
}


def build(policy="float32", shared=True, clip=None, **compiled):
    """Tiny players; no weight has a gradient of 0, whose sign rounding would decide."""
    keras.utils.set_random_seed(4)
    image = keras.Input((SIZE, SIZE, 3))
    features = layers.Conv2D(4, 3, 2, padding="same", use_bias=False)(image)
    code = layers.BatchNormalization(center=False, scale=False)(features)
    encoder = keras.Model(image, code)
    head_code = keras.Input(code.shape[1:])
    task_head = keras.Model(head_code, layers.Dense(2)(layers.Flatten()(head_code)))
    decoder_code = keras.Input(code.shape[1:])
    picture = layers.Conv2DTranspose(3, 4, 2, padding="same", activation="sigmoid")(decoder_code)
    players = [encoder, task_head, keras.Model(decoder_code, picture)]
    players = [with_precision(player, policy) for player in players]
    if shared and replicas.count() > 1:
        players = [replicas.with_shared_moments(player) for player in players]
    built = learner.AdversarialRepresentationLearner(
        *players, perceptual_features=lambda pictures: [tf.nn.l2_normalize(pictures, axis=-1)]
    )
    built.compile(
        keras.optimizers.SGD(0.5, global_clipnorm=clip),
        keras.optimizers.SGD(0.5, global_clipnorm=clip),
        **{"privacy": NEGATIVE, **compiled},
    )
    return built


def batch():
    rng = np.random.default_rng(0)
    # The second half is darker: shares of a batch differ.
    images = rng.random((2, BATCH, SIZE, SIZE, 3), np.float32)
    images[:, BATCH // 2 :] *= 0.5
    labels = rng.integers(0, 2, (BATCH, 2)).astype(np.float32)
    return images[0], labels, images[1]


def weights_after(strategy, steps, **case):
    """All weights after some steps, averages included."""
    private, labels, public = batch()
    size = BATCH // strategy.num_replicas_in_sync

    def own(context):
        part = slice(
            context.replica_id_in_sync_group * size, (context.replica_id_in_sync_group + 1) * size
        )
        return (private[part], labels[part]), public[None, part]

    with strategy.scope():
        built = build(**case)
    shared = strategy.experimental_distribute_values_from_function(own)
    step = tf.function(lambda values: strategy.run(built.train_step, args=(values,)))
    for _ in range(steps):
        step(shared)
    averages = built.averages.averages if built.averages else []
    variables = [*built.encoder.weights, *built.task_head.weights, *built.decoder.weights]
    return [tf.convert_to_tensor(each.value).numpy() for each in [*variables, *averages]]


def greatest_difference(one, other):
    pairs = zip(one, other, strict=True)
    return max(float(np.abs(first - second).max()) for first, second in pairs)


if __name__ == "__main__":
    mirrored = strategies.start(strategies.MIRRORED, 2)
    single = tf.distribute.get_strategy()
    found = {}
    for name, case in CASES.items():
        expected = weights_after(single, STEPS, **case)
        found[name] = {
            "difference": greatest_difference(expected, weights_after(mirrored, STEPS, **case)),
            "moved": greatest_difference(expected, weights_after(single, 0, **case)),
        }
    print(json.dumps(found))
