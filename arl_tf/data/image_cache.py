"""Prepared images on disk: raw uint8 rows, mapped into memory, and an index of their row numbers.

What is half written never counts: pixels and index appear by rename, the index last.
"""

import dataclasses
import hashlib
import json
import math
import os
import pathlib
from collections.abc import Callable, Iterator

import numpy as np
from absl import logging

from arl_tf.utils import run_files


@dataclasses.dataclass(frozen=True)
class Source:
    """A data set before its images are prepared: the rows, and a way to read their images in order.

    `read` yields (row numbers, images uint8 [n, S, S, 3]) and leaves out the rows it can't read.
    """

    fingerprint: str
    names: tuple[str, ...]
    attribute_names: tuple[str, ...]
    attributes: np.ndarray
    identities: np.ndarray | None
    read: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]


def prepared(
    source: Source, image_size: int, version: int, cache_dir: pathlib.Path
) -> tuple[np.ndarray, np.ndarray]:
    """Maps the prepared images from the cache; prepares them first where it does not hold them.

    Args:
        source: the rows and the way to read their images.
        image_size: side of the images that it yields, pixels.
        version: of the preprocessing; images prepared by another one are not taken.
        cache_dir: folder of the cache, made if missing.

    Returns:
        (images uint8 [n, S, S, 3], read-only, row numbers int64 [n] of the source); where no image
        can be read both are empty.

    Raises:
        ValueError: the source yields images of another shape or type.
    """
    key_text = f"{source.fingerprint} {image_size} {version}"
    stem = cache_dir / f"images_{hashlib.sha256(key_text.encode()).hexdigest()[:16]}"
    index_path, pixel_path = stem.with_suffix(".json"), stem.with_suffix(".u8")
    image_shape = (image_size, image_size, 3)
    if not is_whole(index_path, pixel_path, math.prod(image_shape)):
        cache_dir.mkdir(parents=True, exist_ok=True)
        logging.info(
            "Preparing %d images, %d pixels wide, in %s", len(source.names), image_size, cache_dir
        )
        unfinished = pixel_path.with_suffix(f".{os.getpid()}.tmp")
        rows = write_pixels(source, image_shape, unfinished)
        # The index appears last: pixels without it count as not there.
        index_path.unlink(missing_ok=True)
        unfinished.replace(pixel_path)
        unfinished.write_text(json.dumps({"rows": rows}))
        unfinished.replace(index_path)
    rows = read_rows(index_path)
    if not rows.size:
        return np.empty((0, *image_shape), np.uint8), rows
    return np.memmap(pixel_path, np.uint8, "r", shape=(len(rows), *image_shape)), rows


def is_whole(index_path: pathlib.Path, pixel_path: pathlib.Path, image_bytes: int) -> bool:
    """Whether the cache holds the index and just the pixels that it speaks of."""
    if not index_path.exists() or not pixel_path.exists():
        return False
    try:
        rows = read_rows(index_path)
    except run_files.UnreadableFileError as error:
        logging.warning("%s", error)
        return False
    return pixel_path.stat().st_size == len(rows) * image_bytes


def read_rows(index_path: pathlib.Path) -> np.ndarray:
    """Row numbers int64 [n] that an index lists."""
    remedy = "The images are prepared again."
    content = run_files.read_json(index_path, remedy=remedy, keys=("rows",))
    with run_files.reading(index_path, remedy):
        return np.array(content["rows"], np.int64).reshape(-1)


def write_pixels(source: Source, image_shape: tuple[int, ...], path: pathlib.Path) -> list[int]:
    """Writes the readable images' pixels to `path` in a row, and returns their row numbers."""
    rows: list[int] = []
    try:
        with path.open("wb") as file:
            for numbers, images in source.read():
                if images.shape != (len(numbers), *image_shape) or images.dtype != np.uint8:
                    raise ValueError(
                        f"A source gave images {images.dtype} {images.shape} for {len(numbers)}"
                        f" rows; expected uint8 {image_shape} each."
                    )
                file.write(np.ascontiguousarray(images).tobytes())
                rows.extend(int(number) for number in numbers)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return rows
