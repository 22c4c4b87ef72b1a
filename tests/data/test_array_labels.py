"""Labels and images of arrays: what could mean two things is refused, the rest is read as meant."""

import pathlib
import unicodedata

import numpy as np
import pytest

from arl_tf.data import index_files
from arl_tf.data.labelled import array_labels, arrays, labels
from arl_tf.data.task_kinds import MULTI_LABEL, REGRESSION, SINGLE_LABEL

ROWS = np.arange(8)
ONE_HOT = np.eye(4)[ROWS % 4]
CLASSES = [str(row % 4) for row in ROWS]
FILE = pathlib.Path("set.npz")


def read(values, kind="auto", names=None):
    return array_labels.of_array(np.asarray(values), names, kind, "set.npz")


@pytest.mark.parametrize(
    ("values", "kinds"),
    [
        (ONE_HOT, (SINGLE_LABEL, MULTI_LABEL)),
        (ONE_HOT.astype(bool), (SINGLE_LABEL, MULTI_LABEL)),
        ((ROWS % 4)[:, None], (SINGLE_LABEL, REGRESSION)),
        ((ROWS % 4).astype(np.float32), (SINGLE_LABEL, REGRESSION)),
    ],
    ids=["one_hot", "one_hot_bool", "column", "floats"],
)
def test_labels_of_two_kinds_are_refused_until_the_user_says_which(values, kinds):
    with pytest.raises(ValueError, match=f"say --task_kind={kinds[0]} or --task_kind={kinds[1]}"):
        read(values)
    classes = read(values, kinds[0])
    np.testing.assert_array_equal(classes.values, ONE_HOT)
    assert classes.names == tuple("0123")
    other = read(values, kinds[1])
    assert other.kind == kinds[1]
    np.testing.assert_array_equal(other.values, values.reshape(8, -1))


def test_one_column_of_zeros_and_ones_is_an_attribute_and_texts_are_classes():
    assert read((ROWS % 2)[:, None]).kind == MULTI_LABEL
    assert read(np.array(CLASSES)[:, None]).names == tuple("0123")


def test_one_hot_columns_of_a_table_are_classes_or_attributes_as_the_user_says():
    columns = {name: list(ONE_HOT[:, at].astype(str)) for at, name in enumerate("dcba")}
    with pytest.raises(ValueError, match=r"d, c, b, a says yes.*single_label or.*multi_label"):
        labels.kind_of(columns)
    found = labels.of_columns(columns, SINGLE_LABEL, str)
    assert found.names == tuple("abcd")
    np.testing.assert_array_equal(found.values, ONE_HOT[:, ::-1])
    assert labels.of_columns(columns, MULTI_LABEL, str).names == tuple("dcba")


def test_texts_and_their_names_are_compared_as_they_look():
    composed = "caf\u00e9"
    texts = np.array([unicodedata.normalize("NFD", composed), "tea"] * 4)
    assert read(texts, names=(composed, "tea")).names == (composed, "tea")


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        ((ROWS % 2).astype(np.uint64) + np.uint64(2**63), SINGLE_LABEL, r"below 2\*\*53"),
        (ROWS % 2 * 1e300, SINGLE_LABEL, r"labels are 0 to 1e\+300"),
        (np.full(8, 1.5), "auto", r"All images have the same labels \(target_0: 1\.5\)"),
        (np.ones((8, 2), int), "auto", r"same labels \(attribute_0, attribute_1: 1, 1\)"),
        (np.array(["a\nb", "c"] * 4), "auto", r"The name 'a\\nb' .*line break"),
    ],
    ids=["beyond_int64", "beyond_floats", "constant", "constant_attributes", "line_break"],
)
def test_labels_that_are_none_are_refused(values, kind, message):
    with pytest.raises(ValueError, match=message):
        read(values, kind)


IMAGES = np.full((2, 4, 4, 3), 9, np.uint8)


