"""Mistakes found in other evaluations of defences. docs/bench.md lists which test catches which."""

import pathlib
import re
import types

import keras
import numpy as np
import pytest
from tiny_learner import BATCH, SIZE, batch, build_learner

from arl_tf.auditing import sealed_images
from arl_tf.auditing.caches import code_cache
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited
from arl_tf.auditing.measurements import Measurements
from arl_tf.defences import registry
from arl_tf.defences.definition import LAYER_PREFIX
from arl_tf.models import code_layers

ROOT = pathlib.Path(__file__).parents[2]
WITH_LAYERS = pytest.mark.parametrize("name", [n for n, d in registry.DEFENCES.items() if d.layers])


class Recorded:
    """What a learner's encoder gives and its task head gets, call by call.

    Attributes:
        codes: outputs of the encoder's last layer.
        head_inputs: (input of the task head, the training mode of the call).
    """

    def __init__(self, learner, monkeypatch):
        self.codes, self.head_inputs = [], []
        self.last, self.head = learner.encoder.layers[-1], learner.task_head
        call = keras.layers.Layer.__call__

        def recording(layer, *args, **kwargs):
            if layer is self.head:
                self.head_inputs.append((np.asarray(args[0]), kwargs.get("training")))
            found = call(layer, *args, **kwargs)
            if layer is self.last:
                self.codes.append(np.asarray(found))
            return found

        monkeypatch.setattr(keras.layers.Layer, "__call__", recording)

    def head_input(self, training):
        """The one input that the head got in a mode."""
        (found,) = [each for each, mode in self.head_inputs if mode is training]
        return found


def is_noisy(learner):
    return code_layers.bounding_layers(learner.encoder)[0] is not None


@WITH_LAYERS
def test_the_task_head_learns_from_the_code_as_the_defence_leaves_it(name, monkeypatch):
    learner = build_learner(registry.choice_of(name))
    last = learner.encoder.layers[-1]
    assert last.name.startswith(LAYER_PREFIX) and last.output is learner.encoder.outputs[0]
    (image, labels), _ = batch(learner.private_labels)
    seen = Recorded(learner, monkeypatch)
    means = []
    encode = learner.encode
    monkeypatch.setattr(learner, "encode", lambda images: means.append(encode(images)) or means[-1])
    learner.protector_step(image, labels)
    code, mean = (np.asarray(each) for each in means[0])
    np.testing.assert_array_equal(seen.head_input(training=True), code)
    np.testing.assert_array_equal(code, seen.codes[0])
    # Codes without their noise are what a defence sees, and nobody else.
    assert np.array_equal(code, mean) != is_noisy(learner)


@WITH_LAYERS
def test_the_task_head_is_evaluated_on_the_code_as_the_defence_leaves_it(name, monkeypatch):
    learner = build_learner(registry.choice_of(name))
    given = batch(learner.private_labels)
    seen = Recorded(learner, monkeypatch)
    learner.test_step(given)
    code = seen.head_input(training=False)
    assert any(np.array_equal(code, each) for each in seen.codes)
    mean = np.asarray(code_layers.mean_encoder(learner.encoder)(given[0][0]))
    assert np.allclose(code, mean, atol=1e-5) != is_noisy(learner)


@WITH_LAYERS
def test_the_utility_is_measured_on_codes_as_the_defence_leaves_them(name, tmp_path):
    learner = build_learner(registry.choice_of(name))
    encoder = audited.trained_encoder(
        learner.encoder, learner.task_head, None, channel=Channel(), words="tiny"
    )
    pictures = np.random.default_rng(0).integers(0, 256, (BATCH, SIZE, SIZE, 3), np.uint8)
    sealed = sealed_images.SealedImages(pictures, np.arange(BATCH), "data")
    codes = code_cache.CodeCache(tmp_path, encoder, sealed).codes(np.arange(BATCH), 0)
    mean = code_layers.mean_encoder(learner.encoder)(pictures.astype(np.float32) / 255)
    assert np.allclose(codes, mean, atol=1e-5) != is_noisy(learner)
    found = types.SimpleNamespace(audited_encoder=encoder, utility_codes=codes)
    logits = Measurements.utility_logits.func(found)
    np.testing.assert_allclose(logits, learner.task_head(codes, training=False), atol=1e-5)


def rows_of_mistakes():
    """(mistake, its cell of tests) of the table in docs/bench.md."""
    text = (ROOT / "docs/bench.md").read_text()
    table = text[text.index("| mistake | test |") :].split("\n\n")[0]
    return [row.strip("| ").split(" | ") for row in table.splitlines()[2:]]


def test_the_tests_that_the_table_of_mistakes_names_exist():
    rows, file = rows_of_mistakes(), ""
    assert len(rows) >= 12
    for mistake, cell in rows:
        names = re.findall(r"`([^`]+)`", cell)
        tests = [name for name in names if name.startswith("test_")]
        assert tests, mistake
        for name in names:
            if name in tests:
                source = (ROOT / file).read_text()
                assert f"\ndef {name}(" in source, f"{mistake}: {file} has no {name}"
            else:
                file = name


def test_nothing_waits_for_an_answer_at_a_prompt():
    asks = re.compile(r"(?<![\w.])(input|getpass|getpass\.getpass)\(")
    sources = [*ROOT.glob("arl_tf/**/*.py"), *ROOT.glob("serving/**/*.py")]
    assert len(sources) > 100
    assert [path.name for path in sources if asks.search(path.read_text())] == []
