"""How a camera was held: EXIF's orientation, found and applied, in TensorFlow operations.

One rule for JPEG, PNG and WebP: the first EXIF block counts; in it the first entry of tag 0x0112
that is one unsigned short of 1 to 8, in the first directory. Anything else means upright. BMP and
GIF have no EXIF. serving/pictures.py has the same rule without TensorFlow.

Sources: EXIF 2.32, 4.6.4 (tag 274) and TIFF 6.0, section 2; PNG specification, third edition,
11.3.4.5 (eXIf); WebP container specification (EXIF chunk).
"""

import functools
from typing import NamedTuple

import tensorflow as tf

from arl_tf.picture_bytes import begins, big, is_one_of, little, part
from arl_tf.picture_formats import FORMATS, JPEG, PNG, WEBP, refuse_first

# A file of more parts is not looked through further.
MOST_PARTS = 10_000
ORIENTATION_TAG, SHORT = 0x0112, 3
EXIF_PREFIX = b"Exif\0\0"
# JPEG markers (ITU-T T.81, table B.1): of frames, of what stands alone, of the scan's beginning.
FRAMES = tuple(kind for kind in range(0xC0, 0xD0) if kind not in (0xC4, 0xC8, 0xCC))
ALONE = (0x01, *range(0xD0, 0xD9))
ENDS = (0xD9, 0xDA)
READ_FRAMES = (0xC0, 0xC1, 0xC2)
APP1, APP14 = 0xE1, 0xEE


class JpegHeader(NamedTuple):
    """What stands before a JPEG's first scan; int64 scalars, 0 for what is not there.

    Attributes:
        frame: place of the frame's header.
        exif_start: place of the first EXIF block.
        exif_end: where it ends.
        adobe: place of Adobe's segment.
        is_whole: whether the first scan was reached, 1 or 0.
    """

    frame: tf.Tensor
    exif_start: tf.Tensor
    exif_end: tf.Tensor
    adobe: tf.Tensor
    is_whole: tf.Tensor


def jpeg_header(content: tf.Tensor) -> JpegHeader:
    """Walks through a JPEG's segments up to its first scan.

    Args:
        content: uint8 [n], the file.
    """
    zero = tf.constant(0, tf.int64)

    def step(position, going, header):
        marker, kind = part(content, position, 1)[0], part(content, position + 1, 1)[0]
        length = big(content, position + 2, 2)
        is_fill, is_alone = kind == 0xFF, is_one_of(kind, ALONE)
        is_end = is_one_of(kind, ENDS)
        is_segment = ~(is_fill | is_alone | is_end)
        is_exif = (kind == APP1) & begins(content, position + 4, EXIF_PREFIX)
        is_adobe = (kind == APP14) & begins(content, position + 4, b"Adobe")
        end = position + 2 + length

        def first(old, is_it, value):
            return tf.where(is_it & (old == 0), value, old)

        header = JpegHeader(
            first(header.frame, is_one_of(kind, FRAMES), position),
            first(header.exif_start, is_exif, position + 4),
            first(header.exif_end, is_exif, end),
            first(header.adobe, is_adobe, position),
            tf.cast((marker == 0xFF) & (kind == 0xDA), tf.int64),
        )
        position = tf.where(is_fill, position + 1, tf.where(is_alone, position + 2, end))
        broken = (marker != 0xFF) | (is_segment & (length < 2))
        return position, ~broken & ~is_end, header

    _, _, header = tf.while_loop(
        lambda position, going, _: going & (position < tf.size(content, tf.int64)),
        step,
        (zero + 2, tf.constant(True), JpegHeader(*[zero] * 5)),
        maximum_iterations=MOST_PARTS,
    )
    return header


def check_jpeg(content: tf.Tensor, header: JpegHeader) -> tf.Operation:
    """Refuses the kinds of JPEG that decoders do not read, or read differently.

    Raises:
        tf.errors.InvalidArgumentError: it is lossless, hierarchical, arithmetic-coded, not of 8
            bits, of 2 channels, or CMYK without Adobe's segment, which tells what 0 means.
    """
    kind = part(content, header.frame + 1, 1)[0]
    bits, channels = part(content, header.frame + 4, 1)[0], part(content, header.frame + 9, 1)[0]
    bare_cmyk = (channels == 4) & (header.adobe == 0)
    faults = (
        (header.is_whole * header.frame == 0, "a damaged JPEG: no picture after its headers."),
        (~is_one_of(kind, READ_FRAMES), "a lossless, hierarchical or arithmetic-coded JPEG."),
        (bits != 8, "a JPEG that has not 8 bits a channel."),
        (~is_one_of(channels, (1, 3, 4)), "a JPEG that has not 1, 3 or 4 channels."),
        (bare_cmyk, "a CMYK JPEG without Adobe's segment."),
    )
    return refuse_first(faults)


