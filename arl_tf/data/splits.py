"""Private, public and test sets that share no identity, and their record in splits.json."""

import dataclasses
import hashlib
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from arl_tf.data.image_sets import ImageSet
from arl_tf.utils import run_files

# Images whose pixels stand for all of them: the hash of all would read a large data set once more.
SAMPLED_IMAGES = 256
REMEDY = (
    "Put back an intact copy; or delete it, if you are sure that the data are those of the"
    " training: it is then written anew."
)


@dataclasses.dataclass(frozen=True)
class SplitSettings:
    """Sizes of the parts and the seed that deals people to them; settings of `Config` by name."""

    seed: int
    private_fraction: float
    public_fraction: float
    private_images: int
    public_images: int
    private_share: float
    public_share: float
    public_overlap: float
    validation_fraction: float


@dataclasses.dataclass(frozen=True)
class Splits:
    """Row numbers (int64, sorted) of each part; no identity stands in two of them.

    But for --public_overlap, which lets public_train meet people of private_train.
    X1 is private_train and private_validation, X2 public_train and public_validation, T is test.
    """

    private_train: np.ndarray
    private_validation: np.ndarray
    public_train: np.ndarray
    public_validation: np.ndarray
    test: np.ndarray

    def parts(self) -> dict[str, np.ndarray]:
        """Name -> rows int64 [n]."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}


def wanted_sizes(settings: SplitSettings, num_images: int) -> tuple[int, int]:
    """Images wanted in (X1, X2); ValueError where they leave nothing for T."""
    private = settings.private_images or round(settings.private_fraction * num_images)
    public = settings.public_images or round(settings.public_fraction * num_images)
    if private + public >= num_images:
        raise ValueError(
            f"X1 of {private} and X2 of {public} images leave none of {num_images} for the test"
            " set; lower --private_images or --public_images (or the fractions)."
        )
    return private, public


def split_by_identity(identities: np.ndarray, settings: SplitSettings) -> Splits:
    """Deals whole identities, in an order drawn by seed, to X1, X2 and T.

    Each part gets as nearly the number of images it should have as whole people allow.

    Args:
        identities: int64 [N].
        settings: sizes, validation share and seed.

    Raises:
        ValueError: too few images or identities for five non-empty parts.
    """
    private, public = wanted_sizes(settings, len(identities))
    held_private, held_public = (
        max(1, round(settings.validation_fraction * size)) for size in (private, public)
    )
    bounds = np.cumsum([private - held_private, held_private, public - held_public, held_public])
    unique, person, sizes = np.unique(identities, return_inverse=True, return_counts=True)
    order = np.random.default_rng([settings.seed, 1]).permutation(len(unique))
    # A person belongs to the part in which the middle of their images falls.
    middles = np.cumsum(sizes[order]) - (sizes[order] + 1) // 2
    part_of_person = np.empty(len(unique), np.int64)
    part_of_person[order] = np.searchsorted(bounds, middles, side="right")
    part_of_image = part_of_person[person]
    splits = Splits(*(np.flatnonzero(part_of_image == part) for part in range(5)))
    empty = [name for name, rows in splits.parts().items() if rows.size == 0]
    if empty:
        raise ValueError(
            f"{len(identities)} images of {len(unique)} people are too few: nothing is left for"
            f" {', '.join(empty)}. All images of a person, or of a group, are in one part."
            " Use more of them, or other --private_fraction, --public_fraction,"
            " --validation_fraction."
        )
    return narrowed(splits, identities, settings)


def narrowed(splits: Splits, identities: np.ndarray, settings: SplitSettings) -> Splits:
    """Leaves of the training parts what --private_share, --public_share and --public_overlap say.

    Validation parts and T stay, so that runs which differ in these are measured on the same images.
    `identities` int64 [N] are those of all images.
    """
    private = share_of_people(
        splits.private_train, identities, settings.private_share, settings.seed
    )
    public = share_of_people(splits.public_train, identities, settings.public_share, settings.seed)
    if settings.public_overlap:
        wanted = settings.public_overlap * len(public)
        met = share_of_people(private, identities, min(1, wanted / len(private)), settings.seed)
        own = share_of_people(public, identities, 1 - settings.public_overlap, settings.seed)
        public = np.sort(np.concatenate([met, own]))
    return dataclasses.replace(splits, private_train=private, public_train=public)


def share_of_people(
    rows: np.ndarray, identities: np.ndarray, share: float, seed: int
) -> np.ndarray:
    """Whole people who hold as nearly that share of the images as they can; a smaller share's too.

    Args:
        rows: int64 [n], sorted.
        identities: int64 [N], of all images.
        share: in [0, 1]; 0 leaves nobody, more leaves at least one person.
        seed: of the order in which people are taken.
    """
    if share == 1:
        return rows
    unique, person, sizes = np.unique(identities[rows], return_inverse=True, return_counts=True)
    order = np.random.default_rng([seed, 2]).permutation(len(unique))
    taken_before = np.cumsum(sizes[order]) - sizes[order]
    is_taken = np.zeros(len(unique), bool)
    # A person is taken as long as the middle of their images lies within the share.
    is_taken[order] = taken_before + sizes[order] / 2 <= share * len(rows)
    is_taken[order[0]] |= share > 0
    return rows[is_taken[person]]


def describe_splits(splits: Splits, images: ImageSet) -> dict[str, Any]:
    """What splits.json holds: of each part the images, identities and a hash of the file list.

    Beside them hashes of the pixels and of the labels: files of the same names may come to hold
    other pictures, and images may come to be labelled otherwise.
    """
    parts = {}
    for name, rows in splits.parts().items():
        parts[name] = {
            "images": len(rows),
            "identities": len(np.unique(images.identities[rows])),
            "files_sha256": names_hash([images.names[row] for row in rows]),
        }
    return {
        "files_sha256": names_hash(images.names),
        "pixels_sha256": pixels_hash(images.images),
        "labels_sha256": label_hashes(images),
        "images": len(images.names),
        "identities_known": images.identities_known,
        "bad_images": list(images.bad_images),
        "bad_reasons": list(images.bad_reasons),
        "turned_images": images.turned_images,
        "attributes": list(images.attribute_names),
        "task_kind": images.task_kind,
        "parts": parts,
    }


def same_data(splits: Splits, images: ImageSet) -> dict[str, Any]:
    """What tells data from others of the same settings: names, pixels and labels of the parts.

    For the keys of what is made of the data. Settings do not tell them apart: folders may be called
    otherwise and hold the same, or be the same and come to hold something else.
    """
    description = describe_splits(splits, images)
    return {name: description[name] for name in ("parts", "pixels_sha256", "labels_sha256")}


def names_hash(names: tuple[str, ...] | list[str]) -> str:
    """sha256 of a list of names, one a line."""
    return hashlib.sha256("\n".join(names).encode()).hexdigest()


def sampled(images: np.ndarray) -> np.ndarray:
    """Some images [N, S, S, 3] or rows [N], evenly spread: under twice SAMPLED_IMAGES, or all."""
    return np.ascontiguousarray(images[:: max(1, len(images) // SAMPLED_IMAGES)])


def pixels_hash(images: np.ndarray) -> str:
    """sha256 of the pixels of some of images uint8 [N, S, S, 3]."""
    return hashlib.sha256(sampled(images).tobytes()).hexdigest()


def pixels_hash_of(images: ImageSet, rows: np.ndarray) -> str:
    """sha256 of the pixels of some of the rows int64 [n]; no other image is read."""
    return pixels_hash(images.images[sampled(rows)])


def label_hashes(images: ImageSet, rows: np.ndarray | None = None) -> dict[str, str]:
    """Attribute, class or target -> sha256 of its labels; those outside the task, too.

    Args:
        images: whose labels.
        rows: int64 [n], of which images; None: of all.
    """
    tables = [(images.attribute_names, images.attributes)]
    if images.other_attributes is not None:
        tables.append((images.other_attribute_names, images.other_attributes))
    chosen = slice(None) if rows is None else rows
    # One type: the same labels lie in files as bytes and as numbers with a point.
    return {
        name: hashlib.sha256(table[chosen, column].astype(np.float32).tobytes()).hexdigest()
        for names, table in tables
        for column, name in enumerate(names)
    }


def differing_labels(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Names whose labels differ, of those that both `label_hashes` have."""
    return sorted(name for name in now if recorded.get(name, now[name]) != now[name])


