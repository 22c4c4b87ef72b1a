"""Identity networks as attackers and judges use them: directions from a mean embedding."""

import dataclasses
import functools
import hashlib

import numpy as np

from arl_tf.attacks.identity.faces import PublicFaces
from arl_tf.data.image_sets import to_float
from arl_tf.metrics import measures
from arl_tf.metrics.identity_networks import IdentityNetwork
from arl_tf.metrics.reconstruction import MetricNetworks, Originals

# Beside the hashes of other images.
PUBLIC = "public"


@dataclasses.dataclass(frozen=True)
class IdentitySpaces:
    """Identity networks by name, with what they say of the public images.

    Attributes:
        networks: the attackers'; the first is the first judge, too; none where the images are of
            no faces.
        public_images: float32 [n, S, S, 3] in [0, 1], the attackers'.
    """

    networks: tuple[IdentityNetwork, ...]
    public_images: np.ndarray
    _seen: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict, repr=False)

    @property
    def names(self) -> tuple[str, ...]:
        """Of the networks."""
        return tuple(network.name for network in self.networks)

    @functools.cached_property
    def public_embeddings(self) -> np.ndarray | None:
        """The public images' embeddings by the first network, not centred; float32 [n, D].

        None without a network.
        """
        if not self.networks:
            return None
        return self.networks[0].embeddings(self.public_images)

    def directions(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Network -> float32 [n, E] of length 1, of images uint8 [n, S, S, 3].

        The networks are slow: what they said of the same images is remembered.
        """
        key = hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
        if key not in self._seen:
            self._seen[key] = self._directions(np.asarray(to_float(images)))
        return self._seen[key]

    def public_directions(self) -> dict[str, np.ndarray]:
        """Network -> float32 [n, E] of length 1, of the attackers' images; remembered."""
        if PUBLIC not in self._seen:
            self._seen[PUBLIC] = self._directions(self.public_images)
        return self._seen[PUBLIC]

    def original_directions(self, originals: Originals) -> dict[str, np.ndarray]:
        """Network -> float32 [N, E] of length 1, of the images under attack."""
        return {each.name: centred(each, originals.by_network[each.name]) for each in self.networks}

    def _directions(self, pictures: np.ndarray) -> dict[str, np.ndarray]:
        """Network -> float32 [n, E] of length 1, of pictures float32 [n, S, S, 3] in [0, 1]."""
        return {each.name: centred(each, each.embeddings(pictures)) for each in self.networks}


def centred(network: IdentityNetwork, embeddings: np.ndarray) -> np.ndarray:
    """Embeddings [n, E] less the network's mean embedding, of length 1; float32."""
    return measures.centred_directions(embeddings, network.mean_embedding).astype(np.float32)


def identity_spaces(
    judges: MetricNetworks, public_images: np.ndarray, *, all_networks: bool
) -> IdentitySpaces:
    """The identity networks at hand.

    Args:
        judges: all networks.
        public_images: uint8 [n, S, S, 3], the attackers'.
        all_networks: whether attackers use the slower second network, too.
    """
    networks = judges.identity if all_networks else judges.identity[:1]
    return IdentitySpaces(networks, np.asarray(to_float(public_images)))


def public_faces(
    spaces: IdentitySpaces, num_pairs: int, held_out_images: np.ndarray
) -> PublicFaces:
    """What attackers know of the public images by their own networks.

    Args:
        spaces: the networks.
        num_pairs: public pairs; mirror images stand behind the images, and count as the face that
            they mirror.
        held_out_images: uint8 [H, S, S, 3].
    """
    known = known_faces(spaces, held_out_images)
    return PublicFaces(
        {name: np.tile(rows, (num_pairs // len(rows), 1)) for name, rows in known.public.items()},
        known.held_out,
    )


def known_faces(spaces: IdentitySpaces, held_out_images: np.ndarray) -> PublicFaces:
    """What the networks say of the public images, each once, and of held-out ones.

    `held_out_images` are uint8 [H, S, S, 3]; directions are float32 [N, E] and [H, E].
    """
    return PublicFaces(spaces.public_directions(), spaces.directions(held_out_images))
