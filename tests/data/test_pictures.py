"""One list of formats and one orientation, held to known pixels in every reader."""

import concurrent.futures
import contextlib
import errno
import operator
import os
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from picture_files import JPEG, PALETTE, READ, REFUSED, exif, palette_bmp, with_exif

from arl_tf.data import image_cache
from arl_tf.data.pictures import decoding, reader
from arl_tf.data.pictures import formats as graph_formats
from arl_tf.data.pictures.plain_jpeg import is_plain
from arl_tf.data.preprocessing import preprocessing
from serving.pictures import folders, formats
from serving.pictures.formats import PictureError
from serving.pictures.headers import inspect
from serving.pictures.pixels import read_pixels


@pytest.fixture(scope="module")
def graph():
    """The decoder as it is exported: string scalar -> uint8 [h, w, 3]."""
    return tf.function(decoding.decode_image, input_signature=[tf.TensorSpec((), tf.string)])


@pytest.mark.parametrize("name", READ)
def test_training_and_the_exported_graph_see_the_known_pixels(graph, name):
    file, pixels, allowed = READ[name]
    seen = graph(file).numpy()
    assert (seen.dtype, seen.shape) == (np.uint8, pixels.shape)
    assert np.abs(seen.astype(int) - pixels).max() <= allowed


@pytest.mark.parametrize("name", READ)
def test_the_device_sees_exactly_what_the_graph_sees(graph, name):
    file = READ[name][0]
    np.testing.assert_array_equal(read_pixels(file), graph(file).numpy())


@pytest.mark.parametrize("name", READ)
def test_the_server_reads_the_size_from_the_headers(name):
    file, pixels, _ = READ[name]
    picture = inspect(file)
    assert {picture.height, picture.width} == set(pixels.shape[:2])
    assert picture.pixels >= pixels.shape[0] * pixels.shape[1]


@pytest.mark.parametrize("name", REFUSED)
def test_the_graph_refuses_what_it_would_misread(graph, name):
    file, words = REFUSED[name]
    with pytest.raises(tf.errors.InvalidArgumentError) as caught:
        graph(file)
    assert words in reader.refusal_words(str(caught.value), file)


@pytest.mark.parametrize("name", REFUSED)
def test_the_device_refuses_the_same_with_the_same_words(name):
    file, words = REFUSED[name]
    with pytest.raises(PictureError) as caught:
        read_pixels(file)
    assert words in str(caught.value)


def test_every_damaged_file_gets_one_verdict(graph):
    rng = np.random.default_rng(0)
    names = ("jpeg", "png", "bmp_8", "gif", "webp_lossless", "oriented_jpeg_6_big")
    verdicts = set()
    for name in names:
        for _ in range(25):
            file = bytearray(READ[name][0])
            file[rng.integers(len(file))] = rng.integers(256)
            file = bytes(file)
            seen = {"graph": None, "device": None}
            with contextlib.suppress(PictureError):
                if inspect(file).pixels > 10_000:
                    continue
                seen["device"] = read_pixels(file)
            with contextlib.suppress(tf.errors.InvalidArgumentError):
                seen["graph"] = graph(file).numpy()
            if seen["device"] is not None and seen["graph"] is not None:
                np.testing.assert_array_equal(seen["device"], seen["graph"])
            verdicts.add(tuple(value is None for value in seen.values()))
    assert {(True, True), (False, False)} <= verdicts


def test_tables_of_formats_are_the_same_on_both_sides():
    assert graph_formats.FORMATS == formats.FORMATS
    assert graph_formats.OTHERS == formats.OTHERS
    assert graph_formats.WANTED == formats.WANTED
    signatures = [(graph_formats.FORMATS[row[0]], *row[1:]) for row in graph_formats.SIGNATURES]
    assert tuple(signatures) == formats.SIGNATURES
    assert graph_formats.ENDINGS == formats.ENDINGS


def test_clients_take_every_format_from_a_folder_and_nothing_hidden(tmp_path):
    names = [f"photo{ending}" for ending in formats.ENDINGS] + ["BELOW/LOUD.WEBP"]
    others = ["notes.txt", "._photo.jpg", ".thumbnails/photo.png"]
    for name in names + others:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "folder.jpg").mkdir()
    found = folders.pictures_in(tmp_path)
    assert [str(path.relative_to(tmp_path)) for path in found] == sorted(names)
    with pytest.raises(ValueError, match=r"holds no picture.*webp"):
        folders.pictures_in(tmp_path / "folder.jpg")


