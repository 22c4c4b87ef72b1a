"""Folders of TFRecord codes as data sets of tensorflow-datasets: what its readers want to know."""

import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np
import tensorflow as tf

from arl_tf.data import code_records
from arl_tf.utils import files

SPLIT = "codes"
DESCRIPTION = "Codes of photos, by the encoder that encode.json names."
# As `code_records.shard_path` names files.
TEMPLATE = "{SPLIT}-{SHARD_X_OF_Y}.{FILEFORMAT}"
METADATA = ("features.json", "dataset_info.json")


def describe(folder: pathlib.Path, shards: int, code_shape: Sequence[int]) -> None:
    """Writes what `tfds.builder_from_directory(folder)` reads: features, and photos of each shard.

    Args:
        folder: with the TFRecord files of all shards.
        shards: how many there are.
        code_shape: of a code, without the batch.
    """
    import tensorflow_datasets as tfds  # Slow to import, and needed here alone.

    paths = [code_records.shard_path(folder, SPLIT, at, shards, "tfrecord") for at in range(shards)]
    template = tfds.core.ShardedFileTemplate(
        template=TEMPLATE, data_dir=folder, split=SPLIT, filetype_suffix="tfrecord"
    )
    split = tfds.core.SplitInfo(
        name=SPLIT,
        shard_lengths=[number_of_records(path) for path in paths],
        num_bytes=sum(path.stat().st_size for path in paths),
        filename_template=template,
    )
    features = {
        "name": tfds.features.Text(),
        "code": tfds.features.Tensor(shape=tuple(code_shape), dtype=np.float32),
    }
    with tempfile.TemporaryDirectory() as aside:
        # It looks for a file of the data where it writes; each file here appears as a whole.
        (pathlib.Path(aside) / paths[0].name).touch()
        tfds.folder_dataset.write_metadata(
            data_dir=aside,
            features=features,
            split_infos=[split],
            filename_template=TEMPLATE,
            description=DESCRIPTION,
            check_data=False,
        )
        for name in METADATA:
            text = (pathlib.Path(aside) / name).read_text(encoding="utf-8")
            files.write_text(folder / name, text)


def is_described(folder: pathlib.Path) -> bool:
    """Whether `describe` has been here."""
    return all((folder / name).exists() for name in METADATA)


def number_of_records(path: pathlib.Path) -> int:
    """How many records a TFRecord file holds."""
    count = tf.data.TFRecordDataset(str(path)).reduce(np.int64(0), lambda found, _: found + 1)
    return int(count)
