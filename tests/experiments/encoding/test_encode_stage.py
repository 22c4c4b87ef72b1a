"""Photos into codes: each once, whatever was killed; unreadable ones with reasons."""

import errno
import functools
import json
import os
import pathlib
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds
import tiny_models
from PIL import Image

from arl_tf.auditing.encoders import audited, recorded_codes
from arl_tf.config.settings import Config
from arl_tf.data import code_records, preprocessing
from arl_tf.data.pictures import reader
from arl_tf.experiments.encoding import encode_stage, encoders, engines, shards, sources
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.models import architectures
from arl_tf.utils import keyed_noise
from serving.device import noise_key

SAVES = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
PHOTOS = 10


def saved_run(folder, noise=0.0, seed=0):
    run = RunDirectory(folder)
    encoder = tiny_models.build_models(seed, architectures.CodeBounds(noise)).encoder
    run.checkpoints.mkdir(parents=True)
    encoder.save(run.player("encoder"))
    return run


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return saved_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def noisy_run(tmp_path_factory):
    return saved_run(tmp_path_factory.mktemp("noisy"), noise=1.0)


@pytest.fixture
def photos(tmp_path):
    """Ten PNGs in two folders, a text file, and a hidden file that does not count."""
    folder = tmp_path / "photos"
    (folder / "b").mkdir(parents=True)
    for number, pixels in enumerate(tiny_models.pictures(PHOTOS, 20)):
        place = folder / "b" if number % 2 else folder
        Image.fromarray(pixels).save(place / f"{number:02d}.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / ".hidden").write_text("")
    return folder


@pytest.fixture
def small_shards(monkeypatch):
    """Shards of four photos."""
    opened = functools.partial(sources.open_source, shard_photos=4)
    monkeypatch.setattr(encode_stage.sources, "open_source", opened)


def settings(photos, folder, **values):
    named = {"stages": "encode", "encode_from": str(photos), "encode_to": str(folder)}
    return Config(**named | values)


def codes_of(folder):
    return {
        name.decode(): code for name, code in code_records.read_codes(folder).as_numpy_iterator()
    }


def unreadable(folder):
    files = sorted(folder.glob("unreadable-*.jsonl"))
    return [line for file in files for line in code_records.read_lines(file)]


def expected_codes(run, photos):
    encode = audited.encoding(keras.models.load_model(run.player("encoder")))
    files = sorted(photos.rglob("*.png"))
    prepared = [
        preprocessing.preprocess(np.asarray(Image.open(file)), tiny_models.SIZE).numpy()
        for file in files
    ]
    names = [str(file.relative_to(photos)) for file in files]
    return dict(zip(names, encode(np.stack(prepared)), strict=True))


@SAVES
def test_every_photo_has_the_run_s_code_and_what_is_no_photo_a_reason(
    run, photos, tmp_path, small_shards, capsys
):
    encode_stage.run(settings(photos, tmp_path / "codes"), run)
    found, expected = codes_of(tmp_path / "codes"), expected_codes(run, photos)
    assert found.keys() == expected.keys() and len(found) == PHOTOS
    for name, code in expected.items():
        np.testing.assert_allclose(found[name], code, atol=1e-5)
    (refused,) = unreadable(tmp_path / "codes")
    assert refused["name"] == "notes.txt" and refused["reason"]
    assert "1 photos, named in" in capsys.readouterr().out
    index = json.loads((tmp_path / "codes" / "encode.json").read_text())
    assert index["shards"] == 3 and index["code_shape"] == [8, 8, 4]
    assert not list((tmp_path / "codes").glob("unfinished_*"))


@SAVES
def test_tensorflow_datasets_reads_the_codes_and_parts_of_them(run, photos, tmp_path, small_shards):
    folder = tmp_path / "codes"
    (photos / "zz1.png").write_text("none")
    (photos / "zz2.png").write_text("none")
    encode_stage.run(settings(photos, folder), run)
    builder = tfds.builder_from_directory(folder)
    assert builder.info.splits["codes"].shard_lengths == [4, 4, 2, 0]
    found, expected = builder.as_dataset(split="codes"), codes_of(folder)
    assert [each["name"].numpy().decode() for each in found] == list(expected)
    for each in found:
        np.testing.assert_array_equal(each["code"], expected[each["name"].numpy().decode()])
    part = builder.as_dataset(split="codes[3:6]").as_numpy_iterator()
    assert [each["name"].decode() for each in part] == list(expected)[3:6]
    # What is replaced by another format is no data set of theirs any more.
    encode_stage.run(settings(photos, folder, encode_format="npz", overwrite=True), run)
    assert not list(folder.glob("*_info.json")) and not list(folder.glob("features*"))


@SAVES
def test_a_command_that_was_stopped_goes_on_without_doubles_or_holes(
    run, photos, tmp_path, small_shards, monkeypatch
):
    folder, whole = tmp_path / "codes", shards.encode_shard

    def killed(encoder, shard, number, target):
        if number == 1:
            writer = code_records.RecordWriter(target.codes(number))
            writer.write(["half"], np.zeros((1, 8, 8, 4)), None)
            raise KeyboardInterrupt
        return whole(encoder, shard, number, target)

    monkeypatch.setattr(engines.shards, "encode_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        encode_stage.run(settings(photos, folder), run)
    (done,) = folder.glob("codes-*")
    before = done.stat().st_mtime_ns
    monkeypatch.setattr(engines.shards, "encode_shard", whole)
    encode_stage.run(settings(photos, folder), run)
    assert done.stat().st_mtime_ns == before
    names = [name for name, _ in code_records.read_codes(folder).as_numpy_iterator()]
    assert len(names) == len(set(names)) == PHOTOS
    assert len(unreadable(folder)) == 1
    assert not list(folder.glob("unfinished_*"))


@SAVES
@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO])
def test_a_photo_that_can_not_be_opened_now_is_encoded_by_the_next_command(
    run, photos, tmp_path, small_shards, monkeypatch, number
):
    folder, whole = tmp_path / "codes", pathlib.Path.open

    def opened(path, *arguments, **named):
        if path.name == "04.png":
            raise OSError(number, os.strerror(number), str(path))
        return whole(path, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "open", opened)
        for done in (3, 1):
            with pytest.raises(reader.ReadingError, match=f"1 of {done} shards are not.*04.png"):
                encode_stage.run(settings(photos, folder), run)
            # The other shards did not wait for it.
            assert len(list(folder.glob("codes-*"))) == len(list(folder.glob("unread*"))) == 2
    encode_stage.run(settings(photos, folder), run)
    assert codes_of(folder).keys() == expected_codes(run, photos).keys()
    (refused,) = unreadable(folder)
    assert refused["name"] == "notes.txt"


