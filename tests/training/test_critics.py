"""The adversary's critic: who moves, what the decoders get of it, and that nothing is lost."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_learner import SAVES_WEIGHTS, batch_of, build_learner, moved, values

from arl_tf.training.learner import ADVERSARIAL, ADVERSARY, TASK

pytestmark = pytest.mark.slow

WEIGHT = 0.5


def with_critic(weight=WEIGHT, **settings):
    return build_learner(adversary_critic_weight=weight, **settings)


def sgd():
    return [keras.optimizers.SGD(0.1), keras.optimizers.SGD(0.1)]


def test_the_critic_learns_beside_the_decoder_and_nobody_else_moves():
    learner = with_critic()
    players = (learner.encoder, learner.task_head, learner.decoder, learner.critic.network)
    before = [values(player) for player in players]
    learner.adversary_step(batch_of()[1][0])
    changed = [any(moved(old, player)) for old, player in zip(before, players, strict=True)]
    assert changed == [False, False, True, True]


def test_the_encoder_s_step_leaves_the_critic_as_it_is():
    learner = with_critic()
    before = values(learner.critic.network)
    learner.protector_step(*batch_of()[0])
    assert not any(moved(before, learner.critic.network))


def test_a_decoder_s_step_is_that_without_a_critic_and_one_towards_higher_scores():
    plain, learner = build_learner(optimizers=sgd()), with_critic(optimizers=sgd())
    public = tf.constant(batch_of()[1][0])
    variables = learner.decoder.trainable_variables
    code = learner.encoder(public, training=False)
    # Batch statistics of this very call move nothing that its gradient depends on.
    with tf.GradientTape() as tape:
        picture = learner.decoder(code, training=True)
        score = tf.reduce_mean(learner.critic.network(picture, training=True))
    upward = tape.gradient(score, variables)
    plain.adversary_step(public)
    learner.adversary_step(public)
    for one, other, gradient in zip(
        plain.decoder.trainable_variables, variables, upward, strict=True
    ):
        np.testing.assert_allclose(other - one, 0.1 * WEIGHT * gradient, atol=1e-6)


def test_the_critic_s_own_step_is_on_the_pictures_before_the_decoder_moved():
    learner = with_critic()
    public = tf.constant(batch_of()[1][0])
    picture = learner.decoder(learner.encoder(public, training=False), training=True)
    network = learner.critic.network
    real, made = network(public), network(picture)
    expected = np.maximum(1 - real, 0).mean() + np.maximum(1 + made, 0).mean()
    learner.adversary_step(public)
    assert float(learner.critic.tracker.result()) == pytest.approx(expected, rel=1e-4)


def test_without_a_weight_there_is_no_critic_and_training_is_the_same_to_the_last_bit():
    plain, without = build_learner(), with_critic(weight=0.0)
    assert without.critic is None
    for learner in (plain, without):
        learner.adversary_step(batch_of()[1][0])
    for one, other in zip(plain.variables, without.variables, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(("phase", "logged"), [(TASK, 0), (ADVERSARY, 1), (ADVERSARIAL, 1)])
def test_its_loss_is_logged_where_decoders_learn(phase, logged):
    logs = with_critic(phase=phase).train_step(batch_of())
    assert ("critic_loss" in logs) == bool(logged)


@SAVES_WEIGHTS
def test_a_resumed_training_has_the_critic_and_its_optimizer(tmp_path):
    whole = with_critic(dropout=0.0)
    whole.adversary_step(batch_of(0)[1][0])
    whole.save_weights(tmp_path / "learner.weights.h5")
    resumed = with_critic(seed=1, dropout=0.0)
    resumed.load_weights(tmp_path / "learner.weights.h5")
    # The perceptual network isn't saved: a run builds it again from its package.
    resumed.perceptual_features = whole.perceptual_features
    for learner in (whole, resumed):
        learner.adversary_step(batch_of(1)[1][0])
    assert int(resumed.critic.optimizer.iterations) == 2
    pairs = [
        (whole.critic.network.variables, resumed.critic.network.variables),
        (whole.critic.optimizer.variables, resumed.critic.optimizer.variables),
        (whole.decoder.variables, resumed.decoder.variables),
    ]
    for one, other in ((a, b) for pair in pairs for a, b in zip(*pair, strict=True)):
        np.testing.assert_array_equal(one, other)


def test_a_next_phase_keeps_the_critic_with_a_fresh_optimizer():
    learner = with_critic(phase=ADVERSARY)
    learner.train_step(batch_of())
    critic, weights = learner.critic, values(learner.critic.network)
    learner.compile(phase=ADVERSARIAL, adversary_critic_weight=WEIGHT)
    assert learner.critic is critic and not any(moved(weights, critic.network))
    assert int(critic.optimizer.iterations) == 0


def test_a_saved_learner_knows_the_weight():
    learner = with_critic()
    learner.perceptual_name = "efficientnet_lite0"
    config = learner.get_compile_config()
    assert config["adversary_critic_weight"] == WEIGHT
    other = build_learner()
    other.compile_from_config(config)
    assert other.critic is not None
