"""Prepared images on disk: raw uint8 rows, mapped into memory, and an index of their row numbers.

What is half written never counts: pixels and index appear by rename, the index last.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import filelock
import numpy as np
from absl import logging

from arl_tf.data.task_kinds import MULTI_LABEL
from arl_tf.utils import progress, run_files

UNFINISHED = ".tmp"
# Errors that say that there is no such file: ELOOP is of links that lead to each other.
ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP)
# How version 0.1.0 began the reasons of files that the system did not let it read at that moment.
PASSING = "can't be opened:"


@dataclasses.dataclass(frozen=True)
class Chunk:
    """Some rows of a data set that were read together.

    Attributes:
        rows: int64 [n], of the images, in order.
        images: uint8 [n, S, S, 3]; None where n is 0.
        refused: row -> why its image can't be used.
        turned: how many of the images stood otherwise in the file, and were turned as EXIF says.
    """

    rows: np.ndarray
    images: np.ndarray | None
    refused: dict[int, str] = dataclasses.field(default_factory=dict)
    turned: int = 0


@dataclasses.dataclass(frozen=True)
class Prepared:
    """The prepared images of a data set.

    Attributes:
        images: uint8 [n, S, S, 3], mapped into memory, read-only.
        rows: int64 [n], their rows in the source.
        refused: row -> why its image can't be used.
        turned: how many images were turned as EXIF says.
    """

    images: np.ndarray
    rows: np.ndarray
    refused: dict[int, str]
    turned: int


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set before its images are prepared: the rows, and a way to read their images in order.

    Attributes:
        fingerprint: changes when the images do.
        names: N names of images.
        attribute_names: K names: attributes, classes or targets.
        attributes: [N, K], the labels; see `task_kinds`.
        identities: int64 [N], who or what is on the images; None: not known.
        read: yields chunks; every row is in one of them, read or refused.
        task_kind: one of TASK_KINDS.
        has_faces: whether the images are of faces, so that networks can judge identity.
        other_attributes: uint8 [N, M] in {0, 1}, known but not for the task; None without.
        other_attribute_names: M names.
    """

    fingerprint: str
    names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    attributes: np.ndarray
    identities: np.ndarray | None
    read: Callable[[], Iterator[Chunk]]
    task_kind: str = MULTI_LABEL
    has_faces: bool = True
    other_attributes: np.ndarray | None = None
    other_attribute_names: tuple[str, ...] = ()


def file_stamp(path: pathlib.Path) -> str:
    """A line that changes when the file does, without reading it."""
    try:
        stat = path.stat()
    except OSError as error:
        if error.errno not in ABSENT:
            raise
        return f"{path.name} missing"
    return f"{path.name} {stat.st_size} {stat.st_mtime_ns}"


def prepared(source: Source, image_size: int, version: str, cache_dir: pathlib.Path) -> Prepared:
    """Maps the prepared images from the cache; prepares them first where it does not hold them.

    Args:
        source: the rows and the way to read their images.
        image_size: side of the images that it yields, pixels.
        version: of the preprocessing; images prepared by another one are not taken.
        cache_dir: folder of the cache, made if missing.

    Raises:
        ValueError: the source yields images of another shape or type.
    """
    stem = stem_of(source, image_size, version, cache_dir)
    index_path, pixel_path = stem.with_suffix(".json"), stem.with_suffix(".u8")
    image_shape = (image_size, image_size, 3)
    if not is_whole(index_path, pixel_path, math.prod(image_shape)):
        cache_dir.mkdir(parents=True, exist_ok=True)
        remove_leftovers(cache_dir)
        # One process prepares the images, others that want them wait: nobody's index vanishes.
        with filelock.FileLock(stem.with_suffix(".lock")):
            if not is_whole(index_path, pixel_path, math.prod(image_shape)):
                prepare(source, image_shape, index_path, pixel_path)
    index = read_index(index_path)
    rows = np.array(index["rows"], np.int64).reshape(-1)
    images = (
        np.memmap(pixel_path, np.uint8, "r", shape=(len(rows), *image_shape))
        if rows.size
        else np.empty((0, *image_shape), np.uint8)
    )
    return Prepared(images, rows, index["refused"], index["turned"])


def stem_of(source: Source, image_size: int, version: str, cache_dir: pathlib.Path) -> pathlib.Path:
    """The cache's files of a source, without their endings; arguments as of `prepared`."""
    key_text = f"{source.fingerprint} {image_size} {version}"
    return cache_dir / f"images_{hashlib.sha256(key_text.encode()).hexdigest()[:16]}"


