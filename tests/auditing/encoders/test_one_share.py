"""One share of a divided code as an audited encoder."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import one_share
from arl_tf.auditing.encoders.audited import AuditedEncoder

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3)).astype(np.uint8)
SHARE = np.linspace(0.1, 0.9, 4 * 4 * 6).reshape(4, 4, 6).astype(np.float32)


def encode(images):
    """Six channels: the picture, and the picture times 2."""
    return np.concatenate([images, 2.0 * images], axis=-1).astype(np.float32)


def fused(codes):
    """The mean of two servers, each of which adds up its share and 1."""
    return (codes.sum(axis=(1, 2, 3)) + 2)[:, None] / 2


@pytest.fixture
def whole():
    return AuditedEncoder(
        words="toy",
        sha256="abc",
        code_shape=(4, 4, 6),
        channel=Channel(),
        encoder=encode,
        differentiable=lambda image: tf.concat([image, 2.0 * image], axis=-1),
        task_output=fused,
        adversary=lambda codes: codes,
        signal_share=SHARE,
        signal=encode,
    )


def test_a_server_gets_its_share_and_its_own_answer(whole):
    second = one_share.of_share(whole, 2, 2)
    assert second.code_shape == (4, 4, 3)
    codes = second.query(IMAGES, 0)
    np.testing.assert_array_equal(codes, 2.0 * IMAGES)
    np.testing.assert_allclose(second.white_box(tf.constant(IMAGES / 255)), codes / 255, rtol=1e-6)
    np.testing.assert_array_equal(second.signal(IMAGES), codes)
    np.testing.assert_array_equal(second.signal_share, SHARE[..., 3:])
    np.testing.assert_allclose(second.task_output(codes)[:, 0], codes.sum(axis=(1, 2, 3)) + 1)


def test_a_share_has_its_own_values_of_noise_behind_a_limit(whole):
    spread = dataclasses.replace(
        whole,
        channel=Channel(clip=0.5),
        spread=lambda image: tf.stack([whole.differentiable(image) + each for each in (-0.2, 0.2)]),
    )
    shown = tf.constant(IMAGES / 255)
    both = [one_share.of_share(spread, 2, share).white_box(shown) for share in (1, 2)]
    np.testing.assert_allclose(np.concatenate(both, axis=-1), spread.white_box(shown), rtol=1e-6)


def test_a_share_is_known_from_the_others_and_has_no_training_adversary(whole):
    first, second = (one_share.of_share(whole, 2, share) for share in (1, 2))
    assert len({whole.sha256, first.sha256, second.sha256}) == 3
    assert first.share == (1, 2) and "share 1 of 2" in first.words
    assert first.adversary is None and whole.share is None


def test_a_share_of_a_closed_encoder_without_noise_has_neither():
    closed = one_share.of_share(
        AuditedEncoder("x", "0", (4, 4, 6), Channel(), encoder=encode, task_output=fused), 3, 1
    )
    assert closed.white_box is None and closed.signal_share is None
    np.testing.assert_array_equal(closed.query(IMAGES, 0), IMAGES[..., :2])
