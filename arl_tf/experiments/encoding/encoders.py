"""The encoder of a bulk encoding: found again by every process, from a few words."""

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from arl_tf.auditing.encoders import audited, external
from arl_tf.auditing.encoders.confined import encoders as confined
from arl_tf.data.image_sets import to_float
from arl_tf.data.preprocessing import CROP
from arl_tf.models import code_layers
from arl_tf.models.fingerprint import weights_hash
from arl_tf.training import checkpoints
from arl_tf.utils.keyed_noise import keyed_noise, read_key


@dataclasses.dataclass(frozen=True)
class EncoderSpec:
    """Which encoder, in words that a process can be given.

    Attributes:
        player: a run's encoder.keras; "" for a SavedModel.
        saved_model: its folder; "" for a run's encoder.
        confined: whether the SavedModel runs in a process of its own, as a stranger's.
        image_size: S of a SavedModel that leaves the sides free, pixels.
        noise_key: file of the secret that decides the noise; "": it is drawn.
        fit: how photos become square, as --fit of the training.
    """

    player: str = ""
    saved_model: str = ""
    confined: bool = False
    image_size: int = 64
    noise_key: str = ""
    fit: str = CROP


@dataclasses.dataclass(frozen=True)
class BulkEncoder:
    """An encoder that is ready.

    Attributes:
        encode: uint8 [n, S, S, 3] -> codes float32 [n, ...].
        image_size: S, pixels.
        code_shape: of a code.
        sha256: tells the encoder from others.
        fit: how photos become square.
    """

    encode: Callable[[np.ndarray], np.ndarray]
    image_size: int
    code_shape: tuple[int, ...]
    sha256: str
    fit: str = CROP


def load(spec: EncoderSpec) -> BulkEncoder:
    """Loads an encoder.

    Raises:
        ValueError: there is none, or --noise_key has nothing to decide.
    """
    if spec.saved_model:
        if spec.noise_key:
            raise ValueError(
                "--noise_key needs a run's own encoder: a SavedModel draws its noise inside; leave"
                " --noise_key or --encoder_saved_model out."
            )
        loading = confined if spec.confined else external
        found = loading.load_saved_model(spec.saved_model, spec.image_size)
        return BulkEncoder(found.encode, found.image_size, found.code_shape, found.sha256, spec.fit)
    encoder = checkpoints.load_player(pathlib.Path(spec.player))
    sha256 = weights_hash(encoder)
    if spec.noise_key:
        encode = with_key(encoder, read_key(pathlib.Path(spec.noise_key)), sha256)
    else:
        # One that a seed decides could be taken off again.
        code_layers.make_unpredictable(encoder)
        encode = audited.encoding(encoder)
    image_size, code_shape = encoder.input_shape[1], tuple(encoder.output_shape[1:])
    return BulkEncoder(encode, image_size, code_shape, sha256, spec.fit)


def with_key(encoder, key: bytes, sha256: str) -> Callable[[np.ndarray], np.ndarray]:
    """An encoder whose noise the key decides; ValueError for one without noise.

    It takes uint8 [n, S, S, 3] and gives codes float32 [n, ...].
    """
    noisy, _ = code_layers.bounding_layers(encoder)
    if noisy is None:
        raise ValueError("--noise_key decides an encoder's noise, and this encoder adds none.")
    mixed = code_layers.encoder_with_noise_input(encoder)
    shape = tuple(noisy.output.shape[1:])

    @tf.function(autograph=False, reduce_retracing=True)
    def run(images, noise):
        return mixed({"image": to_float(images), "noise": noise}, training=False)

    def encode(images: np.ndarray) -> np.ndarray:
        noise = [keyed_noise(key, bytes.fromhex(sha256), image, shape) for image in images]
        return run(tf.constant(images), tf.constant(np.stack(noise))).numpy()

    return encode
