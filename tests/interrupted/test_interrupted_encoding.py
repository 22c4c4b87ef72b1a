"""kill -9 and a full disk while photos are encoded: every photo's code is there once."""

import numpy as np
import pytest
import tensorflow as tf
import tiny_models
from faults import Fault, finish, read_json, stop, unfinished

from arl_tf.data import code_records
from arl_tf.experiments.run_directory import RunDirectory

SHARDS, PHOTOS = 3, 4
WRITER = "arl_tf.data.code_records:RecordWriter"


def places(disk):
    """Where one command after the other ends, and how many shards it found done."""
    # A shard here is smaller than what a file may grow to where no small disk can be had.
    room = {"no room for the second shard": (disk.full(f"{WRITER}.write"), 1)}
    return {
        "inside the first shard": (Fault(f"{WRITER}.write", after=True, years=10), 0),
        "codes of the first shard written, but not named": (Fault(f"{WRITER}.publish"), 0),
        "between two shards": (Fault(f"{WRITER}.publish", after=True), 0),
        **(room if disk.is_small else {}),
        "the last shard done": (Fault(f"{WRITER}.publish", call=2, after=True), 1),
    }


@pytest.fixture
def run(tmp_path):
    """A run with a tiny encoder without noise."""
    run = RunDirectory(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    tiny_models.build_models().encoder.save(run.player("encoder"))
    return run


@pytest.fixture
def records(tmp_path):
    """--encode_from: files of a few photos each, of which the first is none."""
    paths = [tmp_path / f"photos{number}.tfrecord" for number in range(SHARDS)]
    photos = tiny_models.pictures(SHARDS * PHOTOS, 20).reshape(SHARDS, PHOTOS, 20, 20, 3)
    for number, path in enumerate(paths):
        with tf.io.TFRecordWriter(str(path)) as file:
            for place, pixels in enumerate(photos[number]):
                content = tf.io.encode_png(pixels).numpy() if place else b"no photo"
                file.write(record(f"{number}/{place}", content))
    return ",".join(map(str, paths))


def record(name, content):
    features = {"name": name.encode(), "image": content}
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                key: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for key, value in features.items()
            }
        )
    ).SerializeToString()


def codes_of(folder):
    """(name, code) of every photo, in order."""
    return list(code_records.read_codes(folder).as_numpy_iterator())


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_an_encoding_interrupted_at_every_turn_has_the_codes_of_one_that_was_not(
    run, records, small_disk, tmp_path
):
    flags = ("--stages=encode", f"--workdir={run.root}", f"--encode_from={records}")
    folder, whole = small_disk.folder / "codes", tmp_path / "whole"
    finish(*flags, f"--encode_to={whole}")
    for place, (fault, done) in places(small_disk).items():
        said = stop(fault, *flags, f"--encode_to={folder}")
        small_disk.make_room()
        assert (f"{done} of {SHARDS} shards are encoded already" in said) is (done > 0), place
    said = finish(*flags, f"--encode_to={folder}")
    assert f"{SHARDS} of {SHARDS} shards are encoded already" in said
    found, expected = codes_of(folder), codes_of(whole)
    assert len(expected) == SHARDS * (PHOTOS - 1)
    assert [name for name, _ in found] == [name for name, _ in expected]
    for (name, code), (_, other) in zip(found, expected, strict=True):
        np.testing.assert_array_equal(code, other, err_msg=name.decode())
    for path in whole.glob("unreadable-*.jsonl"):
        assert (folder / path.name).read_text() == path.read_text()
    assert read_json(folder / "encode.json") == read_json(whole / "encode.json")
    assert not unfinished(folder)