@SAVES
def test_one_folder_may_be_named_in_several_ways(run, photos, tmp_path, monkeypatch):
    folder = tmp_path / "codes"
    encode_stage.run(settings(photos, folder), run)
    before = codes_of(folder)
    monkeypatch.chdir(photos.parent)
    for named in (f"{photos}/", f"./{photos.name}", f"{photos}/../{photos.name}"):
        encode_stage.run(settings(photos, folder, encode_from=named), run)
    assert codes_of(folder).keys() == before.keys()


@SAVES
def test_codes_of_another_encoder_or_source_are_refused_and_replaced_on_demand(
    run, photos, tmp_path
):
    folder = tmp_path / "codes"
    encode_stage.run(settings(photos, folder), run)
    other = saved_run(tmp_path / "other", seed=5)
    with pytest.raises(ValueError, match="holds other codes: encoder_sha256 differ"):
        encode_stage.run(settings(photos, folder), other)
    encode_stage.run(settings(photos, folder, overwrite=True), other)
    (photos / "00.png").unlink()
    with pytest.raises(ValueError, match="holds other codes: source_sha256 differ"):
        encode_stage.run(settings(photos, folder), other)


@SAVES
@pytest.mark.parametrize(("first", "second"), [("pad", "crop"), ("crop", "pad")])
def test_photos_made_square_in_two_ways_are_not_mixed_in_a_folder(
    run, photos, tmp_path, first, second
):
    folder = tmp_path / "codes"
    encode_stage.run(settings(photos, folder, fit=first), run)
    index = json.loads((folder / "encode.json").read_text())
    assert (index["fit"], index["preprocessing"]) == (first, preprocessing.versions())
    with pytest.raises(ValueError, match="holds other codes: fit differ"):
        encode_stage.run(settings(photos, folder, fit=second), run)
    encode_stage.run(settings(photos, folder, fit=first), run)


