"""Growth of time and memory: exponents by hand, a measurement of a few faces, failures told."""

import pytest

from arl_tf.experiments.speed import growth
from arl_tf.experiments.speed.growth import OwnMemory, Row


def test_exponent_is_that_of_the_power_law():
    assert growth.exponent([1, 2, 4], [3, 12, 48]) == pytest.approx(2)
    assert growth.exponent([1000, 10000], [5, 5]) == pytest.approx(0)


def test_exponents_tell_growth_with_images_from_growth_with_the_side():
    rows = [
        Row("encode", side, count, 1e-3 * side**2, 500, count / 100)
        for side in (32, 64)
        for count in (1000, 10000)
    ]
    assert growth.exponent_lines(rows) == [
        "encode, 32 pixels: images ^ +0.00 (time of an image), ^ +1.00 (own memory)",
        "encode, 64 pixels: images ^ +0.00 (time of an image), ^ +1.00 (own memory)",
        "encode, 10000 images: side ^ +2.00 (time of an image), ^ +0.00 (own memory)",
    ]


def test_table_has_milliseconds_and_both_memories():
    head, line, *_ = growth.table([Row("train", 64, 1000, 0.0125, 900.4, 400.4)])
    assert head.split() == ["pixels", "images", "ms/image", "MiB", "own", "MiB"]
    assert line.split() == ["train", "64", "1000", "12.500", "400", "900"]


def test_prepared_faces_are_encoded_chunk_by_chunk(tmp_path, monkeypatch):
    looks = []
    monkeypatch.setattr(OwnMemory, "look", lambda self: looks.append(1))
    monkeypatch.setattr(growth, "CHUNK", 16)
    memory = OwnMemory()
    assert growth.prepare(32, 64, tmp_path, memory) > 0
    looks.clear()
    assert growth.encode(32, 64, tmp_path, memory) > 0
    assert len(looks) == 4


@pytest.mark.slow
def test_steps_of_training_are_timed_and_their_memory_looked_at(tmp_path, monkeypatch):
    looks = []
    monkeypatch.setattr(OwnMemory, "look", lambda self: looks.append(1))
    monkeypatch.setattr(growth, "STEPS", 1)
    assert growth.train_steps(32, 240, tmp_path, OwnMemory()) > 0
    assert len(looks) == 1 + 1 + growth.WARM


def test_memory_that_was_seen_is_kept(monkeypatch):
    seen = iter([100.0, 300.0, 200.0])
    monkeypatch.setattr(growth, "anonymous_memory", lambda: next(seen))
    memory = OwnMemory()
    memory.look()
    memory.look()
    assert memory.greatest == 300.0


def test_failed_measurement_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(growth.sys, "executable", "false")
    with pytest.raises(RuntimeError, match=r"prepare of 60 images of 32 pixels ended with code 1"):
        growth.in_a_process("prepare", 32, 60, str(tmp_path))
