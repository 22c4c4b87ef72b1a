"""The index files of a folder in CelebA's layout: read exactly, and refused by file and line."""

import pathlib

import numpy as np
import pytest

from arl_tf.data import celeba_folder

GOOD_ATTRIBUTES = "3\nMale Smiling \nb.jpg -1  1\na.png  1 -1\nc.jpg 1 1\n"
GOOD_IDENTITIES = "a.png 7\nb.jpg 7\nc.jpg 12\nnot_listed.jpg 1\n"


def folder_with(
    root: pathlib.Path, attributes: str = GOOD_ATTRIBUTES, identities: str | None = GOOD_IDENTITIES
) -> pathlib.Path:
    (root / "img_align_celeba").mkdir()
    (root / "img_align_celeba" / "a.png").touch()
    (root / "list_attr_celeba.txt").write_text(attributes)
    if identities is not None:
        (root / "identity_CelebA.txt").write_text(identities)
    return root


def refusal(folder: pathlib.Path) -> str:
    with pytest.raises(ValueError) as caught:
        celeba_folder.read_folder_index(folder)
    return str(caught.value)


def test_files_labels_and_identities_come_in_the_order_of_the_attribute_file(tmp_path):
    index = celeba_folder.read_folder_index(folder_with(tmp_path))
    assert index.files == ("b.jpg", "a.png", "c.jpg")
    assert index.attribute_names == ("Male", "Smiling")
    np.testing.assert_array_equal(index.attributes, [[0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(index.identities, [7, 7, 12])
    assert (index.attributes.dtype, index.identities.dtype) == (np.uint8, np.int64)


def test_without_an_identity_file_identities_are_unknown(tmp_path):
    assert (
        celeba_folder.read_folder_index(folder_with(tmp_path, identities=None)).identities is None
    )


@pytest.mark.parametrize("place", ["identity_celeba.txt", "Anno/identity_CelebA.txt"])
def test_an_identity_file_that_nobody_would_read_is_refused(tmp_path, place):
    folder = folder_with(tmp_path, identities=None)
    (folder / place).parent.mkdir(exist_ok=True)
    (folder / place).write_text(GOOD_IDENTITIES)
    if (folder / "identity_CelebA.txt").exists():
        pytest.skip("this file system takes names of any case for one")
    said = refusal(folder)
    assert said.startswith(f"{folder / place} would not be read")
    assert f"move it to {folder / 'identity_CelebA.txt'}" in said


def test_windows_line_ends_a_byte_order_mark_and_blank_lines_change_nothing(tmp_path):
    text = "\ufeff" + GOOD_ATTRIBUTES.replace("\n", "\r\n") + "\r\n\r\n"
    folder = folder_with(tmp_path)
    (folder / "list_attr_celeba.txt").write_bytes(text.encode())
    index = celeba_folder.read_folder_index(folder)
    assert index.files == ("b.jpg", "a.png", "c.jpg")
    np.testing.assert_array_equal(index.attributes, [[0, 1], [1, 0], [1, 1]])


@pytest.mark.parametrize(
    ("attributes", "line", "named"),
    [
        ("Male\nMale Smiling\na.png 1 1\n", 1, "expected the number of images, got 'Male'"),
        ("²\nMale Smiling\na.png 1 1\n", 1, "expected the number of images, got '²'"),
        ("-1\nMale\na.png 1\n", 1, "expected the number of images, got '-1'"),
        ("1\nMale Male\na.png 1 1\n", 2, "distinct attribute names, got 'Male Male'"),
        ("2\nMale\na.png 1\n", 1, "announces 2 images, but 1 rows follow: rows are missing"),
        ("1\nMale\na.png 1\nb.png 1\n", 1, "announces 1 images, but 2 rows follow: rows are too"),
        ("2\nMale Smiling\na.png 1 1\nb.png 1\n", 4, "(b.png): expected 2 labels, got 1"),
        ("1\nMale\na.png 1 1\n", 3, "(a.png): expected 1 labels, got 2"),
        (
            "1\nMale\na.png 2\n",
            3,
            "(a.png): labels must be -1 or 1 (or all of them 0 or 1), got '2'",
        ),
        (
            "1\nMale\na.png yes\n",
            3,
            "(a.png): labels must be -1 or 1 (or all of them 0 or 1), got 'yes'",
        ),
        (
            "1\nMale\na.png 1.0\n",
            3,
            "(a.png): labels must be -1 or 1 (or all of them 0 or 1), got '1.0'",
        ),
        ("1\n\nMale\n\na.png 2\n", 5, "(a.png): labels must be -1 or 1 (or all of them 0 or 1)"),
        ("3\nMale\na.png 1\nb.png 1\na.png 1\n", 5, "a.png stands on line 3 already"),
    ],
)
def test_a_malformed_attribute_file_is_refused_by_file_and_line(tmp_path, attributes, line, named):
    message = refusal(folder_with(tmp_path, attributes=attributes))
    assert f"{tmp_path / 'list_attr_celeba.txt'}, line {line}" in message and named in message


@pytest.mark.parametrize("attributes", ["", "0\n", "0\nMale\n", "\n\n\n\n"])
def test_an_attribute_file_without_rows_is_refused(tmp_path, attributes):
    message = refusal(folder_with(tmp_path, attributes=attributes))
    assert f"{tmp_path / 'list_attr_celeba.txt'} has " in message and "expected a count" in message


@pytest.mark.parametrize(
    ("identities", "line", "named"),
    [
        ("a.png 7\nb.jpg\nc.jpg 1\n", 2, "expected 'name number', got 'b.jpg'"),
        ("a.png 7\nb.jpg 1 2\nc.jpg 1\n", 2, "expected 'name number', got 'b.jpg 1 2'"),
        ("a.png anna\nb.jpg 1\nc.jpg 1\n", 1, "expected 'name number', got 'a.png anna'"),
        ("a.png 7\nb.jpg 1\nc.jpg --1\n", 3, "expected 'name number', got 'c.jpg --1'"),
        ("a.png 9999999999999999999\n", 1, "expected 'name number'"),
        ("a.png 7\nb.jpg 1\nc.jpg 1\nb.jpg 2\n", 4, "b.jpg stands on line 2 already"),
    ],
)
def test_a_malformed_identity_file_is_refused_by_file_and_line(tmp_path, identities, line, named):
    message = refusal(folder_with(tmp_path, identities=identities))
    assert f"{tmp_path / 'identity_CelebA.txt'}, line {line}" in message and named in message


def test_an_identity_file_that_lacks_an_image_is_refused_by_file_and_image(tmp_path):
    message = refusal(folder_with(tmp_path, identities="a.png 7\n"))
    assert str(tmp_path / "identity_CelebA.txt") in message
    assert "no row for 2 images, the first is b.jpg" in message


@pytest.mark.parametrize("name", ["list_attr_celeba.txt", "identity_CelebA.txt"])
def test_a_file_that_is_no_text_is_refused_by_name(tmp_path, name):
    folder = folder_with(tmp_path)
    (folder / name).write_bytes(b"\x89PNG\r\n\xff\xfe\x00")
    assert f"{folder / name} is not a text file" in refusal(folder)


def test_a_folder_in_a_file_s_place_is_refused_by_name(tmp_path):
    folder = folder_with(tmp_path)
    (folder / "list_attr_celeba.txt").unlink()
    (folder / "list_attr_celeba.txt").mkdir()
    assert f"{folder / 'list_attr_celeba.txt'} is a folder" in refusal(folder)


def test_a_missing_folder_is_named(tmp_path):
    message = refusal(tmp_path / "nowhere")
    assert str(tmp_path / "nowhere" / "img_align_celeba") in message and "--data_dir" in message


def test_a_missing_attribute_file_is_named(tmp_path):
    folder = folder_with(tmp_path)
    (folder / "list_attr_celeba.txt").unlink()
    message = refusal(folder)
    assert str(folder / "list_attr_celeba.txt") in message and "--data_dir" in message


def test_a_folder_without_images_is_named(tmp_path):
    folder = folder_with(tmp_path)
    (folder / "img_align_celeba" / "a.png").unlink()
    assert f"{folder / 'img_align_celeba'} is empty" in refusal(folder)


def folder_of(root, attributes, identities, image_names, nested=False):
    """A folder with these index files (name, text) and empty image files."""
    images = root / "img_align_celeba" / ("img_align_celeba" if nested else "")
    images.mkdir(parents=True)
    for name in image_names:
        (images / name).touch()
    for name, text in filter(None, (attributes, identities)):
        (root / name).write_bytes(text.encode())
    return root


def test_kaggles_layout_is_read_as_celebas_own(tmp_path):
    table = "image_id,Male,Smiling\r\nb.jpg,-1,1\r\na.png,1,-1\r\nc.jpg,1,1\r\n"
    people = "image_id,identity\nb.jpg,7\na.png,7\nc.jpg,12\n"
    folder = folder_of(
        tmp_path,
        ("list_attr_celeba.csv", table),
        ("identity_CelebA.csv", people),
        ["a.png", "b.jpg", "c.jpg"],
        nested=True,
    )
    index = celeba_folder.read_folder_index(folder)
    assert index.files == ("b.jpg", "a.png", "c.jpg")
    assert index.attribute_names == ("Male", "Smiling")
    np.testing.assert_array_equal(index.attributes, [[0, 1], [1, 0], [1, 1]])
    np.testing.assert_array_equal(index.identities, [7, 7, 12])
    assert index.image_folder == tmp_path / "img_align_celeba" / "img_align_celeba"
    assert index.attribute_file.name == "list_attr_celeba.csv"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list_attr_celeba.txt", "image_id,Male\nmy b.jpg,1\na.png,-1\n"),
        ("list_attr_celeba.csv", "2\nMale\nmy b.jpg 1\na.png -1\n"),
        ("list_attr_celeba.csv", 'image_id;Male\n"my b.jpg"; 1\na.png;0\n'),
        ("list_attr_celeba.txt", "2\nMale\nmy b.jpg\t1\na.png\t0\n"),
        ("list_attr_celeba.txt", "\ufeff2\r\nMale\r\nmy b.jpg    1\r\na.png   -1\r\n"),
        ("list_attr_celeba.csv", "image_id\tMale\nmy b.jpg\t1\na.png\t-1\n"),
        ("list_attr_celeba.csv", ",image_id,Male\n0,my b.jpg,1\n1,a.png,-1\n"),
        ("list_attr_celeba.csv", "image_id,Male,\nmy b.jpg,1,\na.png,-1,\n"),
        ("list_attr_celeba.csv", "image_id,Male\nmy b.jpg,1.0\na.png,-1.0\n"),
        ("list_attr_celeba.csv", "image_id,Male\nmy b.jpg,True\na.png,False\n"),
        ("list_attr_celeba.csv", "image_id,Male\nmy b.jpg,+1\na.png,-1\n"),
    ],
)
def test_what_an_index_holds_decides_and_not_its_ending(tmp_path, name, text):
    folder = folder_of(tmp_path, (name, text), None, ["a.png"])
    index = celeba_folder.read_folder_index(folder)
    assert index.files == ("my b.jpg", "a.png") and index.attribute_names == ("Male",)
    np.testing.assert_array_equal(index.attributes, [[1], [0]])


def test_names_with_blanks_have_labels_and_identities(tmp_path):
    folder = folder_of(
        tmp_path,
        ("list_attr_celeba.txt", "2\nMale Smiling\nIMG 1 (2).jpg  -1  1\nIMG 2.jpg 1 1\n"),
        ("identity_CelebA.txt", "IMG 1 (2).jpg 5\nIMG 2.jpg 6\n"),
        ["IMG 2.jpg"],
    )
    index = celeba_folder.read_folder_index(folder)
    assert index.files == ("IMG 1 (2).jpg", "IMG 2.jpg")
    np.testing.assert_array_equal(index.attributes, [[0, 1], [1, 1]])
    np.testing.assert_array_equal(index.identities, [5, 6])


@pytest.mark.parametrize(
    "identities", ["a,x.jpg 1\nb.png 2\n", "b.png 2\na,x.jpg 1\n", 'b.png, 2\n"a,x.jpg", 1\n']
)
def test_a_comma_in_a_name_is_part_of_it(tmp_path, identities):
    folder = folder_of(
        tmp_path,
        ("list_attr_celeba.csv", 'image_id,Male\n"a,x.jpg",1\nb.png,-1\n'),
        ("identity_CelebA.txt", identities),
        ["b.png"],
    )
    index = celeba_folder.read_folder_index(folder)
    assert index.files == ("a,x.jpg", "b.png")
    np.testing.assert_array_equal(index.identities, [1, 2])


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (",image_id,Male\n5,a.png,1\n9,b.png,-1\n", "line 2 (5): labels must be"),
        ("image_id,Male,\na.png,1,-1\n", "expected distinct attribute names"),
    ],
)
def test_columns_that_may_be_data_are_not_left_out(tmp_path, table, message):
    folder = folder_of(tmp_path, ("list_attr_celeba.csv", table), None, ["a.png"])
    assert message in refusal(folder)


