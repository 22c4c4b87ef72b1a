"""Users' own images: class folders, tables and arrays are read as meant, or refused by name."""

import pathlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from arl_tf.config import choices, data_checks
from arl_tf.config.settings import Config
from arl_tf.data import image_sets, preprocessing, splits, task_kinds, tfds_images
from arl_tf.data.labelled import labels

SIZE = 32


def write_image(path: pathlib.Path, level: int, size: tuple[int, int] = (SIZE, SIZE)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, level, np.uint8)).save(path)


def level(row: int) -> int:
    return 10 + 7 * row


def open_images(dataset: str, place: pathlib.Path, cache: pathlib.Path, **values):
    config = Config(dataset=dataset, data_dir=str(place), image_size=SIZE, **values)
    return image_sets.load_images(config, cache / "cache")


def levels(images) -> list[int]:
    return np.asarray(images.images).mean(axis=(1, 2, 3)).round().astype(int).tolist()


@pytest.fixture
def flowers(tmp_path):
    """Three classes of two grey images each; rows 0 to 5 in the order of the sorted names."""
    for row in range(6):
        write_image(tmp_path / "set" / "cab"[row // 2] / f"{row}.png", level(row))
    return tmp_path / "set"


@pytest.fixture
def table(tmp_path):
    """Twelve images with a metadata.csv: a class, an amount, a yes or no, and a group of two."""
    folder = tmp_path / "set"
    lines = ["file_name,kind,age,calm,group"]
    for row in range(12):
        write_image(folder / "photos" / f"{row}.png", level(row))
        lines.append(
            f"photos/{row}.png,{'cat' if row % 3 else 'ant'},{row / 2},{row % 2},room{row // 2}"
        )
    (folder / "metadata.csv").write_text("\n".join(lines))
    return folder


def test_class_folders_are_one_hot_classes_in_the_order_of_their_names(flowers, tmp_path):
    images = open_images("folder", flowers, tmp_path)
    assert images.attribute_names == ("a", "b", "c")
    assert images.task_kind == task_kinds.SINGLE_LABEL and not images.has_faces
    assert images.names == ("a/2.png", "a/3.png", "b/4.png", "b/5.png", "c/0.png", "c/1.png")
    assert levels(images) == [level(row) for row in (2, 3, 4, 5, 0, 1)]
    np.testing.assert_array_equal(images.attributes, np.repeat(np.eye(3), 2, axis=0))
    assert images.attributes.dtype == np.uint8 and not images.identities_known


def test_folders_inside_class_folders_are_groups_the_same_in_every_class(tmp_path):
    for row, (name, group) in enumerate([("a", "x"), ("a", "y"), ("b", "y"), ("b", "z")]):
        write_image(tmp_path / "set" / name / group / f"{row}.png", level(row))
    images = open_images("folder", tmp_path / "set", tmp_path)
    assert images.identities_known
    np.testing.assert_array_equal(images.identities, [0, 1, 1, 2])


def spoil_nothing(folder: pathlib.Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_nothing, "is empty; --dataset=folder expects a folder that holds metadata.csv"),
        (lambda f: (f / "c/0.png").unlink(), "c: a class with one image"),
        (lambda f: [p.unlink() for p in (f / "a").iterdir()], "a holds no images .*holds nothing"),
        (lambda f: write_image(f / "a/x/9.png", 0), "images .2.png, ...* beside folders .x, ..."),
    ],
    ids=["nothing", "one_image", "empty_class", "images_beside_folders"],
)
def test_class_folders_that_can_not_be_meant_are_refused_by_name(flowers, tmp_path, spoil, message):
    spoil(flowers)
    with pytest.raises(ValueError, match=message):
        open_images("folder", flowers, tmp_path)


def test_groups_in_one_class_alone_are_refused(flowers, tmp_path):
    for name in ("2.png", "3.png"):
        (flowers / "a" / "x").mkdir(exist_ok=True)
        (flowers / "a" / name).rename(flowers / "a" / "x" / name)
    with pytest.raises(ValueError, match=r"a holds folders, .*b images"):
        open_images("folder", flowers, tmp_path)


