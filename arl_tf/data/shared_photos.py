"""Finds photos of the test set that stand in X1 or X2 as well, exactly or nearly.

A perceptual hash of 63 bits finds candidates: the signs, about their median, of the lowest
frequencies of the grey picture (a discrete cosine transform of 8 by 8). Aligned faces resemble each
other in these, hence a candidate counts only if the pictures agree, too, in 16 by 16 colours.
"""

import dataclasses
from typing import Any

import numpy as np

GREY = np.array([0.299, 0.587, 0.114], np.float32)
FREQUENCIES = 8
SMALL = 16
# Standard deviation of a picture's values that is no picture.
FLAT = 2.0
# Bits of the hash that may differ.
MOST_BITS = 10
# Root mean square of the difference of two small pictures, each less its mean colour, 0 to 255; and
# as a share of what a picture differs from its own mean colour. Among 8,997 photos of CelebA five
# pairs are within these, each of one photo; pairs of different photos begin at 18.
MOST_DIFFERENCE, MOST_SHARE = 12.0, 0.25
# Rows of images at a time: of the pictures turned into numbers, of the table of distances.
BLOCK = 512
# Pairs that splits.json names.
NAMED = 20


@dataclasses.dataclass(frozen=True)
class SharedPhotos:
    """Test photos that are in another part as well.

    Attributes:
        pairs: int64 [P, 2], rows of a test image and of one like it; sorted by test image.
        exact: bool [P], whether their prepared pixels are equal.
    """

    pairs: np.ndarray
    exact: np.ndarray

    def num_test_images(self) -> int:
        """How many test images have one like them."""
        return len(np.unique(self.pairs[:, 0]))

    def sentence(self) -> str:
        """What is to be said of them; empty where there are none."""
        if not len(self.pairs):
            return ""
        return (
            f"{self.num_test_images()} test images are, exactly or nearly, photos that X1 or X2"
            f" holds as well ({int(self.exact.sum())} of {len(self.pairs)} pairs are equal): an"
            " audit with shared photos measures nothing. Remove them from the data set."
        )

    def record(self, names: tuple[str, ...]) -> dict[str, Any]:
        """For splits.json: how many, and the names of the first pairs."""
        return {
            "test_images": self.num_test_images(),
            "pairs": len(self.pairs),
            "equal_pairs": int(self.exact.sum()),
            "first_pairs": [[names[row] for row in pair] for pair in self.pairs[:NAMED]],
        }


def find_shared(images: np.ndarray, others: np.ndarray, test: np.ndarray) -> SharedPhotos:
    """Looks for every test image among the others.

    Args:
        images: uint8 [N, S, S, 3], prepared.
        others: int64 [n], rows that the test images must not be in.
        test: int64 [m], rows of the test images.
    """
    hashes, small = describe(images, test)
    other_hashes, other_small = describe(images, others)
    found = []
    for start in range(0, len(test), BLOCK):
        differing = np.bitwise_count(hashes[start : start + BLOCK, None] ^ other_hashes[None])
        near, like = np.nonzero(differing <= MOST_BITS)
        close = is_close(small[start + near], other_small[like])
        found.append(np.stack([test[start + near[close]], others[like[close]]], axis=1))
    pairs = np.concatenate(found).astype(np.int64) if found else np.zeros((0, 2), np.int64)
    exact = np.array([np.array_equal(images[one], images[other]) for one, other in pairs], bool)
    # Nothing can be told of a picture of one colour but that it is the same.
    kept = exact | np.array([images[one].std() > FLAT for one, _ in pairs], bool)
    return SharedPhotos(pairs[kept], exact[kept])


def is_close(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether small pictures float32 [n, d] are of one photo: bool [n]."""
    contrast = np.sqrt(np.square(some).mean(axis=1))
    difference = np.sqrt(np.square(some - others).mean(axis=1))
    return difference <= np.minimum(MOST_DIFFERENCE, MOST_SHARE * contrast)


def describe(images: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(hashes uint64 [n], small pictures float32 [n, 16 * 16 * 3] less their mean colour)."""
    side = images.shape[1]
    waves, areas = cosines(side), area_means(side)
    hashes, small = [], []
    for start in range(0, len(rows), BLOCK):
        some = np.asarray(images[rows[start : start + BLOCK]], np.float32)
        hashes.append(hash_bits(waves @ (some @ GREY) @ waves.T))
        tiny = np.einsum("ah,nhwc,bw->nabc", areas, some, areas, optimize=True)
        tiny -= tiny.mean(axis=(1, 2), keepdims=True)
        small.append(tiny.reshape(len(some), -1))
    return (
        np.concatenate(hashes) if hashes else np.zeros(0, np.uint64),
        np.concatenate(small) if small else np.zeros((0, SMALL * SMALL * 3), np.float32),
    )


def hash_bits(spectrum: np.ndarray) -> np.ndarray:
    """uint64 [n] of frequencies [n, 8, 8]; the mean grey, the first of them, does not count."""
    values = spectrum.reshape(len(spectrum), -1)[:, 1:]
    bits = values > np.median(values, axis=1, keepdims=True)
    bits = np.concatenate([np.zeros((len(bits), 1), bool), bits], axis=1)
    return np.packbits(bits, axis=1).view(np.uint64)[:, 0]


def cosines(side: int) -> np.ndarray:
    """The lowest waves of the discrete cosine transform of that many pixels: float32 [8, side]."""
    places = (np.arange(side) + 0.5) * np.pi / side
    return np.cos(np.arange(FREQUENCIES)[:, None] * places).astype(np.float32)


def area_means(side: int) -> np.ndarray:
    """Means over SMALL equal stretches of that many pixels: float32 [SMALL, side]."""
    edges = np.linspace(0, side, SMALL + 1)
    pixels = np.arange(side)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return (np.maximum(overlap, 0) / (side / SMALL)).astype(np.float32)
