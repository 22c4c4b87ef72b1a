"""--dataset=folder: class folders, or a folder of images with a metadata.csv."""

import hashlib
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

from absl import logging

from arl_tf.config.checks import comma_separated
from arl_tf.data import bad_images, folder_contents
from arl_tf.data.image_cache import Chunk, Source
from arl_tf.data.labelled import class_folders, table
from arl_tf.data.labelled.labels import AUTO
from arl_tf.data.labelled.table import TABLE, Listing
from arl_tf.data.pictures import reader
from arl_tf.data.task_kinds import SINGLE_LABEL

# Paths of files -> prepared images in order.
ReadFiles = Callable[[list[str]], Iterator[Chunk]]


def folder_source(settings: Any, read_files: ReadFiles) -> Source:
    """The images that a folder holds, with their labels and groups.

    Args:
        settings: an `image_sets.DataSettings`, which module can't be imported here.
        read_files: the way from files to preprocessed images.

    Raises:
        ValueError: no such folder, nothing in it, files that its table names and that are missing,
            a file with two labels, or labels that can't be read; the message says what there is
            instead.
    """
    folder = pathlib.Path(settings.data_dir)
    if not folder.is_dir() or not folder_contents.visible(folder):
        found = "is a file" if folder.is_file() else "is not there"
        raise ValueError(
            f"--data_dir={folder} {'is empty' if folder.is_dir() else found}; --dataset=folder"
            f" expects a folder that holds {TABLE}, or a folder of images for each class."
        )
    listing = listed(folder, settings)
    paths = [folder / name for name in listing.files]
    missing = [name for name, path in zip(listing.files, paths, strict=True) if not path.is_file()]
    report_missing(missing, len(paths), folder, settings.max_bad_images)
    check_one_label(listing, paths)
    stamps = [str(folder.resolve()), *map(stamp, listing.files, paths)]
    return Source(
        fingerprint=hashlib.sha256("\n".join(stamps).encode()).hexdigest(),
        names=listing.files,
        attribute_names=listing.labels.names,
        attributes=listing.labels.values,
        identities=listing.groups,
        read=lambda: reader.as_listed(
            read_files([str(path) for path in paths]), listing.files, set(missing)
        ),
        task_kind=listing.labels.kind,
        has_faces=False,
        other_attributes=listing.others,
        other_attribute_names=listing.other_names,
    )


def listed(folder: pathlib.Path, settings: Any) -> Listing:
    """What the folder's table says, or else its class folders.

    Raises:
        ValueError: settings that class folders have no use for, or what the reader refuses.
    """
    columns = comma_separated(settings.label_columns)
    if (folder / TABLE).exists():
        logging.info("Labels are read from %s", folder / TABLE)
        return table.read(folder, columns, settings.group_column, settings.task_kind)
    for name in ("label_columns", "group_column"):
        if getattr(settings, name):
            raise ValueError(
                f"--{name}={getattr(settings, name)} names columns of {folder / TABLE}, which is"
                f" not there; {folder} holds"
                f" {folder_contents.listed(folder_contents.visible(folder))}."
            )
    if settings.task_kind not in (AUTO, SINGLE_LABEL):
        raise ValueError(
            f"--task_kind={settings.task_kind} needs {folder / TABLE}, which is not there: class"
            f" folders are --task_kind={SINGLE_LABEL}."
        )
    return class_folders.read(folder)


def report_missing(missing: list[str], total: int, folder: pathlib.Path, allowed: float) -> None:
    """`bad_images.report_missing`, which looks where the first of the files should be."""
    parent = pathlib.PurePosixPath(missing[0]).parent if missing else None
    if parent and str(parent) != "." and (folder / parent).is_dir():
        inside = [name.removeprefix(f"{parent}/") for name in missing]
        bad_images.report_missing(inside, total, folder / parent, allowed)
    else:
        bad_images.report_missing(missing, total, folder, allowed)


def check_one_label(listing: Listing, paths: list[pathlib.Path]) -> None:
    """Raises ValueError where links give one file two labels, as in two class folders."""
    values = listing.labels.values
    first: dict[tuple[int, int], int] = {}
    for row, path in enumerate(paths):
        if not path.is_file():
            continue
        found = path.stat()
        # Some file systems number no files.
        other = first.setdefault((found.st_dev, found.st_ino), row) if found.st_ino else row
        if (values[other] != values[row]).any():
            raise ValueError(
                f"{listing.files[other]} and {listing.files[row]} are one file (a link) with two"
                " labels; remove one of them."
            )


def stamp(name: str, path: pathlib.Path) -> str:
    """A line that changes when the file does, without reading it."""
    if not path.is_file():
        return f"{name} missing"
    found = path.stat()
    return f"{name} {found.st_size} {found.st_mtime_ns}"