def missing_bytes(
    source: Source, image_size: int, version: str, cache_dir: pathlib.Path
) -> dict[pathlib.Path, int]:
    """Bytes that `prepared` would write into the cache, by file; empty where it holds the images.

    Arguments are as of `prepared`. Nothing is written, and no image is read.
    """
    stem = stem_of(source, image_size, version, cache_dir)
    index_path, pixel_path = stem.with_suffix(".json"), stem.with_suffix(".u8")
    image_bytes = image_size**2 * 3
    if is_whole(index_path, pixel_path, image_bytes):
        return {}
    return {pixel_path: len(source.names) * image_bytes}


def remove_leftovers(cache_dir: pathlib.Path) -> None:
    """Removes what killed preparations left; what is being prepared, its process has locked."""
    for path in cache_dir.glob(f"images_*{UNFINISHED}"):
        lock = filelock.FileLock(cache_dir / f"{path.name.partition('.')[0]}.lock")
        with contextlib.suppress(filelock.Timeout), lock.acquire(timeout=0):
            path.unlink(missing_ok=True)


def prepare(
    source: Source,
    image_shape: tuple[int, ...],
    index_path: pathlib.Path,
    pixel_path: pathlib.Path,
) -> None:
    """Writes pixels and index of a source's images, of `image_shape` each."""
    logging.info(
        "Preparing %d images, %d pixels wide, in %s",
        len(source.names),
        image_shape[0],
        pixel_path.parent,
    )
    unfinished = pixel_path.with_suffix(f".{os.getpid()}{UNFINISHED}")
    index = write_pixels(source, image_shape, unfinished)
    # The index appears last: pixels without it count as not there.
    index_path.unlink(missing_ok=True)
    unfinished.replace(pixel_path)
    unfinished.write_text(json.dumps(index))
    unfinished.replace(index_path)


def is_whole(index_path: pathlib.Path, pixel_path: pathlib.Path, image_bytes: int) -> bool:
    """Whether the cache holds the index and just the pixels that it speaks of."""
    if not index_path.exists() or not pixel_path.exists():
        return False
    try:
        index = read_index(index_path)
    except run_files.UnreadableFileError as error:
        logging.warning("%s", error)
        return False
    if any(reason.startswith(PASSING) for reason in index["refused"].values()):
        logging.warning(
            "%s leaves out images that could not be opened when they were prepared. The images are"
            " prepared again",
            index_path,
        )
        return False
    rows = np.array(index["rows"], np.int64).reshape(-1)
    return pixel_path.stat().st_size == len(rows) * image_bytes


def read_index(index_path: pathlib.Path) -> dict[str, Any]:
    """What the cache's index says: `rows`, `refused`, `turned`."""
    remedy = "The images are prepared again."
    content = run_files.read_json(index_path, remedy=remedy, keys=("rows", "refused", "turned"))
    with run_files.reading(index_path, remedy):
        np.array(content["rows"], np.int64)
        return {
            **content,
            "refused": {int(row): str(reason) for row, reason in content["refused"].items()},
            "turned": int(content["turned"]),
        }


def write_pixels(
    source: Source, image_shape: tuple[int, ...], path: pathlib.Path
) -> dict[str, Any]:
    """Writes the readable images' pixels to `path` in a row; returns the cache's index of them."""
    rows: list[int] = []
    refused: dict[int, str] = {}
    turned = 0
    try:
        with path.open("wb") as file, progress.bar("Images prepared", len(source.names)) as advance:
            for chunk in source.read():
                advance(len(chunk.rows) + len(chunk.refused))
                refused.update(chunk.refused)
                turned += chunk.turned
                if len(chunk.rows):
                    check_pixels(chunk, image_shape)
                    file.write(np.ascontiguousarray(chunk.images).tobytes())
                    rows.extend(int(number) for number in chunk.rows)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return {"rows": rows, "refused": refused, "turned": turned}


def check_pixels(chunk: Chunk, image_shape: tuple[int, ...]) -> None:
    """Raises ValueError where images are not bytes of that shape."""
    images = chunk.images
    if images.shape != (len(chunk.rows), *image_shape) or images.dtype != np.uint8:
        raise ValueError(
            f"A source gave images {images.dtype} {images.shape} for {len(chunk.rows)}"
            f" rows; expected uint8 {image_shape} each."
        )