def test_files_only_are_no_class_folders(tmp_path):
    write_image(tmp_path / "set" / "lonely.png", 0)
    with pytest.raises(ValueError, match=r"no class folders and no metadata\.csv.*lonely\.png"):
        open_images("folder", tmp_path / "set", tmp_path)


def test_a_table_s_columns_become_classes_groups_and_attributes_outside_the_task(table, tmp_path):
    images = open_images("folder", table, tmp_path, label_columns="kind")
    assert images.task_kind == task_kinds.SINGLE_LABEL
    assert images.attribute_names == ("ant", "cat")
    rows = np.arange(12)
    np.testing.assert_array_equal(images.attributes[:, 1], rows % 3 > 0)
    np.testing.assert_array_equal(images.attributes.sum(axis=1), 1)
    assert levels(images) == [level(row) for row in rows]
    assert images.other_attribute_names == ("calm",)
    np.testing.assert_array_equal(images.other_attributes[:, 0], rows % 2)
    assert len(set(images.identities[:2])) == 1 and len(set(images.identities)) == 6


def test_a_table_s_numbers_become_targets_and_its_yes_or_no_attributes(table, tmp_path):
    amounts = open_images("folder", table, tmp_path, label_columns="age")
    assert amounts.task_kind == task_kinds.REGRESSION and amounts.attribute_names == ("age",)
    assert amounts.attributes.dtype == np.float32
    np.testing.assert_array_equal(amounts.attributes[:, 0], np.arange(12) / 2)
    calm = open_images("folder", table, tmp_path, label_columns="calm")
    assert calm.task_kind == task_kinds.MULTI_LABEL and calm.attribute_names == ("calm",)
    np.testing.assert_array_equal(calm.attributes[:, 0], np.arange(12) % 2)


def test_no_group_is_in_two_parts_of_the_data(table, tmp_path):
    images = open_images("folder", table, tmp_path, label_columns="kind")
    config = Config(private_fraction=0.4, public_fraction=0.4, validation_fraction=0.3)
    parts = splits.split_by_identity(images.identities, config).parts()
    seen = [set(images.identities[rows]) for rows in parts.values()]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 6


def test_another_column_may_hold_the_groups(table, tmp_path):
    images = open_images("folder", table, tmp_path, label_columns="calm", group_column="kind")
    assert len(set(images.identities)) == 2


@pytest.mark.parametrize(
    ("old", "new", "settings", "message"),
    [
        ("photos/3.png", "photos/three.png", {}, r"1 of 12 images are missing in .*photos"),
        ("photos/3.png", "photos/3.jpg", {}, r"under another name: 3\.png for 3\.jpg"),
        ("photos/3.png", "photos/2.png", {}, r"line 5: photos/2\.png stands on line 4"),
        ("photos/3.png", r"photos\2.png", {}, r"line 5: photos/2\.png stands on line 4"),
        ("photos/3.png", "./photos//2.png", {}, r"line 5: photos/2\.png stands on line 4"),
        ("photos/3.png", "../3.png", {}, r"line 5: a file name must be a path below"),
        ("photos/3.png", "", {}, r"line 5: a file name must be a path below .*got ''"),
        ("", "", {"label_columns": "hat"}, r"--label_columns names the column 'hat'.*has file_na"),
        ("", "", {"group_column": "hat"}, r"--group_column names the column 'hat'"),
        ("", "", {"group_column": "kind"}, r"--group_column both name kind: no group is in two"),
        ("", "", {"label_columns": ""}, r"more than one kind .*kind: no numbers"),
        ("", "", {"label_columns": "kind,calm", "task_kind": "single_label"}, r"reads one column"),
        ("", "", {"task_kind": "regression"}, r"line 2: the column kind holds 'ant'.* a number"),
        ("", "", {"label_columns": "age", "task_kind": "multi_label"}, r"line 3: .*age holds '0.5"),
        (",room2", ",", {}, r"line 6: the column group is empty"),
        ("cat,2.0", ",2.0", {}, r"line 6: the column kind is empty"),
        ("cat,2.0,0", "cat,2.0", {}, r"line 6: expected 5 values, as the header has, got 4"),
        ("file_name", "photo", {}, r"names the column 'file_name'"),
    ],
)
def test_tables_that_can_not_be_meant_are_refused_by_name(
    table, tmp_path, old, new, settings, message
):
    path = table / "metadata.csv"
    path.write_text(path.read_text().replace(old, new, 1) if old else path.read_text())
    with pytest.raises(ValueError, match=message):
        open_images("folder", table, tmp_path, **{"label_columns": "kind", **settings})


