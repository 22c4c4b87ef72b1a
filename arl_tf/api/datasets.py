"""Data for scripts: drawn faces."""

import dataclasses

import numpy as np

from arl_tf.data.faces import generation


@dataclasses.dataclass(frozen=True)
class Faces:
    """Drawn faces with what is known of them.

    Attributes:
        images: uint8 [N, S, S, 3], RGB.
        attributes: uint8 [N, A] in {0, 1}.
        identities: int64 [N]; the same number is the same person.
        attribute_names: A names.
    """

    images: np.ndarray
    attributes: np.ndarray
    identities: np.ndarray
    attribute_names: tuple[str, ...]


def faces(
    count: int, image_size: int = 64, *, seed: int = 0, images_per_identity: int = 4
) -> Faces:
    """Draws faces; the same arguments give the same faces.

    Args:
        count: N >= 1.
        image_size: S, pixels, 16 or more.
        seed: of people and pictures.
        images_per_identity: pictures of each person, one behind the other.

    Raises:
        ValueError: a number below 1, or a size that can't be drawn.
    """
    for name, value in (("count", count), ("images_per_identity", images_per_identity)):
        if value < 1:
            raise ValueError(f"{name} must be a whole number >= 1; got {value!r}.")
    drawn = generation.generate_faces(
        count, image_size, seed=seed, images_per_identity=images_per_identity
    )
    return Faces(drawn.images, drawn.attributes, drawn.identities, generation.ATTRIBUTE_NAMES)
