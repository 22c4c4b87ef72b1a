"""Noise that a secret decides: the same photo gets the same noise each time.

The same as serving/device/noise_key.py, which stands alone; a test holds both equal. An encoder's
noise is worth less where a photo is encoded again and again: the mean of n codes has 1 / sqrt(n) of
it. With a key, a photo that is encoded twice gives one code twice, and nothing averages out.
"""

import hashlib
import hmac
import pathlib

import numpy as np

KEY_BYTES = 32
# Shorter than any message of `keyed_noise`.
FINGERPRINTED = b"fingerprint"
FINGERPRINT_DIGITS = 16


def read_key(path: pathlib.Path) -> bytes:
    """A secret of KEY_BYTES bytes.

    Raises:
        ValueError: there is no such file, or it holds something else.
    """
    if not path.is_file():
        raise ValueError(
            f"--noise_key={path}: there is no such file. Make one of {KEY_BYTES} random bytes, as"
            " os.urandom gives them, for its owner alone."
        )
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise ValueError(
            f"--noise_key={path} holds {len(key)} bytes; expected a secret of {KEY_BYTES}."
        )
    return key


def fingerprint(key: bytes) -> str:
    """Hexadecimal digits that tell a secret from others and give away nothing else of it."""
    return hmac.digest(key, FINGERPRINTED, hashlib.sha256).hex()[:FINGERPRINT_DIGITS]


def keyed_noise(
    key: bytes, encoder: bytes, image: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Standard normal noise, float32 of `shape`, that key, encoder and image decide.

    Args:
        key: the secret.
        encoder: a SHA-256 of the encoder, 32 bytes.
        image: the prepared image, uint8 [S, S, 3].
        shape: of the code.
    """
    digest = hmac.digest(key, encoder + np.ascontiguousarray(image).tobytes(), hashlib.sha256)
    return np.random.default_rng(int.from_bytes(digest)).standard_normal(shape, np.float32)
