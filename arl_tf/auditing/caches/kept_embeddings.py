"""Embeddings of a data set's images on disk: computed once for all audits that share a cache.

An identity network takes longer over the public images than many an attack. Embeddings are found
by the bytes of the picture that they are of, so images that have changed are embedded anew.
"""

import functools
import hashlib
import pathlib
from collections.abc import Sequence

import keras
import numpy as np
from absl import logging

from arl_tf.auditing.sealed_images import SealedImages
from arl_tf.data.image_sets import to_float
from arl_tf.metrics import reconstruction
from arl_tf.metrics.identity_networks import IdentityNetwork, Seen
from arl_tf.utils import files, run_files

HASHES, EMBEDDINGS = "hashes", "embeddings"


class KeptEmbeddings:
    """What identity networks said of parts of a data set, as .npz files."""

    def __init__(self, folder: pathlib.Path, images: SealedImages, parts: Sequence[np.ndarray]):
        """Takes the cache's folder, made on first use, the images, and parts: int rows [n] each."""
        self._folder, self._images, self._parts = folder, images, parts

    def recall(self, name: str, network: keras.Model) -> Seen:
        """Hash of a picture -> embedding float32 [D], of all that is kept of the parts.

        `network` is the Keras model that embeds, `name` is its name.
        """
        found: Seen = {}
        for rows in self._parts:
            found |= read_kept(self._path(name, network, rows))
        return found

    def examine(
        self, judges: reconstruction.MetricNetworks, images: np.ndarray, identities: np.ndarray
    ) -> reconstruction.Originals:
        """`reconstruction.examine`, with what is kept; what the judges then know is kept, too.

        `images` are uint8 [N, S, S, 3], `identities` int [N].
        """
        for judge in judges.identity:
            judge.remember(self.recall(judge.name, judge.network))
        originals = reconstruction.examine(judges, images, identities)
        for judge in judges.identity:
            self.keep(judge)
        return originals

    def keep(self, judge: IdentityNetwork) -> None:
        """Writes what a network has seen of the parts, which nobody seals any more."""
        for rows in self._parts:
            seen = judge.seen_of(np.asarray(to_float(self._images[rows])))
            path = self._path(judge.name, judge.network, rows)
            if len(seen) > len(read_kept(path)):
                write(path, seen)

    def _path(self, name: str, network: keras.Model, rows: np.ndarray) -> pathlib.Path:
        """The file of a network and a part."""
        digest = hashlib.sha256(f"{name} {weights_hash(network)}".encode())
        digest.update(np.ascontiguousarray(rows, np.int64).tobytes())
        digest.update(self._images.fingerprint.encode())
        return self._folder / f"embeddings_{digest.hexdigest()[:24]}.npz"


@functools.lru_cache(maxsize=4)
def weights_hash(network: keras.Model) -> str:
    """Hexadecimal SHA-256 of a frozen network's weights and of the shape of its images."""
    digest = hashlib.sha256(str(network.input_shape).encode())
    for weight in network.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def write(path: pathlib.Path, seen: Seen) -> None:
    """Writes embeddings [D] by the hashes of their pictures, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hashes = np.frombuffer(b"".join(seen), np.uint8).reshape(len(seen), -1)
    with files.replacing(path) as unfinished, unfinished.open("wb") as stream:
        np.savez(stream, **{HASHES: hashes, EMBEDDINGS: np.stack([*seen.values()])})


def read_kept(path: pathlib.Path) -> Seen:
    """What `write` wrote; nothing where there is no file, or a damaged one: with a warning."""
    if not path.exists():
        return {}
    try:
        with run_files.open_arrays(path, remedy="The embeddings are computed again.") as arrays:
            return {
                row.tobytes(): embedding
                for row, embedding in zip(arrays[HASHES], arrays[EMBEDDINGS], strict=True)
            }
    except run_files.UnreadableFileError as error:
        logging.warning("%s", error)
        return {}