def find_chunk(content: tf.Tensor, name: bytes, is_png: bool = True) -> tuple[tf.Tensor, tf.Tensor]:
    """(start, end) of the first chunk of that name of a PNG, or of a WebP.

    Args:
        content: uint8 [n].
        name: four letters.
        is_png: False for a WebP.

    Returns:
        int64 scalars; (0, 0) where there is none.
    """
    number, name_at, length_at = (big, 4, 0) if is_png else (little, 0, 4)
    zero = tf.constant(0, tf.int64)

    def step(position, start, end):
        length = number(content, position + length_at, 4)
        found = begins(content, position + name_at, name)
        # PNG: a checksum follows; RIFF: chunks begin at even places.
        following = position + 12 + length if is_png else position + 8 + length + length % 2
        body = position + 8
        return following, tf.where(found, body, start), tf.where(found, body + length, end)

    _, start, end = tf.while_loop(
        lambda position, start, _: (start == 0) & (position < tf.size(content, tf.int64)),
        step,
        (zero + (8 if is_png else 12), zero, zero),
        maximum_iterations=MOST_PARTS,
    )
    return start, end


def exif_block(content: tf.Tensor, kind: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """(start, end) of a file's first EXIF block; int64 scalars, (0, 0) without one.

    Args:
        content: uint8 [n].
        kind: its place in FORMATS.
    """
    zero = tf.constant(0, tf.int64)

    def of_jpeg():
        header = jpeg_header(content)
        return header.exif_start, header.exif_end

    def nowhere():
        return zero, zero

    branches = dict.fromkeys(range(len(FORMATS)), nowhere)
    branches[JPEG] = of_jpeg
    branches[PNG] = functools.partial(find_chunk, content, b"eXIf")
    branches[WEBP] = functools.partial(find_chunk, content, b"EXIF", is_png=False)
    return tf.switch_case(kind, branches)


def block_orientation(content: tf.Tensor, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """The orientation that an EXIF block names, 1 where it names none; int64 scalar.

    Args:
        content: uint8 [n].
        start: int64 scalar, of the block.
        end: int64 scalar, behind the block.
    """
    block = content[start : tf.minimum(tf.maximum(end, start), tf.size(content, tf.int64))]
    zero = tf.constant(0, tf.int64)
    block = tf.cond(
        begins(block, zero, EXIF_PREFIX), lambda: block[len(EXIF_PREFIX) :], lambda: block
    )
    is_big = begins(block, zero, b"MM\0*")
    is_exif = is_big | begins(block, zero, b"II*\0")

    def number(position, size):
        return tf.where(is_big, big(block, position, size), little(block, position, size))

    directory = number(zero + 4, 4)
    directory = tf.minimum(directory, tf.size(block, tf.int64))
    entries = tf.cast(block[directory + 2 :], tf.int64)
    count = tf.minimum(number(directory, 2), tf.size(entries, tf.int64) // 12)
    entries = tf.reshape(entries[: count * 12], (-1, 12))

    def column(place, size):
        values = entries[:, place : place + size]
        weights = tf.constant([256**place for place in range(size)], tf.int64)
        return tf.reduce_sum(values * tf.where(is_big, weights[::-1], weights), axis=1)

    value = column(8, 2)
    is_it = (column(0, 2) == ORIENTATION_TAG) & (column(2, 2) == SHORT) & (column(4, 4) == 1)
    named = tf.boolean_mask(value, is_it & (value >= 1) & (value <= 8))
    return tf.where(is_exif, tf.concat([named, [1]], axis=0)[0], 1)


def upright(image: tf.Tensor, orientation: tf.Tensor) -> tf.Tensor:
    """Turns and mirrors a stored picture so that it stands as the camera saw it.

    Args:
        image: uint8 [h, w, 3].
        orientation: int64 scalar, 1 to 8.

    Returns:
        uint8 [h, w, 3], or [w, h, 3] for 5 to 8.
    """
    image = tf.cond(orientation >= 5, lambda: tf.transpose(image, (1, 0, 2)), lambda: image)
    flips = tf.stack([is_one_of(orientation, (3, 4, 7, 8)), is_one_of(orientation, (2, 3, 6, 7))])
    return tf.reverse(image, tf.cast(tf.where(flips)[:, 0], tf.int32))
