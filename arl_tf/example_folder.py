"""An example data set on disk: python -m arl_tf.example_folder DIR [--layout=table] [--images=N].

Draws shapes in rooms, so that --dataset=folder and numpy can be tried without photographs:

classes  DIR/SHAPE/ROOM/0001.png: a class, and the room as the group
table    DIR/images/0001.png and DIR/metadata.csv: shape, size, large, striped, room
numpy    DIR/shapes.npz: images, labels (large, striped), groups (rooms), names

Or, with --celeba=SOURCE --label=Male, lays out the photos of a folder in CelebA's layout as class
folders, DIR/Male/PERSON/photo.jpg and DIR/not_Male/PERSON/photo.jpg, as links where that can be.
"""

import argparse
import csv
import pathlib
import shutil
import sys
from collections.abc import Sequence

from arl_tf.utils import interruption

if __name__ == "__main__":
    interruption.at_once("arl_tf.example_folder")

import numpy as np
from PIL import Image

from arl_tf.config.path_values import clean_path
from arl_tf.data import celeba_folder
from arl_tf.data.labelled import table
from arl_tf.data.labelled.shapes import SHAPES, Scenes, scenes

# Exit code of everything that the user can mend, as of arl_tf.main.
USAGE_ERROR = 2


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the data set; returns the exit code."""
    arguments = parser().parse_args(argv)
    try:
        folder = pathlib.Path(clean_path("folder", arguments.folder))
        if folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty; name a new folder.")
        if arguments.celeba:
            count = lay_out(
                pathlib.Path(clean_path("celeba", arguments.celeba)), arguments.label, folder
            )
        else:
            drawn = scenes(arguments.images, arguments.images_per_room, arguments.seed)
            LAYOUTS[arguments.layout](drawn, folder)
            count = len(drawn.images)
    except (ValueError, OSError) as error:
        print(f"arl_tf.example_folder: {error}", file=sys.stderr)
        return USAGE_ERROR
    print(f"{count} images in {folder}")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(
        prog="python -m arl_tf.example_folder", description="Writes an example data set."
    )
    found.add_argument("folder", metavar="DIR", help="a new folder")
    found.add_argument("--layout", choices=sorted(LAYOUTS), default="classes", help="what to write")
    found.add_argument("--images", type=int, default=1200, help="images to draw")
    found.add_argument("--images_per_room", type=int, default=6, help="images of one room")
    found.add_argument("--seed", type=int, default=0, help="of rooms and shapes")
    found.add_argument(
        "--celeba", default="", metavar="SOURCE", help="a folder in CelebA's layout, to lay out"
    )
    found.add_argument("--label", default="Male", help="the attribute that is the class")
    return found


def write_classes(drawn: Scenes, folder: pathlib.Path) -> None:
    """DIR/SHAPE/ROOM/NUMBER.png."""
    for number, image in enumerate(drawn.images):
        room = f"room_{drawn.rooms[number]:04d}"
        write_image(image, folder / SHAPES[drawn.shapes[number]] / room / f"{number:04d}.png")


def write_table(drawn: Scenes, folder: pathlib.Path) -> None:
    """DIR/images/NUMBER.png, and a row for each in DIR/metadata.csv."""
    lines = [[table.FILE_COLUMN, "shape", "size", "large", "striped", "room"]]
    for number, image in enumerate(drawn.images):
        name = f"images/{number:04d}.png"
        write_image(image, folder / name)
        lines.append(
            [
                name,
                SHAPES[drawn.shapes[number]],
                f"{drawn.sizes[number]:.4f}",
                str(int(drawn.large[number])),
                str(int(drawn.striped[number])),
                f"room_{drawn.rooms[number]:04d}",
            ]
        )
    with (folder / table.TABLE).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(lines)


def write_arrays(drawn: Scenes, folder: pathlib.Path) -> None:
    """DIR/shapes.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(
        folder / "shapes.npz",
        images=drawn.images,
        labels=np.stack([drawn.large, drawn.striped], axis=1).astype(np.uint8),
        groups=drawn.rooms,
        names=np.array(["large", "striped"]),
    )


def write_image(image: np.ndarray, path: pathlib.Path) -> None:
    """Writes an image uint8 [H, W, 3] as PNG; its folder is made if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def lay_out(source: pathlib.Path, label: str, folder: pathlib.Path) -> int:
    """Class folders of a CelebA folder's photos; how many.

    Raises:
        ValueError: there is no such folder, attribute or photo, or nobody knows the people.
    """
    index = celeba_folder.read_folder_index(source)
    if label not in index.attribute_names:
        raise ValueError(f"{source} has no attribute {label!r}; it has {index.attribute_names}.")
    if index.identities is None:
        raise ValueError(f"{source} holds no {celeba_folder.IDENTITY_FILE}; expected one.")
    count = 0
    has_label = index.attributes[:, index.attribute_names.index(label)]
    for name, yes, person in zip(index.files, has_label, index.identities, strict=True):
        photo = index.image_folder / name
        if photo.is_file():
            kind = label if yes else f"not_{label}"
            place = folder / kind / f"person_{person}" / name
            place.parent.mkdir(parents=True, exist_ok=True)
            link_or_copy(photo, place)
            count += 1
    return count


def link_or_copy(photo: pathlib.Path, place: pathlib.Path) -> None:
    """A symbolic link to a photo; a copy on file systems that have no links."""
    try:
        place.symlink_to(photo.resolve())
    except OSError:
        shutil.copyfile(photo, place)


LAYOUTS = {"classes": write_classes, "numpy": write_arrays, "table": write_table}

if __name__ == "__main__":
    with interruption.in_one_line("arl_tf.example_folder", "remove the folder and start again."):
        sys.exit(main())
