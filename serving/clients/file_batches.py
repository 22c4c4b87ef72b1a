"""Picture files for a client: read into batches that keep to its limits."""

import functools
import io
import logging
import os
import pathlib
from collections.abc import Callable, Iterable, Iterator

from PIL import Image

Path = str | os.PathLike[str]
OnUnreadable = Callable[[pathlib.Path, str], None]


def log_unreadable(path: pathlib.Path, reason: str) -> None:
    """Reports a file that gave no code through the standard logging."""
    logging.getLogger(__name__).warning("%s gave no code: %s", path, reason)


def file_batches(
    paths: Iterable[Path], batch_size: int, limit: float, on_unreadable: OnUnreadable
) -> Iterator[list[tuple[pathlib.Path, bytes]]]:
    """Reads files into batches, each as it is needed.

    Args:
        paths: of the files.
        batch_size: most files of a batch.
        limit: most bytes of a batch, and of a file.
        on_unreadable: is called with the path and the reason of each file that is left out.
    """
    batch, size = [], 0
    for path in map(pathlib.Path, paths):
        try:
            content = read_picture(path, limit)
        except (OSError, ValueError) as error:
            on_unreadable(path, str(error))
            continue
        if batch and (len(batch) == batch_size or size + len(content) > limit):
            yield batch
            batch, size = [], 0
        batch.append((path, content))
        size += len(content)
    if batch:
        yield batch


def read_picture(path: pathlib.Path, limit: float) -> bytes:
    """A file's bytes; raises OSError or ValueError for one that is missing, empty or too large."""
    size = path.stat().st_size
    if not 0 < size <= limit:
        raise ValueError(f"{size} bytes; expected from 1 to {int(limit)}")
    return path.read_bytes()


@functools.cache
def black_png() -> bytes:
    """A picture of a few pixels."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8)).save(file, "PNG")
    return file.getvalue()
