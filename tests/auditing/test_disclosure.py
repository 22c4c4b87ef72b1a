"""The bits of a code in the report: what bounds it, what it uses."""

import types

import numpy as np
import pytest

from arl_tf.auditing import disclosure
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.metrics.tasks.multi_label import MultiLabel

SHAPE = (2, 2, 3)


def found_of(codes=None, logits=None, channel=None, per_photo=1, **facts):
    """As much of an audit's findings as the bits need."""
    channel = channel or Channel()
    audited_encoder = AuditedEncoder(
        words="x", sha256="0", code_shape=SHAPE, channel=channel, **facts
    )
    codes = np.zeros((4, *SHAPE), np.float32) if codes is None else codes
    return types.SimpleNamespace(
        audited_encoder=audited_encoder,
        settings=types.SimpleNamespace(codes_per_photo=per_photo),
        rows=types.SimpleNamespace(attacker=np.arange(4)),
        images=types.SimpleNamespace(images=np.zeros((4, 8, 8, 3), np.uint8)),
        task=MultiLabel(),
        evidence=types.SimpleNamespace(
            target_codes=codes,
            random_codes=False,
            unknown_noise=False,
            pairs=types.SimpleNamespace(codes=codes),
            task_outputs=logits and types.SimpleNamespace(target=np.zeros((4, logits))),
        ),
    )


def test_a_code_without_bounds_has_the_bits_of_its_numbers():
    bits = disclosure.describe_bits(found_of())
    assert bits["capacity_bits"] == 32 * 12
    assert bits["rate_bits"] is None
    assert bits["packed_bytes"] is None


def test_signs_are_one_bit_each_and_constant_ones_are_not_used():
    codes = np.ones((4, *SHAPE), np.float32)
    codes[::2, 0, 0, 0] = -1
    bits = disclosure.describe_bits(found_of(codes, levels=2))
    assert (bits["capacity_bits"], bits["packed_bytes"]) == (12, 2)
    assert bits["rate_bits"] == pytest.approx(1)
    assert bits["bounded_by"] == "2 levels"


def test_noise_bounds_what_passes_and_the_rate_is_that_of_the_signals():
    share = np.full(SHAPE, 0.5, np.float32)
    signals = np.repeat(np.sqrt(3) * np.array([-1, 1, -1, 1]), 12).reshape(4, *SHAPE)
    bits = disclosure.describe_bits(found_of(signal_share=share, signal=lambda images: signals))
    # A signal of power 4 beside noise of power 1, then one of variance 3.
    assert bits["capacity_bits"] == pytest.approx(12 * 0.5 * np.log2(5))
    assert bits["rate_bits"] == pytest.approx(12)
    assert bits["bounded_by"] == "noise"


def test_the_least_of_several_bounds_counts_and_the_channel_bounds_too():
    share = np.full(SHAPE, 0.999, np.float32)
    found = found_of(
        levels=4,
        signal_share=share,
        signal=lambda images: np.zeros((4, *SHAPE)),
        channel=Channel(clip=1.0, levels=2),
    )
    assert disclosure.describe_bits(found)["capacity_bits"] == 12
    # Signs are +-1: 0.5 log2(1 + 1) bits pass through noise of deviation 1.
    signs = np.sign(np.random.default_rng(0).normal(size=(4, *SHAPE))).astype(np.float32)
    noisy = disclosure.describe_bits(
        found_of(codes=signs, levels=2, channel=Channel(clip=9.0, noise=1.0))
    )
    assert noisy["capacity_bits"] == pytest.approx(6)
    assert noisy["bounded_by"] == "the channel's noise" and noisy["rate_bits"] is None


def test_bits_of_several_codes_grow_as_their_noise_averages_out():
    share = np.full(SHAPE, 0.5, np.float32)
    signals = np.repeat(np.sqrt(3) * np.array([-1, 1, -1, 1]), 12).reshape(4, *SHAPE)
    found = found_of(signal_share=share, signal=lambda images: signals, per_photo=5)
    bits = disclosure.describe_bits(found)
    # Noise of power 1 / 5 beside a signal of power 4, then of variance 3.
    assert bits["capacity_bits"] == pytest.approx(12 * 0.5 * np.log2(1 + 20))
    assert bits["rate_bits"] == pytest.approx(12 * 0.5 * np.log2(1 + 15))


def test_bits_of_several_codes_are_those_of_one_where_all_are_the_same():
    for facts in ({}, {"levels": 2}, {"channel": Channel(clip=1.0, levels=4)}):
        one, many = (disclosure.describe_bits(found_of(per_photo=n, **facts)) for n in (1, 16))
        assert one["capacity_bits"] == many["capacity_bits"]


def test_levels_bound_each_of_several_noisy_codes():
    share = np.full(SHAPE, 0.999, np.float32)
    facts = {"levels": 2, "signal_share": share, "signal": lambda images: np.zeros((4, *SHAPE))}
    assert disclosure.describe_bits(found_of(per_photo=3, **facts))["capacity_bits"] == 3 * 12
    # Levels of the encoder are the same each time, and the noise behind them averages out.
    channel = Channel(noise=1.0)
    bits = disclosure.describe_bits(found_of(levels=2, channel=channel, per_photo=2))
    assert bits["capacity_bits"] == pytest.approx(12 * 0.5 * np.log2(1 + 2))
    assert bits["bounded_by"] == "the channel's noise"


def test_limiting_what_is_noisy_already_bounds_no_code_that_may_be_of_any_size():
    found = found_of(channel=Channel(clip=0.5, noise=0.5))
    assert disclosure.describe_bits(found)["bounded_by"] == "32-bit numbers"


def test_task_output_is_described_where_there_is_one():
    described = disclosure.describe_task_output(found_of(logits=40, multiply_adds=(7, 3)))
    assert described == {
        "encoder_multiply_adds": 7,
        "task_head_multiply_adds": 3,
        "task_output_bits": 1280,
        "task_decision_bits": 40,
    }
    assert set(disclosure.describe_task_output(found_of()).values()) == {None}


def test_best_linkage_counts_the_task_output_too_and_its_interval_covers_the_choice():
    rng = np.random.default_rng(0)
    people = np.arange(20).repeat(3)

    def codes(signal):
        return (signal * rng.normal(size=(20, 4))[people] + rng.normal(size=(60, 4))).astype("f")

    found = types.SimpleNamespace(
        evidence=types.SimpleNamespace(
            target_codes=codes(0.5),
            pairs=types.SimpleNamespace(codes=codes(0.5)),
            noise=None,
            task_outputs=types.SimpleNamespace(target=codes(0.7), public=codes(0.7)),
        ),
        settings=types.SimpleNamespace(bootstrap_samples=50, seed=0),
        rows=types.SimpleNamespace(attacker=np.arange(60)),
        images=types.SimpleNamespace(identities=100 + people),
        originals=types.SimpleNamespace(identities=people),
        public_embeddings=None,
        predicted_alone={},
    )
    linked, best = disclosure.describe_linkage(found)
    aucs = [source["auc"] for metric in linked.values() for source in metric.values()]
    chosen = max(aucs, key=lambda auc: auc["value"])
    assert len(aucs) == 4 and chosen in [metric["task_output"]["auc"] for metric in linked.values()]
    assert best["value"] == chosen["value"]
    assert np.ptp(best["ci95"]) > np.ptp(chosen["ci95"])