@pytest.mark.parametrize(
    ("recorded", "now", "differing"),
    [
        ({}, {"fit": "crop"}, None),
        ({}, {"fit": "pad"}, "fit"),
        ({"fit": "pad"}, {"fit": "crop"}, "fit"),
        ({}, {"preprocessing": "3.2"}, "preprocessing"),
        # Of a younger version.
        ({"fit": "crop", "channel": "red"}, {"fit": "crop"}, "channel"),
    ],
    ids=[
        "old_is_crop",
        "old_is_not_pad",
        "pad_is_not_crop",
        "old_is_not_prepared_otherwise",
        "not_of_this_version",
    ],
)
def test_a_folder_and_a_command_are_compared_by_all_that_either_says(
    tmp_path, recorded, now, differing
):
    (tmp_path / "encode.json").write_text(json.dumps({"shards": 1} | recorded))
    index = {"shards": 1, "fit": "crop", "preprocessing": "2.2"} | now
    if differing is None:
        encode_stage.check_same(tmp_path, index)
        return
    with pytest.raises(ValueError, match=f"holds other codes: {differing} differ"):
        encode_stage.check_same(tmp_path, index)


@SAVES
def test_to_go_on_without_overwrite_is_advised_once_the_old_codes_are_gone(
    run, photos, tmp_path, monkeypatch
):
    folder = tmp_path / "codes"
    encode_stage.run(settings(photos, folder), run)
    said = []
    monkeypatch.setattr(
        encode_stage.interruption, "advise", lambda hint: said.append((hint, codes_left()))
    )

    def codes_left():
        return sorted(path.name for path in folder.glob("codes-*"))

    encode_stage.run(settings(photos, folder), run)
    assert said == [] and codes_left()
    encode_stage.run(settings(photos, folder, overwrite=True), run)
    ((hint, left),) = said
    assert hint.startswith("the same command without --overwrite") and left == []


@pytest.mark.slow
@SAVES
def test_a_key_gives_a_photo_one_code_and_without_it_the_noise_is_new(noisy_run, photos, tmp_path):
    key = tmp_path / "key"
    key.write_bytes(bytes(range(32)))
    found = {}
    for name in ("a", "b"):
        for secret in ("", str(key)):
            folder = tmp_path / f"{name}{bool(secret)}"
            encode_stage.run(settings(photos, folder, noise_key=secret), noisy_run)
            found[name, bool(secret)] = codes_of(folder)["00.png"]
    np.testing.assert_array_equal(found["a", True], found["b", True])
    assert not np.array_equal(found["a", False], found["b", False])


@SAVES
def test_noise_of_another_key_is_not_mixed_with_that_of_the_first(noisy_run, photos, tmp_path):
    folder, first, other = tmp_path / "codes", tmp_path / "first", tmp_path / "other"
    first.write_bytes(bytes(range(32)))
    other.write_bytes(bytes(range(1, 33)))
    encode_stage.run(settings(photos, folder, noise_key=str(first)), noisy_run)
    noise = json.loads((folder / "encode.json").read_text())["noise"]
    assert noise == f"by key {keyed_noise.fingerprint(first.read_bytes())}"
    assert first.read_bytes().hex() not in noise
    for secret in (str(other), ""):
        with pytest.raises(ValueError, match="holds other codes: noise differ"):
            encode_stage.run(settings(photos, folder, noise_key=secret), noisy_run)
    # A copy of the key under another name is the same key.
    other.write_bytes(first.read_bytes())
    encode_stage.run(settings(photos, folder, noise_key=str(other)), noisy_run)


