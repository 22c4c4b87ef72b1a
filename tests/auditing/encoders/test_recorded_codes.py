"""Files of recorded codes: what is read from them, and what is refused with which words."""

import zipfile

import numpy as np
import pytest
import tensorflow as tf
from absl import logging

from arl_tf.auditing.encoders.recorded_codes import codes_image_size, read_codes
from arl_tf.data import preprocessing

SIZE, COUNT = 32, 64


def good_arrays():
    rng = np.random.default_rng(0)
    return {
        "codes": rng.normal(size=(COUNT, 4, 4, 2)).astype(np.float32),
        "images": rng.integers(0, 256, (COUNT, SIZE, SIZE, 3), np.uint8),
        "labels": rng.integers(0, 2, (COUNT, 3), np.uint8),
        "identities": np.arange(COUNT) // 2,
        "names": np.array(["Smiling", "Hat", "Beard"]),
        "logits": rng.normal(size=(COUNT, 3)).astype(np.float32),
    }


def saved(tmp_path, without=(), **changes):
    arrays = {name: a for name, a in (good_arrays() | changes).items() if name not in without}
    np.savez(tmp_path / "codes.npz", **arrays)
    return tmp_path / "codes.npz"


def test_reads_back_what_was_recorded(tmp_path):
    arrays = good_arrays()
    recorded = read_codes(saved(tmp_path), image_size=SIZE)
    for found, name in (
        (recorded.codes, "codes"),
        (recorded.images.images, "images"),
        (recorded.images.attributes, "labels"),
        (recorded.images.identities, "identities"),
        (recorded.logits, "logits"),
    ):
        np.testing.assert_array_equal(found, arrays[name])
    assert recorded.images.attribute_names == ("Smiling", "Hat", "Beard")
    assert recorded.images.names[:2] == ("image_000000", "image_000001")
    assert recorded.images.identities_known and recorded.labels_known
    assert recorded.code_shape == (4, 4, 2)


def test_codes_and_images_are_enough(tmp_path):
    path = saved(tmp_path, without=("labels", "identities", "names", "logits"))
    recorded = read_codes(path, image_size=SIZE)
    assert recorded.logits is None and not recorded.labels_known
    assert recorded.images.attributes.shape == (COUNT, 0)
    assert recorded.images.attributes.dtype == np.uint8
    assert recorded.images.attribute_names == ()
    assert not recorded.images.identities_known
    assert recorded.images.identities.tolist() == list(range(COUNT))


def test_logits_without_labels_leave_attributes_unknown(tmp_path):
    recorded = read_codes(saved(tmp_path, without=("labels",)), image_size=SIZE)
    assert recorded.logits.shape == (COUNT, 3)
    assert not recorded.labels_known and recorded.images.attribute_names == ()


def test_attributes_without_names_are_numbered(tmp_path):
    recorded = read_codes(saved(tmp_path, without=("names",)), image_size=SIZE)
    assert recorded.images.attribute_names == ("attribute_0", "attribute_1", "attribute_2")


@pytest.mark.parametrize("dtype", [np.float16, np.float64, ">f4"])
def test_codes_of_other_floats_are_cast(tmp_path, dtype):
    codes = good_arrays()["codes"].astype(dtype)
    recorded = read_codes(saved(tmp_path, codes=codes), image_size=SIZE)
    assert recorded.codes.dtype == np.float32
    np.testing.assert_array_equal(recorded.codes, codes.astype(np.float32))


def test_bool_labels_are_read_as_0_and_1(tmp_path):
    labels = good_arrays()["labels"]
    recorded = read_codes(saved(tmp_path, labels=labels.astype(bool)), image_size=SIZE)
    assert recorded.images.attributes.dtype == np.uint8
    np.testing.assert_array_equal(recorded.images.attributes, labels)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a * np.int8(2) - np.int8(1),
        lambda a: a * 2.0 - 1,
        lambda a: a.astype(np.float32),
        lambda a: a.astype(np.int64),
    ],
)
def test_labels_of_one_meaning_are_read_as_0_and_1(tmp_path, change):
    labels = good_arrays()["labels"]
    recorded = read_codes(saved(tmp_path, labels=change(labels)), image_size=SIZE)
    assert recorded.images.attributes.dtype == np.uint8
    np.testing.assert_array_equal(recorded.images.attributes, labels)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.moveaxis(a, 3, 1),
        lambda a: a / np.float32(255),
        lambda a: a / 255.0,
        lambda a: a.astype(np.float32),
        lambda a: np.moveaxis(a, 3, 1).astype(np.int64),
    ],
)
def test_images_of_one_meaning_are_read_as_what_they_are(tmp_path, change):
    images = good_arrays()["images"]
    path = saved(tmp_path, images=change(images))
    np.testing.assert_array_equal(read_codes(path, image_size=SIZE).images.images, images)
    assert codes_image_size(path) == SIZE


