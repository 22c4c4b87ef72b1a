"""The sets share no person, have the sizes asked for, and are the same for the same seed."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest

from arl_tf.config.settings import Config
from arl_tf.data import image_sets, splits


def random_identities(seed: int, num_people: int = 150) -> np.ndarray:
    """Persons of 1 to 30 images (few with many), with gaps in the numbers, in mixed order."""
    rng = np.random.default_rng(seed)
    numbers = rng.choice(10**6, num_people, replace=False)
    return rng.permutation(np.repeat(numbers, rng.geometric(0.2, num_people).clip(max=30)))


def image_set(identities: np.ndarray, names: list[str] | None = None) -> image_sets.ImageSet:
    """Images that nothing looks at."""
    num_images = len(identities)
    return image_sets.ImageSet(
        images=np.zeros((num_images, 1, 1, 3), np.uint8),
        attributes=np.zeros((num_images, 1), np.uint8),
        identities=identities,
        attribute_names=("Male",),
        names=tuple(names or [f"image_{row}" for row in range(num_images)]),
        bad_images=("broken.jpg",),
        identities_known=True,
    )


def assert_partition(parts: splits.Splits, identities: np.ndarray) -> None:
    rows = list(parts.parts().values())
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(len(identities)))
    people = [set(identities[part]) for part in rows]
    assert sum(map(len, people)) == len(set.union(*people))
    assert all(np.all(np.diff(part) > 0) and part.dtype == np.int64 for part in rows)


@pytest.mark.parametrize("seed", range(20))
def test_every_image_is_in_one_part_and_no_person_in_two(seed):
    identities = random_identities(seed)
    assert_partition(splits.split_by_identity(identities, Config(seed=seed)), identities)


@pytest.mark.parametrize("seed", range(20))
def test_parts_are_as_large_as_asked_for_within_one_person(seed):
    identities = random_identities(seed)
    config = Config(seed=seed, private_fraction=0.5, public_fraction=0.3, validation_fraction=0.2)
    parts = splits.split_by_identity(identities, config)
    wanted = len(identities) * np.array([0.4, 0.1, 0.24, 0.06, 0.2])
    largest = np.unique(identities, return_counts=True)[1].max()
    sizes = np.array([len(rows) for rows in parts.parts().values()])
    # Half a person at each end, and an image of rounding.
    assert np.abs(sizes - wanted).max() <= largest + 2


def test_single_images_are_dealt_exactly():
    config = Config(num_faces=1000, validation_fraction=0.1)
    parts = splits.split_by_identity(np.arange(1000), config).parts()
    assert [len(rows) for rows in parts.values()] == [540, 60, 225, 25, 150]


def test_numbers_of_images_win_over_fractions():
    config = Config(private_images=160, public_images=40)
    parts = splits.split_by_identity(np.arange(230), config).parts()
    assert [len(rows) for rows in parts.values()] == [144, 16, 36, 4, 30]


def test_a_number_and_a_fraction_go_together():
    assert splits.wanted_sizes(Config(private_images=160), 400) == (160, 100)
    assert splits.wanted_sizes(Config(public_images=40), 400) == (240, 40)


def test_the_same_seed_gives_the_same_sets_and_another_seed_others():
    identities = random_identities(3)
    first, again, other = (splits.split_by_identity(identities, Config(seed=s)) for s in (1, 1, 2))
    for name, rows in first.parts().items():
        np.testing.assert_array_equal(rows, again.parts()[name])
    common = np.intersect1d(first.test, other.test)
    assert len(common) < len(first.test) / 2


def test_a_person_s_part_does_not_depend_on_the_order_of_the_images():
    identities = random_identities(4)
    order = np.random.default_rng(0).permutation(len(identities))
    first = splits.split_by_identity(identities, Config()).test
    second = splits.split_by_identity(identities[order], Config()).test
    assert set(identities[first]) == set(identities[order][second])


@pytest.mark.parametrize(
    ("private", "public"), [(150, 50), (150, 60), (1000, 1), (150, 0), (0, 80)]
)
def test_sets_that_leave_no_test_set_are_refused_with_their_numbers(private, public):
    config = Config(private_images=private, public_images=public, dataset="tfds:celeb_a")
    with pytest.raises(ValueError, match=r"leave none of 200 .* lower --private_images") as caught:
        splits.split_by_identity(np.arange(200), config)
    wanted_private, wanted_public = private or 120, public or 50
    assert f"X1 of {wanted_private} and X2 of {wanted_public}" in str(caught.value)


@pytest.mark.parametrize(
    "identities",
    [
        np.arange(4),
        np.repeat(np.arange(4), 50),
        np.zeros(200, int),
        np.r_[np.zeros(900, int), np.arange(1, 101)],
    ],
)
def test_too_few_people_for_five_parts_are_refused(identities):
    num_people = len(np.unique(identities))
    with pytest.raises(ValueError, match="--private_fraction") as caught:
        splits.split_by_identity(identities, Config())
    message = str(caught.value)
    assert f"{len(identities)} images of {num_people} people are too few" in message
    assert "nothing is left for" in message


def test_no_part_is_ever_empty():
    for num_people in range(1, 30):
        for seed in range(5):
            identities = np.repeat(np.arange(num_people), 3)
            try:
                parts = splits.split_by_identity(identities, Config(seed=seed))
            except ValueError:
                continue
            assert_partition(parts, identities)
            assert min(len(rows) for rows in parts.parts().values()) > 0


TRAINING = ("private_train", "public_train")
# People of each part, as dealt by arl_tf before there was --public_overlap.
RECORDED = {
    "private_train": [
        1,
        3,
        4,
        5,
        8,
        11,
        15,
        16,
        17,
        19,
        21,
        22,
        23,
        24,
        25,
        26,
        27,
        31,
        32,
        33,
        36,
        38,
    ],
    "private_validation": [20, 30],
    "public_train": [0, 2, 9, 10, 13, 14, 28, 29, 39],
    "public_validation": [7],
    "test": [6, 12, 18, 34, 35, 37],
}


def people_of(parts: splits.Splits, name: str, identities: np.ndarray) -> set[int]:
    return set(identities[parts.parts()[name]].tolist())


@pytest.mark.parametrize("seed", range(5))
def test_without_overlap_and_with_whole_shares_every_row_is_as_it_was(seed):
    identities = random_identities(seed)
    whole = Config(seed=seed, public_overlap=0.0, public_share=1.0, private_share=1.0)
    # Nothing is left out, so that the parts still are a partition.
    assert_partition(splits.split_by_identity(identities, whole), identities)
    dealt = splits.split_by_identity(identities, whole)
    narrowed = splits.narrowed(dealt, identities, whole)
    for name, rows in dealt.parts().items():
        np.testing.assert_array_equal(narrowed.parts()[name], rows)


def test_parts_without_overlap_are_bit_for_bit_those_that_earlier_runs_recorded():
    identities = np.repeat(np.arange(40), 3)
    parts = splits.split_by_identity(identities, Config()).parts()
    found = {name: sorted(set(identities[rows].tolist())) for name, rows in parts.items()}
    assert found == RECORDED


@pytest.mark.parametrize("overlap", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_that_share_of_x2_is_of_x1_s_people_within_one_person(overlap, seed):
    identities = random_identities(seed)
    config = Config(seed=seed, public_overlap=overlap)
    parts = splits.split_by_identity(identities, config)
    met = np.isin(parts.public_train, parts.private_train).sum()
    size = len(splits.split_by_identity(identities, Config(seed=seed)).public_train)
    largest = np.unique(identities, return_counts=True)[1].max()
    assert abs(met - overlap * size) <= largest
    assert abs(len(parts.public_train) - size) <= 2 * largest


@pytest.mark.parametrize("overlap", [0.25, 1.0])
@pytest.mark.parametrize("seed", range(5))
def test_overlap_and_shares_touch_neither_validation_parts_nor_t(overlap, seed):
    identities = random_identities(seed)
    before = splits.split_by_identity(identities, Config(seed=seed))
    config = Config(seed=seed, public_overlap=overlap, public_share=0.5, private_share=0.5)
    parts = splits.split_by_identity(identities, config)
    for name, rows in parts.parts().items():
        if name in TRAINING:
            assert not people_of(parts, name, identities) & people_of(parts, "test", identities)
            assert np.all(np.diff(rows) > 0) and rows.dtype == np.int64
        else:
            np.testing.assert_array_equal(rows, before.parts()[name])
    known = people_of(before, "private_train", identities)
    known |= people_of(before, "public_train", identities)
    assert people_of(parts, "public_train", identities) <= known


def test_with_whole_overlap_an_adversary_knows_nobody_but_x1_s_people():
    identities = random_identities(2)
    parts = splits.split_by_identity(identities, Config(public_overlap=1.0))
    people = people_of(parts, "public_train", identities)
    assert people <= people_of(parts, "private_train", identities)


@pytest.mark.parametrize("seed", range(5))
def test_a_share_has_its_number_of_images_within_one_person(seed):
    identities = random_identities(seed)
    rows = np.arange(len(identities))
    largest = np.unique(identities, return_counts=True)[1].max()
    for share in (0.1, 0.3, 0.7):
        found = splits.share_of_people(rows, identities, share, seed)
        assert abs(len(found) - share * len(rows)) <= largest
        # Whole people.
        assert not set(identities[found]) & set(identities[np.setdiff1d(rows, found)])


def test_a_smaller_share_s_people_are_a_larger_one_s_too():
    identities = random_identities(3)
    rows = np.arange(len(identities))
    small, large = (splits.share_of_people(rows, identities, s, 0) for s in (0.1, 0.3))
    assert set(small) < set(large)


def test_the_smallest_share_leaves_one_person_and_none_leaves_nobody():
    identities = random_identities(3)
    rows = np.arange(len(identities))
    assert len(set(identities[splits.share_of_people(rows, identities, 0.001, 0)])) == 1
    assert len(splits.share_of_people(rows, identities, 0, 0)) == 0


def test_the_description_counts_images_and_people_of_each_part():
    identities = random_identities(5)
    parts = splits.split_by_identity(identities, Config())
    description = splits.describe_splits(parts, image_set(identities))
    assert json.loads(json.dumps(description)) == description
    assert description["images"] == len(identities)
    assert description["bad_images"] == ["broken.jpg"] and description["identities_known"]
    for name, rows in parts.parts().items():
        part = description["parts"][name]
        assert part["images"] == len(rows)
        assert part["identities"] == len(set(identities[rows]))
    assert len({part["files_sha256"] for part in description["parts"].values()}) == 5


def recorded(tmp_path: pathlib.Path, images: image_sets.ImageSet, config: Config) -> pathlib.Path:
    parts = splits.split_by_identity(images.identities, config)
    path = tmp_path / "splits.json"
    path.write_text(json.dumps(splits.describe_splits(parts, images)))
    return path


def described(images: image_sets.ImageSet, config: Config) -> dict:
    return splits.describe_splits(splits.split_by_identity(images.identities, config), images)


def test_unchanged_data_agree_with_their_record(tmp_path):
    images = image_set(random_identities(6))
    path = recorded(tmp_path, images, Config())
    splits.check_recorded_splits(path, described(images, Config()))


def test_other_files_other_people_and_another_seed_are_refused(tmp_path):
    identities = random_identities(7)
    images = image_set(identities)
    path = recorded(tmp_path, images, Config())
    renamed = image_set(identities, [*images.names[:-1], "other.jpg"])
    swapped = image_set(identities, [*images.names[::-1]])
    shorter = image_set(identities[:-1])
    people = image_set(np.r_[identities[1:], identities[:1]])
    for other in (renamed, swapped, shorter, people):
        with pytest.raises(ValueError, match=r"not those that .*splits\.json records.*--workdir"):
            splits.check_recorded_splits(path, described(other, Config()))
    with pytest.raises(ValueError, match="not those that"):
        splits.check_recorded_splits(path, described(images, Config(seed=1)))


def test_other_pixels_under_the_same_names_are_refused_with_what_to_do(tmp_path):
    images = image_set(random_identities(8))
    path = recorded(tmp_path, images, Config())
    pixels = images.images.copy()
    pixels[0, 0, 0, 0] ^= 1
    changed = described(dataclasses.replace(images, images=pixels), Config())
    remedies = r"other pixels.*--workdir.*--overwrite.*delete splits\.json"
    with pytest.raises(ValueError, match=remedies):
        splits.check_recorded_splits(path, changed)
    # Runs of older versions did not record any.
    older = json.loads(path.read_text())
    del older["pixels_sha256"]
    path.write_text(json.dumps(older))
    splits.check_recorded_splits(path, changed)


def test_other_labels_of_the_same_images_are_refused_whatever_the_task_is(tmp_path):
    images = dataclasses.replace(
        image_set(random_identities(8)), other_attribute_names=("Bald",), other_attributes=None
    )
    labels = np.zeros((len(images.names), 1), np.uint8)
    images = dataclasses.replace(images, other_attributes=labels)
    path = recorded(tmp_path, images, Config())
    changed = labels.copy()
    changed[3] = 1
    relabelled = dataclasses.replace(images, other_attributes=changed)
    with pytest.raises(ValueError, match=r"other labels of Bald: .*--workdir"):
        splits.check_recorded_splits(path, described(relabelled, Config()))
    # As a number with a point, in the task, or not at all.
    others = (
        dataclasses.replace(images, attributes=images.attributes.astype(np.float32)),
        dataclasses.replace(images, attribute_names=("Bald",), other_attribute_names=("Male",)),
        dataclasses.replace(images, other_attributes=None, other_attribute_names=()),
    )
    for other in others:
        splits.check_recorded_splits(path, described(other, Config()))
    older = json.loads(path.read_text())
    del older["labels_sha256"]
    path.write_text(json.dumps(older))
    splits.check_recorded_splits(path, described(relabelled, Config()))


def test_the_sample_of_a_large_set_is_spread_over_all_of_it():
    rows = np.arange(100_000)
    found = splits.sampled(rows)
    assert 256 <= len(found) < 512
    assert found[0] == 0 and len(rows) - found[-1] <= len(rows) // 256
    np.testing.assert_array_equal(splits.sampled(rows[:400]), rows[:400])


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "is empty"),
        ("{}", "has no parts, images"),
        ("[1]", "holds a list"),
        ('{"parts": {}', "is not JSON"),
        ('{"parts": {}}', "has no images"),
    ],
)
def test_a_record_that_is_none_is_refused_by_name(tmp_path, text, fault):
    (tmp_path / "splits.json").write_text(text)
    with pytest.raises(ValueError, match=rf"splits\.json {fault}.*Put back an intact copy"):
        splits.check_recorded_splits(tmp_path / "splits.json", {"parts": {}, "images": 0})


@pytest.mark.slow
def test_real_photos_are_all_read_and_split_by_person(tmp_path, celeba_folder):
    values = {"image_size": 32, "max_bad_images": 0.0}
    config = Config(dataset="celeba", data_dir=str(celeba_folder), **values)
    images = image_sets.load_images(config, tmp_path)
    num_files = len(list((celeba_folder / "img_align_celeba").iterdir()))
    announced = int((celeba_folder / "list_attr_celeba.txt").read_text().split(maxsplit=1)[0])
    assert len(images.names) == num_files == announced and images.bad_images == ()
    assert images.images.shape == (num_files, 32, 32, 3) and images.identities_known
    assert 40 < np.mean(images.images[::50]) < 215 and np.ptp(images.images[0]) > 50
    male = images.attributes[:, images.attribute_names.index("Male")]
    people = np.unique(images.identities, return_inverse=True)[1]
    assert 0.3 < male.mean() < 0.55 and len(np.unique(people)) > 1000
    # A person's images agree on this label: labels, identities and files are not out of step.
    share = np.bincount(people, male) / np.bincount(people)
    assert np.mean((share == 0) | (share == 1)) > 0.97
    parts = splits.split_by_identity(images.identities, config)
    assert_partition(parts, images.identities)
    private = len(parts.private_train) + len(parts.private_validation)
    public = len(parts.public_train) + len(parts.public_validation)
    sizes = np.array([private, public, len(parts.test)]) / num_files
    np.testing.assert_allclose(sizes, [0.6, 0.25, 0.15], atol=0.005)
