"""Codes are computed once for each encoder, channel and set of images."""

import dataclasses

import numpy as np
import pytest

from arl_tf.audit_evidence import SealedImages
from arl_tf.channel import Channel
from arl_tf.code_cache import CodeCache
from arl_tf.subjects import Subject

IMAGES = np.arange(8 * 12, dtype=np.uint8).reshape(8, 2, 2, 3)


class Counting:
    """An encoder that counts the images it is asked for."""

    def __init__(self):
        self.images = 0

    def __call__(self, images):
        self.images += len(images)
        return images.reshape(len(images), -1).astype(np.float32)


def cache(folder, encoder, fingerprint="data", **changes):
    subject = dataclasses.replace(
        Subject("toy", "hash", (12,), Channel(), encoder=encoder), **changes
    )
    return CodeCache(folder, subject, SealedImages(IMAGES, np.array([7]), fingerprint))


def test_codes_are_computed_once_and_come_back_the_same(tmp_path):
    encoder = Counting()
    first = cache(tmp_path, encoder).codes(np.array([0, 7]), 0)
    again = cache(tmp_path, encoder).codes(np.array([0, 7]), 0)
    assert encoder.images == 2
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, IMAGES[[0, 7]].reshape(2, -1))
    assert not list(tmp_path.glob("unfinished*"))


@pytest.mark.parametrize(
    "changes", [{"sha256": "other"}, {"channel": Channel(clip=1.0)}, {"fingerprint": "other"}]
)
def test_another_encoder_channel_or_data_set_is_asked_anew(tmp_path, changes):
    encoder = Counting()
    cache(tmp_path, encoder).codes(np.array([0, 1]), 0)
    cache(tmp_path, encoder, **changes).codes(np.array([0, 1]), 0)
    assert encoder.images == 4


def test_other_rows_noise_and_views_are_asked_anew(tmp_path):
    encoder = Counting()
    codes = cache(tmp_path, encoder)
    codes.codes(np.array([0, 1]), 0)
    codes.codes(np.array([1, 0]), 0)
    codes.codes(np.array([0, 1]), 1)
    mirrored = codes.query("mirrored", np.array([0, 1]), 0)
    assert encoder.images == 8
    np.testing.assert_array_equal(mirrored, IMAGES[:2, :, ::-1].reshape(2, -1))


def test_recorded_codes_are_not_written_again(tmp_path):
    recorded = np.arange(8, dtype=np.float32)[:, None]
    codes = cache(tmp_path / "none", None, recorded=recorded).codes(np.array([2, 7]), 0)
    np.testing.assert_array_equal(codes, [[2.0], [7.0]])
    assert not (tmp_path / "none").exists()
