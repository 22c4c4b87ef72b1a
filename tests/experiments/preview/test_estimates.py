"""Estimates are sums that can be computed by hand."""

import types

import keras
import numpy as np
import pytest
from keras import layers

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import AttackerOptions
from arl_tf.experiments.preview import estimates
from arl_tf.training.learner import ADVERSARIAL, ADVERSARY, DEFENCE, TASK


def dense(inputs, outputs):
    model = keras.Sequential([keras.Input((inputs,)), layers.Dense(outputs, use_bias=False)])
    model.name = f"dense{inputs}x{outputs}"
    return model


@pytest.fixture(scope="module")
def learner():
    """Multiply-adds: encoder 20, task head 15, decoder 30."""
    encoder, task_head, decoder = dense(4, 5), dense(5, 3), dense(5, 6)
    return types.SimpleNamespace(
        encoder=encoder,
        task_head=task_head,
        decoders=[decoder],
        decoder_steps=1,
        protector_variables=encoder.trainable_variables + task_head.trainable_variables,
        adversary_variables=decoder.trainable_variables,
    )


def test_activations_are_the_outputs_of_all_layers_also_of_models_inside():
    image = keras.Input((4, 4, 3))
    inner = keras.Sequential([keras.Input((2, 2, 5)), layers.Flatten()])
    model = keras.Model(image, inner(layers.Conv2D(5, 3, 2, padding="same")(image)))
    # The input, the convolution, and the inner model's flattened output.
    assert estimates.activation_bytes(model) == 4 * (48 + 20 + 20)


def test_state_holds_weights_gradients_and_two_moments(learner):
    assert estimates.state_bytes(learner, trains_decoders=True) == 4 * (20 + 15 + 30) * 4
    # Decoders that nobody trains have weights alone.
    assert estimates.state_bytes(learner, trains_decoders=False) == 4 * ((20 + 15) * 4 + 30)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [
        (TASK, 3 * (20 + 15)),
        (DEFENCE, 3 * (20 + 15)),
        (ADVERSARY, 20 + 3 * 30 + 2 * 42 + 42),
        (ADVERSARIAL, (20 + 3 * 30 + 2 * 42 + 42) + 3 * (20 + 15) + (2 * 30 + 2 * 42 + 42)),
    ],
)
def test_multiply_adds_count_what_learns_three_times_and_what_stays_twice(learner, phase, expected):
    assert estimates.step_multiply_adds(learner, dense(6, 7), phase) == expected


def test_multiply_adds_count_every_decoder_and_every_adversary_step(learner):
    two = types.SimpleNamespace(**vars(learner) | {"decoders": [dense(5, 6)] * 2})
    two.decoder_steps = 3
    # Both decoders are compared with features of the originals that are computed once.
    learned = 20 + 3 * 60 + 2 * 2 * 42 + 42
    spoiled = 2 * 60 + 2 * 2 * 42 + 42
    assert estimates.step_multiply_adds(two, dense(6, 7), ADVERSARY) == 3 * learned
    found = estimates.step_multiply_adds(two, dense(6, 7), ADVERSARIAL)
    assert found == 3 * learned + 3 * (20 + 15) + spoiled


def test_the_machine_s_speed_is_that_of_the_first_phase(learner):
    phases = [estimates.PhaseTime(TASK, 1, 1, 0.5), estimates.PhaseTime(ADVERSARY, 1, 1, 9)]
    found = estimates.multiply_adds_per_second(phases, learner, dense(6, 7), batch_size=8)
    assert found == 8 * 105 / 0.5


def test_activations_of_a_step_grow_with_the_batch_and_with_the_phase(learner):
    network = dense(6, 7)
    own = estimates.activation_bytes(learner.encoder) + estimates.activation_bytes(
        learner.task_head
    )
    for phase in (TASK, DEFENCE):
        assert estimates.step_bytes(learner, network, 10, phase) == 10 * own
    fought = estimates.activation_bytes(learner.decoders[0]) + estimates.activation_bytes(network)
    assert estimates.step_bytes(learner, network, 10, ADVERSARIAL) == 10 * (own + fought)


def test_a_phase_takes_its_steps():
    assert estimates.PhaseTime(TASK, 3, 10, 0.5).seconds == 15


def test_seeds_multiply_what_is_trained_and_closed_forms_cost_nothing():
    options = AttackerOptions(4, 0, 6, 16, 1e-3, 0.1, 0)
    decoder = {"decoder": registry.ATTACKERS["decoder"]}
    cost = {
        seeds: estimates.audit_multiply_adds(decoder, options, (4, 4, 8), 32, seeds)
        for seeds in (1, 3)
    }
    assert cost[3] == 3 * cost[1] > 0
    linear = {"linear": registry.ATTACKERS["linear"]}
    assert estimates.audit_multiply_adds(linear, options, (4, 4, 8), 32, 3) == 0


@pytest.mark.parametrize("code_shape", [(4, 4, 2), (5,)])
def test_speed_of_an_attacker_is_that_of_the_plain_decoder_s_steps(code_shape):
    options = AttackerOptions(4, 0, 6, 3, 1e-3, 0.1, 0)
    speed = estimates.attacker_speed(options, code_shape, 32, lambda image: [image])
    assert np.isfinite(speed) and speed > 0


def test_steps_are_timed_without_the_one_that_builds_the_graph():
    calls = []

    def train_step(batch):
        calls.append(batch)
        return {"loss": np.float32(1)}

    learner = types.SimpleNamespace(train_step=train_step)
    assert estimates.seconds_of_step(learner, 3) > 0
    assert len(calls) == 1  # Traced once, run three times.
