"""Class folders are read whole, or refused by name; nothing in them is lost without a word."""

import os
import pathlib
import unicodedata

import numpy as np
import pytest

from arl_tf.data import folder_contents, index_files
from arl_tf.data.labelled import class_folders, folder, labels, table


def lay(folder: pathlib.Path, *names: str) -> pathlib.Path:
    """Empty files: nobody reads pictures here."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["train/cat/1.png", "val/cat/2.png"], r"train, val in .* are parts of a data set"),
        (["Test/1.png", "Training/2.png"], r"--data_dir=.*Test, or put the images of each class"),
        (["a/p/x/1.png", "a/p/2.png", "b/p/3.png"], r"a/p holds folders \(x, \.\.\.\)"),
        (["1.png", "a/1.png", "b/1.png"], r"holds images \(1\.png, \.\.\.\) beside folders"),
        (["images/1.png", "labels.csv"], r"one class folder, images: .*holds images, labels\.csv"),
        (["a\nb/1.png", "a\nb/2.png", "c/3.png", "c/4.png"], r"The name 'a\\nb' .* line break"),
    ],
    ids=["parts", "flat_parts", "too_deep", "images_beside", "one_class", "line_break"],
)
def test_folders_that_are_no_classes_are_refused(tmp_path, names, message):
    with pytest.raises(ValueError, match=message):
        class_folders.read(lay(tmp_path, *names))


def test_one_class_may_be_called_test(tmp_path):
    found = class_folders.read(lay(tmp_path, "test/1.png", "test/2.png", "car/3.png", "car/4.png"))
    assert found.labels.names == ("car", "test")


def test_a_name_that_is_not_utf_8_is_named(tmp_path):
    lay(tmp_path, "a/1.png", "b/2.png", "b/3.png")
    try:
        os.rename(tmp_path / "a/1.png", os.fsencode(tmp_path / "a") + b"/\xff.png")
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    with pytest.raises(ValueError, match=r"name of 'a/\\udcff\.png' is not UTF-8; rename it"):
        class_folders.read(tmp_path)


def test_groups_that_look_the_same_are_one_group(tmp_path):
    composed = "caf\u00e9"
    split = unicodedata.normalize("NFD", composed)
    names = [f"a/{composed}/1.png", f"a/{split}/2.png", f"b/{split}/1.png", "b/x/2.png"]
    if len(list(map(str, lay(tmp_path, *names).glob("a/*")))) < 2:
        pytest.skip("this file system composes names")
    groups = class_folders.read(tmp_path).groups
    assert len(set(groups[:3])) == 1 and len(set(groups)) == 2
    assert groups.dtype == np.int64


def test_a_link_that_leads_nowhere_is_called_so(tmp_path):
    (tmp_path / "1.png").symlink_to(tmp_path / "gone.png")
    assert "links that lead nowhere: 1.png" in folder_contents.instead(["1.png"], tmp_path)


def test_an_index_file_that_is_not_there_is_looked_for_nearby(tmp_path):
    wanted = lay(tmp_path, "Anno/list.txt", "other.txt") / "list.txt"
    assert folder_contents.nearest(wanted) == f"There is {tmp_path / 'Anno' / 'list.txt'}."
    lay(tmp_path, "LIST.TXT")
    assert folder_contents.nearest(wanted) == f"There is {tmp_path / 'LIST.TXT'}."
    assert folder_contents.nearest(tmp_path / "b.txt").endswith("holds Anno, LIST.TXT, other.txt.")
    with pytest.raises(ValueError, match=r"No file .*list\.txt.*There is .*LIST\.TXT"):
        index_files.read_lines(wanted)


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_a_file_in_two_classes_is_refused(tmp_path, link):
    lay(tmp_path, "a/1.png", "a/2.png", "b/3.png", "b/4.png")
    link(tmp_path / "a/1.png", tmp_path / "a/twin.png")
    listing = class_folders.read(tmp_path)
    folder.check_one_label(listing, [tmp_path / name for name in listing.files])
    link(tmp_path / "a/1.png", tmp_path / "b/other.png")
    listing = class_folders.read(tmp_path)
    with pytest.raises(ValueError, match=r"a/1\.png and b/other\.png are one file \(a link\)"):
        folder.check_one_label(listing, [tmp_path / name for name in listing.files])


@pytest.mark.parametrize(
    ("column", "group_column", "is_told"),
    [
        ("patient_id", "", True),
        ("Subject", "", True),
        ("video_name", "", True),
        ("patient_id", "patient_id", False),
        ("roomy", "", False),
        ("group", "", False),
    ],
)
def test_a_column_that_looks_like_a_group_is_told(tmp_path, caplog, column, group_column, is_told):
    rows = [f"{at}.png,{'ab'[at % 2]},{at % 3 % 2}" for at in range(8)]
    (tmp_path / "metadata.csv").write_text("\n".join([f"file_name,kind,{column}", *rows]))
    found = table.read(tmp_path, ["kind"], group_column, "auto")
    assert (f"--group_column={column} keeps them together" in caplog.text) == is_told
    assert (found.groups is None) == (is_told or column == "roomy")


def test_a_column_that_is_not_read_is_told_with_the_cell_that_keeps_it_out(tmp_path, caplog):
    rows = [f"{at}.png,{'ab'[at % 2]},{at % 2},{['no', 'yes', 'NA'][at % 3]}" for at in range(6)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,kind,smiles,hat", *rows]))
    with caplog.at_level("INFO", logger="absl"):
        found = table.read(tmp_path, ["kind"], "", "auto")
    assert found.other_names == ("smiles",)
    assert "the columns hat ('NA') are not read" in caplog.text


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (["31,0,2", "4,1,0", "77,1,4"], "age, gender, race hold whole numbers"),
        (["1.0,0.0,-1.0", "0.0,1.0,1.0", "1.0,1.0,0.0"], "age, gender, race hold"),
    ],
)
def test_several_columns_of_whole_numbers_may_be_classes_or_amounts(tmp_path, rows, words):
    lines = [f"{at}.png,{row}" for at, row in enumerate(rows)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,age,gender,race", *lines]))
    with pytest.raises(ValueError, match="classes or amounts") as refused:
        table.read(tmp_path, [], "", "auto")
    assert words in str(refused.value)
    assert table.read(tmp_path, [], "", "regression").labels.values.shape == (3, 3)


@pytest.mark.parametrize("group", ["<NA>", "#N/A", "unknown", "-1", "missing"])
def test_images_without_a_known_group_are_not_one_group(tmp_path, group):
    rows = [f"{at}.png,{'ab'[at % 2]},{group if at > 2 else at}" for at in range(6)]
    (tmp_path / "metadata.csv").write_text("\n".join(["file_name,kind,group", *rows]))
    with pytest.raises(ValueError, match=r"line 5.*one group"):
        table.read(tmp_path, ["kind"], "", "auto")


@pytest.mark.parametrize(
    "names", [("train_set", "test-set"), ("Images", "masks"), ("val1", "val2")]
)
def test_parts_of_a_data_set_are_no_classes(tmp_path, names):
    lay(tmp_path, *(f"{name}/{at}.png" for name in names for at in range(2)))
    with pytest.raises(ValueError, match="parts of a data set and no classes"):
        class_folders.read(tmp_path)


def test_groups_that_are_one_number_written_in_two_ways_are_told(caplog):
    assert len(set(labels.numbered(["1", "1.0", "001", "2", "a1", "1,5"], "The groups"))) == 6
    assert "'001' and '1' are one number" in caplog.text
    assert "'001' and '1.0' are one number" in caplog.text
    assert caplog.text.count("are one number") == 2
