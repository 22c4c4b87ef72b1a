"""Folders and files of others: all photos are found, nobody else's files go, damage is named."""

import concurrent.futures
import contextlib
import os
import pathlib
from concurrent.futures.process import BrokenProcessPool

import numpy as np
import pytest
import tensorflow as tf

from arl_tf.config.settings import Config
from arl_tf.data import code_records
from arl_tf.data.pictures import reader
from arl_tf.experiments.encoding import encode_stage, encoders, engines, shards, sources
from arl_tf.utils import files

SPEC = encoders.EncoderSpec()


def touch(folder: pathlib.Path, *names: str) -> pathlib.Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return folder


def write_records(path: pathlib.Path, *records: bytes) -> pathlib.Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record)
    return path


def example(**features: bytes) -> bytes:
    lists = {
        name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        for name, value in features.items()
    }
    return tf.train.Example(features=tf.train.Features(feature=lists)).SerializeToString()


def names_of(text: str) -> list[str]:
    found = sources.open_source(text).shards
    return [name for shard in found for name, _ in sources.photos_of(shard)]


def test_photos_of_linked_folders_are_found_and_circles_end(tmp_path):
    photos = touch(tmp_path / "photos", "a.png", "b/c.png")
    (photos / "linked").symlink_to(touch(tmp_path / "elsewhere", "d.png"))
    (photos / "b" / "circle").symlink_to(photos)
    touch(photos, "Thumbs.db", "b/desktop.ini", "__MACOSX/e.png", ".hidden/f.png", "b/.g.png")
    assert names_of(str(photos)) == ["a.png", "b/c.png", "linked/d.png"]


def test_pipes_and_sockets_are_no_photos_whoever_reads_them_may_wait_for_ever(tmp_path):
    photos = touch(tmp_path / "photos", "a.png")
    os.mkfifo(photos / "pipe.png")
    (photos / "linked.png").symlink_to(photos / "pipe.png")
    assert names_of(str(photos)) == ["a.png"]


def test_a_file_that_was_removed_is_missing_and_storage_that_is_away_is_an_error(tmp_path):
    photos = touch(tmp_path / "photos", "a.png", "b/c.png", "b/d.png")
    (photos / "b" / "broken").symlink_to("nowhere")
    (shard,) = sources.open_source(str(photos)).shards
    content = dict(sources.photos_of(shard))
    (photos / "b" / "c.png").unlink()
    for name in ("b/c.png", "b/broken"):
        with pytest.raises(reader.UnreadableError, match="missing"):
            content[name]()
    (photos / "b").rename(tmp_path / "elsewhere")
    (photos / "a.png").unlink()
    # A place where storage is mounted stays, empty.
    for name in ("a.png", "b/d.png"):
        with pytest.raises(FileNotFoundError, match=f"its folder is gone, or empty.*{name}"):
            content[name]()


def test_a_folder_that_can_not_be_read_is_told(tmp_path, monkeypatch):
    photos = touch(tmp_path / "photos", "a.png", "b/c.png")
    scan = os.scandir

    def refuse(place):
        if str(place).endswith("b"):
            raise PermissionError(13, "Permission denied", str(place))
        return scan(place)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(PermissionError, match="photos/b"):
        sources.open_source(str(photos))


@pytest.mark.parametrize("inside", ["", "codes"])
def test_a_target_among_the_photos_is_refused(tmp_path, inside):
    photos = touch(tmp_path / "photos", "a.png")
    with pytest.raises(ValueError, match=r"--encode_to=.* lies in --encode_from=.*photos:"):
        files.check_apart("encode_to", photos / inside, "encode_from", photos)
    files.check_apart("encode_to", tmp_path / "photos_codes", "encode_from", photos)


