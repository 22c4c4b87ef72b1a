"""Where photos to encode come from, dealt to shards that are encoded one by one.

A shard is small enough to be done again, and says by itself which photos it has: a process that
works on it needs nothing else.
"""

import dataclasses
import errno
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Iterator

import tensorflow as tf
from google.protobuf.message import DecodeError

from arl_tf.config.checks import comma_separated
from arl_tf.config.data_checks import TFDS_PREFIX
from arl_tf.config.path_values import clean_path
from arl_tf.data.folder_contents import LITTER
from arl_tf.data.image_cache import file_stamp
from arl_tf.data.pictures import reader
from arl_tf.data.tfds_images import tfds_fingerprint

SHARD_PHOTOS = 1024
RECORDS = ".tfrecord"
# Keys of a tf.train.Example that hold a picture file, and its name; the first that is there counts.
IMAGE_KEYS = ("image", "image/encoded", "image_bytes")
NAME_KEYS = ("name", "image/filename", "filename")

# A photo's name, and a function that gives its file's bytes.
Photo = tuple[str, Callable[[], bytes]]


@dataclasses.dataclass(frozen=True)
class Shard:
    """Some photos of a source.

    Attributes:
        kind: a key of READERS.
        place: a folder, the name of a tfds builder, or a TFRecord file.
        items: names of files in the folder; ("split", first, end) of tfds; what names the photos of
            a TFRecord file, without a name of their own.
    """

    kind: str
    place: str
    items: tuple = ()


@dataclasses.dataclass(frozen=True)
class PhotoSource:
    """All photos to encode.

    Attributes:
        shards: that they are dealt to, always in the same way.
        fingerprint: changes when the photos do.
    """

    shards: tuple[Shard, ...]
    fingerprint: str


def open_source(text: str, shard_photos: int = SHARD_PHOTOS) -> PhotoSource:
    """Lists the photos that --encode_from names; none is read.

    Args:
        text: a folder, tfds:NAME, or TFRecord files, comma-separated.
        shard_photos: photos of a shard, but for TFRecord files, which are a shard each.

    Raises:
        ValueError: there is no such source, or it has no photo.
    """
    if text.startswith(TFDS_PREFIX):
        return tfds_source(text.removeprefix(TFDS_PREFIX), shard_photos)
    if pathlib.Path(text).is_dir():
        return folder_source(pathlib.Path(text), shard_photos)
    files = [pathlib.Path(clean_path("encode_from", name)) for name in comma_separated(text)]
    if files and all(RECORDS in file.name for file in files):
        return records_source(files)
    raise ValueError(
        f"--encode_from={text}: there is no such folder; expected a folder of photos, tfds:NAME, or"
        f" files whose names hold {RECORDS}."
    )


def folder_source(folder: pathlib.Path, shard_photos: int) -> PhotoSource:
    """All files of a folder and of those below it, but for hidden ones."""
    names = sorted(file_names(folder))
    if not names:
        raise ValueError(f"--encode_from={folder} is empty: expected photos.")
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name} {file_stamp(folder / name)}\n".encode(errors="surrogateescape"))
    shards = tuple(
        Shard("files", str(folder), tuple(names[start : start + shard_photos]))
        for start in range(0, len(names), shard_photos)
    )
    return PhotoSource(shards, digest.hexdigest())


def file_names(folder: pathlib.Path) -> Iterator[str]:
    """Paths of the visible files below a folder, relative to it; links are followed.

    Without what systems leave: it comes and goes, and would be a change of the source.

    Raises:
        OSError: a folder can't be read.
    """

    def fail(error: OSError):
        raise error

    for place, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        here = pathlib.Path(place)
        folders[:] = [name for name in folders if is_shown(name) and not is_above(here / name)]
        for name in filter(is_shown, files):
            if not is_endless(here / name):
                yield str((here / name).relative_to(folder))


def is_shown(name: str) -> bool:
    """Whether a file or folder is neither hidden nor left behind by a system."""
    return not name.startswith(".") and name not in LITTER


def is_endless(path: pathlib.Path) -> bool:
    """Whether it is a pipe, a socket or a device: whoever reads it may wait for ever."""
    return path.exists() and not path.is_file()


def is_above(folder: pathlib.Path) -> bool:
    """Whether a folder is a link to one that holds it: a circle without end."""
    return folder.is_symlink() and folder.parent.resolve().is_relative_to(folder.resolve())


def records_source(files: list[pathlib.Path]) -> PhotoSource:
    """TFRecord files of tf.train.Examples."""
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise ValueError(f"--encode_from: there is no file {missing[0]}.")
    if len({file.resolve() for file in files}) < len(files):
        raise ValueError("--encode_from names a file twice.")
    stamps = "\n".join(f"{file} {file_stamp(file)}" for file in files)
    # Files of one name in several folders: photos of both would have one name.
    is_clear = len({file.name for file in files}) == len(files)
    shards = tuple(
        Shard("records", str(file), (file.name if is_clear else str(file),)) for file in files
    )
    return PhotoSource(shards, hashlib.sha256(stamps.encode()).hexdigest())


