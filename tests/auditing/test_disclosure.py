"""The bits of a code in the report: what bounds it, what it uses."""

import types

import numpy as np
import pytest

from arl_tf.auditing import disclosure
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import Subject

SHAPE = (2, 2, 3)


def found_of(codes=None, logits=None, channel=None, **facts):
    """As much of an audit's findings as the bits need."""
    channel = channel or Channel()
    subject = Subject(words="x", sha256="0", code_shape=SHAPE, channel=channel, **facts)
    codes = np.zeros((4, *SHAPE), np.float32) if codes is None else codes
    return types.SimpleNamespace(
        subject=subject,
        rows=types.SimpleNamespace(attacker=np.arange(4)),
        images=types.SimpleNamespace(images=np.zeros((4, 8, 8, 3), np.uint8)),
        evidence=types.SimpleNamespace(
            target_codes=codes,
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
