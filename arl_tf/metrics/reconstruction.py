"""The measures of a reconstruction, per image: numbers that grow with an attack's success."""

import dataclasses
import functools
from collections.abc import Callable, Container, Mapping

import keras
import numpy as np
import tensorflow as tf

from arl_tf.data.image_sets import to_float
from arl_tf.metrics import measures
from arl_tf.metrics.identity_networks import (
    IdentityNetwork,
    Seen,
    load_identity_networks,
    nothing_known,
)
from arl_tf.models.pretrained import perceptual

BATCH = 64
FEATURE, FACE, FACE_2 = "feature_similarity", "face_similarity", "face_similarity_2"
OTHER_PHOTO = "reid_other_photo_rank1"
RANKS = {"reid_rank1": 1, "reid_rank5": 5}
MEASURES = ("psnr", "ssim", FEATURE, FACE, FACE_2, *RANKS, OTHER_PHOTO)


@dataclasses.dataclass(frozen=True)
class MetricNetworks:
    """Frozen networks that judge reconstructions; the attackers are not trained with them.

    Attributes:
        identity: the judges of identity, the first and, for photographs, a second; none where the
            images are of no faces.
        feature_network: image -> features for `perceptual.feature_similarity`.
    """

    identity: tuple[IdentityNetwork, ...]
    feature_network: keras.Model


@dataclasses.dataclass(frozen=True)
class Originals:
    """The images under attack, with what is computed of them once.

    Attributes:
        images: float32 [N, S, S, 3] in [0, 1].
        identities: int64 [N].
        by_network: identity network -> embeddings float32 [N, D], not centred.
    """

    images: np.ndarray
    identities: np.ndarray
    by_network: Mapping[str, np.ndarray]

    @property
    def embeddings(self) -> np.ndarray:
        """Those of the first identity network, float32 [N, D]."""
        return next(iter(self.by_network.values()))

    @property
    def other_photos(self) -> np.ndarray:
        """How many other images there are of each image's person; int64 [N]."""
        return measures.other_photos(self.identities)


def headline(defined: Container[str]) -> str:
    """The measure that verdicts go by: face similarity, or feature similarity without faces.

    `defined` holds the names of the measures that are defined.
    """
    return FACE if FACE in defined else FEATURE


def headline_values(measured: Mapping[str, np.ndarray]) -> np.ndarray:
    """The values float64 [N] of the headline measure; measure -> float64 [N]."""
    return measured[FEATURE if np.isnan(measured[FACE]).all() else FACE]


def load_metric_networks(
    image_size: int,
    *,
    procedural: bool,
    public_images: np.ndarray,
    has_faces: bool = True,
    known: Callable[[str, keras.Model], Seen] = nothing_known,
) -> MetricNetworks:
    """Builds the judging networks.

    Args:
        image_size: S, pixels.
        procedural: whether faces are drawn (identity is then judged by a network fitted to the
            drawn truth) or photographed (dlib's network and SFace).
        public_images: uint8 [N, S, S, 3], to centre the embeddings with.
        has_faces: whether identity is judged at all.
        known: what the identity network of a name has said of pictures before.
    """
    identity = ()
    if has_faces:
        identity = load_identity_networks(
            image_size, procedural=procedural, public_images=public_images, known=known
        )
    return MetricNetworks(identity, frozen_feature_network(image_size))


@functools.lru_cache(maxsize=2)
def frozen_feature_network(image_size: int) -> keras.Model:
    """Built once for all audits of a process: it takes seconds."""
    return perceptual.feature_similarity_network(image_size)


def examine(networks: MetricNetworks, images: np.ndarray, identities: np.ndarray) -> Originals:
    """Prepares the images under attack.

    Args:
        networks: the judging networks.
        images: uint8 [N, S, S, 3].
        identities: int [N].
    """
    pictures = np.asarray(to_float(images))
    found = {network.name: network.embeddings(pictures) for network in networks.identity}
    return Originals(pictures, identities, found)


def embeddings(networks: MetricNetworks, images: np.ndarray) -> np.ndarray:
    """The first judge's embeddings of uint8 images [N, S, S, 3]; float32 [N, D], not centred."""
    return networks.identity[0].embeddings(np.asarray(to_float(images)))


