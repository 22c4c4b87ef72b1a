"""Finds photos of the test set that stand in X1 or X2 as well, exactly or nearly.

Copies are told by the correlation of small grey pictures, so colour, brightness and compression do
not matter. Mirrored copies are looked for, too, and copies that were cropped or moved by a few
pixels: parts of the one picture are compared with the whole other one. Candidates are the photos
whose picture of 8 by 8 is most like that of a test image; they are compared at 16 by 16.
"""

import dataclasses
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np

GREY = np.array([0.299, 0.587, 0.114], np.float32)
COARSE, FINE = 8, 16
# Candidates of a test image, and of its mirror image, and the correlation that they need.
CANDIDATES, LEAST_COARSE = 8, 0.85
# Standard deviation of a picture's grey values that is no picture.
FLAT = 2.0
# Correlation of two pictures of one photo. Copies reach it: of 300 photos of LFW and 300 of CelebA,
# at 64 pixels, all do in grey, at half size, mirrored, as JPEG of quality 30 and without 2 pixels
# at each side, 97 % without 3, 72 % without 4, and 94 % of those 1.3 times as bright. Different
# photos do not: the pairs of either set above .98 were looked at, each is of one photo; the most
# alike of the others reach .979.
LEAST = 0.98
# Sizes of the parts that are compared with whole pictures, as shares of the side.
SIZES = (31 / 32, 15 / 16, 29 / 32, 7 / 8)
# Of those that lie at an edge, too: of photos that were moved.
MOVED_SIZES = SIZES[:2]
# Rows of images at a time: 200,000 others take 300 MB then.
BLOCK = 128
# Pairs that splits.json names.
NAMED = 20

# Left, top and size of a part, as shares of the side.
Part = tuple[float, float, float]
WHOLE: Part = (0.0, 0.0, 1.0)


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
    exact = equal_pairs(images, others, test)
    near = like_pairs(images, others, test) if len(others) and len(test) else set()
    pairs = np.array(sorted(exact | near), np.int64).reshape(-1, 2)
    return SharedPhotos(pairs, np.array([tuple(pair) in exact for pair in pairs.tolist()], bool))


def equal_pairs(images: np.ndarray, others: np.ndarray, test: np.ndarray) -> set[tuple[int, int]]:
    """(test row, other row) of images uint8 [N, S, S, 3] whose pixels are equal."""
    rows: dict[bytes, list[int]] = {}
    for row in others.tolist():
        rows.setdefault(digest(images[row]), []).append(row)
    return {(row, other) for row in test.tolist() for other in rows.get(digest(images[row]), [])}


def digest(image: np.ndarray) -> bytes:
    """What tells the pixels uint8 [S, S, 3] of an image from those of others."""
    return hashlib.blake2b(np.ascontiguousarray(image).tobytes(), digest_size=16).digest()


def like_pairs(images: np.ndarray, others: np.ndarray, test: np.ndarray) -> set[tuple[int, int]]:
    """(test row, other row) of images uint8 [N, S, S, 3] that are nearly the same photo."""
    coarse = coarse_pictures(images, others)
    found: set[tuple[int, int]] = set()
    for start in range(0, len(test), BLOCK):
        rows = test[start : start + BLOCK]
        grey = grey_pictures(images, rows)
        for seen in (grey, grey[:, :, ::-1]):
            likeness = normalised(seen, WHOLE, COARSE) @ coarse.T
            one, other = candidates(likeness)
            close = correlations(seen, images, others, one, other) >= LEAST
            found |= set(zip(rows[one[close]].tolist(), others[other[close]].tolist(), strict=True))
    return found


