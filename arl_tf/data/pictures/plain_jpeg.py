"""Which JPEGs need no look at their parts in TensorFlow operations: a short cut of the reader.

The whole check of a JPEG takes the graph longer than its pixels. For a file that is plain by this
module's few rules, the check lets it pass and its orientation is 1, so that decoding alone gives
the same pixels. All other files, doubtful ones included, take the long way.
"""

from arl_tf.data.pictures.parts import APP1, APP14, READ_FRAMES, SCAN

START = b"\xff\xd8\xff"
# Segments without meaning for the pixels, and those that define tables or a comment.
TABLES = (0xC4, 0xDB, 0xDD, 0xFE)
APPLICATION = range(0xE0, 0xF0)


def is_plain(content: bytes) -> bool:
    """Whether a file is a JPEG without EXIF and without Adobe's segment, of a usual kind.

    Its headers are segments up to the first scan, one after the other: a frame that is read, of 8
    bits and 1 or 3 channels. Damage behind that is left to the decoder.
    """
    if not content.startswith(START):
        return False
    place, frames = 2, 0
    while place + 10 <= len(content):
        prefix, marker = content[place], content[place + 1]
        length = int.from_bytes(content[place + 2 : place + 4], "big")
        if prefix != 0xFF or length < 2:
            return False
        if marker == SCAN:
            return frames == 1
        if marker in READ_FRAMES:
            if content[place + 4] != 8 or content[place + 9] not in (1, 3):
                return False
            frames += 1
        elif marker in (APP1, APP14) or not (marker in TABLES or marker in APPLICATION):
            return False
        place += 2 + length
    return False