def test_only_files_of_shards_are_removed(tmp_path):
    others = {"codes-of-conduct.md", "unreadable-scan.pdf", "unfinished_novel.txt", "codes-1.txt"}
    own = {
        "codes-00000-of-00001.tfrecord",
        "unreadable-00000-of-00001.jsonl",
        "unfinished_7_codes-00001-of-00002.npz",
        code_records.INDEX,
    }
    touch(tmp_path, *others, *own)
    encode_stage.remove_codes(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == others


def test_records_without_names_are_told_apart_by_their_file(tmp_path):
    first = write_records(tmp_path / "a/t.tfrecord", example(image=b"x"))
    second = write_records(tmp_path / "b/t.tfrecord", example(image=b"y"))
    assert names_of(str(first)) == ["t.tfrecord:0"]
    assert names_of(f"{first},{second}") == [f"{first}:0", f"{second}:0"]
    with pytest.raises(ValueError, match="names a file twice"):
        sources.open_source(f"{first},{tmp_path}/b/../a/t.tfrecord")


def test_a_home_folder_is_found_for_each_of_several_files(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write_records(tmp_path / "a.tfrecord", example(image=b"x"))
    write_records(tmp_path / "b.tfrecord", example(image=b"y"))
    assert names_of(f"{tmp_path}/a.tfrecord,~/b.tfrecord") == ["a.tfrecord:0", "b.tfrecord:0"]


@pytest.mark.parametrize("spoil", [lambda c: c[:-3], lambda c: b"\x1f\x8b" + c, lambda c: c[::-1]])
def test_damaged_records_are_named_in_one_line(tmp_path, spoil):
    path = write_records(tmp_path / "t.tfrecord", example(image=b"x"), example(image=b"y"))
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(ValueError, match=r"t\.tfrecord is damaged at record [01], cut off, or no"):
        names_of(str(path))


def test_a_record_of_something_else_is_unreadable(tmp_path):
    path = write_records(tmp_path / "t.tfrecord", b"hello", example(image=b"x"))
    (shard,) = sources.open_source(str(path)).shards
    (name, content), (_, other) = sources.photos_of(shard)
    assert name == "t.tfrecord:0" and other() == b"x"
    with pytest.raises(ValueError, match=r"no tf\.train\.Example"):
        content()


@pytest.mark.parametrize("kind", sorted(code_records.WRITERS))
def test_an_encoding_without_a_single_code_ends_with_an_error(tmp_path, kind):
    target = shards.Target(str(tmp_path), kind, 2)
    for number in range(2):
        files.write_text(target.unreadable(number), '{"name": "a", "reason": "no picture"}\n')
        code_records.WRITERS[kind](target.codes(number)).publish()
    with pytest.raises(ValueError, match=r"None of the 2 photos can be read.*no picture"):
        encode_stage.summary(tmp_path, target, 2, 1.0)
    writer = code_records.WRITERS[kind](target.codes(1))
    writer.write(["b"], np.zeros((1, 2), np.float32), np.zeros((1, 2, 2, 3), np.uint8))
    writer.publish()
    assert "2 photos, named in" in encode_stage.summary(tmp_path, target, 2, 1.0)


def test_parquet_holds_names_and_values_as_written(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    path = tmp_path / "codes-00000-of-00001.parquet"
    writer = code_records.ParquetWriter(path)
    codes = np.arange(12, dtype=np.float32).reshape(3, 2, 2)
    writer.write(["a/b.png", "a, b"], codes[:2], np.zeros(0))
    writer.write(["bad \udcff"], codes[2:], np.zeros(0))
    assert not path.exists()
    writer.publish()
    table = parquet.read_table(path)
    assert table["name"].to_pylist() == ["a/b.png", "a, b", "bad \\udcff"]
    np.testing.assert_array_equal(table["code"].to_pylist(), codes.reshape(3, 4))
    assert str(table.schema.field("code").type.value_type) == "float"


def test_parquet_without_pyarrow_is_refused_with_the_way_out(monkeypatch):
    monkeypatch.setattr(code_records.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pyarrow, which is not installed: pip install"):
        code_records.require_parquet()


def test_codes_that_are_not_all_there_are_not_read_as_if_they_were(tmp_path):
    index = {"code_shape": [2], "shards": 2, "format": "tfrecord"}
    files.write_json(tmp_path / code_records.INDEX, index)
    writer = code_records.RecordWriter(tmp_path / "codes-00000-of-00002.tfrecord")
    writer.write(["a"], np.zeros((1, 2), np.float32), np.zeros(0))
    writer.publish()
    with pytest.raises(ValueError, match=r"1 of 2 shards are not there, the first is .*00001-of"):
        code_records.read_codes(tmp_path)


def test_processes_that_can_not_share_work_are_refused_with_the_way_out(monkeypatch):
    def fail(*_, **__):
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", fail)
    with pytest.raises(ValueError, match=r"needs shared memory.*use --encode_processes=1"):
        list(engines.in_processes(SPEC, [], shards.Target("x", "npz", 0), 2))


def test_a_shard_that_can_not_be_read_now_does_not_keep_the_others_back(monkeypatch):
    class Pool(contextlib.nullcontext):
        def __init__(self, *_, **__):
            super().__init__()

        def submit(self, _, work):
            future = concurrent.futures.Future()
            if work[0] == 1:
                future.set_exception(reader.ReadingError("a.jpg (Input/output error)"))
            else:
                future.set_result(work[0])
            return future

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Pool)
    work = [(number, sources.Shard("files", "x")) for number in range(3)]
    finished, done = engines.in_processes(SPEC, work, shards.Target("x", "npz", 3), 2), []
    with pytest.raises(reader.ReadingError, match=r"1 of 3 shards are not done.*a\.jpg"):
        for number in finished:
            done += [number]
    assert sorted(done) == [0, 2]


@pytest.fixture
def pools(monkeypatch):
    """What pools of processes were started with: their number, and what prepares each."""
    started = []

    class Pool(contextlib.nullcontext):
        def __init__(self, processes, initargs, **_):
            super().__init__()
            started.append((processes, initargs))

        def shutdown(self, **_):
            pass

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Pool)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(12)), raising=False)
    return started


