"""Noise that a device's secret decides: the same photo gets the same noise each time.

An encoder's noise is worth less where a photo is encoded again and again: the mean of n codes has
1 / sqrt(n) of it. With a key a photo sent twice gives one code twice, and nothing averages out.
The price: whoever sees two such codes sees that they are of one photo. Pictures that differ, if
only in one prepared pixel, get noise of their own; a burst of almost equal shots still averages,
but where the device remembers what it has seen (serving/device/similar.py). Every encoder file has
noise of its own, too, or the difference of two versions' codes would be free of noise: a photo sent
by n files is sent n times.
"""

import contextlib
import hashlib
import hmac
import os
import pathlib
import tempfile

import numpy as np

KEY_BYTES = 32


def read_or_make_key(path: str | os.PathLike) -> bytes:
    """A device's secret of KEY_BYTES bytes; drawn and written, for its owner alone, where none is.

    Raises:
        ValueError: the file holds something else.
        OSError: it can't be read or written.
    """
    path = pathlib.Path(path)
    if not path.exists():
        make_key(path)
    return check_key(path.read_bytes(), f"{path} holds")


def make_key(path: pathlib.Path) -> None:
    """Writes a new secret, whole or not at all; leaves one alone that another process wrote."""
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(KEY_BYTES))
        with contextlib.suppress(FileExistsError):
            os.link(name, path)
    finally:
        os.unlink(name)


def check_key(key: bytes, where: str = "The key has") -> bytes:
    """The key itself; ValueError for one of another length."""
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"{where} {len(key)} bytes; expected a secret of {KEY_BYTES}, as os.urandom gives it."
        )
    return key


def keyed_noise(
    key: bytes, encoder: bytes, image: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Standard normal noise, float32 of `shape`, that key, encoder and image decide.

    The generator is seeded with HMAC-SHA256 of encoder and pixels (RFC 2104): without the key the
    noise of no image can be told. The generator itself, PCG64, is not a cryptographic one.

    Args:
        key: the device's secret.
        encoder: the SHA-256 of the encoder's file, 32 bytes.
        image: the prepared image, uint8 [S, S, 3]; or the mark of similar ones, uint8 [15]
            (serving/device/similar.py).
        shape: of the code.
    """
    digest = hmac.digest(key, encoder + np.ascontiguousarray(image).tobytes(), hashlib.sha256)
    return np.random.default_rng(int.from_bytes(digest)).standard_normal(shape, np.float32)
