"""Files of codes, each by rename: TFRecord, Parquet, and .npz shards that an audit can read."""

import importlib.util
import json
import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from arl_tf.utils import files, run_files

INDEX = "encode.json"
# Files of shards, and those that a killed process left.
SHARD = re.compile(r"(?:unfinished_\d+_)?(?:codes|unreadable)-\d{5,}-of-\d{5,}\.(?:\w+)")
UNFINISHED = "unfinished_"


class RecordWriter:
    """Writes codes as tf.train.Examples: `name`, and `code`, the values in row-major order."""

    def __init__(self, path: pathlib.Path):
        """Opens the file; it is not there by its name before `publish`."""
        self.path, self.unfinished = path, files.aside(path)
        self.file = tf.io.TFRecordWriter(str(self.unfinished))

    def write(self, names: Sequence[str], codes: np.ndarray, images: np.ndarray) -> None:
        """Adds codes float32 [n, ...]; the images are not kept."""
        del images
        for name, code in zip(names, codes, strict=True):
            self.file.write(example(name, code).SerializeToString())

    def publish(self) -> None:
        """Gives the whole file its name."""
        self.file.close()
        self.unfinished.replace(self.path)


class ParquetWriter:
    """Writes codes as a table of `name` and `code`, the values in row-major order, for Arrow.

    Names that are not UTF-8 have backslashes for the bytes that are not.
    """

    def __init__(self, path: pathlib.Path):
        """Opens the file; it is not there by its name before `publish`."""
        require_parquet()
        # Imported late: it is an extra.
        import pyarrow
        from pyarrow import parquet

        self.arrow, self.path, self.unfinished = pyarrow, path, files.aside(path)
        fields = [("name", pyarrow.string()), ("code", pyarrow.list_(pyarrow.float32()))]
        self.schema = pyarrow.schema(fields)
        self.file = parquet.ParquetWriter(self.unfinished, self.schema)

    def write(self, names: Sequence[str], codes: np.ndarray, images: np.ndarray) -> None:
        """Adds codes float32 [n, ...] as a group of rows; the images are not kept."""
        del images
        named = [name.encode(errors="backslashreplace").decode() for name in names]
        rows = list(np.asarray(codes, np.float32).reshape(len(codes), -1))
        self.file.write_table(self.arrow.table([named, rows], schema=self.schema))

    def publish(self) -> None:
        """Gives the whole file its name."""
        self.file.close()
        self.unfinished.replace(self.path)


def require_parquet() -> None:
    """Raises ValueError where Parquet files can't be written here."""
    if importlib.util.find_spec("pyarrow") is None:
        raise ValueError(
            "--encode_format=parquet needs pyarrow, which is not installed: pip install"
            " 'arl_tf[parquet]'."
        )


class ArrayWriter:
    """Keeps codes, images and names of a shard, and writes them as an .npz file for --codes.

    All of a shard is in memory: an array has its length before its values.
    """

    def __init__(self, path: pathlib.Path):
        """Takes the file's name."""
        self.path = path
        self.parts: list[tuple[Sequence[str], np.ndarray, np.ndarray]] = []

    def write(self, names: Sequence[str], codes: np.ndarray, images: np.ndarray) -> None:
        """Adds codes float32 [n, ...] and their images uint8 [n, S, S, 3]."""
        self.parts.append((names, codes, images))

    def publish(self) -> None:
        """Writes the file, by rename; one without a photo has empty arrays."""
        arrays: dict[str, Any] = {"codes": [], "images": [], "files": []}
        if self.parts:
            names, codes, images = zip(*self.parts, strict=True)
            arrays = {
                "codes": np.concatenate(codes),
                "images": np.concatenate(images),
                "files": np.array([name for some in names for name in some]),
            }
        with files.replacing(self.path) as unfinished:
            np.savez(unfinished, **arrays)


def shard_path(
    folder: pathlib.Path, kind: str, number: int, shards: int, ending: str
) -> pathlib.Path:
    """The file of a shard's "codes", or of what was "unreadable" in it."""
    return folder / f"{kind}-{number:05d}-of-{shards:05d}.{ending}"


def shard_files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
    """The files of shards in a folder, whole and unfinished; nobody else's."""
    return (path for path in sorted(folder.iterdir()) if SHARD.fullmatch(path.name))


def is_empty(path: pathlib.Path) -> bool:
    """Whether a shard's file of codes holds none."""
    if path.suffix == ".tfrecord":
        return not path.stat().st_size
    if path.suffix == ".parquet":
        from pyarrow import parquet

        return not parquet.read_metadata(path).num_rows
    with run_files.open_arrays(path, remedy="Encode again.") as saved:
        return not saved["files"].size


WRITERS = {"tfrecord": RecordWriter, "parquet": ParquetWriter, "npz": ArrayWriter}


def example(name: str, code: np.ndarray) -> tf.train.Example:
    """One photo's code float32 [...] as a tf.train.Example."""
    values = tf.train.FloatList(value=np.asarray(code, np.float32).ravel())
    named = tf.train.BytesList(value=[name.encode(errors="surrogateescape")])
    features = {
        "name": tf.train.Feature(bytes_list=named),
        "code": tf.train.Feature(float_list=values),
    }
    return tf.train.Example(features=tf.train.Features(feature=features))


def read_codes(folder: str | os.PathLike) -> tf.data.Dataset:
    """The TFRecord codes of a folder as (name, code): string, float32 of the code's shape.

    Shards come in their order, photos in that of their source.

    Raises:
        ValueError: the folder holds no codes, or not those of all shards.
    """
    folder = pathlib.Path(folder)
    index = run_files.read_json(
        folder / INDEX, remedy="Encode again.", keys=("code_shape", "shards", "format")
    )
    if index["format"] != "tfrecord":
        raise ValueError(f"{folder} holds codes as {index['format']}; expected tfrecord.")
    shape = index["code_shape"]
    spec = {
        "name": tf.io.FixedLenFeature((), tf.string),
        "code": tf.io.FixedLenFeature(shape, tf.float32),
    }

    def parsed(record):
        found = tf.io.parse_single_example(record, spec)
        return found["name"], found["code"]

    shards = [
        str(shard_path(folder, "codes", at, index["shards"], "tfrecord"))
        for at in range(index["shards"])
    ]
    missing = [path for path in shards if not pathlib.Path(path).exists()]
    if missing:
        raise ValueError(
            f"{len(missing)} of {len(shards)} shards are not there, the first is {missing[0]}:"
            " encode to the end with the command that began it."
        )
    return tf.data.TFRecordDataset(shards).map(parsed)


def read_lines(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """The objects of a file of JSON lines."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield json.loads(line)
