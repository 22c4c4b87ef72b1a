"""Reads many pictures in order, and says of each that can't be read why."""

import concurrent.futures
import functools
import itertools
import os
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator

import numpy as np
import tensorflow as tf

from arl_tf.data.image_cache import Chunk
from arl_tf.data.pictures.decoding import decode_plain_jpeg, decode_with_orientation
from arl_tf.data.pictures.formats import FORMATS, SIGNATURES
from arl_tf.data.pictures.plain_jpeg import is_plain
from arl_tf.data.preprocessing import DEVICE

MISSING = "missing"
CHUNK = 256
# How TensorFlow writes the words of a failed assertion.
ASSERTION = re.compile(r"assertion failed: \[(.*?)\]", re.DOTALL)

# uint8 [h, w, 3] -> uint8 [S, S, 3].
Preprocess = Callable[[tf.Tensor], tf.Tensor]


class UnreadableError(ValueError):
    """A picture that can't be read; the message says why."""


def read_files(paths: list[str], preprocess: Preprocess) -> Iterator[Chunk]:
    """Decodes and preprocesses image files in order; those that can't be read are named.

    Args:
        paths: of the files.
        preprocess: from decoded to prepared pixels; the same function for the same preprocessing.

    Yields:
        Chunks whose rows are positions in `paths`.
    """
    contents = (functools.partial(read_bytes, path) for path in paths)
    yield from read_pictures(enumerate(contents), preprocess)


def read_pictures(
    pictures: Iterable[tuple[int, Callable[[], bytes]]], preprocess: Preprocess
) -> Iterator[Chunk]:
    """The same for (number, a function that gives a file's bytes)."""
    prepare, prepare_plain = preparing(preprocess), preparing_plain(preprocess)

    def read(numbered):
        number, content = numbered
        try:
            image_bytes = content()
            way = prepare_plain if is_plain(image_bytes) else prepare
            return number, *prepared(image_bytes, way), ""
        except UnreadableError as error:
            return number, None, False, str(error)

    pictures = iter(pictures)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        while some := list(itertools.islice(pictures, CHUNK)):
            yield chunk_of(list(pool.map(read, some)))


@functools.lru_cache(maxsize=8)
def preparing(
    preprocess: Preprocess,
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """A file's bytes -> (prepared pixels uint8 [S, S, 3], orientation 1 to 8) as a graph, kept.

    To trace and optimise it takes longer than to read hundreds of pictures.
    """

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((), tf.string)])
    def prepare(image_bytes):
        with tf.device(DEVICE):
            image, orientation = decode_with_orientation(image_bytes)
            return preprocess(image), orientation

    return prepare


@functools.lru_cache(maxsize=8)
def preparing_plain(
    preprocess: Preprocess,
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """The same for JPEGs that `plain_jpeg.is_plain` lets pass, in less time.

    Bytes -> (prepared pixels uint8 [S, S, 3], orientation 1) as a graph, kept.
    """

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((), tf.string)])
    def prepare(image_bytes):
        with tf.device(DEVICE):
            return preprocess(decode_plain_jpeg(image_bytes)), tf.constant(1, tf.int64)

    return prepare


def chunk_of(results: list[tuple[int, np.ndarray | None, bool, str]]) -> Chunk:
    """Gathers (number, image uint8 [S, S, 3], whether it was turned, why it can't be read)."""
    good = [(number, image) for number, image, _, reason in results if not reason]
    return Chunk(
        rows=np.array([number for number, _ in good], np.int64),
        images=np.stack([image for _, image in good]) if good else None,
        refused={number: reason for number, _, _, reason in results if reason},
        turned=sum(turned for _, _, turned, _ in results),
    )


def read_bytes(path: str) -> bytes:
    """The bytes of a file; raises UnreadableError where there is none."""
    try:
        return pathlib.Path(path).read_bytes()
    except FileNotFoundError:
        raise UnreadableError(MISSING) from None
    except OSError as error:
        raise UnreadableError(f"can't be opened: {error.strerror or error}") from None


def prepared(image_bytes: bytes, prepare: Callable) -> tuple[np.ndarray, bool]:
    """(pixels uint8 [S, S, 3], whether EXIF had them turned); raises UnreadableError."""
    try:
        image, orientation = prepare(image_bytes)
    except tf.errors.InvalidArgumentError as error:
        raise UnreadableError(refusal_words(str(error), image_bytes)) from None
    return image.numpy(), int(orientation) != 1


def refusal_words(message: str, image_bytes: bytes) -> str:
    """Why a picture was refused: the graph's own words, or that its decoder found it damaged."""
    found = ASSERTION.search(message)
    if found:
        return found[1].strip(". ")
    formats = (
        FORMATS[place]
        for place, start, magic in SIGNATURES
        if image_bytes[start : start + len(magic)] == magic
    )
    return f"a damaged {next(formats, 'picture')}"