def test_a_palette_is_colours_and_not_grey_levels(graph):
    # TensorFlow's own decoder gives the palette's numbers: tensorflow/tensorflow#13942.
    seen = graph(palette_bmp(8)).numpy()
    assert {tuple(colour) for colour in seen.reshape(-1, 3)} <= {tuple(row) for row in PALETTE}


def test_the_reader_prepares_on_the_cpu_where_there_is_a_gpu():
    graph = reader.preparing(preprocessing(8)).get_concrete_function().graph.as_graph_def()
    nodes = [*graph.node, *(node for f in graph.library.function for node in f.node_def)]
    ends = {"Placeholder", "Identity", "Const", "NoOp"}
    placed = {node.device for node in nodes if node.op not in ends}
    assert {"DecodeJpeg", "ScaleAndTranslate"} <= {node.op for node in nodes}
    assert placed == {"/device:CPU:0"}


@pytest.mark.parametrize("name", READ)
def test_the_readers_short_cut_gives_what_the_long_way_gives(name):
    file, preprocess = READ[name][0], preprocessing(8)
    (chunk,) = reader.read_pictures([(0, lambda: file)], preprocess)
    image, turned = reader.prepared(file, reader.preparing(preprocess))
    np.testing.assert_array_equal(chunk.images[0], image)
    assert chunk.turned == turned


@pytest.mark.parametrize("name", REFUSED)
def test_the_readers_short_cut_refuses_with_the_words_of_the_long_way(name):
    file, words = REFUSED[name]
    (chunk,) = reader.read_pictures([(0, lambda: file)], preprocessing(8))
    assert words in chunk.refused[0]


def test_plain_is_a_jpeg_of_a_usual_kind_without_exif():
    plain = {name for name, (file, _, _) in READ.items() if is_plain(file)}
    usual = {"jpeg", "jpeg_grey", "jpeg_progressive", "jpeg_trailing"}
    assert plain == usual | {"upright_jpeg_exif_in_a_comment"}
    # What is damaged behind its headers, the decoder itself refuses.
    refused = {name for name, (file, _) in REFUSED.items() if is_plain(file)}
    assert refused == {"jpeg_without_end"}


def test_the_reader_names_missing_and_unreadable_files_and_counts_turned_ones(tmp_path):
    files = {"good.jpg": JPEG, "turned.jpg": with_exif(JPEG, exif(6)), "text.jpg": b"no picture"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "folder.jpg").mkdir()
    names = ("good.jpg", "gone.jpg", "turned.jpg", "text.jpg", "folder.jpg")
    (chunk,) = reader.read_files(
        [str(tmp_path / name) for name in names],
        lambda image: tf.cast(tf.image.resize(image, (8, 8)), tf.uint8),
    )
    assert chunk.rows.tolist() == [0, 2] and chunk.images.shape == (2, 8, 8, 3)
    assert chunk.turned == 1
    assert chunk.refused[1] == "missing"
    assert "got a file of another type" in chunk.refused[3]
    assert chunk.refused[4] == "a folder and no file"


@pytest.fixture
def failing(monkeypatch):
    """A function (name -> (error number, how often)): reading files of these names fails."""
    whole, left = pathlib.Path.open, {}

    def opened(path, *arguments, **named):
        number, times = left.get(path.name, (0, 0))
        if times:
            left[path.name] = (number, times - 1)
            raise OSError(number, os.strerror(number), str(path))
        return whole(path, *arguments, **named)

    monkeypatch.setattr(pathlib.Path, "open", opened)
    return left.update


PASSING = (errno.EACCES, errno.EIO, errno.ESTALE, errno.EMFILE)


def jpegs(folder, count):
    for number in range(count):
        (folder / f"{number}.jpg").write_bytes(JPEG)
    return [str(folder / f"{number}.jpg") for number in range(count)]


@pytest.mark.parametrize("number", PASSING)
def test_files_that_the_system_does_not_give_out_are_no_bad_pictures(tmp_path, failing, number):
    paths = jpegs(tmp_path, 9)
    failing({f"{name}.jpg": (number, 9) for name in range(1, 8)})
    with pytest.raises(reader.ReadingError, match=r"7 of 9 pictures .*and 2 more") as refused:
        list(reader.read_files(paths, preprocessing(8)))
    assert f"{paths[1]} ({os.strerror(number)})" in str(refused.value)


