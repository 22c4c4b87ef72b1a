"""Codes on disk, by encoder and images: computed once, however often an audit is begun."""

import hashlib
import pathlib

import numpy as np

from arl_tf.audit_evidence import SealedImages
from arl_tf.subjects import Subject


class CodeCache:
    """Codes of parts of a data set as they leave the device, kept as .npy files."""

    def __init__(self, folder: pathlib.Path, subject: Subject, images: SealedImages):
        """Takes the cache's folder, made on first use, the subject and the images."""
        self._folder, self._subject, self._images = folder, subject, images

    def codes(self, rows: np.ndarray, seed: int) -> np.ndarray:
        """Codes float32 [n, ...] of rows of the data set, sealed ones too; the seed draws noise."""
        return self._kept(
            ("codes", rows, seed), lambda: self._images.codes(self._subject, rows, seed)
        )

    def query(self, view: str, rows: np.ndarray, seed: int) -> np.ndarray:
        """Codes of a view of unsealed images: "mirrored" left to right."""
        return self._kept(
            (view, rows, seed),
            lambda: self._subject.query(VIEWS[view](self._images[rows]), seed + 1),
        )

    def _kept(self, key, compute) -> np.ndarray:
        view, rows, seed = key
        # Recorded codes lie on disk already.
        if self._subject.recorded is not None:
            return compute()
        digest = hashlib.sha256(
            f"{view} {seed} {self._subject.sha256} {self._subject.channel}".encode()
        )
        digest.update(np.ascontiguousarray(rows, np.int64).tobytes())
        digest.update(self._images.fingerprint.encode())
        path = self._folder / f"codes_{digest.hexdigest()[:24]}.npy"
        if path.exists():
            return np.load(path)
        codes = compute()
        self._folder.mkdir(parents=True, exist_ok=True)
        unfinished = path.with_name(f"unfinished_{path.name}")
        np.save(unfinished, codes)
        unfinished.replace(path)
        return codes


VIEWS = {"mirrored": lambda images: images[:, :, ::-1]}
