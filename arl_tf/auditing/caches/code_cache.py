"""Codes on disk, by encoder and images: computed once, however often an audit is begun."""

import hashlib
import itertools
import pathlib
from collections.abc import Callable

import numpy as np
from absl import logging

from arl_tf.attacks.several_codes import SINGLE, SeveralCodes, join_codes
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.sealed_images import SealedImages
from arl_tf.utils import files, run_files


class CodeCache:
    """Codes of parts of a data set as they leave the device, kept as .npy files."""

    def __init__(
        self,
        folder: pathlib.Path,
        audited_encoder: AuditedEncoder,
        images: SealedImages,
        several: SeveralCodes = SINGLE,
    ):
        """Takes the cache's folder, made on first use, the encoder, the images, the codes of each.

        Every image is encoded so many times, and what is kept is the one code made of them.
        """
        self._folder, self._audited_encoder, self._images = folder, audited_encoder, images
        self._several = several

    def repeated(self, several: SeveralCodes) -> "CodeCache":
        """The same cache for several codes of each image, made into one."""
        return CodeCache(self._folder, self._audited_encoder, self._images, several)

    def codes(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """Codes float32 [n, ...] of rows of the data set, sealed ones too; the seed draws noise."""
        return self._joined("codes", rows, seed)

    def query(self, view: str, rows: np.ndarray, seed: int) -> np.ndarray:
        """Codes float32 [n, ...] of a view of unsealed rows int [n]: "mirrored" left to right.

        The channel's noise is that of the seed behind the given one: `codes` of the same rows and
        seed have other noise.
        """
        return self._joined(view, rows, seed)

    def each(self, view: str, rows: np.ndarray, seed: int) -> np.ndarray:
        """The codes that are kept of those that `codes` or `query` joins, float32 [n, kept, ...].

        `view` is "codes" or that of `query`; rows int [n] and the seed are theirs.
        """
        draw = self._draw(view, rows)
        kept = range(self._several.kept)
        return np.stack([draw((seed, number) if number else seed) for number in kept], axis=1)

    def _joined(self, view: str, rows: np.ndarray, seed: int) -> np.ndarray:
        """The codes [n, ...] of a view of rows int [n], each made of several."""
        draw = self._draw(view, rows)
        return self._kept((view, rows, seed), lambda: joined_code(draw, seed, self._several))

    def _draw(self, view: str, rows: np.ndarray) -> Callable[[int | tuple[int, int]], np.ndarray]:
        """A function that draws single codes [n, ...] by seed, or (seed, number).

        The first ones are read from disk where they are to be kept. Rows are int [n].
        """

        def compute(seed):
            if view == "codes":
                return self._images.codes(self._audited_encoder, rows, seed)
            first, *number = seed if isinstance(seed, tuple) else (seed,)
            images = VIEWS[view](self._images[rows])
            return self._audited_encoder.query(
                images, (first + 1, *number) if number else first + 1
            )

        def draw(seed):
            number = seed[1] if isinstance(seed, tuple) else 0
            if number >= self._several.kept:
                return compute(seed)
            return self._kept((f"code {number} of {view}", rows, seed), lambda: compute(seed))

        return draw

    def _kept(self, key, compute) -> np.ndarray:
        """Codes [n, ...] by (view, rows int [n], seed): read from disk, or computed and kept."""
        (view, rows, seed), encoder = key, self._audited_encoder
        # Recorded codes lie on disk already.
        if encoder.recorded is not None:
            return compute()
        count = self._several.count
        repeats = f" {count} codes" if count > 1 else ""
        if repeats and self._several.dropped:
            repeats += f", {self._several.dropped} of values dropped"
        if self._several.kept:
            repeats += f", {self._several.kept} kept"
        digest = hashlib.sha256(
            f"{view} {seed} {encoder.sha256} {encoder.channel}{repeats}".encode()
        )
        digest.update(np.ascontiguousarray(rows, np.int64).tobytes())
        digest.update(self._images.fingerprint.encode())
        path = self._folder / f"codes_{digest.hexdigest()[:24]}.npy"
        codes = read_kept(path, len(rows))
        if codes is not None:
            return codes
        codes = compute()
        self._folder.mkdir(parents=True, exist_ok=True)
        with files.replacing(path) as unfinished:
            np.save(unfinished, codes)
        return codes


def read_kept(path: pathlib.Path, count: int) -> np.ndarray | None:
    """Kept codes [count, ...]; None where there are none, or damaged ones: with a warning."""
    if not path.exists():
        return None
    try:
        codes = run_files.read_array(path, remedy="Its codes are computed again.")
    except run_files.UnreadableFileError as error:
        logging.warning("%s", error)
        return None
    return codes if len(codes) == count else None


def joined_code(
    draw: Callable[[int | tuple[int, int]], np.ndarray], seed: int, several: SeveralCodes
) -> np.ndarray:
    """Several codes of the same images, made into one: what is left of their noise.

    Args:
        draw: seed of the channel's noise -> codes float32 [n, ...].
        seed: of the first codes.
        several: how many codes of each image, and how they are joined.

    Returns:
        float32 [n, ...].
    """
    codes = draw(seed)
    if several.count == 1:
        return codes
    further = ((draw((seed, number)), 1) for number in range(1, several.count))
    return join_codes(itertools.chain([(codes, 1)], further), several.dropped)


VIEWS = {"mirrored": lambda images: images[:, :, ::-1]}
