"""Mistakes found in other evaluations of defences. docs/bench.md lists which test catches which."""

import pathlib
import re

import pytest
from tiny_learner import ATTRIBUTES, BATCH, batch, build_learner

from arl_tf.defences import registry
from arl_tf.defences.definition import LAYER_PREFIX

ROOT = pathlib.Path(__file__).parents[2]


@pytest.mark.parametrize("name", [n for n, d in registry.DEFENCES.items() if d.layers])
def test_the_task_head_sees_the_code_as_the_defence_leaves_it(name):
    learner = build_learner(registry.choice_of(name))
    last = learner.encoder.layers[-1]
    assert last.name.startswith(LAYER_PREFIX) and last.output is learner.encoder.outputs[0]
    (image, _), _ = batch(learner.private_labels)
    code = learner.encoder(image, training=False)
    # The head takes what leaves the encoder: there is no way around the defence.
    assert learner.task_head(code, training=False).shape == (BATCH, ATTRIBUTES)


def test_nothing_waits_for_an_answer_at_a_prompt():
    asks = re.compile(r"(?<![\w.])(input|getpass|getpass\.getpass)\(")
    sources = [*ROOT.glob("arl_tf/**/*.py"), *ROOT.glob("serving/**/*.py")]
    assert len(sources) > 100
    assert [path.name for path in sources if asks.search(path.read_text())] == []
