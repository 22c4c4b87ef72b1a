"""Pictures that are alike get one mark, by which a device's key gives them noise in common.

A photo's small copies, recompressions and the shots of a burst differ in pixels, so that noise
which pixels decide averages out over them. A device therefore remembers a hash of 64 bits for each
kind of picture that it has encoded. A picture whose hash differs from a remembered one in at most
MOST_BITS has the mark of that one; of several, that of the oldest, so that a mark never changes.

Such pictures share half of their noise, by its variance. If they shared all of it, the difference
of two codes would be that of their mean codes, without noise; if none, their mean would have little
noise. The price: whoever gets the codes of two pictures with one mark sees that they are alike.
See docs/threat_model.md.
"""

import os
import pathlib

import numpy as np

HASH_BYTES = 8
# Of the 64. Tests on drawn faces: a shift by one pixel changes 4 on average, another person 30.
MOST_BITS = 8
# Of the noise's variance, what pictures with one mark have in common.
SHARED_VARIANCE = 0.5
GREY = np.array([0.299, 0.587, 0.114], np.float32)
# Before a mark where noise is keyed: no picture has so few bytes.
PREFIX = b"similar"


class SimilarPhotos:
    """The pictures that a device remembers, by their hashes. One thread at a time may use it."""

    def __init__(self, path: str | os.PathLike | None = None):
        """Reads what a device remembers.

        Args:
            path: a file of 8 bytes for each kind of picture, which grows; None: what is remembered
                is forgotten with this object.

        Raises:
            ValueError: the file holds something else.
            OSError: it can't be read.
        """
        self._path = None if path is None else pathlib.Path(path)
        self._known = np.zeros((0, HASH_BYTES), np.uint8)
        if self._path is not None and self._path.exists():
            self._known = hashes_in(self._path)

    def mark(self, image: np.ndarray) -> np.ndarray:
        """The mark of a picture, which is remembered where it is like none before.

        Args:
            image: prepared, uint8 [S, S, 3].

        Returns:
            uint8 [15], the same for pictures that are alike.

        Raises:
            OSError: the file can't be written.
        """
        found = picture_hash(image)
        alike = np.flatnonzero(differing_bits(self._known, found) <= MOST_BITS)
        if len(alike):
            found = self._known[alike[0]]
        else:
            self._remember(found)
        return np.frombuffer(PREFIX + found.tobytes(), np.uint8)

    def _remember(self, found: np.ndarray) -> None:
        """Adds a hash uint8 [8], in the file first, which is for its owner alone."""
        if self._path is not None:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "ab") as file:
                file.write(found.tobytes())
        self._known = np.concatenate([self._known, found[None]])


def hashes_in(path: pathlib.Path) -> np.ndarray:
    """The hashes that a file holds, the oldest first; uint8 [N, 8]. ValueError for another file."""
    content = path.read_bytes()
    if len(content) % HASH_BYTES:
        raise ValueError(
            f"{path} holds {len(content)} bytes; expected hashes of {HASH_BYTES} bytes each. Delete"
            " it to begin anew: pictures that are sent again then get other noise."
        )
    return np.frombuffer(content, np.uint8).reshape(-1, HASH_BYTES)


def picture_hash(image: np.ndarray) -> np.ndarray:
    """64 bits that say what a picture is like at large: uint8 [S, S, 3] -> uint8 [8].

    The signs of the 64 slowest waves of the grey picture's discrete cosine transform, without the
    mean brightness. Small details, brightness and contrast leave them as they are.
    """
    grey = image.astype(np.float32) @ GREY
    slow = 12
    wave, place = np.arange(slow)[:, None], np.arange(len(grey)) + 0.5
    basis = np.cos(np.pi * wave * place / len(grey))
    strengths = basis @ grey @ basis.T
    row, column = np.mgrid[:slow, :slow]
    order = np.argsort((row + column).ravel(), kind="stable")[1 : 8 * HASH_BYTES + 1]
    return np.packbits(strengths.ravel()[order] > 0)


def differing_bits(hashes: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many bits of uint8 [N, 8] differ from uint8 [8]; int [N]."""
    return np.bitwise_count(hashes ^ other).sum(axis=1, dtype=np.int64)
