"""Callbacks act when they should: the adversary restarts on schedule, a ruined run is not saved."""

import numpy as np
import pytest
from test_learner import batch_of, build_learner, build_players

from arl_tf.training import callbacks


def restart_for(learner, every, first_epoch=0):
    restart = callbacks.DecoderRestart(lambda *_: build_players()[2], every, first_epoch)
    restart.set_model(learner)
    return restart


def test_restart_gives_the_adversary_new_weights_and_forgets_its_moments():
    learner = build_learner()
    learner.train_step(batch_of())
    optimizer = learner.adversary_optimizer
    assert int(optimizer.iterations) == 1
    rate = float(optimizer.learning_rate)
    decoder, encoder = learner.decoder.get_weights(), learner.encoder.get_weights()
    restart_for(learner, every=2).on_epoch_begin(2)
    moved = zip(decoder, learner.decoder.get_weights(), strict=True)
    assert any(not np.array_equal(one, other) for one, other in moved)
    for one, other in zip(encoder, learner.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert int(optimizer.iterations) == 0
    assert float(optimizer.learning_rate) == rate
    learner.train_step(batch_of())


@pytest.mark.parametrize(
    ("epoch", "restarts"), [(5, False), (6, False), (7, False), (8, True), (9, False), (11, True)]
)
def test_restart_counts_from_the_first_adversarial_epoch(epoch, restarts):
    learner = build_learner()
    before = learner.decoder.get_weights()
    restart_for(learner, every=3, first_epoch=5).on_epoch_begin(epoch)
    pairs = list(zip(before, learner.decoder.get_weights(), strict=True))
    assert any(not np.array_equal(one, other) for one, other in pairs) is restarts


def test_divergence_is_noticed_before_the_checkpoint_of_its_epoch():
    stop = callbacks.StopOnDivergence()
    stop.on_train_batch_end(0, {"loss": 0.5})
    with pytest.raises(callbacks.TrainingDiverged, match="loss is nan at epoch 3"):
        stop.on_epoch_end(2, {"loss": float("nan")})


@pytest.mark.parametrize(("epochs", "saved"), [(5, [2, 4, 5]), (4, [2, 4])])
def test_checkpoint_is_written_every_few_epochs_and_after_the_last(epochs, saved):
    written = []
    checkpoint = callbacks.Checkpoint(lambda _, epoch: written.append(epoch), every=2)
    checkpoint.set_model(build_learner())
    checkpoint.set_params({"epochs": epochs})
    for epoch in range(epochs):
        checkpoint.on_epoch_end(epoch)
    assert written == saved
