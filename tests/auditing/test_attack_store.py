"""What an attack found survives a kill, and is never taken for another audit's."""

import types

import numpy as np
import pytest

from arl_tf.attacks.evidence import BLACK_BOX, AttackResult
from arl_tf.auditing import attack_store
from arl_tf.auditing.attack_store import AttackStore, StoredPictures
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.sealed_images import Rows
from arl_tf.utils import files


def result(name="decoder"):
    rng = np.random.default_rng(0)
    return AttackResult(
        name=name,
        knowledge=BLACK_BOX,
        settings={"words": "w", "width": 4},
        seconds=1.5,
        held_out_loss=(0.3, 0.2),
        reconstructions=rng.random((5, 4, 4, 3)).astype(np.float32),
        held_out_reconstructions=rng.random((2, 4, 4, 3)).astype(np.float32),
    )


def test_result_is_read_back_with_pictures_of_8_bits(tmp_path):
    store, kept = AttackStore(tmp_path / "attacks", "key"), result("task_output/decoder")
    store.save(kept)
    read = store.load("task_output/decoder")
    for field in ("name", "knowledge", "settings", "seconds", "held_out_loss"):
        assert getattr(read, field) == getattr(kept, field)
    for field in ("reconstructions", "held_out_reconstructions"):
        assert getattr(read, field).dtype == np.float32
        np.testing.assert_allclose(getattr(read, field), getattr(kept, field), atol=0.51 / 255)
    assert not list(tmp_path.rglob("unfinished*"))


def test_result_of_another_key_counts_as_not_there(tmp_path):
    AttackStore(tmp_path, "key").save(result())
    other = AttackStore(tmp_path, "other")
    assert other.facts("decoder") is None
    assert other.load("decoder") is None
    other.save(result())
    assert AttackStore(tmp_path, "key").load("decoder") is None


def test_measures_are_read_back_under_their_key_only(tmp_path):
    store = AttackStore(tmp_path, "key")
    assert store.measures("decoder") is None
    store.save_measures("decoder", {"ssim": np.arange(3.0), "psnr": np.ones(3)})
    read = store.measures("decoder")
    assert set(read) == {"ssim", "psnr"}
    np.testing.assert_array_equal(read["ssim"], np.arange(3.0))
    assert AttackStore(tmp_path, "other").measures("decoder") is None


def test_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    store = AttackStore(tmp_path, "key")
    store.save(result())

    def full(unfinished, **__):
        unfinished.write_bytes(b"PK")
        raise OSError("No space left on device")

    monkeypatch.setattr(attack_store.np, "savez_compressed", full)
    with pytest.raises(OSError, match="No space"):
        store.save(result())
    assert store.load("decoder") is not None
    assert [path.name for path in tmp_path.iterdir()] == ["decoder.npz"]


def test_two_processes_do_not_write_into_one_file(tmp_path, monkeypatch):
    written, savez = [], np.savez_compressed

    def other_meanwhile(unfinished, **arrays):
        written.append(unfinished)
        if len(written) == 1:
            with monkeypatch.context() as other:
                other.setattr(files.os, "getpid", lambda: 1)
                store.save(result())
        savez(unfinished, **arrays)

    monkeypatch.setattr(attack_store.np, "savez_compressed", other_meanwhile)
    store = AttackStore(tmp_path, "key")
    store.save(result())
    assert len(set(written)) == 2
    assert store.load("decoder") is not None


def test_key_changes_with_any_fact():
    keys = {
        attack_store.store_key(*facts)
        for facts in (("a", {"b": 1}), ("a", {"b": 2}), ("c", {"b": 1}), ("a",))
    }
    assert len(keys) == 4


def test_attacks_on_a_task_head_that_is_fitted_are_of_its_labels(tmp_path):
    def key(labels, task_output):
        images = types.SimpleNamespace(
            names=("a", "b"),
            attribute_names=("Male",),
            attributes=np.array(labels, np.uint8)[:, None],
            other_attributes=None,
        )
        encoder = AuditedEncoder("toy", "sha", (3,), Channel(), task_output=task_output)
        settings = types.SimpleNamespace(attack_identity={}, codes_per_photo=1)
        context = types.SimpleNamespace(audited_encoder=encoder, store_dir=tmp_path)
        rows, sealed = Rows(*[np.arange(2)] * 4), types.SimpleNamespace(fingerprint="f")
        return attack_store.open_store(settings, images, rows, sealed, context)

    assert key([0, 1], None) != key([1, 1], None)
    # A task head of its own is what it is, whatever the labels.
    assert key([0, 1], len) == key([1, 1], len)


def test_pictures_come_from_the_store_or_from_beside_it(tmp_path):
    store = AttackStore(tmp_path, "key")
    store.save(result("decoder@1"))
    mean = np.zeros((5, 4, 4, 3), np.uint8)
    pictures = StoredPictures(store, {"decoder": "decoder@1"}, {"mean_image": mean})
    assert list(pictures) == ["decoder", "mean_image"]
    assert len(pictures) == 2
    np.testing.assert_array_equal(pictures["decoder"], store.pictures("decoder@1"))
    assert pictures["mean_image"] is mean


def test_bytes_and_unit_are_inverse_on_8_bit_values():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(attack_store.to_bytes(attack_store.to_unit(values)), values)
    assert attack_store.to_bytes(np.array([-0.5, 1.7])).tolist() == [0, 255]
