"""Reads many pictures in order, and says of each that can't be read why."""

import concurrent.futures
import functools
import itertools
import pathlib
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

import numpy as np
import tensorflow as tf

from arl_tf.data.image_cache import ABSENT, Chunk
from arl_tf.data.pictures.decoding import decode_plain_jpeg, decode_with_orientation
from arl_tf.data.pictures.formats import FORMATS, HEAD, SIGNATURES
from arl_tf.data.pictures.plain_jpeg import is_plain
from arl_tf.data.preprocessing import DEVICE
from arl_tf.utils.cores import num_threads

MISSING, FOLDER = "missing", "a folder and no file"
TOO_LARGE = "its pixels take more memory than there is"
CHUNK = 256
# How many files a message names.
NAMED = 5
# How TensorFlow writes the words of a failed assertion.
ASSERTION = re.compile(r"assertion failed: \[(.*?)\]", re.DOTALL)

# uint8 [h, w, 3] -> uint8 [S, S, 3].
Preprocess = Callable[[tf.Tensor], tf.Tensor]


# What a chunk's picture became: (number, image uint8 [S, S, 3] or None, whether it was turned, why
# it can't be read), or the system's error.
Result = tuple[int, np.ndarray | None, bool, str]


class UnreadableError(ValueError):
    """A picture that can't be read; the message says why."""


class ReadingError(OSError):
    """Files that the system does not give out, though they are there: that may pass.

    They are no bad images: those are left out, and remembered as such with what was prepared.
    """


def read_files(paths: list[str], preprocess: Preprocess) -> Iterator[Chunk]:
    """Decodes and preprocesses image files in order; those that can't be read are named.

    Args:
        paths: of the files.
        preprocess: from decoded to prepared pixels; the same function for the same preprocessing.

    Yields:
        Chunks whose rows are positions in `paths`.

    Raises:
        ReadingError: the system does not give out some of the files, twice in a row.
    """
    contents = (functools.partial(read_bytes, path) for path in paths)
    yield from read_pictures(enumerate(contents), preprocess)


def read_pictures(
    pictures: Iterable[tuple[int, Callable[[], bytes]]], preprocess: Preprocess
) -> Iterator[Chunk]:
    """The same for (number, a function that gives a file's bytes); its OSErrors count as above."""
    prepare, prepare_plain = preparing(preprocess), preparing_plain(preprocess)

    def read(numbered) -> Result | OSError:
        number, content = numbered
        try:
            image_bytes = content()
            way = prepare_plain if is_plain(image_bytes) else prepare
            return number, *prepared(image_bytes, way), ""
        except UnreadableError as error:
            return number, None, False, str(error)
        except OSError as error:
            return error

    pictures = iter(pictures)
    with concurrent.futures.ThreadPoolExecutor(num_threads()) as pool:
        while some := list(itertools.islice(pictures, CHUNK)):
            results = list(pool.map(read, some))
            # Once more, now that no other file is open: some errors have passed by then.
            again = [
                read(numbered) if may_pass(found) else found
                for numbered, found in zip(some, results, strict=True)
            ]
            yield chunk_of(all_given_out(again))


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


def may_pass(found: Result | OSError) -> bool:
    """Whether a picture that is read alone may be readable: the others took files and memory."""
    return isinstance(found, OSError) or found[3] == TOO_LARGE


def all_given_out(results: list[Result | OSError]) -> list[Result]:
    """The results themselves; ReadingError that names the files where some are errors."""
    errors = [found for found in results if isinstance(found, OSError)]
    if errors:
        named = [f"{each.filename} ({each.strerror or each})" for each in errors[:NAMED]]
        more = f" and {len(errors) - NAMED} more" if len(errors) > NAMED else ""
        raise ReadingError(
            f"{len(errors)} of {len(results)} pictures that are read together can't be opened:"
            f" {', '.join(named)}{more}. They are not left out, because that may pass. Make the"
            " files readable, or remove them, and start the same command again."
        )
    return [found for found in results if not isinstance(found, OSError)]


def as_listed(
    chunks: Iterator[Chunk], names: Sequence[str], missing: Collection[str]
) -> Iterator[Chunk]:
    """Chunks of files of which only those are missing that were so when they were listed.

    Storage that goes away in between must not be remembered as if the files had never been there.

    Args:
        chunks: of `read_files`.
        names: of the files, by row.
        missing: those that were not there.

    Raises:
        ReadingError: another one is missing.
    """
    for chunk in chunks:
        missed = [names[row] for row, reason in chunk.refused.items() if reason == MISSING]
        gone = [name for name in missed if name not in missing]
        if gone:
            raise ReadingError(
                f"{len(gone)} of {len(names)} files were there when this command began, and are"
                f" gone, the first {gone[0]}. Start the same command again when the files are back,"
                " or with those that are left."
            )
        yield chunk


def chunk_of(results: list[Result]) -> Chunk:
    """Gathers what became of pictures."""
    good = [(number, image) for number, image, _, reason in results if not reason]
    return Chunk(
        rows=np.array([number for number, _ in good], np.int64),
        images=np.stack([image for _, image in good]) if good else None,
        refused={number: reason for number, _, _, reason in results if reason},
        turned=sum(turned for _, _, turned, _ in results),
    )


def read_bytes(path: str) -> bytes:
    """The bytes of a file; of one that is no picture of a known format only the first HEAD.

    They say what it is, and a film among the pictures would fill the memory.

    Raises:
        UnreadableError: there is none.
        OSError: there is one, and the system does not give it out.
    """
    try:
        with pathlib.Path(path).open("rb") as file:
            head = file.read(HEAD)
            return head + file.read() if may_be_picture(head) else head
    except IsADirectoryError:
        raise UnreadableError(FOLDER) from None
    except OSError as error:
        if error.errno in ABSENT:
            raise UnreadableError(MISSING) from None
        # An error of reading, unlike one of opening, does not know its file.
        raise OSError(error.errno, error.strerror, path) from None


def may_be_picture(head: bytes) -> bool:
    """Whether a file begins as one of the formats that are read."""
    return any(head[at : at + len(magic)] == magic for _, at, magic in SIGNATURES)


def prepared(image_bytes: bytes, prepare: Callable) -> tuple[np.ndarray, bool]:
    """(pixels uint8 [S, S, 3], whether EXIF had them turned); raises UnreadableError."""
    try:
        image, orientation = prepare(image_bytes)
    except tf.errors.InvalidArgumentError as error:
        raise UnreadableError(refusal_words(str(error), image_bytes)) from None
    # A small file can claim any size; the other pictures go on.
    except tf.errors.ResourceExhaustedError:
        raise UnreadableError(TOO_LARGE) from None
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
