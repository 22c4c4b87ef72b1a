"""Procedural faces: the embedded data set, with identities, attributes and the factors behind them.

Every picture is a pure function of (seed, its number), so a data set of any length needs no
storage, can be made in any order and in any chunks, and carries no real person's likeness. An
identity is a point in a space of continuous factors (`IDENTITY_FACTOR_NAMES`); pose, light,
expression, clothes and background change from picture to picture. Attributes carry CelebA's names
and are read off the very numbers that `drawing` draws from.
"""

import dataclasses

import numpy as np

from arl_tf.data.faces import drawing, face_traits

ATTRIBUTE_NAMES: tuple[str, ...] = (
    "Arched_Eyebrows",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Eyeglasses",
    "Gray_Hair",
    "Heavy_Makeup",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Pale_Skin",
    "Rosy_Cheeks",
    "Smiling",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Young",
)

IDENTITY_FACTOR_NAMES = face_traits.IDENTITY_FACTOR_NAMES


@dataclasses.dataclass(frozen=True)
class FaceBatch:
    """N faces of S x S pixels.

    Attributes:
        images: uint8 [N, S, S, 3], RGB.
        attributes: uint8 [N, A] in {0, 1}, columns as in `ATTRIBUTE_NAMES`.
        identities: int64 [N], the same number for pictures of the same face.
        identity_factors: float32 [N, F], columns as in `IDENTITY_FACTOR_NAMES`, of about zero
            mean and unit variance over identities.
    """

    images: np.ndarray
    attributes: np.ndarray
    identities: np.ndarray
    identity_factors: np.ndarray


def generate_faces(
    num_images: int,
    image_size: int,
    *,
    seed: int,
    images_per_identity: int = 4,
    first_image: int = 0,
) -> FaceBatch:
    """Draws num_images pictures of the endless data set of this seed, from first_image on.

    Picture k depends on (seed, images_per_identity, image_size, k) alone: however the range is cut
    into calls, the pictures are equal bit for bit. Its identity is k // images_per_identity.

    Args:
        num_images: pictures to draw, >= 1.
        image_size: height and width in pixels, 16 to 512.
        seed: number of the data set, >= 0 and below 2**63.
        images_per_identity: consecutive pictures that show the same face, >= 1.
        first_image: number of the first picture, >= 0.

    Returns:
        A `FaceBatch` of num_images rows.

    Raises:
        ValueError: an argument is out of its range.
    """
    _check_at_least("num_images", num_images, 1)
    _check_at_least("image_size", image_size, 16)
    if image_size > drawing.MAX_IMAGE_SIZE:
        raise ValueError(
            f"image_size must be <= {drawing.MAX_IMAGE_SIZE}, got {image_size}; "
            "draw smaller faces and resize them."
        )
    _check_at_least("seed", seed, 0)
    _check_at_least("images_per_identity", images_per_identity, 1)
    _check_at_least("first_image", first_image, 0)
    pictures = np.arange(first_image, first_image + num_images, dtype=np.int64)
    identities = pictures // images_per_identity
    factors, traits = face_traits.identity_traits(seed, identities)
    traits |= face_traits.picture_traits(seed, pictures, traits)
    return FaceBatch(
        images=drawing.draw_faces(traits, image_size),
        attributes=_attributes(traits),
        identities=identities,
        identity_factors=factors,
    )


def _check_at_least(name: str, value: int, least: int) -> None:
    integral = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not (integral and least <= value < 2**63):
        raise ValueError(f"{name} must be an integer in [{least}, 2**63), got {value!r}.")


def _attributes(traits: dict[str, np.ndarray]) -> np.ndarray:
    """uint8 [N, A] in the order of `ATTRIBUTE_NAMES`."""
    haired = ~traits["bald"]
    columns = {
        "Arched_Eyebrows": traits["arched"],
        "Bald": traits["bald"],
        "Bangs": traits["bangs"],
        "Big_Lips": traits["big_lips"],
        "Big_Nose": traits["big_nose"],
        "Black_Hair": haired & traits["black"],
        "Blond_Hair": haired & traits["blond"],
        "Brown_Hair": haired & traits["brown"],
        "Bushy_Eyebrows": traits["bushy"],
        "Chubby": traits["chubby"],
        "Eyeglasses": traits["glasses"],
        "Gray_Hair": haired & traits["gray"],
        "Heavy_Makeup": traits["makeup"],
        "Male": traits["male"],
        "Mouth_Slightly_Open": traits["mouth_open"],
        "Mustache": traits["mustache"],
        "Narrow_Eyes": traits["narrow_eyes"],
        "No_Beard": ~traits["beard"],
        "Pale_Skin": traits["pale"],
        "Rosy_Cheeks": traits["rosy"],
        "Smiling": traits["smiling"],
        "Wearing_Hat": traits["hat"],
        "Wearing_Lipstick": traits["lipstick"],
        "Young": traits["age"] < 0.3,
    }
    return np.stack([columns[name] for name in ATTRIBUTE_NAMES], axis=1).astype(np.uint8)