@SAVES
def test_a_key_is_refused_where_it_decides_nothing_or_is_none(run, tmp_path):
    (tmp_path / "key").write_bytes(bytes(32))
    player = str(run.player("encoder"))
    with pytest.raises(ValueError, match="this encoder adds none"):
        encoders.load(encoders.EncoderSpec(player, noise_key=str(tmp_path / "key")))
    with pytest.raises(ValueError, match="needs a run's own encoder"):
        encoders.load(encoders.EncoderSpec(saved_model="x", noise_key="y"))
    with pytest.raises(ValueError, match="nowhere: there is no such file"):
        keyed_noise.read_key(tmp_path / "nowhere")
    (tmp_path / "short").write_bytes(b"short")
    with pytest.raises(ValueError, match="holds 5 bytes; expected a secret of 32"):
        keyed_noise.read_key(tmp_path / "short")


def test_keyed_noise_is_that_of_the_devices():
    key, encoder, image = bytes(range(32)), bytes(32), tiny_models.pictures(1)[0]
    arguments = (key, encoder, image, (2, 3))
    np.testing.assert_array_equal(
        keyed_noise.keyed_noise(*arguments), noise_key.keyed_noise(*arguments)
    )
    assert keyed_noise.KEY_BYTES == noise_key.KEY_BYTES


@SAVES
def test_an_npz_shard_is_what_an_audit_reads(run, photos, tmp_path):
    encode_stage.run(settings(photos, tmp_path / "codes", encode_format="npz"), run)
    (file,) = (tmp_path / "codes").glob("codes-*.npz")
    arrays = recorded_codes.read_arrays(file)
    assert arrays["codes"].shape == (PHOTOS, 8, 8, 4)
    assert arrays["images"].shape == (PHOTOS, tiny_models.SIZE, tiny_models.SIZE, 3)


def test_records_of_pictures_are_read_with_their_names(tmp_path):
    picture = tiny_models.as_bytes(tiny_models.pictures(1)[0], "PNG")

    def example(**features):
        lists = {
            name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
            for name, value in features.items()
        }
        return tf.train.Example(features=tf.train.Features(feature=lists)).SerializeToString()

    path = tmp_path / "photos.tfrecord-00000-of-00001"
    with tf.io.TFRecordWriter(str(path)) as writer:
        writer.write(example(image=picture, name=b"ann"))
        writer.write(example(**{"image/encoded": picture}))
        writer.write(example(name=b"empty"))
    (shard,) = sources.open_source(str(path)).shards
    (ann, content), (second, other), (empty, missing) = sources.photos_of(shard)
    assert (ann, second, empty) == ("ann", f"{path.name}:1", "empty")
    assert content() == other() == picture
    with pytest.raises(ValueError, match="no feature of image, image/encoded"):
        missing()


def test_a_source_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no such folder"):
        sources.open_source(str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match=r"there is no file .*x\.tfrecord"):
        sources.open_source(str(tmp_path / "x.tfrecord"))
    with pytest.raises(ValueError, match="is empty"):
        sources.open_source(str(tmp_path))
    with pytest.raises(ValueError, match="has no such builder"):
        sources.open_source("tfds:no_such_builder_of_photos")


@SAVES
def test_a_dry_run_encodes_nothing(run, photos, tmp_path, capsys):
    encode_stage.run(settings(photos, tmp_path / "codes", dry_run=True), run)
    assert "1 shards of codes 8 x 8 x 4 would go to" in capsys.readouterr().out
    assert not (tmp_path / "codes").exists()


def test_beam_that_is_not_installed_is_named_with_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "apache_beam", None)
    with pytest.raises(ValueError, match=r"pip install 'arl_tf\[beam\]'"):
        engines.on_beam(encoders.EncoderSpec(), [], shards.Target("x", "npz", 0), "--runner=x")


@pytest.mark.parametrize("missing", ["encode_from", "encode_to"])
def test_an_encoding_needs_source_and_target(missing):
    values = {"encode_from": "x", "encode_to": "y"} | {missing: ""}
    with pytest.raises(ValueError, match=f"--stages=encode needs --{missing}"):
        Config(stages="encode", **values)
    with pytest.raises(ValueError, match="--stages=encode runs alone"):
        Config(stages="train,encode", encode_from="x", encode_to="y")
