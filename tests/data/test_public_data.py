"""X2's training part from another data set: what replaces it, and what stays."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from arl_tf.config.settings import Config
from arl_tf.data import image_sets, public_data, splits
from arl_tf.experiments import experiment

# A size of its own for each data set, so that a mix-up shows.
OURS, THEIRS = 60, 24


def image_set(count, value, names, prefix):
    rng = np.random.default_rng(value)
    return image_sets.ImageSet(
        images=np.full((count, 2, 2, 3), value, np.uint8),
        attributes=rng.integers(0, 2, (count, len(names))).astype(np.uint8),
        identities=np.arange(count) // 2,
        attribute_names=names,
        names=tuple(f"{prefix}_{row}" for row in range(count)),
        bad_images=(f"{prefix}_bad",),
        identities_known=True,
    )


@pytest.fixture
def ours():
    return image_set(OURS, 1, ("Male", "Hat"), "ours")


@pytest.fixture
def theirs(monkeypatch):
    """The other data set; the experiment loads it whatever its name."""
    other = image_set(THEIRS, 2, ("Smiling", "Male"), "theirs")
    monkeypatch.setattr(image_sets, "load_images", lambda config, folder: other)
    return other


def config(**values):
    return Config(private_images=20, public_images=20, dataset="celeba", data_dir="here", **values)


def other_config(**values):
    return config(**{"public_dataset": "celeba", "public_data_dir": "there", **values})


def test_without_another_data_set_images_and_parts_are_as_they_were(ours, tmp_path):
    images, parts = experiment.split(config(), ours, tmp_path)
    assert images is ours
    expected = splits.split_by_identity(ours.identities, config())
    for name, rows in expected.parts().items():
        np.testing.assert_array_equal(parts.parts()[name], rows)


def test_only_x2_s_training_part_is_of_the_other_data_set(ours, theirs, tmp_path):
    images, parts = experiment.split(other_config(), ours, tmp_path)
    before = splits.split_by_identity(ours.identities, config())
    for name, rows in before.parts().items():
        now = parts.parts()[name]
        if name == "public_train":
            assert len(now) == len(rows)
            assert np.all(images.images[now] == 2)
            assert all(images.names[row].startswith("public/theirs_") for row in now)
        else:
            np.testing.assert_array_equal(now, rows)
            assert np.all(images.images[now] == 1)
    assert images.bad_images == ("ours_bad", "theirs_bad")


def test_a_small_data_set_is_used_whole_and_no_image_twice(ours, theirs, tmp_path):
    wanted = dataclasses.replace(other_config(), public_images=36)
    images, parts = experiment.split(wanted, ours, tmp_path)
    named = [images.names[row] for row in parts.public_train]
    assert sorted(named) == sorted(f"public/{name}" for name in theirs.names)


def test_people_of_the_two_data_sets_are_never_taken_for_one(ours, theirs, tmp_path):
    images, parts = experiment.split(other_config(), ours, tmp_path)
    assert not set(images.identities[parts.public_train]) & set(ours.identities)
    # Who shared a number still does.
    rows = [int(images.names[row].rsplit("_", 1)[1]) for row in parts.public_train]
    people = images.identities[parts.public_train] - images.identities[parts.public_train].min()
    expected = theirs.identities[rows] - theirs.identities[rows].min()
    np.testing.assert_array_equal(people, expected)


def test_labels_are_matched_by_name_and_unknown_ones_are_0(ours, theirs):
    rows = np.array([3, 5])
    found = public_data.joined(ours, theirs, rows).attributes[OURS:]
    np.testing.assert_array_equal(found[:, 0], theirs.attributes[rows, 1])
    np.testing.assert_array_equal(found[:, 1], 0)


def test_probes_labels_are_joined_where_the_other_data_set_has_them(ours, theirs):
    others = np.ones((OURS, 1), np.uint8)
    ours = dataclasses.replace(ours, other_attributes=others, other_attribute_names=("Smiling",))
    found = public_data.joined(ours, theirs, np.array([3, 5])).other_attributes
    np.testing.assert_array_equal(found[OURS:, 0], theirs.attributes[[3, 5], 0])
    np.testing.assert_array_equal(found[:OURS], others)


def test_probes_labels_that_are_missing_there_are_refused_by_name(ours, theirs):
    others = np.ones((OURS, 1), np.uint8)
    ours = dataclasses.replace(ours, other_attributes=others, other_attribute_names=("Bald",))
    with pytest.raises(ValueError, match="--public_dataset has no labels of Bald"):
        public_data.joined(ours, theirs, np.array([3, 5]))


def test_probes_labels_outside_the_other_data_set_s_task_are_joined(ours, theirs):
    """--label_columns is of both data sets: an attribute outside one's task is so in the other."""
    ours = dataclasses.replace(
        ours, other_attributes=np.ones((OURS, 1), np.uint8), other_attribute_names=("Bald",)
    )
    outside = np.random.default_rng(0).integers(0, 2, (THEIRS, 2)).astype(np.uint8)
    theirs = dataclasses.replace(
        theirs, other_attributes=outside, other_attribute_names=("Hat", "Bald")
    )
    rows = np.array([3, 5, 7])
    found = public_data.joined(ours, theirs, rows)
    np.testing.assert_array_equal(found.other_attributes[OURS:, 0], outside[rows, 1])
    # "Hat" is of our task, and outside of theirs.
    np.testing.assert_array_equal(found.attributes[OURS:, 1], outside[rows, 0])


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"task_attributes": "Male,Hat"}, "(no --task_attributes)"),
        ({"label_columns": "Male,Hat", "public_dataset": "folder"}, "(no --label_columns)"),
        ({}, "as the task, or another"),
    ],
)
def test_the_message_names_the_flag_that_left_an_attribute_out(
    ours, theirs, tmp_path, given, named
):
    ours = dataclasses.replace(
        ours, other_attributes=np.ones((OURS, 1), np.uint8), other_attribute_names=("Bald",)
    )
    with pytest.raises(ValueError, match="has no labels of Bald") as refused:
        experiment.split(other_config(**given), ours, tmp_path)
    assert named in str(refused.value)
    assert str(refused.value).count("--") == 1 + len(given) - ("public_dataset" in given)


