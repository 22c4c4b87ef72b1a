"""The adversary who guesses private attributes, in the defences that may have one."""

import math
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from tiny_learner import BATCH, batch, build_learner

from arl_tf.config.settings import Config
from arl_tf.defences import registry
from arl_tf.defences.adversaries import attribute_adversary
from arl_tf.experiments import train_stage

WITH_ADVERSARY = [name for name, each in registry.DEFENCES.items() if each.private_optional]
BALANCED = tf.constant([[0.0], [0], [1], [1]])


def told_by(logits, private=BALANCED):
    """The information of an adversary who guesses these logits."""
    memory = types.SimpleNamespace(guess=lambda codes: tf.broadcast_to(logits, private.shape))
    step = types.SimpleNamespace(memory=memory, private=private, codes=tf.zeros((4, 2)))
    return float(attribute_adversary.information(step))


def test_what_is_known_is_bounded_by_the_entropy_and_by_nothing():
    assert told_by(100 * (2 * BALANCED - 1)) == pytest.approx(math.log(2))
    assert told_by(0.0) == pytest.approx(0, abs=1e-6)
    # Whoever is led to the wrong answer knows it all the same, but is not rewarded.
    assert told_by(-100 * (2 * BALANCED - 1)) == 0
    assert told_by(0.0, tf.ones((4, 1))) == 0
    half_sure = math.log(2) + math.log(0.75)
    assert told_by(math.log(3) * (2 * BALANCED - 1)) == pytest.approx(half_sure, rel=1e-5)


@pytest.mark.parametrize("name", WITH_ADVERSARY)
def test_without_private_attributes_there_is_no_adversary(name):
    learner = build_learner(registry.choice_of(name))
    assert learner.defence_memory is None
    learner.train_step(batch())


@pytest.mark.parametrize("name", WITH_ADVERSARY)
def test_the_adversary_learns_and_its_knowledge_is_part_of_the_loss(name):
    learner = build_learner(registry.choice_of(name, 100.0), private_labels=1)
    images, labels = with_told_attribute()
    adversary = learner.defence_memory
    before = [value.numpy() for value in adversary.network.weights]
    learner.protector_step(images, labels)
    assert any(
        (old != new.numpy()).any()
        for old, new in zip(before, adversary.network.weights, strict=True)
    )
    plain = build_learner(registry.choice_of(name, 100.0))
    plain.protector_step(images, labels[:, :-1])
    told, base = (float(each.loss_trackers["privacy_loss"].result()) for each in (learner, plain))
    assert told >= base


def with_told_attribute():
    """Images of which half are dark, and labels whose last one says which."""
    (images, labels), _ = batch(1)
    dark = np.arange(BATCH) % 2
    images = images * tf.constant(np.where(dark, 0.1, 1.0)[:, None, None, None], tf.float32)
    return images, tf.concat([labels[:, :-1], tf.constant(dark[:, None], tf.float32)], axis=1)


def knowledge_of_a_fixed_adversary(name, strength, monkeypatch):
    """What it knows before and after the encoder's steps against it, in nats."""
    optimizer = keras.optimizers.Adam(0.01)
    learner = build_learner(registry.choice_of(name, strength), None, optimizer, private_labels=1)
    images, labels = with_told_attribute()

    def seen():
        return types.SimpleNamespace(
            memory=learner.defence_memory,
            private=labels[:, -1:],
            codes=learner.encoder(images, training=True),
            move=learner.move,
        )

    for _ in range(20):
        learner.defence_memory.learn(seen())
    before = float(attribute_adversary.information(seen()))
    monkeypatch.setattr(learner.defence_memory, "learn", lambda step: None)
    for _ in range(30):
        learner.protector_step(images, labels)
    return before, float(attribute_adversary.information(seen()))


@pytest.mark.slow
@pytest.mark.parametrize("name", WITH_ADVERSARY)
def test_an_encoder_takes_from_an_adversary_what_it_knows(name, monkeypatch):
    before, after = knowledge_of_a_fixed_adversary(name, 300.0, monkeypatch)
    assert before > 0.3 and after < 0.5 * before


def test_the_adversary_s_step_leaves_the_encoder_alone():
    learner = build_learner(registry.choice_of("pruning"), private_labels=1)
    images, labels = with_told_attribute()
    before = [value.numpy() for value in learner.encoder.weights]
    step = types.SimpleNamespace(
        codes=learner.encoder(images), private=labels[:, -1:], move=learner.move
    )
    learner.defence_memory.learn(step)
    for old, new in zip(before, learner.encoder.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


# Keras writes TensorFlow's variables so.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_checkpoint_has_the_adversary_and_its_optimizer(tmp_path):
    images, labels = with_told_attribute()
    learner = build_learner(registry.choice_of("pruning"), private_labels=1)
    learner.protector_step(images, labels)
    learner.save_weights(tmp_path / "learner.weights.h5")
    other = build_learner(registry.choice_of("pruning"), private_labels=1)
    other.load_weights(tmp_path / "learner.weights.h5")
    pairs = [
        (learner.defence_memory.network.weights, other.defence_memory.network.weights),
        (learner.defence_memory.optimizer.variables, other.defence_memory.optimizer.variables),
    ]
    for ours, theirs in pairs:
        for kept, loaded in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(kept.numpy(), loaded.numpy())
    assert int(other.defence_memory.optimizer.iterations) == 1


@pytest.mark.parametrize("name", WITH_ADVERSARY)
def test_private_attributes_may_be_named_and_need_not(name):
    for names in ("", "Male"):
        settings = Config(defence=name, private_attributes=names)
        train_stage.check_defence(settings)
