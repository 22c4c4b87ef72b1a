"""A folder that holds a folder of images for each class.

DIR/CLASS/photo.jpg          or, where it is known who or what is on the images,
DIR/CLASS/GROUP/photo.jpg    GROUP is a person, a patient, a room; the same name is the same group
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np
from absl import logging

from arl_tf.data import folder_contents
from arl_tf.data.labelled import labels
from arl_tf.data.labelled.table import Listing
from arl_tf.data.pictures.formats import ENDINGS


def read(folder: pathlib.Path) -> Listing:
    """Files, classes and groups of class folders.

    Raises:
        ValueError: no class folder, one without images, one with images beside folders, or labels
            that `labels.of_classes` refuses.
    """
    classes = [name for name in folder_contents.visible(folder) if (folder / name).is_dir()]
    if not classes:
        raise ValueError(
            f"{folder} holds no class folders and no metadata.csv: expected a folder of images for"
            f" each class. {folder} holds"
            f" {folder_contents.listed(folder_contents.visible(folder))}."
        )
    files = {name: files_of(folder / name) for name in classes}
    grouped = {name for name, found in files.items() if any("/" in file for file in found)}
    if grouped and len(grouped) < len(files):
        (flat, *_), (deep, *_) = sorted(set(files) - grouped), sorted(grouped)
        raise ValueError(
            f"{folder / deep} holds folders, {folder / flat} images: expected a folder for each"
            " group in every class, or in none."
        )
    names = tuple(f"{name}/{file}" for name, found in files.items() for file in found)
    return Listing(
        files=names,
        labels=labels.of_classes([name.split("/")[0] for name in names]),
        groups=numbered([name.split("/")[1] for name in names]) if grouped else None,
    )


def files_of(folder: pathlib.Path) -> list[str]:
    """Paths of a class's images below its folder, "photo.jpg" or "GROUP/photo.jpg", sorted.

    Raises:
        ValueError: there is none, or images stand beside folders.
    """
    names = folder_contents.visible(folder)
    groups = [name for name in names if (folder / name).is_dir()]
    flat = images_among(names, folder)
    if groups and flat:
        raise ValueError(
            f"{folder} holds images ({flat[0]}, ...) beside folders ({groups[0]}, ...): expected"
            " images alone, or a folder for each group."
        )
    deep = [
        f"{group}/{name}"
        for group in groups
        for name in images_among(folder_contents.visible(folder / group), folder / group)
    ]
    if not flat and not deep:
        raise ValueError(
            f"{folder} holds no images ({', '.join(ENDINGS)}); it holds"
            f" {folder_contents.listed(names)}. Add some, or remove the folder."
        )
    return flat or deep


def images_among(names: Sequence[str], folder: pathlib.Path) -> list[str]:
    """Those of a folder's names that end as images do; says which files are left out."""
    images = [name for name in names if name.lower().endswith(ENDINGS)]
    others = [
        name for name in names if name not in set(images) and not os.path.isdir(folder / name)
    ]
    if others:
        logging.warning(
            "%d files of %s are no images by their names and are not used: %s",
            len(others),
            folder,
            folder_contents.listed(others),
        )
    return images


def numbered(groups: Sequence[str]) -> np.ndarray:
    """Names of groups as numbers, int64 [N]; the same name has the same number."""
    return np.unique(np.asarray(groups, dtype=str), return_inverse=True)[1].astype(np.int64)