def test_columns_outside_the_task_of_two_tables_are_joined(tmp_path):
    for name, level in (("ours", 50), ("theirs", 200)):
        (tmp_path / name).mkdir()
        rows = ["file_name,smiling,male"]
        for row in range(30):
            pixels = np.full((32, 32, 3), level + row, np.uint8)
            Image.fromarray(pixels).save(tmp_path / name / f"{row:02d}.png")
            rows.append(f"{row:02d}.png,{row % 2},{row // 2 % 2}")
        (tmp_path / name / "metadata.csv").write_text("\n".join(rows) + "\n")
    given = Config(
        dataset="folder",
        data_dir=str(tmp_path / "ours"),
        public_dataset="folder",
        public_data_dir=str(tmp_path / "theirs"),
        label_columns="smiling",
        image_size=32,
        private_images=10,
        public_images=10,
    )
    ours = experiment.load_audited_images(given, tmp_path / "cache")
    images, parts = experiment.split(given, ours, tmp_path / "cache")
    assert images.other_attribute_names == ("male",)
    levels = images.images[parts.public_train].mean(axis=(1, 2, 3))
    numbers = np.round(levels).astype(int) - 200
    assert (numbers >= 0).all()
    np.testing.assert_array_equal(images.other_attributes[parts.public_train, 0], numbers // 2 % 2)


def test_the_same_seed_draws_the_same_images_and_another_seed_others(ours, theirs, tmp_path):
    first, again, other = (
        experiment.split(other_config(seed=seed), ours, tmp_path)[0].names[OURS:]
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_the_other_data_set_is_read_whole_by_its_own_folder(ours, theirs, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(
        image_sets, "load_images", lambda given, folder: asked.append(given) or theirs
    )
    experiment.split(other_config(task_attributes="Male,Hat"), ours, tmp_path)
    assert [(given.dataset, given.data_dir, given.task_attributes) for given in asked] == [
        ("celeba", "there", "")
    ]


def test_the_data_set_itself_as_the_other_is_refused():
    with pytest.raises(ValueError, match="--public_dataset=celeba is --dataset itself"):
        config(public_dataset="celeba", public_data_dir="here")
