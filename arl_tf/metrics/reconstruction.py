"""The measures of a reconstruction, per image: six numbers that grow with an attack's success."""

import dataclasses
import functools

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data.image_sets import to_float
from arl_tf.metrics import measures
from arl_tf.models.pretrained import dlib_face, drawn_identity, perceptual

BATCH = 64
CHUNK = 4096
MEAN_EMBEDDING_IMAGES = 2000
MEASURES = (
    "psnr",
    "ssim",
    "feature_similarity",
    "face_similarity",
    "reid_rank1",
    "reid_rank5",
)


@dataclasses.dataclass(frozen=True)
class MetricNetworks:
    """Frozen networks that judge reconstructions; the attackers are not trained with either.

    Attributes:
        identity_network: image [B, S, S, 3] in [0, 1] -> embedding [B, D].
        feature_network: image -> features for `frozen.feature_similarity`.
        mean_embedding: float [D], mean identity embedding of public images.
    """

    identity_network: keras.Model
    feature_network: keras.Model
    mean_embedding: np.ndarray


@dataclasses.dataclass(frozen=True)
class Originals:
    """The images under attack, with what is computed of them once.

    Attributes:
        images: float32 [N, S, S, 3] in [0, 1].
        identities: int64 [N].
        embeddings: float32 [N, D].
    """

    images: np.ndarray
    identities: np.ndarray
    embeddings: np.ndarray


def load_metric_networks(
    image_size: int, *, procedural: bool, public_images: np.ndarray
) -> MetricNetworks:
    """Builds the judging networks.

    Args:
        image_size: S, pixels.
        procedural: whether faces are drawn (identity is then judged by a network fitted to the
            drawn truth) or photographed (dlib's network).
        public_images: uint8 [N, S, S, 3], to centre the embeddings with.
    """
    network, feature_network = frozen_judges(image_size, procedural)
    sample = public_images[:: max(1, len(public_images) // MEAN_EMBEDDING_IMAGES)]
    mean = network.predict(np.asarray(to_float(sample)), batch_size=BATCH, verbose=0).mean(axis=0)
    return MetricNetworks(network, feature_network, mean)


@functools.lru_cache(maxsize=2)
def frozen_judges(image_size: int, procedural: bool) -> tuple[keras.Model, keras.Model]:
    """(identity, feature network), built once for all audits of a process: it takes seconds."""
    if procedural:
        network = drawn_identity.procedural_identity_network(image_size)
    else:
        network = dlib_face.face_identity_network(image_size)
    return network, perceptual.feature_similarity_network(image_size)


def examine(networks: MetricNetworks, images: np.ndarray, identities: np.ndarray) -> Originals:
    """Prepares the images under attack; uint8 [N, S, S, 3] and int [N]."""
    return Originals(np.asarray(to_float(images)), identities, embeddings(networks, images))


def embeddings(networks: MetricNetworks, images: np.ndarray) -> np.ndarray:
    """The judge's embeddings of uint8 images [N, S, S, 3]; float32 [N, D], not centred."""
    parts = [
        networks.identity_network.predict(
            np.asarray(to_float(images[start : start + CHUNK])), batch_size=BATCH, verbose=0
        )
        for start in range(0, len(images), CHUNK)
    ]
    return np.concatenate(parts)


def measure(
    networks: MetricNetworks,
    reconstructions: np.ndarray,
    originals: Originals,
    without: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Each measure of each reconstruction; name -> float64 [N].

    Args:
        networks: the judging networks.
        reconstructions: float32 [N, S, S, 3] in [0, 1].
        originals: the images they are reconstructions of.
        without: int [N], the original that re-identification does not search, for each; None: it
            searches all.
    """
    found = networks.identity_network.predict(reconstructions, batch_size=BATCH, verbose=0)
    mean = networks.mean_embedding
    ranks = {
        f"reid_rank{rank}": measures.reidentified(
            found, originals.embeddings, originals.identities, mean, rank, without
        )
        for rank in (1, 5)
    }
    return {
        "psnr": measures.psnr(reconstructions, originals.images),
        "ssim": measures.ssim(reconstructions, originals.images),
        "feature_similarity": feature_similarities(networks, reconstructions, originals.images),
        "face_similarity": measures.face_similarity(found, originals.embeddings, mean),
        **ranks,
    }


def feature_similarities(
    networks: MetricNetworks, reconstructions: np.ndarray, images: np.ndarray
) -> np.ndarray:
    """Feature similarity of each pair of float32 [N, S, S, 3] in [0, 1]; float64 [N] in [-1, 1]."""
    network, parts = networks.feature_network, []
    for start in range(0, len(images), BATCH):
        batch = slice(start, start + BATCH)
        # Compiled; layer by layer the network takes most of a small audit's time.
        pair = [
            list(map(tf.constant, keras.tree.flatten(network.predict_on_batch(some[batch]))))
            for some in (reconstructions, images)
        ]
        parts.append(np.asarray(perceptual.feature_similarity(*pair)))
    return np.concatenate(parts).astype(np.float64)
