"""The benchmark of a training step: its parts, what it is compared with, a short measurement."""

import contextlib
import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

from arl_tf.config.settings import Config, subset
from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.experiments.speed import (
    pytorch_process,
    readers,
    step_parts,
    timing,
    training_steps,
)
from arl_tf.metrics.tasks.registry import task_of
from arl_tf.training import building, rules, train
from arl_tf.training.learner import ADVERSARIAL
from arl_tf.training.settings import TrainingSettings

SETTINGS = subset(
    Config(image_size=32, decoder_width=4, batch_size=4, code_channels=4), TrainingSettings
)
ATTRIBUTES = 3


def test_actions_are_called_in_turn_and_each_once_before():
    calls = []
    actions = {name: lambda name=name: calls.append(name) for name in "ab"}
    found = timing.in_turn(actions, 3)
    assert "".join(calls) == "ab" + "ababab"
    assert found.keys() == {"a", "b"} and all(seconds >= 0 for seconds in found.values())


@pytest.fixture(scope="module")
def learner():
    mean = np.full((32, 32, 3), 0.5, np.float32)
    made = building.build_learner(SETTINGS, ATTRIBUTES, mean)
    train.compile_phase(made, SETTINGS, ADVERSARIAL, 10, task_of(MULTI_LABEL))
    return made


@pytest.fixture(scope="module")
def batch():
    images = tf.random.stateless_uniform((2, 4, 32, 32, 3), (0, 0))
    return (images[0], tf.ones((4, ATTRIBUTES))), images[1:]


def moved(learner, action):
    """Names of the players whose trainable weights an action changes."""
    players = {name: getattr(learner, name) for name in ("encoder", "task_head", "decoder")}
    before = {name: [v.numpy() for v in each.trainable_variables] for name, each in players.items()}
    action()
    return {
        name
        for name, each in players.items()
        if any(
            (old != new.numpy()).any()
            for old, new in zip(before[name], each.trainable_variables, strict=True)
        )
    }


@pytest.mark.slow
def test_of_the_parts_two_move_weights_and_all_gradients_are_there(learner, batch):
    parts = step_parts.parts_of(learner, batch)
    assert moved(learner, parts["move_decoder"]) == {"decoder"}
    assert moved(learner, parts["move_encoder_and_head"]) == {"encoder", "task_head"}
    for name in ("learn_to_reconstruct", "encode_and_learn", "read_attributes"):
        gradients = parts[name]()
        assert not moved(learner, parts[name])
        assert all(np.abs(each.numpy()).max() > 0 for each in gradients)
    assert parts["spoil_the_reconstruction"]().shape == parts["encode_public"]().shape


@pytest.mark.slow
def test_a_measurement_gives_every_figure(tmp_path, monkeypatch):
    small = dataclasses.replace(
        training_steps.MEASURED, num_faces=240, image_size=32, decoder_width=4, batch_size=8
    )
    for name, value in {"STEPS": 1, "ROUNDS": 1, "BATCHES": 1, "MEASURED": small}.items():
        monkeypatch.setattr(training_steps, name, value)
    monkeypatch.setattr(readers, "DRAWN_FACES", 16)
    monkeypatch.setattr(pytorch_process, "steps", lambda numbers: contextlib.nullcontext({}))
    found = training_steps.measure_training(readers.drawn_folder(tmp_path / "faces"))
    shares = [value for name, value in found.items() if name.startswith("step_share_")]
    assert all(np.isfinite(value) and value > 0 for value in found.values())
    assert sum(shares) == pytest.approx(1) and len(shares) == 7
    assert {"step_over_parts", "data_over_training", "jpeg_data_over_training"} < set(found)


NUMBERS = training_steps.pytorch_numbers(SETTINGS, ATTRIBUTES)


def test_pytorch_gets_the_numbers_of_the_training():
    assert (NUMBERS.batch_size, NUMBERS.image_size, NUMBERS.attributes) == (4, 32, ATTRIBUTES)
    assert NUMBERS.lambda_perceptual == SETTINGS.privacy_weights[1] > 0
    assert NUMBERS.clip_norm == rules.CLIP_NORM and NUMBERS.threads >= 1


def process_of(code, monkeypatch):
    """`pytorch_process.steps` with a program of ours in PyTorch's place."""
    monkeypatch.setattr(pytorch_process.importlib.util, "find_spec", lambda name: True)
    command = [sys.executable, "-c", code]
    popen = subprocess.Popen
    monkeypatch.setattr(
        pytorch_process.subprocess, "Popen", lambda given, **how: popen(command, **how)
    )
    return pytorch_process.steps(NUMBERS)


def test_the_other_process_is_asked_for_one_step_at_a_time(monkeypatch):
    code = (
        'import sys\nprint(\'["one", "two"]\', flush=True)\n'
        "for line in sys.stdin: print(len(line), flush=True)\n"
    )
    with process_of(code, monkeypatch) as steps:
        assert list(steps) == ["one", "two"]
        assert steps["one"]() == len("one\n")


def test_another_process_that_ends_is_told(monkeypatch):
    with (
        pytest.raises(RuntimeError, match="process ended with code 3, expected a line"),
        process_of("import sys; sys.exit(3)", monkeypatch),
    ):
        pass


def test_without_torch_there_is_nothing_to_compare_with(monkeypatch):
    monkeypatch.setattr(pytorch_process.importlib.util, "find_spec", lambda name: None)
    with pytorch_process.steps(NUMBERS) as steps:
        assert steps == {}


@pytest.mark.slow
def test_pytorch_s_networks_have_as_many_weights_as_ours(learner):
    # In a process of its own: beside TensorFlow it can crash.
    code = (
        "import json\nfrom arl_tf.experiments.speed import pytorch_networks as n\n"
        "c, w, a = 4, 4, 3\n"
        "made = n.Encoder(c), n.task_head(c, a), n.decoder(c, w), n.Perceptual()\n"
        "print(json.dumps([sum(p.numel() for p in m.parameters()) for m in made]))\n"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if "No module named 'torch'" in said.stderr:
        pytest.skip("torch is not installed: pip install '.[bench]'")
    ours = [learner.encoder, learner.task_head, learner.decoder]
    counts = [sum(np.prod(v.shape) for v in each.trainable_variables) for each in ours]
    # The frozen network's weights, whose batch normalisation is folded.
    frozen = 54_048
    assert json.loads(said.stdout) == [*counts, frozen]