def check_recorded_splits(path: pathlib.Path, description: dict[str, Any]) -> None:
    """Raises ValueError when the data are no longer those that splits.json records for this run.

    Older versions recorded no pixels and no labels.
    """
    recorded = run_files.read_json(path, remedy=REMEDY, keys=("parts", "images"))
    parts, images = recorded["parts"], recorded["images"]
    if parts != description["parts"]:
        raise ValueError(
            f"The images are not those that {path} records ({images} then, {description['images']}"
            " now, or other files): test images could have been trained on. Restore the data or"
            " use another --workdir."
        )
    pixels = description["pixels_sha256"]
    if recorded.get("pixels_sha256", pixels) != pixels:
        raise ValueError(
            f"The images have the names that {path} records, but other pixels: their files, or how"
            " they are prepared, have changed since this run began. Restore the data, use another"
            " --workdir, or train again with --overwrite. If you are sure that they show the same,"
            " delete splits.json: it is then written anew."
        )
    labels = differing_labels(recorded.get("labels_sha256", {}), description["labels_sha256"])
    if labels:
        raise ValueError(
            f"The images have the names that {path} records, but other labels of"
            f" {', '.join(labels)}: they have changed since this run began. Restore them, use"
            " another --workdir, or train again with --overwrite."
        )
