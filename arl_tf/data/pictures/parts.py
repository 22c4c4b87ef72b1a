"""The parts that JPEG, PNG and WebP files consist of, walked in TensorFlow operations.

Sources: ITU-T T.81, table B.1 (JPEG's markers); PNG specification, third edition, 5.3; WebP
container specification.
"""

from typing import NamedTuple

import tensorflow as tf

from arl_tf.data.pictures.file_bytes import file_size, is_one_of, numbers
from arl_tf.data.pictures.formats import refuse_first

# A file of more parts is not looked through further.
MOST_PARTS = 10_000
# What a JPEG marker is followed by: a segment, nothing, or the end of the headers.
SEGMENT, ALONE, FILL, END, FRAME = range(5)
APP1, APP14, SCAN = 0xE1, 0xEE, 0xDA
READ_FRAMES = (0xC0, 0xC1, 0xC2)
EXIF, ADOBE = (int.from_bytes(name, "big") for name in (b"Exif\0\0", b"Adobe\0"))


def marker_kinds() -> list[int]:
    """SEGMENT, ALONE, ... of each of the 256 markers."""
    kinds = [SEGMENT] * 256
    for marker in range(0xC0, 0xD0):
        # 0xC4 and 0xCC define tables, 0xC8 is reserved.
        kinds[marker] = SEGMENT if marker in (0xC4, 0xC8, 0xCC) else FRAME
    for marker in (0x01, *range(0xD0, 0xD9)):
        kinds[marker] = ALONE
    kinds[0xD9] = kinds[SCAN] = END
    kinds[0xFF] = FILL
    return kinds


class JpegHeader(NamedTuple):
    """What stands before a JPEG's first scan; int64 scalars.

    Attributes:
        frame: place of the first frame's header, 0 for none.
        exif: place of the first EXIF segment, 0 for none.
        adobe: place of Adobe's segment, 0 for none.
        scan: place of the first scan, 0 where the headers break off.
    """

    frame: tf.Tensor
    exif: tf.Tensor
    adobe: tf.Tensor
    scan: tf.Tensor


def jpeg_header(content: tf.Tensor) -> JpegHeader:
    """Walks through a JPEG's segments up to its first scan.

    Args:
        content: uint8 [n + MARGIN], the file.
    """
    kinds = tf.constant(marker_kinds(), tf.int64)
    fields = ((0, 1, "big"), (1, 1, "big"), (2, 2, "big"), (4, 6, "big"))

    def step(position, going, places):
        prefix, marker, length, name = numbers(content, position, fields)
        kind = tf.gather(kinds, marker)
        is_segment = (kind == SEGMENT) | (kind == FRAME)
        good = (prefix == 0xFF) & (~is_segment | (length >= 2))
        found = tf.stack(
            [
                kind == FRAME,
                (marker == APP1) & (name == EXIF),
                # Adobe's name is not followed by a zero of its own.
                (marker == APP14) & (name // 256 == ADOBE // 256),
                marker == SCAN,
            ]
        )
        places = tf.where((places == 0) & found & good, position, places)
        width = tf.where(
            is_segment, length + 2, tf.where(kind == FILL, tf.constant(1, tf.int64), 2)
        )
        return position + width, good & (kind != END), places

    _, _, places = tf.while_loop(
        lambda position, going, _: going & (position < file_size(content)),
        step,
        (tf.constant(2, tf.int64), tf.constant(True), tf.zeros(4, tf.int64)),
        parallel_iterations=1,
        maximum_iterations=MOST_PARTS,
    )
    return JpegHeader(*tf.unstack(places))


def check_jpeg(content: tf.Tensor, header: JpegHeader) -> tf.Operation:
    """Refuses the kinds of JPEG that decoders do not read, or read differently.

    `content` is the file, uint8 [n + MARGIN].

    Raises:
        tf.errors.InvalidArgumentError: it is lossless, hierarchical, arithmetic-coded, not of 8
            bits, of 2 channels, or CMYK without Adobe's segment, which tells what 0 means.
    """
    kind, bits, channels = numbers(
        content, header.frame, ((1, 1, "big"), (4, 1, "big"), (9, 1, "big"))
    )
    bare_cmyk = (channels == 4) & (header.adobe == 0)
    faults = (
        ((header.frame == 0) | (header.scan == 0), "a damaged JPEG: its headers break off."),
        (~is_one_of(kind, READ_FRAMES), "a lossless, hierarchical or arithmetic-coded JPEG."),
        (bits != 8, "a JPEG that does not have 8 bits a channel."),
        (~is_one_of(channels, (1, 3, 4)), "a JPEG that does not have 1, 3 or 4 channels."),
        (bare_cmyk, "a CMYK JPEG without Adobe's segment."),
    )
    return refuse_first(faults)


def jpeg_exif(content: tf.Tensor, header: JpegHeader) -> tf.Tensor:
    """(start, end) of a JPEG's EXIF block, int64 [2]; zeros without one."""
    (length,) = numbers(content, header.exif, ((2, 2, "big"),))
    found = tf.stack([header.exif + 4, header.exif + 2 + length])
    return tf.where(header.exif > 0, found, tf.zeros(2, tf.int64))


def find_chunk(content: tf.Tensor, name: bytes, is_png: bool) -> tf.Tensor:
    """(start, end) of the first chunk of that name of a PNG, or else of a WebP.

    Args:
        content: uint8 [n + MARGIN], the file.
        name: four letters.
        is_png: False for a WebP.

    Returns:
        int64 [2]; zeros where there is none.
    """
    wanted = int.from_bytes(name, "big")
    png_fields, riff_fields = ((4, 4, "big"), (0, 4, "big")), ((0, 4, "big"), (4, 4, "little"))

    def step(position, place):
        found, length = numbers(content, position, png_fields if is_png else riff_fields)
        # PNG: a checksum follows; RIFF: chunks begin at even places.
        width = length + 12 if is_png else length + 8 + length % 2
        here = tf.stack([position + 8, position + 8 + length])
        return position + width, tf.where(found == wanted, here, place)

    start = 8 if is_png else 12
    _, place = tf.while_loop(
        lambda position, place: (place[0] == 0) & (position < file_size(content)),
        step,
        (tf.constant(start, tf.int64), tf.zeros(2, tf.int64)),
        parallel_iterations=1,
        maximum_iterations=MOST_PARTS,
    )
    return place
