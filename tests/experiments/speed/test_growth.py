"""Growth of time and memory: exponents by hand, a measurement of a few faces, failures told."""

import json
import sys

import pytest

from arl_tf import bench
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
    linear = "time is linear in images within 10%"
    assert [each.words() for each in growth.growths(rows)] == [
        f"encode, 32 pixels: images ^ +0.00 (time of an image), ^ +1.00 (own memory); {linear}",
        f"encode, 64 pixels: images ^ +0.00 (time of an image), ^ +1.00 (own memory); {linear}",
        "encode, 10000 images: side ^ +2.00 (time of an image), ^ +0.00 (own memory);"
        " time is linear in pixels within 10%",
    ]


@pytest.mark.parametrize(
    ("by", "time", "verdict"),
    [
        ("images", 0.1, "linear in images within 10%"),
        ("images", 0.11, "more than linear in images"),
        ("images", -0.11, "less than linear in images"),
        ("side", 1.8, "linear in pixels within 10%"),
        ("side", 2.22, "more than linear in pixels"),
        ("side", 1.0, "less than linear in pixels"),
    ],
)
def test_growth_is_judged_by_its_exponent(by, time, verdict):
    assert growth.Growth("train", by, "", time, 0.0).verdict == verdict


def test_json_has_every_row_and_every_verdict():
    rows = [Row("train", 32, count, 1e-3, 500, 400) for count in (1000, 10000)]
    found = json.loads(json.dumps(growth.as_json(rows)))
    assert [row["count"] for row in found["rows"]] == [1000, 10000]
    (only,) = found["growth"]
    assert (only["total"], only["verdict"]) == (1.0, "linear in images within 10%")


def test_sides_and_counts_are_those_asked_for(monkeypatch, capsys):
    asked = []
    monkeypatch.setattr(growth, "in_a_process", lambda action, *sizes: asked.append(sizes[:2]))
    monkeypatch.setattr(growth, "ACTIONS", {"encode": None})
    monkeypatch.setattr(growth, "as_json", lambda rows: {})
    flags = ["--growth", "--json", "--sides=224, 128", "--counts=200000"]
    monkeypatch.setattr(sys, "argv", ["bench", *flags])
    bench.main()
    assert asked == [(128, 200000), (224, 200000)]
    assert growth.asked_sizes("sides", growth.SIDES) == (32, 64, 128)


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--sides=64px", r"--sides must be whole numbers, comma-separated; got '64px'"),
        ("--sides=9", "image_size"),
        ("--counts=5", "num_faces"),
    ],
)
def test_sizes_that_no_run_may_have_are_refused(monkeypatch, capsys, flag, message):
    monkeypatch.setattr(sys, "argv", ["bench", "--growth", flag])
    with pytest.raises(ValueError, match=message):
        bench.main()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--growth", "--repeats=3"],
            "--growth measures once, on drawn faces; leave out --repe",
        ),
        (["--gpu", "--data_dir=x"], "--gpu measures once, on drawn faces; leave out --data_dir"),
        (["--sides=64"], "--sides belongs to --growth"),
        (["--gpu", "--counts=1000"], "--counts belongs to --growth"),
    ],
)
def test_flags_that_would_be_ignored_are_refused(monkeypatch, capsys, flags, message):
    monkeypatch.setattr(sys, "argv", ["bench", *flags])
    with pytest.raises(SystemExit, match="2"):
        bench.main()
    assert message in capsys.readouterr().err


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
