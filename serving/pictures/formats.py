"""Which picture files are read, and the words that refuse all others.

The same rule as the exported encoder has in TensorFlow operations; a test compares the two.
"""

FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WebP")
# Files in a folder that count as pictures; a file that is named itself may end in anything.
ENDINGS = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp")
# Photos of formats that are not read. In a folder they are refused by name, not passed over.
UNREAD_ENDINGS = (
    *(".heic", ".heif", ".avif", ".tif", ".tiff", ".jxl", ".jp2"),
    *(".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2"),
)
WANTED = "expected a JPEG, PNG, BMP, GIF or WebP file"
SIGNATURES = (
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("BMP", 0, b"BM"),
    ("GIF", 0, b"GIF87a"),
    ("GIF", 0, b"GIF89a"),
    ("WebP", 8, b"WEBP"),
)
# What people send instead: name, offset, bytes. The first that fits counts.
OTHERS = (
    ("HEIC", 4, b"ftypheic"),
    ("HEIC", 4, b"ftypheix"),
    ("HEIC", 4, b"ftypheim"),
    ("HEIC", 4, b"ftypheis"),
    ("HEIC", 4, b"ftyphevc"),
    ("HEIF", 4, b"ftypmif1"),
    ("HEIF", 4, b"ftypmsf1"),
    ("AVIF", 4, b"ftypavif"),
    ("AVIF", 4, b"ftypavis"),
    ("raw CR3", 4, b"ftypcrx "),
    ("MP4 or QuickTime", 4, b"ftyp"),
    ("TIFF or raw", 0, b"II*\0"),
    ("TIFF or raw", 0, b"MM\0*"),
    ("BigTIFF", 0, b"II+\0"),
    ("BigTIFF", 0, b"MM\0+"),
    ("JPEG 2000", 0, b"\0\0\0\x0cjP  "),
    ("JPEG 2000", 0, b"\xff\x4f\xff\x51"),
    ("JPEG XL", 0, b"\0\0\0\x0cJXL "),
    ("JPEG XL", 0, b"\xff\x0a"),
    ("Photoshop", 0, b"8BPS"),
    ("icon", 0, b"\0\0\1\0"),
    ("Netpbm", 0, b"P5"),
    ("Netpbm", 0, b"P6"),
    ("PDF", 0, b"%PDF"),
    ("SVG", 0, b"<svg"),
    ("XML or SVG", 0, b"<?xml"),
    ("HTML", 0, b"<!DOC"),
    ("HTML", 0, b"<!doc"),
    ("HTML", 0, b"<html"),
    ("Git LFS pointer", 0, b"version https://git-lfs"),
    ("zip", 0, b"PK\3\4"),
    ("gzip", 0, b"\x1f\x8b"),
    ("NumPy", 0, b"\x93NUMPY"),
)


class PictureError(ValueError):
    """A file that is not read; the message says why."""


def refuse(what: str) -> PictureError:
    """The error for a kind of picture that is not supported, or is damaged."""
    return PictureError(f"not supported: {what}")


def picture_format(content: bytes) -> str:
    """The format of a file, told by its first bytes and not by its name.

    Raises:
        PictureError: it is another format; the message names it.
    """
    for name, start, magic in SIGNATURES:
        # RIFF holds sounds and films as well.
        if content.startswith(magic, start) and (name != "WebP" or content.startswith(b"RIFF")):
            return name
    if not content:
        raise PictureError(f"{WANTED}, got an empty file")
    for name, start, magic in OTHERS:
        if content.startswith(magic, start):
            raise PictureError(f"{WANTED}, got a file of type {name}")
    raise PictureError(f"{WANTED}, got a file of another type")
