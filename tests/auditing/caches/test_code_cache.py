"""Codes are computed once for each encoder, channel and set of images."""

import dataclasses

import numpy as np
import pytest

from arl_tf.attacks.several_codes import SeveralCodes
from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.evidence_collection import seen_codes
from arl_tf.auditing.sealed_images import Rows, SealedImages

IMAGES = np.arange(8 * 12, dtype=np.uint8).reshape(8, 2, 2, 3)


class Counting:
    """An encoder that counts the images it is asked for."""

    def __init__(self):
        self.images = 0

    def __call__(self, images):
        self.images += len(images)
        return images.reshape(len(images), -1).astype(np.float32)


def cache(folder, encoder, fingerprint="data", **changes):
    audited_encoder = dataclasses.replace(
        AuditedEncoder("toy", "hash", (12,), Channel(), encoder=encoder), **changes
    )
    return CodeCache(folder, audited_encoder, SealedImages(IMAGES, np.array([7]), fingerprint))


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


def test_every_set_of_codes_has_noise_of_its_own(tmp_path):
    audited_encoder = AuditedEncoder(
        "toy", "hash", (4,), Channel(noise=1.0), encoder=lambda images: np.zeros((len(images), 4))
    )
    sealed = SealedImages(IMAGES, np.array([6, 7]), "data")
    rows = Rows(*(np.arange(2) + first for first in (0, 2, 4, 6)))
    pairs, target = seen_codes(
        rows, sealed, CodeCache(tmp_path, audited_encoder, sealed), audited_encoder, 0
    )
    # Those of the images, of their mirror images, held-out ones and those under attack.
    assert len(pairs.codes) == 4
    drawn = np.concatenate([pairs.codes, pairs.held_out_codes, target])
    assert len(np.unique(drawn)) == drawn.size


class Noisy:
    """An encoder whose codes are the image's first value plus noise of deviation 1."""

    def __init__(self):
        self.rng = np.random.default_rng(0)
        self.asked = 0

    def __call__(self, images):
        self.asked += 1
        flat = images.reshape(len(images), -1)[:, :1].astype(np.float32)
        return flat + self.rng.standard_normal((len(images), 400), np.float32)


def test_means_of_codes_lose_noise_by_the_root_of_their_number(tmp_path):
    codes = cache(tmp_path, Noisy()).repeated(SeveralCodes(16)).codes(np.array([1]), 0)
    noise = codes - float(IMAGES[1].reshape(-1)[0])
    assert codes.dtype == np.float32
    # 400 values: the deviation's own is 1 / sqrt(800) of it.
    assert noise.std() == pytest.approx(1 / 4, rel=5 / np.sqrt(800))


def test_channel_s_noise_is_drawn_anew_for_every_code_of_a_mean(tmp_path):
    zeros = np.zeros((8, 400), np.float32)
    sent = cache(tmp_path, None, recorded=zeros, channel=Channel(noise=1.0))
    assert sent.codes(np.array([1]), 0).std() == pytest.approx(1, rel=0.2)
    assert sent.repeated(SeveralCodes(25)).codes(np.array([1]), 0).std() == pytest.approx(
        0.2, rel=0.2
    )


def test_means_and_single_codes_are_kept_apart(tmp_path):
    encoder = Noisy()
    single = cache(tmp_path, encoder)
    first = single.codes(np.array([1]), 0)
    mean = single.repeated(SeveralCodes(3)).codes(np.array([1]), 0)
    assert encoder.asked == 4
    np.testing.assert_array_equal(single.codes(np.array([1]), 0), first)
    np.testing.assert_array_equal(single.repeated(SeveralCodes(3)).codes(np.array([1]), 0), mean)
    assert encoder.asked == 4
    assert np.abs(mean - first).max() > 0.1
