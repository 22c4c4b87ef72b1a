"""Encodes one shard: its codes and its unreadable photos, in files that appear by rename.

A shard is done when its file of codes is there. A killed one leaves no such file and is encoded
again as a whole, so no photo is left out or stands twice.
"""

import dataclasses
import json
import pathlib

from arl_tf.data import code_records
from arl_tf.data.pictures import reader
from arl_tf.data.preprocessing import preprocessing
from arl_tf.experiments.encoding.encoders import BulkEncoder
from arl_tf.experiments.encoding.sources import Shard, photos_of
from arl_tf.utils import files


@dataclasses.dataclass(frozen=True)
class Target:
    """Where codes go.

    Attributes:
        folder: of all shards.
        file_format: a key of code_records.WRITERS.
        shards: how many there are.
    """

    folder: str
    file_format: str
    shards: int

    def codes(self, number: int) -> pathlib.Path:
        """The file of a shard's codes."""
        return self._file("codes", number, self.file_format)

    def unreadable(self, number: int) -> pathlib.Path:
        """The file that names a shard's photos which could not be read."""
        return self._file("unreadable", number, "jsonl")

    def todo(self) -> list[int]:
        """Numbers of the shards that are not done."""
        return [number for number in range(self.shards) if not self.codes(number).exists()]

    def _file(self, kind: str, number: int, ending: str) -> pathlib.Path:
        folder = pathlib.Path(self.folder)
        return code_records.shard_path(folder, kind, number, self.shards, ending)


def encode_shard(encoder: BulkEncoder, shard: Shard, number: int, target: Target) -> int:
    """Encodes the photos of a shard, some hundred in memory at a time.

    Args:
        encoder: that encodes.
        shard: the photos.
        number: of the shard.
        target: where its files go.

    Returns:
        How many photos were looked at.

    Raises:
        reader.ReadingError: the system does not give out some of them; the shard is not done.
    """
    names: dict[int, str] = {}
    writer = code_records.WRITERS[target.file_format](target.codes(number))
    refused: list[dict[str, str]] = []
    looked_at = 0
    # The function of all shards, or each would have a graph of its own.
    preprocess = preprocessing(encoder.image_size, encoder.fit)
    for chunk in reader.read_pictures(numbered(shard, names), preprocess):
        looked_at += len(chunk.rows) + len(chunk.refused)
        refused += [{"name": names.pop(row), "reason": why} for row, why in chunk.refused.items()]
        if len(chunk.rows):
            codes = encoder.encode(chunk.images)
            writer.write([names.pop(int(row)) for row in chunk.rows], codes, chunk.images)
    # Before the codes: what is done has both files.
    lines = "".join(f"{json.dumps(each)}\n" for each in refused)
    files.write_text(target.unreadable(number), lines)
    writer.publish()
    return looked_at


def numbered(shard: Shard, names: dict[int, str]):
    """(number, a function that gives the bytes) of each photo; its name is added to `names`."""
    for number, (name, content) in enumerate(photos_of(shard)):
        names[number] = name
        yield number, content
