"""How a camera was held: EXIF's orientation.

One rule for JPEG, PNG and WebP, the same as the exported encoder has: the first EXIF block counts;
in its first directory the first entry of tag 0x0112 that is one unsigned short of 1 to 8. Anything
else means upright. BMP and GIF have no EXIF.

Source: EXIF 2.32, 4.6.2 and 4.6.4 (tag 274), which builds on TIFF 6.0, section 2.
"""

import struct

import numpy as np

EXIF_PREFIX = b"Exif\0\0"
ORIENTATION_TAG, SHORT = 0x0112, 3
HEADER, COUNT, ENTRY = 8, 2, 12


def orientation_of(block: bytes) -> int:
    """The orientation that an EXIF block names, 1 to 8; 1 where it names none."""
    block = block.removeprefix(EXIF_PREFIX)
    order = {b"MM\0*": ">", b"II*\0": "<"}.get(block[:4])
    if order is None or len(block) < HEADER:
        return 1
    (start,) = struct.unpack_from(f"{order}I", block, 4)
    directory = block[start:]
    if len(directory) < COUNT:
        return 1
    (announced,) = struct.unpack_from(f"{order}H", directory)
    count = min(announced, (len(directory) - COUNT) // ENTRY)
    for number in range(count):
        tag, kind, length, value = struct.unpack_from(
            f"{order}HHIH", directory, COUNT + number * ENTRY
        )
        if (tag, kind, length) == (ORIENTATION_TAG, SHORT, 1) and 1 <= value <= 8:
            return value
    return 1


def upright(image: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors a stored picture so that it stands as the camera saw it.

    Args:
        image: uint8 [h, w, 3].
        orientation: 1 to 8.

    Returns:
        uint8 [h, w, 3], or [w, h, 3] for 5 to 8.
    """
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    return image
