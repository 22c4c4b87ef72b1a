"""Identity networks as attackers and judges use them: directions from a mean embedding."""

import dataclasses
import hashlib

import numpy as np

from arl_tf.attacks.identity.faces import PublicFaces
from arl_tf.metrics import measures, reconstruction
from arl_tf.metrics.reconstruction import MetricNetworks, Originals

DLIB, DRAWN_FACES = "dlib", "drawn_faces"


@dataclasses.dataclass(frozen=True)
class IdentitySpaces:
    """Identity networks by name, with what they say of the public images.

    Attributes:
        judges: the networks.
        names: of the networks.
        public_embeddings: float32 [n, D] of the attackers' images by the first network, raw.
    """

    judges: MetricNetworks
    names: tuple[str, ...]
    public_embeddings: np.ndarray
    _seen: dict[str, dict[str, np.ndarray]] = dataclasses.field(default_factory=dict, repr=False)

    def directions(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Network -> float32 [n, E] of length 1, of images uint8 [n, S, S, 3].

        The networks are slow: what they said of the same images is remembered.
        """
        key = hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest()
        if key not in self._seen:
            found = reconstruction.embeddings(self.judges, images)
            self._seen[key] = {self.names[0]: self._centred(found)}
        return self._seen[key]

    def public_directions(self) -> dict[str, np.ndarray]:
        """The same of the attackers' images."""
        return {self.names[0]: self._centred(self.public_embeddings)}

    def original_directions(self, originals: Originals) -> dict[str, np.ndarray]:
        """The same of the images under attack."""
        return {self.names[0]: self._centred(originals.embeddings)}

    def _centred(self, embeddings: np.ndarray) -> np.ndarray:
        mean = self.judges.mean_embedding
        return measures.centred_directions(embeddings, mean).astype(np.float32)


def identity_spaces(
    judges: MetricNetworks, public_images: np.ndarray, *, photographs: bool
) -> IdentitySpaces:
    """The identity networks at hand; `public_images` uint8 [n, S, S, 3] are the attackers'."""
    names = (DLIB if photographs else DRAWN_FACES,)
    return IdentitySpaces(judges, names, reconstruction.embeddings(judges, public_images))


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
    public = spaces.public_directions()
    repeats = {name: num_pairs // len(rows) for name, rows in public.items()}
    return PublicFaces(
        {name: np.tile(rows, (repeats[name], 1)) for name, rows in public.items()},
        spaces.directions(held_out_images),
    )