def identity_features(networks: MetricNetworks) -> Callable[[tf.Tensor], tf.Tensor] | None:
    """The first judge as a differentiable function, for attackers that train for identity.

    Image float32 [B, S, S, 3] in [0, 1] -> embedding less the mean one, float32 [B, D] of length 1.
    None without a judge.
    """
    if not networks.identity:
        return None
    first = networks.identity[0]
    mean = tf.constant(first.mean_embedding, tf.float32)
    return lambda image: tf.math.l2_normalize(first.network(image, training=False) - mean, axis=-1)


def measure(
    networks: MetricNetworks,
    reconstructions: np.ndarray,
    originals: Originals,
    without: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Each measure of each reconstruction; name -> float64 [N].

    NaN where a measure is not defined: those of judges that there are not;
    `reid_other_photo_rank1` where a person has no other photo. Ranks are by the network that finds
    most people; `NAME/NETWORK` holds each network's own.

    Args:
        networks: the judging networks.
        reconstructions: float32 [N, S, S, 3] in [0, 1].
        originals: the images they are reconstructions of.
        without: int [N], the original that re-identification does not search, for each; None: it
            searches all.
    """
    found, ranks = {}, {}
    pictures = np.ascontiguousarray(reconstructions, np.float32)
    for network in networks.identity:
        embedded = network.embeddings(pictures)
        truth, mean = originals.by_network[network.name], network.mean_embedding
        found[network.name] = measures.face_similarity(embedded, truth, mean)
        ranks[network.name] = ranks_by(embedded, truth, originals, mean, without)
    unknown = np.full(len(reconstructions), np.nan)
    first, second = [*found.values(), unknown, unknown][:2]
    return {
        "psnr": measures.psnr(reconstructions, originals.images),
        "ssim": measures.ssim(reconstructions, originals.images),
        FEATURE: feature_similarities(networks, reconstructions, originals.images),
        FACE: first,
        FACE_2: second,
        **(best_ranks(ranks) or dict.fromkeys((*RANKS, OTHER_PHOTO), unknown)),
    }


def is_complete(measured: Mapping[str, np.ndarray] | None, originals: Originals) -> bool:
    """Whether measures that were kept are those of all networks; an older version's are not.

    `measured`: measure -> float64 [N], NaN for an image that has no pair (`auditing.yardsticks`).
    """
    if measured is None or not set(MEASURES) <= set(measured):
        return False
    names = list(originals.by_network)
    if not names:
        return bool(np.isnan(measured[FACE]).all())
    return (len(names) == 1 or not np.isnan(measured[FACE_2]).all()) and all(
        f"{measure}/{network}" in measured for measure in RANKS for network in names
    )


def ranks_by(
    probes: np.ndarray,
    gallery: np.ndarray,
    originals: Originals,
    mean: np.ndarray,
    without: np.ndarray | None,
) -> dict[str, np.ndarray]:
    """Re-identification by one network: measure -> float64 [N].

    Args:
        probes: float [N, D], embeddings of the reconstructions.
        gallery: float [N, D], of the originals.
        originals: the images under attack.
        mean: float [D].
        without: as in `measure`; None: the image itself is left out for OTHER_PHOTO alone.
    """
    found = {
        name: measures.reidentified(probes, gallery, originals.identities, mean, rank, without)
        for name, rank in RANKS.items()
    }
    itself = np.arange(len(probes)) if without is None else without
    elsewhere = measures.reidentified(probes, gallery, originals.identities, mean, 1, itself)
    found[OTHER_PHOTO] = np.where(originals.other_photos > 0, elsewhere, np.nan)
    return found


def best_ranks(by_network: Mapping[str, Mapping[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """Each rank by the network that finds most people, and NAME/NETWORK by each.

    An attacker may choose its network. Network -> measure -> float64 [N]. Empty without networks.
    """
    best: dict[str, np.ndarray] = {}
    for measure in (*RANKS, OTHER_PHOTO) if by_network else ():
        own = {name: found[measure] for name, found in by_network.items()}
        best[measure] = own[best_network(own)]
        best |= {f"{measure}/{name}": values for name, values in own.items()}
    return best


def best_network(by_network: Mapping[str, np.ndarray]) -> str:
    """The network with the highest sum of values float64 [N]; NaN counts as nothing."""
    return max(by_network, key=lambda name: np.nansum(by_network[name]))


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
