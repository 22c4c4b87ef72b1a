"""Attributes read from codes by kernel ridge regression, where it is known what can be read."""

import types

import numpy as np
import pytest

from arl_tf.attacks.evidence import CodeNoise, Evidence, PublicPairs, TaskOutputs
from arl_tf.attacks.regression.attributes import attribute_scores
from arl_tf.attacks.regression.code_view import code_view
from arl_tf.auditing import disclosure
from arl_tf.metrics import probes

PUBLIC, HELD_OUT, TARGET, VALUES = 900, 300, 600, 6
NAMES = ("plain", "product", "nothing")


def world(deviation=0.0):
    """Labels: the sign of one value, the sign of a product of two, and a coin."""
    rng = np.random.default_rng(0)
    means = rng.normal(size=(PUBLIC + HELD_OUT + TARGET, VALUES)).astype(np.float32)
    coin = rng.random(len(means)) < 0.5
    labels = np.stack([means[:, 0] > 0, means[:, 1] * means[:, 2] > 0, coin], axis=1)
    codes = means + np.float32(deviation) * rng.normal(size=means.shape).astype(np.float32)
    pictures = np.zeros((len(means), 2, 2, 3), np.uint8)
    public, held_out, target = np.split(np.arange(len(means)), [PUBLIC, PUBLIC + HELD_OUT])
    noise = CodeNoise(np.full(VALUES, deviation, np.float32), means[public]) if deviation else None
    logits = np.where(labels[:, 2:], 1, -1) + rng.normal(size=(len(means), 1))
    outputs = TaskOutputs(*(logits[part].astype(np.float32) for part in (public, held_out, target)))
    evidence = Evidence(
        pairs=PublicPairs(codes[public], pictures[public], codes[held_out], pictures[held_out]),
        target_codes=codes[target],
        perceptual_features=lambda image: [image],
        task_outputs=outputs,
        noise=noise,
        random_codes=deviation > 0,
    )
    return evidence, labels.astype(np.float32), (public, held_out, target)


def kernel_mcc(evidence, labels, parts):
    scores = attribute_scores(code_view(evidence, 0), labels[parts[0]], labels[parts[1]], 0)
    assert [len(each) for each in scores] == [HELD_OUT, TARGET]
    return probes.thresholded_mcc(*scores, labels[parts[1]], labels[parts[2]])


def test_what_is_no_linear_function_of_the_code_is_read_and_a_coin_is_not():
    plain, product, nothing = kernel_mcc(*world())
    assert plain > 0.85 and product > 0.6
    assert abs(nothing) < 0.15


def test_who_knows_the_noise_reads_about_what_the_best_guess_reads():
    evidence, labels, parts = world(deviation=0.7)
    found = kernel_mcc(evidence, labels, parts)
    # The sign of a noisy value is the best guess of the value's sign.
    seen, truth = np.sign(evidence.target_codes[:, :3]), 2 * labels[parts[2]] - 1
    best = np.mean(seen[:, 0] * truth[:, 0])
    assert found[0] == pytest.approx(best, abs=0.06)
    best = np.mean(seen[:, 1] * seen[:, 2] * truth[:, 1])
    assert 0.6 * best < found[1] <= best + 0.06


def test_a_report_counts_the_best_probe_of_the_code_and_of_the_task_output(monkeypatch):
    monkeypatch.setattr(probes, "EPOCHS", 3)
    evidence, labels, parts = world()
    found = types.SimpleNamespace(
        images=types.SimpleNamespace(other_attribute_names=NAMES, other_attributes=labels),
        rows=types.SimpleNamespace(attacker=parts[0], held_out=parts[1], target=parts[2]),
        evidence=evidence,
        settings=types.SimpleNamespace(seed=0),
    )
    described = disclosure.describe_attribute_probe(found)
    kinds = {
        f"{source}{kind}" for source in ("", "task_output_") for kind in ("linear", "mlp", "kernel")
    }
    for name in NAMES:
        assert set(described[name]) == {"mcc", *kinds}
        assert described[name]["mcc"] == max(described[name][kind] for kind in kinds)
    assert described["product"]["mcc"] > 0.6 > described["product"]["linear"] + 0.3
    # Only the task output tells the coin.
    assert described["nothing"]["mcc"] > 0.5 > described["nothing"]["kernel"] + 0.3
