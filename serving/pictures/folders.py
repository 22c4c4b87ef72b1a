"""The pictures that lie in a folder."""

import pathlib

from serving.pictures.formats import ENDINGS


def is_picture(path: pathlib.Path) -> bool:
    """Whether a file is there whose name ends as those of pictures do."""
    return path.suffix.lower() in ENDINGS and path.is_file()


def pictures_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The pictures in a folder and its subfolders, sorted by path; hidden ones are left out.

    Raises:
        ValueError: there is none.
    """
    pictures = sorted(
        path
        for path in folder.rglob("*")
        if is_picture(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not pictures:
        what = "holds no picture" if folder.is_dir() else "is no folder"
        raise ValueError(f"{folder} {what}; expected files that end in {', '.join(ENDINGS)}.")
    return pictures