def test_minus_one_and_zero_in_one_file_are_refused(tmp_path):
    text = "2\nMale Smiling\na.png -1 1\nb.png 0 1\n"
    message = refusal(folder_of(tmp_path, ("list_attr_celeba.txt", text), None, ["a.png"]))
    assert "line 3 has a label -1 and line 4 a label 0" in message


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("image_id,Male\n", "has a header and no rows"),
        ("image_id,Male,Male\na.png,1,1\n", "line 1: expected distinct attribute names"),
        ("image_id,Male\na.png,1,1\n", "line 2 (a.png): expected 1 labels, got 2"),
        ("image_id,Male\na.png,yes\n", "line 2 (a.png): labels must be"),
        ('image_id,Male\n"a.png,1\n', "line 2:"),
        ("image_id,Male\n,1\n", "line 2: expected a file name first"),
        ("image_id,Male\na.png,1\na.png,1\n", "line 3: a.png stands on line 2 already"),
    ],
)
def test_a_malformed_table_is_refused_by_line(tmp_path, text, named):
    message = refusal(folder_of(tmp_path, ("list_attr_celeba.csv", text), None, ["a.png"]))
    assert f"{tmp_path / 'list_attr_celeba.csv'}" in message and named in message


@pytest.mark.parametrize(
    ("row", "named"),
    [
        ("1.jpg,1\n2.jpg,-1", "expected the names of the columns"),
        ("image_id,A\n../1.jpg,1", "line 2: a file name must be a path below"),
        ("image_id,A\n/etc/1.jpg,1", "line 2: a file name must be a path below"),
    ],
)
def test_a_table_without_its_header_or_of_files_elsewhere_is_refused(tmp_path, row, named):
    path = tmp_path / "list_attr_celeba.csv"
    path.write_text(row)
    with pytest.raises(ValueError, match=named):
        celeba_folder.read_attributes(path)