def test_an_error_that_passes_at_once_is_tried_again(tmp_path, failing):
    paths = jpegs(tmp_path, 3)
    failing({"1.jpg": (errno.EMFILE, 1)})
    (chunk,) = reader.read_files(paths, preprocessing(8))
    assert chunk.rows.tolist() == [0, 1, 2] and not chunk.refused


def test_links_and_folders_that_lead_nowhere_are_missing(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to("circle")
    (tmp_path / "broken").symlink_to("nowhere")
    paths = [str(tmp_path / name) for name in ("file/x", "circle", "broken")]
    (chunk,) = reader.read_files(paths, preprocessing(8))
    assert chunk.refused == dict.fromkeys(range(3), "missing")
    assert [image_cache.file_stamp(pathlib.Path(path)) for path in paths] == [
        "x missing",
        "circle missing",
        "broken missing",
    ]


@pytest.mark.parametrize(("set_to", "expected"), [(3, 3), (0, 5)])
def test_the_reader_takes_as_many_threads_as_operations_may(monkeypatch, set_to, expected):
    asked, pool = [], concurrent.futures.ThreadPoolExecutor
    monkeypatch.setattr(
        concurrent.futures,
        "ThreadPoolExecutor",
        lambda threads: asked.append(threads) or pool(threads),
    )
    monkeypatch.setattr(tf.config.threading, "get_intra_op_parallelism_threads", lambda: set_to)
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", "5")
    list(reader.read_pictures([(0, lambda: JPEG)], preprocessing(8)))
    assert asked == [expected]


def is_slice(node):
    return node.op == "StridedSlice"


# Of a graph: what its calls and branches consist of.
functions_of = operator.attrgetter("library.function")


def test_no_slice_of_the_graph_has_a_negative_stride(graph):
    # TensorFlow's layout optimizer fails at one, and prints an error at each use of the graph.
    whole = graph.get_concrete_function().graph.as_graph_def()
    slices = 0
    for nodes in (whole.node, *(function.node_def for function in functions_of(whole))):
        by_name = {node.name: node for node in nodes}
        for node in nodes:
            strides = by_name.get(node.input[3].partition(":")[0]) if is_slice(node) else None
            # A stride that is counted in the graph is no reversal that somebody wrote.
            if strides is not None and strides.op == "Const":
                assert (tf.make_ndarray(strides.attr["value"].tensor) > 0).all(), node.name
                slices += 1
    assert slices


def test_a_picture_that_takes_more_memory_than_there_is_cannot_be_read():
    def prepare(image_bytes):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    with pytest.raises(reader.UnreadableError, match="take more memory than there is"):
        reader.prepared(b"", prepare)


@pytest.mark.parametrize(("failures", "read"), [(1, True), (2, False)])
def test_a_picture_that_found_no_memory_beside_others_is_read_again_alone(
    monkeypatch, failures, read
):
    left = [failures]

    def prepare(image_bytes):
        if left[0]:
            left[0] -= 1
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return tf.zeros((8, 8, 3), tf.uint8), 1

    monkeypatch.setattr(reader, "preparing", lambda preprocess: prepare)
    monkeypatch.setattr(reader, "preparing_plain", lambda preprocess: prepare)
    (chunk,) = reader.read_pictures([(0, lambda: JPEG)], preprocessing(8))
    assert chunk.refused == ({} if read else {0: reader.TOO_LARGE})
    assert len(chunk.rows) == read


def test_of_a_film_only_the_first_bytes_are_read(tmp_path):
    film, photo = tmp_path / "film.jpg", tmp_path / "photo.txt"
    film.write_bytes(b"\0\0\0\x20ftypisom" + bytes(100_000))
    photo.write_bytes(READ[next(iter(READ))][0])
    assert len(reader.read_bytes(str(film))) == 32
    assert reader.read_bytes(str(photo)) == photo.read_bytes()
    (chunk,) = reader.read_files([str(film), str(photo)], lambda image: image)
    assert list(chunk.refused) == [0] and "MP4 or QuickTime" in chunk.refused[0]
    assert list(chunk.rows) == [1]