def test_whole_numbers_in_one_column_may_be_classes_or_amounts_and_the_user_says_which():
    columns = {"count": ["3", "1", "3", "1"]}
    with pytest.raises(ValueError, match="--task_kind=single_label or --task_kind=regression"):
        labels.of_columns(columns, "auto", str)
    classes = labels.of_columns(columns, "single_label", str)
    assert classes.names == ("1", "3")
    np.testing.assert_array_equal(classes.values, [[0, 1], [1, 0], [0, 1], [1, 0]])
    np.testing.assert_array_equal(
        labels.of_columns(columns, "regression", str).values, [[3], [1], [3], [1]]
    )


@pytest.mark.parametrize(
    "texts",
    [["1,5", "2,5"], ["1,000", "2"], ["1_0.5", "2.5"], ["1.5", "nan"], ["1", "n/a"], ["0", "?"]],
)
def test_amounts_that_can_not_all_be_read_are_not_taken_for_classes(texts):
    texts = 2 * texts
    with pytest.raises(ValueError, match="a class, or an amount that can't be read"):
        labels.kind_of({"age": texts})
    chosen = labels.of_columns({"age": texts}, task_kinds.SINGLE_LABEL, str)
    assert chosen.values.shape == (4, 2)


def test_classes_are_compared_as_they_look(caplog):
    names = ["caf\u00e9", "cafe\u0301", "Tea", "tea"]
    found = labels.of_classes([*names, "Tea", "tea"])
    assert found.names == ("Tea", "caf\u00e9", "tea")
    assert found.values.sum(axis=0).tolist() == [2, 2, 2]
    assert "'Tea' and 'tea' differ by letter case or blanks alone" in caplog.text


def test_classes_of_thousands_of_digits_have_an_order():
    long = "9" * 5000
    assert labels.of_classes([long, "7", long, "7"]).names == ("7", long)


def test_a_number_beyond_float32_is_none_and_not_infinite():
    with pytest.raises(ValueError, match="row 1: the column age holds '1e39'"):
        labels.of_columns({"age": ["2.5", "1e39"]}, "regression", lambda row: f"row {row}")


def test_columns_of_a_table_need_a_table(flowers, tmp_path):
    with pytest.raises(ValueError, match=r"--label_columns=x names columns of .*metadata\.csv"):
        open_images("folder", flowers, tmp_path, label_columns="x")
    with pytest.raises(ValueError, match="--task_kind=regression needs"):
        open_images("folder", flowers, tmp_path, task_kind="regression")


def write_arrays(path: pathlib.Path, **arrays) -> pathlib.Path:
    images = np.stack([np.full((SIZE, SIZE), level(row), np.uint8) for row in range(8)])
    np.savez(path, **{"images": images, **arrays})
    return path


ROWS = np.arange(8)