def test_what_spreadsheets_and_editors_leave_in_a_table_changes_nothing(tmp_path):
    path = tmp_path / "list_attr_celeba.csv"
    path.write_text("\ufeffsep=;\r\nimage_id;A\u200b\r\n\u200b1.jpg;1\r\n;\r\n;\r\n")
    files, names, labels = celeba_folder.read_attributes(path)
    assert (files, names, labels.tolist()) == (("1.jpg",), ("A",), [[1]])


def test_a_folder_one_level_too_high_or_too_low_is_named(tmp_path):
    inside = tmp_path / "archive"
    inside.mkdir()
    folder_of(inside, ("list_attr_celeba.txt", GOOD_ATTRIBUTES), None, ["a.png"])
    assert f"There is {inside / 'img_align_celeba'}." in refusal(tmp_path)
    assert "give the one that holds it" in refusal(inside / "img_align_celeba")


def test_an_archive_that_is_not_unpacked_is_named(tmp_path):
    (tmp_path / "img_align_celeba.zip").touch()
    assert "There is img_align_celeba.zip: unpack it." in refusal(tmp_path)


def test_identities_under_another_ending_are_named(tmp_path):
    folder = folder_with(tmp_path, identities="a.jpg 7\nb.jpg 7\nc.jpg 12\n")
    assert "1 of the 1 are there under another name: a.jpg for a.png" in refusal(folder)
