"""Warm starts: the started encoder's code and the saved head's answers, whatever was set then."""

import json
import types

import keras
import numpy as np
import pytest
from keras import layers
from scipy import special

from arl_tf.config.settings import Config, subset
from arl_tf.metrics.tasks.definition import Finish
from arl_tf.models import backbones
from arl_tf.training import building, checkpoints, train
from arl_tf.training.settings import TrainingSettings

SIZE, ATTRIBUTES = 32, 2
KERAS_SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
SHIFT = Finish(np.ones(2), np.array([-1.5, 0.5]), layer="log_odds")


def tiny_network(name, image, weights, **settings):
    """In the place of a network of keras.applications, of which building takes seconds."""
    features = layers.ZeroPadding2D(1)(image)
    features = layers.Conv2D(4, 3, 4, name="conv2_block3_out")(features)
    features = layers.Conv2D(6, 3, 2, padding="same", name="conv3_block4_out")(features)
    return keras.Model(keras.utils.get_source_inputs(image), features)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(backbones, "application", tiny_network)


def settings(**changes):
    values = {"encoder": "resnet50", "image_size": SIZE, "cut": "early", "code_channels": 3}
    return subset(Config(**(values | changes)), TrainingSettings)


def saved(folder, encoder, task_head):
    """A run directory that holds these trained players."""
    rng = np.random.default_rng(5)
    for name, player in (("encoder", encoder), ("task_head", task_head)):
        player.set_weights([rng.normal(0.5, 0.2, w.shape) ** 2 for w in player.get_weights()])
        checkpoints.save_player(player, checkpoints.player_path(folder / checkpoints.FOLDER, name))
    return str(folder)


def started_run(folder, *, as_published, **changes):
    """A run that began as published weights do, or as random ones; its encoder and task head."""
    players = building.new_players(settings(**changes), ATTRIBUTES, as_published=as_published)
    return saved(folder, *players), *players


def image():
    return np.random.default_rng(1).random((2, SIZE, SIZE, 3), np.float32)


@KERAS_SAVES
@pytest.mark.parametrize(("as_published", "weights"), [(True, ""), (True, "imagenet"), (False, "")])
def test_code_after_a_warm_start_is_that_of_the_started_encoder(
    tmp_path, tiny, as_published, weights
):
    folder, encoder, task_head = started_run(tmp_path, as_published=as_published)
    found = building.started_players(settings(warm_start=folder, weights=weights), ATTRIBUTES)
    code = encoder(image(), training=False)
    np.testing.assert_array_equal(found[0](image(), training=False), code)
    np.testing.assert_array_equal(found[1](code, training=False), task_head(code, training=False))
    # What is saved of it, and started from again, has the same form.
    again = building.started_players(
        settings(warm_start=saved(tmp_path / "next", *found), weights=weights), ATTRIBUTES
    )
    assert backbones.preprocessing(again[0]) == backbones.preprocessing(encoder)


@KERAS_SAVES
@pytest.mark.slow
def test_code_of_a_real_resnet50_is_kept(tmp_path):
    folder, encoder, _ = started_run(tmp_path, as_published=True)
    found, _ = building.started_players(settings(warm_start=folder), ATTRIBUTES)
    np.testing.assert_array_equal(found(image()), encoder(image()))


@KERAS_SAVES
def test_published_weights_beside_a_start_that_wants_other_images_are_refused(tmp_path, tiny):
    folder, _, _ = started_run(tmp_path, as_published=False)
    with pytest.raises(ValueError, match=r"Rescaling.*--weights=imagenet.*Leave --weights empty"):
        building.started_players(settings(warm_start=folder, weights="imagenet"), ATTRIBUTES)


@KERAS_SAVES
def test_an_encoder_that_prepares_images_in_a_third_way_is_refused(tmp_path, tiny, monkeypatch):
    monkeypatch.setattr(backbones, "MEAN_COLOUR", (1.0, 2.0, 3.0))
    folder, _, _ = started_run(tmp_path, as_published=True)
    monkeypatch.undo()
    monkeypatch.setattr(backbones, "application", tiny_network)
    with pytest.raises(ValueError, match=r"-1\.0, -2\.0, -3\.0.*--encoder=resnet50 does so by"):
        building.started_players(settings(warm_start=folder), ATTRIBUTES)


@KERAS_SAVES
def test_a_warm_start_takes_no_weights_of_another_shape(tmp_path, tiny):
    folder, _, _ = started_run(tmp_path, as_published=False)
    with pytest.raises(ValueError, match="encoder of another shape"):
        building.started_players(settings(warm_start=folder, code_channels=4), ATTRIBUTES)


@KERAS_SAVES
@pytest.mark.parametrize("then", [Finish(), SHIFT])
@pytest.mark.parametrize("now", [Finish(), SHIFT, Finish(np.full(2, 4.0), np.ones(2))])
def test_a_warm_start_says_what_the_saved_head_says_however_either_training_ends(
    tmp_path, tiny, then, now
):
    encoder, raw = building.new_players(settings(), ATTRIBUTES)
    head = then.finished(raw)
    folder = saved(tmp_path, encoder, head)
    _, found = building.started_players(settings(warm_start=folder), ATTRIBUTES, now)
    code = encoder(image(), training=False)
    expected = head(code, training=False)
    np.testing.assert_allclose(
        now.finished(found)(code, training=False), expected, rtol=1e-5, atol=1e-4
    )
    if now is then:
        for one, other in zip(found.get_weights(), raw.get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


@KERAS_SAVES
def test_saved_logits_of_a_balanced_training_are_log_odds_and_stay_so(tmp_path):
    rng = np.random.default_rng(2)
    labels = (rng.random((200, 2)) < (0.05, 0.8)).astype(np.uint8)
    images = types.SimpleNamespace(attributes=labels, task_kind="multi_label")
    parts = types.SimpleNamespace(private_train=np.arange(200))
    share = labels.mean(axis=0)
    code = keras.Input((1,))
    # The least weighted loss of a head that sees nothing is where positives and negatives weigh
    # the same: at logits of 0.
    head = keras.Model(code, layers.Dense(2, kernel_initializer="zeros")(code), name="task_head")
    player = keras.Model(code, layers.Identity()(code))
    learner = types.SimpleNamespace(encoder=player, decoder=player, task_head=head)
    files = types.SimpleNamespace(checkpoints=tmp_path)
    for _ in range(2):
        train.save_players(learner, settings(label_weights="balanced"), files, images, parts)
        kept = checkpoints.load_player(checkpoints.player_path(tmp_path, "task_head"))
        found = special.expit(np.asarray(kept(np.zeros((1, 1)))))
        np.testing.assert_allclose(found[0], share, rtol=1e-5)
    assert not any(weight.any() for weight in head.get_weights())
    json.dumps(kept.get_config())