def candidates(likeness: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Places (row, column) of each row's greatest values that are LEAST_COARSE at least.

    Args:
        likeness: float32 [m, n], correlations.

    Returns:
        Two of int64 [c].
    """
    most = min(CANDIDATES, likeness.shape[1])
    columns = np.argpartition(-likeness, most - 1, axis=1)[:, :most]
    good = np.take_along_axis(likeness, columns, axis=1) >= LEAST_COARSE
    return np.nonzero(good)[0], columns[good]


def correlations(
    seen: np.ndarray, images: np.ndarray, others: np.ndarray, one: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """How alike the parts of pairs are that are most alike: float32 [c].

    Args:
        seen: float32 [m, S, S], grey pictures.
        images: uint8 [N, S, S, 3].
        others: int64 [n], rows of `images`.
        one: int64 [c], places in `seen`.
        other: int64 [c], places in `others`.
    """
    best = np.zeros(len(one), np.float32)
    for start in range(0, len(one), BLOCK):
        pairs = slice(start, start + BLOCK)
        first, second = seen[one[pairs]], grey_pictures(images, others[other[pairs]])
        parts = {part for pair in PART_PAIRS for part in pair}
        firsts = {part: normalised(first, part, FINE) for part in parts}
        seconds = {part: normalised(second, part, FINE) for part in parts}
        best[pairs] = best_of(firsts, seconds)
    return best


def best_of(firsts: Mapping[Part, np.ndarray], seconds: Mapping[Part, np.ndarray]) -> np.ndarray:
    """The greatest correlation of any of PART_PAIRS: float32 [c].

    Args:
        firsts: part -> the one pictures' values, float32 [c, d], as of `normalised`.
        seconds: the same of the others.
    """
    return np.max([(firsts[a] * seconds[b]).sum(axis=1) for a, b in PART_PAIRS], axis=0)


def part_pairs() -> list[tuple[Part, Part]]:
    """Parts of two pictures of one photo that show the same, if one was cropped or moved."""
    central = [((1 - size) / 2, (1 - size) / 2, size) for size in SIZES]
    pairs = [(WHOLE, WHOLE)]
    pairs += [pair for part in central for pair in ((part, WHOLE), (WHOLE, part))]
    for size in MOVED_SIZES:
        ends = (0.0, (1 - size) / 2, 1 - size)
        for left in ends:
            for top in ends:
                here: Part = (left, top, size)
                there: Part = (1 - size - left, 1 - size - top, size)
                if here not in central:
                    pairs += [(here, WHOLE), (WHOLE, here), (here, there)]
    return pairs


PART_PAIRS = part_pairs()


def coarse_pictures(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Small grey pictures float32 [n, COARSE * COARSE] of rows of images uint8 [N, S, S, 3]."""
    blocks = [
        normalised(grey_pictures(images, rows[start : start + BLOCK]), WHOLE, COARSE)
        for start in range(0, len(rows), BLOCK)
    ]
    return np.concatenate(blocks)


def grey_pictures(images: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Grey values float32 [n, S, S] of rows of images uint8 [N, S, S, 3]."""
    return np.asarray(images[rows], np.float32) @ GREY


def normalised(grey: np.ndarray, part: Part, side: int) -> np.ndarray:
    """A part of grey pictures float32 [n, S, S], small: float32 [n, side * side].

    Each has a mean of 0 and a norm of 1, so that products are correlations; zeros stand for
    pictures of one colour.
    """
    left, top, size = part
    across, down = (area_means(grey.shape[1], start, size, side) for start in (left, top))
    small = (down @ grey @ across.T).reshape(len(grey), -1)
    small -= small.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(small, axis=1, keepdims=True)
    is_picture = norms > FLAT * side
    return np.where(is_picture, small / np.where(is_picture, norms, 1), 0)


def area_means(pixels: int, start: float, size: float, parts: int) -> np.ndarray:
    """Means over equal stretches of a part of a row of pixels: float32 [parts, pixels].

    Args:
        pixels: of the row.
        start: of the part, as a share of the row.
        size: of the part, likewise.
        parts: how many stretches.
    """
    edges = np.linspace(start * pixels, (start + size) * pixels, parts + 1)
    places = np.arange(pixels)
    overlap = np.minimum(edges[1:, None], places + 1) - np.maximum(edges[:-1, None], places)
    return (np.maximum(overlap, 0) / (size * pixels / parts)).astype(np.float32)
