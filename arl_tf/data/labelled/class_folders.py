"""A folder that holds a folder of images for each class.

DIR/CLASS/photo.jpg          or, where it is known who or what is on the images,
DIR/CLASS/GROUP/photo.jpg    GROUP is a person, a patient, a room; the same name is the same group
"""

import os
import pathlib
import re
from collections.abc import Sequence

from absl import logging

from arl_tf.data import folder_contents
from arl_tf.data.labelled import labels
from arl_tf.data.labelled.table import Listing
from arl_tf.data.pictures.formats import ENDINGS

# What people call the parts of a data set that was divided already, and files beside the images.
PART = re.compile(
    "(?:train|training|val|valid|validation|dev|test|testing|eval|public|private)"
    r"(?:[-_ ]?(?:set|data|images|imgs|split|\d+))?|images|imgs|masks|annotations"
)


def read(folder: pathlib.Path) -> Listing:
    """Files, classes and groups of class folders.

    Raises:
        ValueError: no class folders or only one, parts of a data set in place of classes, images
            beside folders, a class without images, a name that is not UTF-8, or labels that
            `labels.of_classes` refuses.
    """
    classes = [name for name in folder_contents.visible(folder) if (folder / name).is_dir()]
    check_classes(classes, folder)
    files = {name: files_of(folder / name) for name in classes}
    grouped = {name for name, found in files.items() if any("/" in file for file in found)}
    if grouped and len(grouped) < len(files):
        (flat, *_), (deep, *_) = sorted(set(files) - grouped), sorted(grouped)
        raise ValueError(
            f"{folder / deep} holds folders, {folder / flat} images: expected a folder for each"
            " group in every class, or in none."
        )
    names = tuple(f"{name}/{file}" for name, found in files.items() for file in found)
    check_names(names, folder)
    groups = [name.split("/")[1] for name in names] if grouped else None
    return Listing(
        files=names,
        labels=labels.of_classes([name.split("/")[0] for name in names]),
        groups=groups and labels.numbered(groups, f"The groups of {folder}"),
    )


def check_classes(classes: Sequence[str], folder: pathlib.Path) -> None:
    """Raises ValueError where a folder's folders are not one for each class."""
    names = folder_contents.visible(folder)
    found = f"{folder} holds {folder_contents.listed(names)}."
    if not classes:
        raise ValueError(
            f"{folder} holds no class folders and no metadata.csv: expected a folder of images for"
            f" each class. {found}"
        )
    flat = images_among(names, folder)
    if flat:
        raise ValueError(
            f"{folder} holds images ({flat[0]}, ...) beside folders ({classes[0]}, ...): expected a"
            " folder of images for each class, or a metadata.csv that names all images."
        )
    if len(classes) == 1:
        raise ValueError(
            f"{folder} holds one class folder, {classes[0]}: a task needs two or more classes, or a"
            f" metadata.csv. {found}"
        )
    if all(PART.fullmatch(name.lower()) for name in classes):
        raise ValueError(
            f"{', '.join(classes)} in {folder} are parts of a data set and no classes. arl_tf"
            f" divides the images itself: name one part, --data_dir={folder / classes[0]}, or put"
            " the images of each class into one folder."
        )


def check_names(names: Sequence[str], folder: pathlib.Path) -> None:
    """Raises ValueError for a file whose name is not text in UTF-8."""
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"{folder}: the name of {name!a} is not UTF-8; rename it.") from None


def files_of(folder: pathlib.Path) -> list[str]:
    """Paths of a class's images below its folder, "photo.jpg" or "GROUP/photo.jpg", sorted.

    Raises:
        ValueError: there is none, images stand beside folders, or folders are nested deeper.
    """
    names = folder_contents.visible(folder)
    groups = [name for name in names if (folder / name).is_dir()]
    flat = images_among(names, folder)
    if groups and flat:
        raise ValueError(
            f"{folder} holds images ({flat[0]}, ...) beside folders ({groups[0]}, ...): expected"
            " images alone, or a folder for each group."
        )
    deep = [f"{group}/{name}" for group in groups for name in images_of_group(folder / group)]
    if not flat and not deep:
        raise ValueError(
            f"{folder} holds no images ({', '.join(ENDINGS)}); it holds"
            f" {folder_contents.listed(names)}. Add some, or remove the folder."
        )
    return flat or deep


def images_of_group(folder: pathlib.Path) -> list[str]:
    """Names of a group's images; ValueError where its folder holds folders again."""
    names = folder_contents.visible(folder)
    deeper = [name for name in names if (folder / name).is_dir()]
    if deeper:
        raise ValueError(
            f"{folder} holds folders ({deeper[0]}, ...): expected DIR/CLASS/photo.jpg or"
            " DIR/CLASS/GROUP/photo.jpg, and no folder below that."
        )
    return images_among(names, folder)


def images_among(names: Sequence[str], folder: pathlib.Path) -> list[str]:
    """Those of a folder's names that end as images do; says which files are left out."""
    files = [name for name in names if not os.path.isdir(folder / name)]
    images = [name for name in files if name.lower().endswith(ENDINGS)]
    others = [name for name in files if not name.lower().endswith(ENDINGS)]
    if others:
        logging.warning(
            "%d files of %s are no images by their names and are not used: %s",
            len(others),
            folder,
            folder_contents.listed(others),
        )
    return images