@pytest.mark.parametrize("select", [np.s_[..., 0], np.s_[..., :1], np.s_[:, None, :, :, 0]])
def test_single_channels_are_repeated(tmp_path, select):
    images = good_arrays()["images"]
    path = saved(tmp_path, images=images[select])
    expected = np.repeat(images[..., :1], 3, axis=3)
    np.testing.assert_array_equal(read_codes(path, image_size=SIZE).images.images, expected)
    assert codes_image_size(path) == SIZE


@pytest.mark.parametrize(
    "change",
    [
        lambda a: np.char.add("person ", np.char.zfill(a.astype(str), 3)),
        lambda a: np.char.zfill(a.astype("S"), 3),
        lambda a: a[:, None],
        lambda a: a.astype(np.float64),
    ],
)
def test_identities_of_one_meaning_are_numbered(tmp_path, change):
    identities = good_arrays()["identities"]
    recorded = read_codes(saved(tmp_path, identities=change(identities)), image_size=SIZE)
    assert recorded.images.identities.dtype == np.int64
    np.testing.assert_array_equal(recorded.images.identities, identities)


def test_names_in_bytes_are_text(tmp_path):
    recorded = read_codes(saved(tmp_path, names=np.array([b"a", b"b", b"c"])), image_size=SIZE)
    assert recorded.images.attribute_names == ("a", "b", "c")


@pytest.mark.parametrize("arrays", [({"codes": 1},), (np.zeros((2, 3)), np.zeros((2, 3)))])
@pytest.mark.parametrize("read", [codes_image_size, lambda path: read_codes(path, image_size=SIZE)])
def test_arrays_without_names_are_told_how_to_be_saved(tmp_path, arrays, read):
    np.savez(tmp_path / "codes.npz", *arrays)
    with pytest.raises(ValueError, match=r"holds arr_0.*numpy.savez\(FILE, codes=codes"):
        read(tmp_path / "codes.npz")


def test_images_of_another_size_go_through_the_one_preprocessing(tmp_path):
    images = np.random.default_rng(1).integers(0, 256, (COUNT, 50, 40, 3), np.uint8)
    recorded = read_codes(saved(tmp_path, images=images), image_size=SIZE)
    expected = [preprocessing.preprocess(tf.constant(image), SIZE).numpy() for image in images]
    np.testing.assert_array_equal(recorded.images.images, expected)


@pytest.mark.parametrize(
    "shape", [(5, 5, 2), (4, 8, 2), (2, 4, 4), (4, 4), (2, 2, 2, 2), (3, 3, 4)]
)
def test_codes_that_no_decoder_takes_are_flattened_and_their_shape_is_kept(tmp_path, shape):
    codes = np.random.default_rng(0).normal(size=(COUNT, *shape)).astype(np.float32)
    recorded = read_codes(saved(tmp_path, codes=codes), image_size=SIZE)
    np.testing.assert_array_equal(recorded.codes, codes.reshape(COUNT, -1))
    assert recorded.code_shape == shape


@pytest.mark.parametrize("shape", [(7,), (1, 1, 9), (8, 8, 1), (32, 32, 2)])
def test_codes_that_decoders_take_keep_their_shape(tmp_path, shape):
    codes = np.zeros((COUNT, *shape), np.float32)
    assert read_codes(saved(tmp_path, codes=codes), image_size=SIZE).codes.shape[1:] == shape


def changed(name, change):
    """The good array of this name with something done to it."""
    array = good_arrays()[name].copy()
    return {name: change(array)}


