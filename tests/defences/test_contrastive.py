"""The defence of private attributes: its formula, its labels, its settings."""

import dataclasses
import math
import types

import numpy as np
import pytest
import tensorflow as tf
from tiny_learner import batch, build_learner

from arl_tf.config.settings import Config
from arl_tf.defences import contrastive
from arl_tf.defences.definition import Choice
from arl_tf.experiments import train_stage
from arl_tf.training import defending


def test_neighbours_are_the_near_rows_and_never_the_row_itself():
    weights = np.asarray(contrastive.neighbours(tf.constant([[0.0], [0.1], [5], [5.1]])))
    np.testing.assert_allclose(weights.sum(axis=1), 1, rtol=1e-5)
    np.testing.assert_array_equal(np.diag(weights), 0)
    assert weights[0, 1] > 2 * weights[0, 2] and weights[3, 2] > 2 * weights[3, 1]


def test_equal_codes_tell_nothing_and_codes_of_the_attribute_nearly_all():
    private = tf.constant([[0.0], [0], [0], [0], [1], [1], [1], [1]])
    alike = contrastive.neighbour_information(tf.ones((8, 3)), private)
    assert float(alike) == pytest.approx(0, abs=1e-6)
    # Squared distances are 0 and 1; their deviation over pairs makes the far ones rare.
    told = float(contrastive.neighbour_information(private, private))
    far = math.exp(-1 / math.sqrt(32 * 24 / 56**2))
    guess = 3 / (3 + 4 * far)
    assert told == pytest.approx(math.log(2) + math.log(guess), rel=1e-3)
    assert told > 0.2


def test_the_gradient_draws_codes_of_different_people_together():
    private = (np.arange(12, dtype=np.float32) % 2)[:, None]
    drawn = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    codes, private = tf.Variable(drawn + 2 * private), tf.constant(private)
    before = float(contrastive.neighbour_information(codes, private))
    for _ in range(25):
        with tf.GradientTape() as tape:
            loss = contrastive.neighbour_information(codes, private)
        codes.assign_sub(0.05 * tf.sign(tape.gradient(loss, codes)))
    assert float(contrastive.neighbour_information(codes, private)) < 0.5 * before


IMAGES = types.SimpleNamespace(
    attributes=np.array([[1, 0], [0, 1]], np.uint8),
    attribute_names=("Smiling", "Hat"),
    other_attributes=np.array([[1, 0, 1], [0, 0, 1]], np.uint8),
    other_attribute_names=("Male", "Young", "Bald"),
)


def test_private_labels_stand_behind_the_task_s_and_are_split_off_again():
    found = defending.with_private(IMAGES, ("Bald", "Male"), None)
    np.testing.assert_array_equal(found, [[1, 0, 1, 1], [0, 1, 1, 0]])
    assert found.dtype == np.float32
    labels, private = defending.split_labels(tf.constant(found), 2)
    np.testing.assert_array_equal(labels, IMAGES.attributes)
    np.testing.assert_array_equal(private, [[1, 1], [1, 0]])
    # A teacher's targets stay what the task learns.
    soft = np.full((2, 2), 0.25, np.float32)
    np.testing.assert_array_equal(defending.with_private(IMAGES, ("Male",), soft)[:, :2], soft)
    assert defending.with_private(IMAGES, (), soft) is soft
    assert defending.split_labels(tf.constant(found), 0)[1] is None


@pytest.mark.parametrize(
    ("images", "name", "words"),
    [
        (IMAGES, "Smiling", "'Smiling' is one of the task's; expected some of Male, Young, Bald"),
        (IMAGES, "Glasses", "'Glasses' is not in the data"),
        (
            types.SimpleNamespace(**vars(IMAGES) | {"other_attribute_names": ()}),
            "Male",
            "those left out of --task_attributes",
        ),
    ],
)
def test_private_attributes_that_are_not_at_hand_are_refused(images, name, words):
    with pytest.raises(ValueError, match=words):
        defending.with_private(images, (name,), None)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"defence": "contrastive"}, "name them with --private_attributes"),
        ({"defence": "nopeek", "private_attributes": "Male"}, "got --defence=nopeek"),
        ({"defence": "none", "private_attributes": "Male"}, "got --defence=none"),
    ],
)
def test_private_attributes_go_with_the_defence_that_hides_them(settings, words):
    with pytest.raises(ValueError, match=words):
        train_stage.check(Config(**settings), run=None, todo=[])
    assert Config(private_attributes="Male, Bald").private_names == ("Male", "Bald")


def test_the_task_does_not_see_the_private_labels():
    choice = Choice("contrastive", 0.5)
    learner = build_learner(choice)
    (image, labels), _ = batch()
    config = learner.get_compile_config()
    assert config["private_labels"] == 1
    learner.compile_from_config(config)
    assert learner.private_labels == 1 and learner.defence == choice
    private = tf.constant([[1.0], [1], [1], [0], [0], [0]])
    learner.protector_step(image, tf.concat([labels, private], axis=1))
    logged = {name: float(learner.loss_trackers[name].result()) for name in ("task_loss", "loss")}
    other = build_learner(dataclasses.replace(choice, name="nopeek"))
    other.protector_step(image, labels)
    assert logged["task_loss"] == pytest.approx(float(other.loss_trackers["task_loss"].result()))
    assert logged["loss"] >= logged["task_loss"]
