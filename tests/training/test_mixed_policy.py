"""Models that a user builds under Keras' policies of mixed precision train with all defaults."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from arl_tf.defences import registry
from arl_tf.models import code_layers
from arl_tf.training.learner import AdversarialRepresentationLearner

SIZE, LABELS, COUNT = 8, 3, 6


@pytest.fixture(params=["mixed_bfloat16", "mixed_float16"])
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


@tf.function(autograph=False, input_signature=[tf.TensorSpec((None, SIZE, SIZE, 3), tf.float32)])
def exact(image):
    """A network g that takes float32 alone, as the packaged ones do."""
    return [image]


def learner_of(noise=True, **settings):
    last = [code_layers.NoisyCode(0.5, learned=True), code_layers.QuantisedCode(8)]
    image = keras.Input((SIZE, SIZE, 3))
    bounded = keras.layers.Conv2D(4, 3, 2, padding="same")(image)
    bounded = keras.layers.BatchNormalization(center=False, scale=False)(bounded)
    for layer in last if noise else []:
        bounded = layer(bounded)
    encoder = keras.Model(image, bounded)
    code = keras.Input((4, 4, 4))
    head = keras.layers.Dense(LABELS)(keras.layers.Flatten()(code))
    picture = keras.layers.Conv2DTranspose(3, 2, 2, activation="sigmoid")(code)
    learner = AdversarialRepresentationLearner(
        encoder, keras.Model(code, head), keras.Model(code, picture), perceptual_features=exact
    )
    learner.compile(metrics=["accuracy"], run_eagerly=True, **settings)
    return learner


def batches():
    rng = np.random.default_rng(0)
    private, public = rng.random((2, COUNT, SIZE, SIZE, 3)).astype(np.float32)
    labels = rng.integers(0, 2, (COUNT, LABELS))
    return tf.data.Dataset.from_tensors(((private, labels), public))


@pytest.mark.parametrize("noise", [True, False])
def test_such_models_train_and_evaluate_with_finite_losses(policy, noise):
    learner = learner_of(noise, adversary_critic_weight=0.1, lambda_rate=1e-4 * noise)
    before = [player.get_weights() for player in (learner.encoder, learner.decoder)]
    found = learner.fit(batches(), validation_data=batches(), verbose=0).history
    assert all(np.isfinite(values).all() for values in found.values())
    if policy == "mixed_bfloat16":  # The first step of float16 may only lower the loss scale.
        for player, weights in zip((learner.encoder, learner.decoder), before, strict=True):
            assert not np.array_equal(player.get_weights()[0], weights[0])
    assert learner(next(iter(batches()))[1]).dtype == tf.float32
    assert policy.removeprefix("mixed_") == learner.decoder.layers[-1].compute_dtype


def test_a_defence_sees_codes_and_their_means_in_float32(policy):
    learner = learner_of(phase="defence", defence=registry.choice_of("nopeek", 0.1))
    code, mean = learner.encode(next(iter(batches()))[1])
    assert code.dtype == mean.dtype == tf.float32
    assert np.isfinite(learner.fit(batches(), verbose=0).history["loss"]).all()


def test_layers_that_bound_a_code_are_exact(policy):
    values = np.float32([[0.1, 1.003, -0.7]])
    assert code_layers.QuantisedCode(4).compute_dtype == "float32"
    noisy = code_layers.NoisyCode(0.5)
    assert noisy(values).dtype == tf.float32
    signal = np.sqrt(0.8) * values
    np.testing.assert_allclose(noisy.mean(tf.constant(values)), signal, rtol=1e-6)
    image = keras.Input((3,))
    encoder = keras.Model(image, code_layers.NoisyCode(0.5)(keras.layers.Dense(2)(image)))
    assert code_layers.mean_encoder(encoder)(tf.constant(values)).dtype == tf.float32
    both = code_layers.encoder_with_noise_input(encoder)
    assert both({"image": values, "noise": np.zeros((1, 2), np.float32)}).dtype == tf.float32
