"""The pictures that lie in a folder."""

import pathlib

from serving.pictures.formats import ENDINGS, UNREAD_ENDINGS


def is_picture(path: pathlib.Path) -> bool:
    """Whether a file is there whose name ends as those of pictures do."""
    return path.suffix.lower() in ENDINGS and path.is_file()


def is_photo(path: pathlib.Path) -> bool:
    """The same, or as those of photos of formats that are not read."""
    return path.suffix.lower() in (*ENDINGS, *UNREAD_ENDINGS) and path.is_file()


def pictures_in(folder: pathlib.Path) -> list[pathlib.Path]:
    """The pictures in a folder and its subfolders, sorted by path; hidden ones are left out.

    Photos of formats that are not read are among them: whoever reads them says so.

    Raises:
        ValueError: there is none.
    """
    pictures = sorted(
        path
        for path in folder.rglob("*")
        if is_photo(path)
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
    )
    if not any(map(is_picture, pictures)):
        what = "holds no picture" if folder.is_dir() else "is no folder"
        raise ValueError(f"{folder} {what}; expected files that end in {', '.join(ENDINGS)}.")
    return pictures