@pytest.mark.parametrize(
    ("arrays", "kind", "names", "values"),
    [
        ({"labels": np.array(list("baabbaab"))}, "single_label", "ab", None),
        ({"labels": ROWS % 3}, "single_label", "012", np.eye(3)[ROWS % 3]),
        (
            {"labels": ROWS % 2, "names": np.array(["z", "y"])},
            "single_label",
            "yz",
            np.eye(2)[(ROWS + 1) % 2],
        ),
        (
            {"labels": np.stack([ROWS % 2, ROWS > 3], 1), "names": np.array(["odd", "big"])},
            "multi_label",
            ("odd", "big"),
            np.stack([ROWS % 2, ROWS > 3], 1),
        ),
        ({"labels": ROWS / 4}, "regression", ("target_0",), ROWS[:, None] / 4),
        (
            {"labels": np.stack([ROWS, ROWS / 4], 1)},
            "regression",
            ("target_0", "target_1"),
            np.stack([ROWS, ROWS / 4], 1),
        ),
    ],
    ids=["texts", "numbers", "named_numbers", "attributes", "target", "targets"],
)
def test_arrays_show_what_their_labels_are(tmp_path, arrays, kind, names, values):
    groups = np.array([f"p{row // 2}" for row in range(8)])
    path = write_arrays(tmp_path / "set.npz", groups=groups, **arrays)
    images = open_images("numpy", path, tmp_path)
    assert (images.task_kind, images.attribute_names) == (kind, tuple(names))
    if values is not None:
        np.testing.assert_array_equal(images.attributes, values)
    assert levels(images) == [level(row) for row in ROWS]
    np.testing.assert_array_equal(images.identities, ROWS // 2)
    assert not images.has_faces


@pytest.mark.parametrize(
    ("arrays", "settings", "message"),
    [
        ({}, {}, "has no array labels; it has images"),
        ({"labels": ROWS[:5] % 2}, {}, r"images has 8 rows, labels has the shape \[5\]"),
        ({"labels": ROWS % 2, "groups": ROWS[:3]}, {}, r"groups has the shape \[3\]"),
        ({"labels": ROWS % 2, "names": np.array(["a"])}, {}, "names has 1; expected 0 to 0"),
        ({"labels": ROWS / 4, "names": np.array(["a", "b"])}, {}, "names has 2 entries, labels 1"),
        ({"labels": ROWS}, {}, "a class with one image"),
        ({"labels": ROWS / np.nan}, {}, "NaN or infinite"),
        ({"labels": ROWS * 1e39}, {"task_kind": "regression"}, "numbers beyond those of float32"),
        ({"labels": np.array(list("aabbaabb"))}, {"task_kind": "regression"}, "got text"),
        ({"labels": ROWS}, {"task_kind": "multi_label"}, "must be 0 or 1"),
        ({"labels": ROWS % 2, "images": ROWS / 8}, {}, r"images is float64 \[8\]; expected uint8"),
        ({"labels": np.array([{}] * 8)}, {}, "expects an .npz file|pickle|Object"),
    ],
)
def test_arrays_that_do_not_go_together_are_refused_by_name(tmp_path, arrays, settings, message):
    with np.errstate(all="ignore"):
        path = write_arrays(tmp_path / "set.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        open_images("numpy", path, tmp_path, **settings)


def test_a_builder_with_a_class_label_gives_classes_and_no_faces(tmp_path):
    with tfds.testing.mock_data(num_examples=40):
        config = Config(dataset="tfds:cifar10", data_dir=str(tmp_path / "tfds"), image_size=SIZE)
        images = image_sets.load_images(config, tmp_path / "cache")
    assert images.task_kind == task_kinds.SINGLE_LABEL and not images.has_faces
    # Without its files the builder knows its classes by number.
    assert images.attribute_names == tuple("0123456789")
    np.testing.assert_array_equal(images.attributes.sum(axis=1), 1)
    assert images.attributes.shape[1] == 10 and not images.identities_known


def test_cats_vs_dogs_of_tfds_are_two_classes(tmp_path):
    with tfds.testing.mock_data(num_examples=12):
        config = Config(
            dataset="tfds:cats_vs_dogs", data_dir=str(tmp_path / "tfds"), image_size=SIZE
        )
        images = image_sets.load_images(config, tmp_path / "cache")
    assert images.attribute_names == ("cat", "dog") and len(images.names) == 12


def test_a_builder_with_images_without_a_label_is_refused():
    classes, numbers = ("b", "a"), np.array([[0], [1], [0], [1]])
    found = tfds_images.classes_of("tfds:x", classes, numbers)
    assert found.names == ("a", "b")
    np.testing.assert_array_equal(found.values, [[0, 1], [1, 0], [0, 1], [1, 0]])
    with pytest.raises(ValueError, match="--dataset=tfds:x: 1 of 4 images have no label"):
        tfds_images.classes_of("tfds:x", classes, np.array([[0], [1], [0], [-1]]))


@pytest.mark.parametrize(("fit", "is_black"), [("crop", False), ("pad", True)])
def test_a_wide_grey_image_becomes_square_rgb_as_the_setting_says(tmp_path, fit, is_black):
    for row in range(4):
        write_image(tmp_path / "set" / "ab"[row % 2] / f"{row}.png", 200, (20, 40))
    images = open_images("folder", tmp_path / "set", tmp_path, fit=fit)
    image = np.asarray(images.images[0])
    assert (image[SIZE // 2] == 200).all()
    assert (image[[0, -1]] == 0).all() == is_black
    np.testing.assert_array_equal(image[..., :1], image[..., 1:2])


def test_images_prepared_with_another_fit_are_not_taken(tmp_path):
    for row in range(4):
        write_image(tmp_path / "set" / "ab"[row % 2] / f"{row}.png", 200, (20, 40))
    first, second = (
        open_images("folder", tmp_path / "set", tmp_path, fit=fit) for fit in ("crop", "pad")
    )
    assert (np.asarray(first.images) != np.asarray(second.images)).any()


@pytest.mark.parametrize(("height", "width"), [(3, 6), (90, 9), (177, 218), (1, 500), (40, 40)])
def test_padding_gives_the_pixels_of_the_whole_picture_on_a_black_square(height, width):
    pixels = np.random.default_rng(0).integers(1, 256, (height, width, 3)).astype(np.uint8)
    side = max(height, width)
    square = np.zeros((side, side, 3), np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[top : top + height, left : left + width] = pixels
    expected = preprocessing.preprocess(square, SIZE, "crop").numpy().astype(int)
    difference = np.abs(preprocessing.preprocess(pixels, SIZE, "pad").numpy() - expected)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1 / 300


@pytest.mark.parametrize(("setting", "has_faces"), [("auto", False), ("on", True), ("off", False)])
def test_the_user_says_that_a_folder_s_images_are_faces(flowers, tmp_path, setting, has_faces):
    images = open_images("folder", flowers, tmp_path, identity_measures=setting)
    assert images.has_faces is has_faces


def test_conditions_on_identity_measures_that_are_off_are_refused_early():
    given = {"dataset": "folder", "data_dir": "x"}
    with pytest.raises(ValueError, match=r"leakage\.reid_rank1 needs identity.*are off"):
        Config(**given, require="ssim<=0.5,leakage.reid_rank1<=0.1")
    Config(**given, require="leakage.reid_rank1<=0.1", identity_measures="on")
    Config(**given, require="feature_similarity<=0.3,linkage_auc<=0.7")
    with pytest.raises(ValueError, match="face_similarity needs identity"):
        Config(identity_measures="off", require="face_similarity<=0.1")


@pytest.mark.parametrize("name", ["task_kind", "label_columns", "group_column"])
def test_settings_of_labels_are_refused_where_nobody_takes_them(name):
    with pytest.raises(ValueError, match=f"--{name}=regression is for --dataset=folder or numpy"):
        Config(**{name: "regression"})


@pytest.mark.parametrize("dataset", ["folder", "numpy"])
def test_own_data_need_their_place(dataset):
    with pytest.raises(ValueError, match=f"--dataset={dataset} needs --data_dir="):
        Config(dataset=dataset)


def test_settings_and_data_know_the_same_kinds_and_fits():
    assert choices.TASK_KINDS == task_kinds.TASK_KINDS
    assert choices.FITS == (preprocessing.CROP, preprocessing.PAD)
    assert set(data_checks.DATASETS) < set(image_sets.SOURCES)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["true", "NA", "false", "NA"], "line 3: .* holds 'NA': expected yes or no"),
        (["tabby", "None", "tiger", "tabby"], "line 3: .* holds 'None': a class, or no value"),
        (["1", "TRUE", "0", "FALSE"], r"yes and no in several forms \(0, 1, false, true\)"),
    ],
)
def test_missing_values_and_mixed_answers_are_no_classes_of_their_own(texts, message):
    with pytest.raises(ValueError, match=message):
        labels.of_columns({"cat": texts}, "auto", lambda row: f"metadata.csv, line {row + 2}")
    found = labels.of_columns({"cat": texts * 2}, "single_label", str)
    assert found.kind == "single_label" and len(found.names) == len(set(texts))


def test_y_and_n_are_yes_and_no():
    found = labels.of_columns({"cat": ["Y", "n", "y"]}, "auto", str)
    np.testing.assert_array_equal(found.values, [[1], [0], [1]])
