"""The networks that judge identity: dlib's and SFace for photographs, one of our own for drawings.

An attacker that has learned to please one network need not please another of other origin. So
photographs have two judges.
"""

import dataclasses
import functools
import hashlib
from collections.abc import Callable, Mapping

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data.image_sets import to_float
from arl_tf.models import inference
from arl_tf.models.pretrained import dlib_face, drawn_identity, lite_form, sface

DLIB, SFACE, DRAWN_FACES = "dlib", "sface", "drawn_faces"
MEAN_EMBEDDING_IMAGES = 2000
# Of the later networks, which are slower.
MEAN_EMBEDDING_IMAGES_LATER = 500
# SFace's first layers make 25 MB of a batch of 8: more of them leave the processor's caches.
BATCHES = {DLIB: 8, SFACE: 8, DRAWN_FACES: 64}
# TensorFlow takes 1.3 to 1.8 times as long for dlib's network and more than twice as long for
# SFace's. To convert one takes what it saves on some 500 pictures; an audit asks for thousands.
FASTER_IN_LITERT = (DLIB, SFACE)
# On a GPU, which LiteRT does not use.
BATCH_ON_GPU = 64
# Hash of a picture -> its embedding float32 [D].
Seen = dict[bytes, np.ndarray]
BUILDERS: Mapping[str, Callable[[int], keras.Model]] = {
    DLIB: dlib_face.face_identity_network,
    SFACE: sface.face_identity_network,
    DRAWN_FACES: drawn_identity.procedural_identity_network,
}


@dataclasses.dataclass(frozen=True)
class IdentityNetwork:
    """A frozen identity network, centred on public images.

    Attributes:
        name: DLIB, SFACE or DRAWN_FACES.
        network: image [B, S, S, 3] in [0, 1] -> embedding [B, D].
        mean_embedding: float [D], mean embedding of public images.
    """

    name: str
    network: keras.Model
    mean_embedding: np.ndarray
    _seen: Seen = dataclasses.field(default_factory=dict, repr=False)

    def embeddings(self, pictures: np.ndarray) -> np.ndarray:
        """Embeddings float32 [N, D], not centred, of pictures float32 [N, S, S, 3] in [0, 1].

        The networks are slow: what they said of a picture is remembered.
        """
        return remembered(self.name, self.network, pictures, self._seen)

    def seen_of(self, pictures: np.ndarray) -> Seen:
        """What is remembered of pictures float32 [N, S, S, 3]; those never seen are left out."""
        keys = hashes(pictures)
        return {key: self._seen[key] for key in keys if key in self._seen}

    def remember(self, seen: Seen) -> None:
        """Takes over what the same network said elsewhere."""
        self._seen.update(seen)


def nothing_known(name: str, network: keras.Model) -> Seen:
    """That nothing was said of any picture before."""
    del name, network
    return {}


def names_of(*, procedural: bool) -> tuple[str, ...]:
    """The networks that judge drawn or photographed faces; the first is asked of every picture."""
    return (DRAWN_FACES,) if procedural else (DLIB, SFACE)


def load_identity_networks(
    image_size: int,
    *,
    procedural: bool,
    public_images: np.ndarray,
    known: Callable[[str, keras.Model], Seen] = nothing_known,
) -> tuple[IdentityNetwork, ...]:
    """The judges of identity.

    Args:
        image_size: S, pixels.
        procedural: whether faces are drawn or photographed.
        public_images: uint8 [N, S, S, 3], to centre the embeddings with.
        known: what the network of a name has said of pictures before.
    """
    found = []
    for place, name in enumerate(names_of(procedural=procedural)):
        network = frozen_network(name, image_size)
        wanted = MEAN_EMBEDDING_IMAGES_LATER if place else MEAN_EMBEDDING_IMAGES
        sample = public_images[:: max(1, len(public_images) // wanted)]
        seen = dict(known(name, network))
        embeddings = remembered(name, network, np.asarray(to_float(sample)), seen)
        found.append(IdentityNetwork(name, network, embeddings.mean(axis=0), seen))
    return tuple(found)


@functools.lru_cache(maxsize=4)
def frozen_network(name: str, image_size: int) -> keras.Model:
    """A network, built once for all audits of a process: it takes seconds."""
    return BUILDERS[name](image_size)


def remembered(name: str, network: keras.Model, pictures: np.ndarray, seen: Seen) -> np.ndarray:
    """Embeddings float32 [N, D] of pictures float32 [N, S, S, 3]; the network sees each once.

    `seen` maps pictures' hashes to embeddings [D]; those of new pictures are put into it.
    """
    keys = hashes(pictures)
    new = {key: row for row, key in enumerate(keys) if key not in seen}
    if new:
        found = embedded(name, network, pictures[list(new.values())])
        seen.update(zip(new, found, strict=True))
    return np.stack([seen[key] for key in keys])


def hashes(pictures: np.ndarray) -> list[bytes]:
    """A name for each picture's pixels, of pictures float32 [N, S, S, 3]."""
    return [hashlib.sha256(np.ascontiguousarray(picture)).digest() for picture in pictures]


def embedded(name: str, network: keras.Model, pictures: np.ndarray) -> np.ndarray:
    """Embeddings float32 [N, D] of pictures float32 [N, S, S, 3] in [0, 1]."""
    if tf.config.list_logical_devices("GPU"):
        return inference.in_batches(network, pictures, BATCH_ON_GPU)
    if name in FASTER_IN_LITERT:
        return fast_form(network, BATCHES[name])(pictures)
    return inference.in_batches(network, pictures, BATCHES[name])


# Of a network that is built once, too.
fast_form = functools.lru_cache(maxsize=4)(lite_form.lite_form)