def with_not_finite(codes):
    codes[3, 0, 0, :] = np.nan
    codes[9, 1, 1, 0] = -np.inf
    return codes


def beyond_float32(codes):
    codes = codes.astype(np.float64)
    codes[0, 0, 0, 0] = 1e300
    return codes


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("codes", with_not_finite, "codes has 3 values of 2048 .* in 2 of 64 rows"),
        ("codes", beyond_float32, "codes has 1 values of 2048 that are NaN or beyond float32"),
        ("codes", lambda a: a.astype(np.int8), r"codes is int8 \[64, 4, 4, 2\].*cast"),
        ("codes", lambda a: a.astype(np.complex64), "codes is complex64.*codes.imag"),
        ("codes", lambda a: a[:, 0, 0, 0], r"codes is float32 \[64\]; .*codes\[:, None\]"),
        ("codes", lambda a: a.astype(tf.bfloat16.as_numpy_dtype), "bfloat16.*astype.numpy.float32"),
        ("codes", lambda a: a.astype("f4,f4"), "structured_to_unstructured"),
        ("codes", lambda a: np.repeat(a, 2, axis=0), r"numpy.repeat\(images, 2, axis=0\)"),
        ("codes", lambda a: a[:, :0], r"codes is float32 \[64, 0, 4, 2\]"),
        ("codes", lambda a: a[:-1], "differ in length: codes 63, images 64"),
        ("codes", lambda a: a.astype(object), r"codes can't be read.*numpy.stack\(list\(codes\)\)"),
        ("images", lambda a: a / np.float32(2550), "images is float32.*scale to 0..255"),
        ("images", lambda a: a / 127.5 - 1, r"\(images \+ 1\) \* 127.5"),
        ("images", lambda a: a / 25.0 - 3, "undo their normalisation.*images \\* std"),
        ("images", lambda a: a / 2.0, r"numpy.round\(images\).astype"),
        ("images", lambda a: a.astype(np.uint16) * 257, r"images // 257"),
        ("images", lambda a: a * np.nan, "leave out images with NaN"),
        ("images", lambda a: a > 127, "images is bool"),
        ("images", lambda a: a.view("V1"), r"images.astype\(numpy.float32\)"),
        ("images", lambda a: np.array([b"\xff\xd8"] * COUNT), "decode the files"),
        ("images", lambda a: a[:, :, :4, 0], "repeat a single channel"),
        ("images", lambda a: a.reshape(COUNT, -1), r"images.reshape\(-1, H, W, 3\)"),
        ("images", lambda a: a[:, None], r"images\[:, 0\]"),
        ("images", lambda a: np.concatenate([a, a[..., :1]], 3), r"images\[..., :3\]"),
        ("images", lambda a: a[:, :0], r"images is uint8 \[64, 0, 32, 3\]"),
        ("labels", lambda a: np.arange(COUNT * 3).reshape(-1, 3) % 3 - 1, r"labels > 0"),
        ("labels", lambda a: a * 2, r"values 0, 2; expected 0 and 1; \(labels == 2\)"),
        ("labels", lambda a: a * 0.7, r"values 0, 0.7; .*labels > 0.5"),
        ("labels", lambda a: np.where(a, 1.0, np.nan), "unknown labels"),
        (
            "labels",
            lambda a: a[:, 0],
            r"labels is uint8 \[64\]; .*: labels\[:, None\] for a",
        ),
        ("labels", lambda a: np.arange(COUNT) % 5, r"labels\[:, None\] == numpy.unique\(labels\)"),
        ("labels", lambda a: np.array(["yes"] * COUNT), 'labels == "yes"'),
        ("labels", lambda a: a[:, :, None], "squeeze"),
        ("labels", lambda a: a.T, "labels 3, .*labels.T swaps"),
        ("labels", lambda a: np.array(1), r"labels is int64 \[\]"),
        ("labels", lambda a: a[:, :0], "leave them out if unknown"),
        ("labels", lambda a: a[:, :2], "labels has 2 attributes and logits 3"),
        ("identities", lambda a: a[:50], "identities 50"),
        ("identities", lambda a: a[:, None] * [1, 1], r"identities is int64 \[64, 2\]"),
        ("identities", lambda a: a + 0.5, "not whole.*return_inverse=True"),
        ("identities", lambda a: a.astype(object), "identities can't be read.*dtype=str"),
        ("names", lambda a: a[:2], r"names is <U7 \[2\]; expected 3 strings"),
        ("names", lambda a: a.astype(object), r"numpy.array\(names, dtype=str\)"),
        ("names", lambda a: np.array(["a", "b", "a"]), "empty or repeated"),
        ("names", lambda a: np.arange(3), "names is int64"),
        ("logits", lambda a: a[:, 0], r"logits is float32 \[64\].*logits\[:, None\]"),
        ("logits", lambda a: 1 / (1 + np.exp(-a)), r"as probabilities p are.*numpy.log1p\(-p\)"),
        ("logits", lambda a: a * np.nan, "logits has 192 values"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(tmp_path, name, change, words):
    path = saved(tmp_path, **changed(name, change))
    with pytest.raises(ValueError, match=rf"(?s)codes\.npz.*{words}"):
        read_codes(path, image_size=SIZE)


def test_too_few_rows_are_refused(tmp_path):
    arrays = {n: a if n == "names" else a[:59] for n, a in good_arrays().items()}
    with pytest.raises(ValueError, match="codes has 59 rows; expected at least 60"):
        read_codes(saved(tmp_path, **arrays), image_size=SIZE)


@pytest.mark.parametrize("name", ["codes", "images"])
def test_missing_arrays_are_named(tmp_path, name):
    with pytest.raises(ValueError, match=f"but no {name}"):
        read_codes(saved(tmp_path, without=(name,)), image_size=SIZE)


def test_a_mistyped_name_is_warned_of(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(logging, "warning", lambda text, *values: said.append(text % values))
    read_codes(saved(tmp_path, label=np.zeros(3)), image_size=SIZE)
    assert len(said) == 1 and "arrays label are not read" in said[0]


@pytest.mark.parametrize("read", [codes_image_size, lambda path: read_codes(path, image_size=SIZE)])
def test_files_that_are_no_archives_are_refused(tmp_path, read):
    path = tmp_path / "codes.npz"
    with pytest.raises(ValueError, match="no such file"):
        read(path)
    path.write_bytes(b"not an archive")
    with pytest.raises(ValueError, match=r"is not an \.npz file"):
        read(path)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(ValueError, match=r"is not an \.npz file"):
        read(path)


def test_damage_inside_the_archive_is_noticed(tmp_path):
    path = saved(tmp_path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        offset = archive.getinfo("codes.npy").header_offset
    content[offset + 2000] ^= 0xFF
    path.write_bytes(content)
    with pytest.raises(ValueError, match="codes can't be read"):
        read_codes(path, image_size=SIZE)


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((32, 32, 3), 32),
        ((512, 512, 3), 512),
        ((544, 544, 3), None),
        ((48, 48, 3), None),
        ((64, 32, 3), None),
        ((64, 64), 64),
        ((64,), None),
        ((0, 0, 3), None),
    ],
)
def test_image_size_is_that_of_square_images_that_need_no_preparation(tmp_path, shape, size):
    np.savez(tmp_path / "codes.npz", images=np.zeros((2, *shape), np.uint8))
    assert codes_image_size(tmp_path / "codes.npz") == size


def test_image_size_is_read_from_the_header_alone(tmp_path):
    np.savez(tmp_path / "whole.npz", images=np.zeros((2, 64, 64, 3), np.uint8))
    with zipfile.ZipFile(tmp_path / "whole.npz") as archive:
        header = archive.read("images.npy")[:128]
    with zipfile.ZipFile(tmp_path / "header.npz", "w") as archive:
        archive.writestr("images.npy", header)
    assert codes_image_size(tmp_path / "header.npz") == 64


def test_image_size_of_a_file_without_images_is_an_error(tmp_path):
    np.savez(tmp_path / "codes.npz", codes=np.zeros((2, 3)))
    with pytest.raises(ValueError, match=r"holds codes, but no images. Save it with"):
        codes_image_size(tmp_path / "codes.npz")
