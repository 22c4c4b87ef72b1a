"""Averages of the weights: by hand, saved and resumed to the same bits, used when fit ends."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_learner import SAVES_WEIGHTS, batch_of, build_learner, moved, state, values

from arl_tf.training.averaging import WeightAverage
from arl_tf.training.learner import ADVERSARY, TASK, AdversarialRepresentationLearner

pytestmark = pytest.mark.slow


def test_average_is_that_of_the_formula():
    weight, seed = keras.Variable([8.0]), keras.Variable([5], dtype="uint32")
    average = WeightAverage([weight, seed], decay=0.15)
    average.begin([weight, seed])
    weight.assign([0.0])
    average.follow([weight, seed], tf.constant(1))
    # 1 / (1 + 9) is less than the decay: a tenth is kept, nine tenths are new.
    np.testing.assert_allclose(average.averages[0], [0.8], rtol=1e-6)
    weight.assign([4.0])
    average.follow([weight, seed], tf.constant(2))
    # 2 / (2 + 9) is more than the decay: .15 of .8 and .85 of 4.
    np.testing.assert_allclose(average.averages[0], [0.15 * 0.8 + 0.85 * 4], rtol=1e-6)
    average.use([weight, seed])
    np.testing.assert_array_equal(weight, average.averages[0])
    np.testing.assert_array_equal(seed, [5])


def test_steps_do_not_differ_for_the_average_until_it_is_used():
    plain, averaged = build_learner(dropout=0.0), build_learner(dropout=0.0, weight_average=0.9)
    for seed in range(2):
        plain.train_step(batch_of(seed))
        averaged.train_step(batch_of(seed))
    before = values(averaged.encoder, averaged.task_head)
    assert not any(moved(values(*state(plain)), *state(averaged)))
    averaged.use_averages()
    assert sum(moved(before, averaged.encoder, averaged.task_head)) > len(before) / 2


@SAVES_WEIGHTS
def test_resumed_average_equals_the_uninterrupted_one_bit_for_bit(tmp_path):
    learner = build_learner(dropout=0.0, weight_average=0.9)
    for seed in range(2):
        learner.train_step(batch_of(seed))
    learner.save_weights(tmp_path / "learner.weights.h5")
    resumed = build_learner(seed=1, dropout=0.0, weight_average=0.9)
    resumed.load_weights(tmp_path / "learner.weights.h5")
    resumed.perceptual_features = learner.perceptual_features
    for each in (learner, resumed):
        each.train_step(batch_of(2))
    assert not any(
        moved(values(*state(learner), learner.averages), *state(resumed), resumed.averages)
    )


class Watcher(keras.callbacks.Callback):
    """Notes the encoder's weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def on_epoch_end(self, epoch, logs=None):
        self.seen.append(values(self.model.encoder))


@pytest.mark.parametrize("phase", [TASK, ADVERSARY])
def test_averages_take_the_weights_place_before_others_look_after_the_last_epoch(phase):
    learner = build_learner(dropout=0.0, phase=phase, weight_average=0.9)
    first, watcher = values(learner.encoder), Watcher()
    batches = tf.data.Dataset.from_tensors(batch_of()).repeat()
    learner.fit(batches, epochs=2, steps_per_epoch=2, callbacks=[watcher], verbose=0)
    if phase == ADVERSARY:
        assert all(
            np.array_equal(*pair) for pair in zip(first, values(learner.encoder), strict=True)
        )
        return
    averages = [average.numpy() for average in learner.averages.averages]
    for position, (after_one, after_two) in enumerate(zip(*watcher.seen, strict=True)):
        np.testing.assert_array_equal(after_two, averages[position])
        assert not np.array_equal(after_one, after_two)


class StopAfterFirst(keras.callbacks.Callback):
    """Ends the training after its first epoch, as EarlyStopping would."""

    def on_epoch_end(self, epoch, logs=None):
        self.model.stop_training = True


class Ends(keras.callbacks.Callback):
    """Notes the encoder's weights when `fit` ends."""

    def on_train_end(self, logs=None):
        self.seen = values(self.model.encoder)


def assert_averaged(found, learner):
    """Whether the encoder's weights `found` are the averages."""
    averages = [average.numpy() for average in learner.averages.averages]
    for position, weights in enumerate(found):
        np.testing.assert_array_equal(weights, averages[position])


def fit(learner, callbacks, epochs, initial_epoch=0):
    learner.fit(
        tf.data.Dataset.from_tensors(batch_of()).repeat(),
        initial_epoch=initial_epoch,
        epochs=epochs,
        steps_per_epoch=2,
        callbacks=callbacks,
        verbose=0,
    )


def test_averages_take_the_weights_place_where_a_callback_stops_the_training():
    learner = build_learner(dropout=0.0, phase=TASK, weight_average=0.9)
    watcher, ends = Watcher(), Ends()
    fit(learner, [watcher, StopAfterFirst(), ends], epochs=3)
    (after_one,) = watcher.seen
    assert any(moved(after_one, learner.encoder))
    assert_averaged(values(learner.encoder), learner)
    assert_averaged(ends.seen, learner)


def test_weights_of_the_best_epoch_are_given_back_as_they_were_measured():
    learner = build_learner(dropout=0.0, phase=TASK, weight_average=0.9)
    # The loss of a batch that is learned is highest in the first epoch.
    stopping = keras.callbacks.EarlyStopping(
        "loss", mode="max", patience=1, restore_best_weights=True
    )
    watcher = Watcher()
    fit(learner, [watcher, stopping], epochs=4)
    assert len(watcher.seen) == 2
    assert not any(moved(watcher.seen[0], learner.encoder))


def test_a_fit_without_an_epoch_leaves_the_weights_as_they_are():
    learner = build_learner(dropout=0.0, phase=TASK, weight_average=0.9)
    learner.train_step(batch_of())
    before = values(learner.encoder)
    fit(learner, None, epochs=1, initial_epoch=1)
    assert not any(moved(before, learner.encoder))


def test_a_callback_list_stays_as_it_is_and_serves_two_fits():
    learner = build_learner(dropout=0.0, phase=TASK, weight_average=0.9)
    watcher = Watcher()
    callbacks = keras.callbacks.CallbackList([watcher], add_history=True, model=learner)
    before = list(callbacks.callbacks)
    for epochs in (2, 1):
        fit(learner, callbacks, epochs)
        assert callbacks.callbacks == before
        assert_averaged(watcher.seen[-1], learner)
        assert_averaged(values(learner.encoder), learner)
    assert len(watcher.seen) == 3


def test_an_older_file_without_the_new_arguments_of_compile_is_read():
    learner = build_learner()
    config = learner.get_compile_config()
    del config["weight_average"], config["lambda_rate_steps"]
    learner.compile_from_config(config)
    assert (learner.weight_average, learner.lambda_rate_steps) == (0.0, 0)
    assert isinstance(learner, AdversarialRepresentationLearner)


@pytest.mark.parametrize(("done", "expected"), [(0, 0.5), (1, 1.0), (2, 1.5), (3, 2.0), (9, 2.0)])
def test_price_of_a_bit_rises_to_its_full_height_and_stays(done, expected):
    learner = build_learner(noise=1.0, lambda_rate=2.0, lambda_rate_steps=4)
    learner.protector_optimizer.iterations.assign(done)
    assert float(learner.price()) == pytest.approx(expected)
