"""Half precision: float32 at the interfaces, a loss scale for each player, the same quality."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from test_learner import (
    NUM_ATTRIBUTES,
    SAVES_WEIGHTS,
    SIZE,
    batch_of,
    build_perceptual_network,
    build_players,
)

from arl_tf.defences.noise import LaplaceCode
from arl_tf.models import code_layers, losses, precision, rebuilding
from arl_tf.training import callbacks, loss_scaling
from arl_tf.training.learner import ADVERSARIAL, TASK, AdversarialRepresentationLearner

pytestmark = pytest.mark.slow

MIXED = ("mixed_bfloat16", "mixed_float16")
RATE, LAMBDA = 0.5, 0.3
# What one linear channel of each player begins with.
ENCODER, HEAD, DECODER = np.float32([0.5, -0.25, 1.0]), 0.75, np.float32([0.2, 0.4, -0.6])


def linear_learner(protector_scale, adversary_scale):
    """Pictures of one pixel, codes of one value, no nonlinearity: gradients by pen and paper."""
    image = keras.Input((1, 1, 3))
    encoder = keras.Model(image, layers.Conv2D(1, 1, use_bias=False)(image))
    code = keras.Input((1, 1, 1))
    head = layers.Dense(1, use_bias=False)(layers.Flatten()(code))
    decoder = layers.Conv2D(3, 1, use_bias=False)(code)
    players = encoder, keras.Model(code, head), keras.Model(code, decoder)
    starts = ENCODER.reshape(1, 1, 3, 1), np.float32([[HEAD]]), DECODER.reshape(1, 1, 1, 3)
    for player, start in zip(players, starts, strict=True):
        player.set_weights([start])
    learner = AdversarialRepresentationLearner(*players, perceptual_features=lambda image: [image])
    scaled = [
        keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD(RATE), initial_scale=scale)
        for scale in (protector_scale, adversary_scale)
    ]
    privacy = losses.PrivacyObjective("negative", LAMBDA, 0.0)
    learner.compile(*scaled, phase=ADVERSARIAL, privacy=privacy, mu=0.0)
    return learner


def weights_by_hand(private, label, public):
    """(encoder, head, decoder) after one alternation of plain gradient descent."""
    code = ENCODER @ public
    decoder = DECODER - RATE * 2 / 3 * (DECODER * code - public) * code
    code = ENCODER @ private
    of_logit = 1 / (1 + np.exp(-HEAD * code)) - label
    of_code = of_logit * HEAD - LAMBDA * 2 / 3 * (decoder * code - private) @ decoder
    return ENCODER - RATE * of_code * private, HEAD - RATE * of_logit * code, decoder


@pytest.mark.parametrize("scales", [(1.0, 1.0), (2.0**12, 2.0**4), (2.0**3, 2.0**15)])
def test_each_player_moves_by_its_own_gradient_whatever_the_two_scales_are(scales):
    private, public = np.float32([0.9, 0.3, 0.6]), np.float32([0.1, 0.8, 0.5])
    learner = linear_learner(*scales)
    batch = (private.reshape(1, 1, 1, 3), np.float32([[1]])), public.reshape(1, 1, 1, 3)
    learner.train_step(tf.nest.map_structure(tf.constant, batch))
    expected = weights_by_hand(private, 1.0, public)
    found = [p.get_weights()[0] for p in (learner.encoder, learner.task_head, learner.decoder)]
    for weights, by_hand in zip(found, expected, strict=True):
        np.testing.assert_allclose(weights.ravel(), np.ravel(by_hand), rtol=1e-5)


def test_an_overflow_costs_its_own_player_a_step_and_half_its_scale():
    learner = linear_learner(2.0**10, 1e38)
    before = learner.decoder.get_weights()[0]
    public = np.full((1, 1, 1, 3), 300, np.float32)
    learner.train_step(
        ((tf.ones((1, 1, 1, 3)), tf.ones((1, 1))), tf.constant(public)),
    )
    np.testing.assert_array_equal(learner.decoder.get_weights()[0], before)
    assert not np.array_equal(learner.encoder.get_weights()[0].ravel(), ENCODER)
    assert float(learner.adversary_optimizer.dynamic_scale) == np.float32(5e37)
    assert float(learner.protector_optimizer.dynamic_scale) == 2.0**10


def mixed_learner(policy, **compiled):
    """Tiny players that compute as the policy says, of the same weights for each policy."""
    keras.utils.set_random_seed(1)
    network = build_perceptual_network()
    players = [precision.with_precision(p, policy) for p in build_players(dropout=0.0)]
    learner = AdversarialRepresentationLearner(
        *players, perceptual_features=lambda image: [network(image, training=False)]
    )
    privacy = losses.PrivacyObjective("negative", 0.1, 0.01)
    learner.compile(
        keras.optimizers.Adam(1e-2), keras.optimizers.Adam(1e-2), privacy=privacy, **compiled
    )
    return learner


def trained(policy, steps=60):
    """(last losses, task loss on the toy problem) after some adversarial steps.

    The toy: each label says whether a colour channel is brighter than half.
    """
    learner = mixed_learner(policy)
    rng = np.random.default_rng(0)
    step = tf.function(learner.train_step, autograph=False)
    for _ in range(steps):
        shown = step(tf.nest.map_structure(tf.constant, toy_batch(rng)))
    (image, labels), _ = toy_batch(rng, 256)
    logits = learner.task_head(learner.encoder(image, training=False), training=False)
    return shown, float(learner.task_loss(logits, labels))


def toy_batch(rng, count=32):
    """((private, labels), public): a random colour for each picture, with noise."""
    colours = rng.random((2, count, 1, 1, 3))
    pictures = np.clip(colours + rng.normal(0, 0.05, (2, count, SIZE, SIZE, 3)), 0, 1)
    private, public = pictures.astype(np.float32)
    labels = (colours[0, :, 0, 0] > 0.5).astype(np.float32)
    return (private, labels[:, :NUM_ATTRIBUTES]), public


@pytest.fixture(scope="module")
def quality():
    return {policy: trained(policy) for policy in ("float32", *MIXED)}


@pytest.mark.parametrize("policy", MIXED)
def test_losses_are_finite_and_the_task_is_learned_as_in_float32(quality, policy):
    shown, task_loss = quality[policy]
    assert all(np.isfinite(float(value)) for value in shown.values())
    assert quality["float32"][1] < 0.5  # Of log 2 = .69 without learning.
    assert abs(task_loss - quality["float32"][1]) < 0.05


@pytest.mark.parametrize("policy", MIXED)
def test_weights_and_outputs_are_float32_and_the_copy_in_float32_has_the_same_weights(policy):
    for player in build_players():
        mixed = precision.with_precision(player, policy)
        assert {weight.dtype for weight in mixed.weights} == {"float32"}
        assert all(output.dtype == "float32" for output in mixed.outputs)
        assert policy.removeprefix("mixed_") in {layer.compute_dtype for layer in mixed.layers}
        back = precision.in_float32(mixed)
        assert {layer.compute_dtype for layer in rebuilding.all_layers([back])} == {"float32"}
        for one, other in zip(player.get_weights(), back.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)
    assert precision.in_float32(player) is player


@pytest.mark.parametrize("noise", [code_layers.NoisyCode, LaplaceCode])
def test_what_bounds_a_code_stays_exact(noise):
    image = keras.Input((SIZE, SIZE, 3))
    values = layers.Conv2D(4, 1)(image)
    bounded = code_layers.QuantisedCode(4, name="levels")(noise(0.5, name="noise")(values))
    mixed = precision.with_precision(keras.Model(image, bounded), "mixed_float16")
    assert {mixed.get_layer(n).compute_dtype for n in ("levels", "noise")} == {"float32"}
    levels = np.unique(mixed(np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32)))
    assert len(levels) == 4


def test_float16_alone_gets_a_loss_scale_and_only_once():
    players = {policy: [precision.with_precision(build_players()[1], policy)] for policy in MIXED}
    plain = keras.optimizers.SGD(0.1)
    assert loss_scaling.scaled(plain, players["mixed_bfloat16"]) is plain
    wrapped = loss_scaling.scaled(plain, players["mixed_float16"])
    assert isinstance(wrapped, keras.optimizers.LossScaleOptimizer)
    assert loss_scaling.scaled(wrapped, players["mixed_float16"]) is wrapped
    assert loss_scaling.inner(wrapped) is plain and loss_scaling.inner(plain) is plain


def test_a_restarted_adversary_keeps_its_loss_scale():
    learner = mixed_learner("mixed_float16")
    learner.train_step(batch_of())
    scale = float(learner.adversary_optimizer.dynamic_scale)
    restart = callbacks.DecoderRestart(lambda *_: build_players()[2], 1, 0)
    restart.set_model(learner)
    restart.on_epoch_begin(1)
    assert float(learner.adversary_optimizer.dynamic_scale) == scale > 1
    assert int(loss_scaling.inner(learner.adversary_optimizer).iterations) == 0


def test_an_optimizer_is_given_to_compile_alone_and_keras_sets_none_beside_it():
    players = build_players()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        learner = AdversarialRepresentationLearner(
            *players, perceptual_features=lambda image: [image]
        )
    finally:
        keras.config.set_dtype_policy("float32")
    # At the second compile Keras itself would put a loss scale around the optimizer of the first.
    for rate in (RATE, RATE / 2):
        optimizer = keras.optimizers.SGD(rate)
        learner.compile(optimizer, phase=TASK)
        assert learner.optimizer is optimizer
    with pytest.raises(ValueError, match="to compile, as protector_optimizer"):
        learner.optimizer = keras.optimizers.SGD(0.1)
    assert learner.optimizer is optimizer


@SAVES_WEIGHTS
def test_a_checkpoint_resumes_with_its_loss_scales(tmp_path):
    learner = mixed_learner("mixed_float16")
    learner.train_step(batch_of())
    learner.adversary_optimizer.dynamic_scale.assign(64.0)
    learner.save_weights(tmp_path / "learner.weights.h5")
    other = mixed_learner("mixed_float16")
    other.load_weights(tmp_path / "learner.weights.h5")
    assert float(other.adversary_optimizer.dynamic_scale) == 64
    assert float(other.protector_optimizer.dynamic_scale) != 64
    for one, two in zip(learner.variables, other.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), two.numpy())


@SAVES_WEIGHTS
def test_a_saved_player_loads_in_its_precision_with_the_same_codes(tmp_path):
    mixed = precision.with_precision(build_players()[0], "mixed_bfloat16")
    mixed.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    image = batch_of()[0][0]
    np.testing.assert_array_equal(loaded(image), mixed(image))
    exact = precision.in_float32(loaded)(image)
    assert exact.dtype == tf.float32
    np.testing.assert_allclose(exact, mixed(image), atol=0.05)


def test_xla_compiles_the_step_and_trains_as_without():
    found = {}
    for compiled in (False, True):
        learner = mixed_learner("float32", phase=TASK, jit_compile=compiled)
        assert learner.get_compile_config()["jit_compile"] is compiled
        batches = tf.data.Dataset.from_tensors(batch_of()).repeat(3)
        found[compiled] = learner.fit(batches, epochs=1, verbose=0).history["loss"][0]
    assert found[True] == pytest.approx(found[False], rel=1e-4)


def test_how_steps_are_run_is_kept_with_the_learner():
    learner = mixed_learner("float32", phase=TASK, run_eagerly=True, steps_per_execution=3)
    found = learner.get_compile_config()
    assert (found["run_eagerly"], found["steps_per_execution"]) == (True, 3)
    learner.compile_from_config(found)
    assert (learner.run_eagerly, learner.steps_per_execution) == (True, 3)
