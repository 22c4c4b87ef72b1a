"""Drawn faces as files in CelebA's layout, for what happens to data sets on disk."""

import pathlib

import numpy as np
from PIL import Image

from arl_tf.data.faces import generation

FACES, SIZE = 60, 32
ATTRIBUTES = ("Male", "Smiling")


def write_faces(folder: pathlib.Path) -> None:
    """Writes 60 faces of 30 people with two attributes."""
    faces = generation.generate_faces(FACES, SIZE, seed=3, images_per_identity=2)
    names = [f"{number:03d}.png" for number in range(FACES)]
    (folder / "img_align_celeba").mkdir()
    for name, pixels in zip(names, faces.images, strict=True):
        Image.fromarray(pixels).save(folder / "img_align_celeba" / name)
    columns = [generation.ATTRIBUTE_NAMES.index(name) for name in ATTRIBUTES]
    values = np.where(faces.attributes[:, columns], 1, -1)
    rows = [f"{name} {' '.join(map(str, row))}" for name, row in zip(names, values, strict=True)]
    lines = [str(FACES), " ".join(ATTRIBUTES), *rows]
    (folder / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")
    people = [f"{name} {who}" for name, who in zip(names, faces.identities, strict=True)]
    (folder / "identity_CelebA.txt").write_text("\n".join(people) + "\n")