@pytest.mark.parametrize(
    ("images", "remedy"),
    [
        (IMAGES / 255, "(images * 255).round().astype('uint8')"),
        (IMAGES.astype(np.float32), "images.round().astype('uint8')"),
        (IMAGES.transpose(0, 3, 1, 2), "images.transpose(0, 2, 3, 1)."),
        (IMAGES[..., [0, 1, 2, 2]], "images[..., :3]."),
        (IMAGES.astype(np.uint16), "want images.astype('uint8')"),
        (IMAGES.astype(np.int8), "want images.astype('uint8')"),
        (IMAGES.astype(np.uint16) * 300, "(images / 16).astype('uint8')"),
        (IMAGES.astype(np.int16) * 300, "(images / 16).astype('uint8')"),
        (IMAGES.astype(np.uint16) * 7000, "(images / 256).astype('uint8')"),
        (IMAGES.astype(np.float32) * 300, "(images / 16).round().astype('uint8')"),
        (IMAGES.astype(np.int64) - 20, "They hold negative values"),
        (np.full((2, 4, 4, 3), np.inf), "They hold NaN or infinite values"),
        (IMAGES > 3, "(images * 255).astype('uint8')"),
        (IMAGES // 9, "nothing above 1; expected levels of 0 to 255"),
    ],
)
def test_images_of_another_form_are_refused_with_the_way_to_the_right_one(images, remedy):
    arrays.check_images(IMAGES, FILE)
    with pytest.raises(ValueError) as refused:
        arrays.check_images(images, FILE)
    assert remedy in str(refused.value)


def test_groups_that_look_the_same_are_one_group(caplog):
    names = ["caf\u00e9", "cafe\u0301", "Room 1", "room  1"]
    groups = arrays.groups_of(np.array(names), FILE)
    assert groups[0] == groups[1] and len(set(groups)) == 3
    assert "'Room 1' and 'room  1' differ by letter case or blanks alone" in caplog.text


def test_delimiters_inside_quotes_part_nothing():
    assert index_files.delimiter_of('"file_name";"kind, of it, all"') == ";"
    assert index_files.delimiter_of('"a;b;c",d') == ","


@pytest.mark.parametrize("kind", ["auto", MULTI_LABEL])
def test_minus_one_and_one_in_several_columns_are_no_and_yes(kind):
    signs = np.array([[-1, 1], [1, 1], [-1, -1]])
    for given in (signs, signs.astype(np.float32)):
        found = array_labels.of_array(given, ("a", "b"), kind, "x.npz")
        assert found.kind == MULTI_LABEL
        np.testing.assert_array_equal(found.values, [[0, 1], [1, 1], [0, 0]])


def test_minus_one_and_one_stay_what_they_are_for_other_kinds():
    signs = np.array([-1, 1, 1, -1])
    targets = array_labels.of_array(signs, ("a",), REGRESSION, "x.npz")
    np.testing.assert_array_equal(targets.values, signs[:, None])
    for kind in ("auto", SINGLE_LABEL):
        found = array_labels.of_array(signs, None, kind, "x.npz")
        assert found.kind == SINGLE_LABEL and set(found.names) == {"-1", "1"}
    with pytest.raises(ValueError, match="classes or amounts"):
        array_labels.of_array(signs.astype(np.float32), None, "auto", "x.npz")


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["cat", "nan", "dog"], "x.npz, image 1: .* holds 'nan': a class, or no value"),
        (["yes", "no", "N/A"], "x.npz, image 2: .* expected yes or no"),
        (["1", "TRUE", "0"], "yes and no in several forms"),
    ],
)
def test_missing_values_are_no_class_and_no_group(tmp_path, texts, message):
    given = np.array(texts)
    with pytest.raises(ValueError, match=message):
        array_labels.of_array(given, None, "auto", "x.npz")
    assert array_labels.of_array(np.tile(given, 2), None, SINGLE_LABEL, "x").kind == SINGLE_LABEL
    with pytest.raises(ValueError, match=r"image 1: groups holds 'None'.*one group"):
        arrays.groups_of(np.array(["a", "None", "b"]), tmp_path / "x.npz")


def test_normalised_images_get_no_advice_that_would_destroy_them():
    images = np.linspace(-1, 1, 2 * 8 * 8 * 3).reshape(2, 8, 8, 3)
    assert "bring them back to 0..255" in arrays.image_remedy(images)
    assert "* 255" in arrays.image_remedy((images + 1) / 2)


def test_columns_of_whole_numbers_may_be_classes_or_amounts():
    for given in ([[31, 0, 2], [4, 1, 0]], [[0, 1], [-1, 0]], [[5.0, 3.0], [1.0, 4.0]]):
        with pytest.raises(ValueError, match="holds whole numbers, which may be"):
            array_labels.of_array(np.array(given), None, "auto", "x.npz")
        found = array_labels.of_array(np.array(given), None, REGRESSION, "x.npz")
        assert found.kind == REGRESSION


def test_images_of_an_empty_group_are_refused(tmp_path):
    with pytest.raises(ValueError, match="groups of image 1 is empty"):
        arrays.groups_of(np.array(["a", "", "b"]), tmp_path / "x.npz")