@pytest.mark.parametrize(
    ("threads", "processes", "expected"),
    [(0, 3, 4), (6, 3, 2), (2, 3, 1), (24, 3, 8)],
    ids=["cores of this process", "as told", "one at least", "more, as told"],
)
def test_processes_share_the_threads_that_the_command_may_use(pools, threads, processes, expected):
    list(engines.in_processes(SPEC, [], shards.Target("x", "npz", 0), processes, threads))
    ((started, (_, _, of_each, _)),) = pools
    assert (started, of_each) == (processes, expected)


@pytest.mark.parametrize(("threads", "expected"), [(0, 12), (5, 5)])
def test_one_process_for_each_core_is_one_for_each_that_may_be_used(
    monkeypatch, pools, threads, expected
):
    asked = []
    monkeypatch.setattr(engines, "in_processes", lambda *given: asked.append(given[3:]) or [])
    config = Config(
        stages="encode", encode_from="x", encode_to="y", encode_processes=0, threads=threads
    )
    work = [(number, sources.Shard("files", "x")) for number in range(20)]
    encode_stage.work_through(config, SPEC, work, shards.Target("x", "npz", 20))
    assert asked == [(expected, threads)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"strategy": "mirrored", "devices": 2}, "--strategy=mirrored shares the steps"),
        ({"strategy": "multi_worker"}, "--strategy=multi_worker shares the steps"),
        ({"threads": 2, "beam_options": "--x=y"}, "--threads=2 is of this machine's"),
        ({"encode_processes": 2, "beam_options": "--x=y"}, "--encode_processes=2 is of"),
    ],
)
def test_what_an_encoding_would_pass_over_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        Config(stages="encode", encode_from="x", encode_to="y", **settings)


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("t.tfrecord is damaged"), ValueError, "t.tfrecord is damaged"),
        (BrokenProcessPool("abruptly"), RuntimeError, "One of the 2 processes was killed"),
    ],
)
def test_a_process_that_fails_leaves_the_other_shards_for_later(monkeypatch, error, kind, message):
    left = []

    class Pool(contextlib.nullcontext):
        def __init__(self, *_, **__):
            super().__init__()

        def submit(self, *_):
            future = concurrent.futures.Future()
            future.set_exception(error)
            return future

        def shutdown(self, **how):
            left.append(how)

    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", Pool)
    work = [(number, sources.Shard("files", "x")) for number in range(3)]
    with pytest.raises(kind, match=message):
        list(engines.in_processes(SPEC, work, shards.Target("x", "npz", 3), 2))
    assert left == [{"wait": False, "cancel_futures": True}]