def tfds_source(name: str, shard_photos: int) -> PhotoSource:
    """A prepared tensorflow-datasets builder with a feature `image`; all its splits."""
    builder = tfds_builder(name)
    if "image" not in builder.info.features:
        raise ValueError(f"--encode_from={TFDS_PREFIX}{name} has no feature 'image'.")
    shards = tuple(
        Shard("tfds", name, (split, start, min(start + shard_photos, found.num_examples)))
        for split, found in sorted(builder.info.splits.items())
        for start in range(0, found.num_examples, shard_photos)
    )
    if not shards:
        raise ValueError(
            f"--encode_from={TFDS_PREFIX}{name} is not prepared in {builder.data_path}; prepare it"
            " with tensorflow-datasets first. TFDS_DATA_DIR names the folder of prepared sets."
        )
    return PhotoSource(shards, tfds_fingerprint(builder.info))


def tfds_builder(name: str):
    """A tensorflow-datasets builder; ValueError for an unknown one."""
    import tensorflow_datasets as tfds  # Slow to import, and needed here alone.

    try:
        return tfds.builder(name)
    except (tfds.core.registered.DatasetNotFoundError, ValueError, ImportError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise ValueError(
            f"--encode_from={TFDS_PREFIX}{name}: tensorflow-datasets has no such builder"
            f" ({first_line})."
        ) from None


def photos_of(shard: Shard) -> Iterator[Photo]:
    """The photos of a shard, in order; one at a time is in memory."""
    return READERS[shard.kind](shard)


def file_photos(shard: Shard) -> Iterator[Photo]:
    """Of a folder."""
    for name in shard.items:
        path = str(pathlib.Path(shard.place) / name)
        yield name, functools.partial(listed_bytes, path)


def listed_bytes(path: str) -> bytes:
    """The bytes of a file that stood in a folder; as `reader.read_bytes`.

    A file may have been removed since. But if its whole folder is gone or empty, the storage is
    away and will come back: that is an OSError.
    """
    try:
        return reader.read_bytes(path)
    except reader.UnreadableError as error:
        if str(error) == reader.MISSING and is_away(pathlib.Path(path).parent):
            raise OSError(errno.ENOENT, "its folder is gone, or empty", path) from None
        raise


def is_away(folder: pathlib.Path) -> bool:
    """Whether a folder is gone or empty, as the place of storage that is not mounted."""
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return True


def tfds_photos(shard: Shard) -> Iterator[Photo]:
    """Of a builder, as the files that it holds."""
    import tensorflow_datasets as tfds

    split, first, end = shard.items
    part = tfds.core.ReadInstruction(split, from_=first, to=end, unit="abs")
    encoded = tfds_builder(shard.place).as_dataset(
        split=part, decoders={"image": tfds.decode.SkipDecoding()}
    )
    files = intact(encoded.map(lambda example: example["image"]), TFDS_PREFIX + shard.place)
    for number, content in enumerate(files, start=first):
        yield f"{shard.place}/{split}/{number}", functools.partial(bytes, content)


def record_photos(shard: Shard) -> Iterator[Photo]:
    """Of a TFRecord file."""
    (file,) = shard.items
    for number, record in enumerate(intact(tf.data.TFRecordDataset(shard.place), shard.place)):
        try:
            features = tf.train.Example.FromString(record).features.feature
        except DecodeError:
            yield f"{file}:{number}", no_example
            continue
        name = first_bytes(features, NAME_KEYS)
        yield (
            f"{file}:{number}" if name is None else name.decode(errors="surrogateescape"),
            functools.partial(picture_bytes, first_bytes(features, IMAGE_KEYS)),
        )


def intact(records: tf.data.Dataset, place: str) -> Iterator[bytes]:
    """The records of a place; ValueError that names it where its files are damaged or none."""
    number = 0
    try:
        for record in records.as_numpy_iterator():
            yield record
            number += 1
    except (tf.errors.DataLossError, tf.errors.NotFoundError):
        raise ValueError(
            f"--encode_from: {place} is damaged at record {number}, cut off, or no TFRecord file."
            " Put back an intact copy; a compressed one must be unpacked first (gunzip)."
        ) from None


def no_example() -> bytes:
    """Raises UnreadableError for a record of something else."""
    raise reader.UnreadableError("the record is no tf.train.Example")


def first_bytes(features, keys: tuple[str, ...]) -> bytes | None:
    """The value of the first of some features that an example has."""
    for key in keys:
        if key in features and features[key].bytes_list.value:
            return features[key].bytes_list.value[0]
    return None


def picture_bytes(content: bytes | None) -> bytes:
    """A record's picture; UnreadableError where it has none."""
    if content is None:
        raise reader.UnreadableError(f"no feature of {', '.join(IMAGE_KEYS)}")
    return content


READERS = {"files": file_photos, "tfds": tfds_photos, "records": record_photos}
