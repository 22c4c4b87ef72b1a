"""Sizes, kinds and orientation of picture files, from their headers alone.

Sources: ITU-T T.81, table B.1 (JPEG); PNG specification, third edition, 5.3; CompuServe, GIF89a;
WebP container specification and RFC 6386 and 9649 (its bitstreams); Microsoft, "Bitmap Storage".
"""

import dataclasses
import struct
from collections.abc import Iterator

from serving.pictures.formats import picture_format, refuse
from serving.pictures.orientation import EXIF_PREFIX, orientation_of

# A file of more parts is not looked through further.
MOST_PARTS = 10_000
FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
READ_FRAMES = frozenset((0xC0, 0xC1, 0xC2))
ALONE = frozenset((0x01, *range(0xD0, 0xD9)))
APP1, APP14, SCAN, END, FILL = 0xE1, 0xEE, 0xDA, 0xD9, 0xFF
ANIMATION = 2
BMP_HEADERS, BMP_BITS, CORE = (12, 40, 52, 56, 64, 108, 124), (1, 4, 8, 24, 32), 12
BIT_FIELDS, MASKS = 3, struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)


@dataclasses.dataclass(frozen=True)
class Picture:
    """What the headers of a picture file say.

    Attributes:
        kind: its format.
        height, width: as stored, pixels.
        orientation: EXIF's, 1 to 8.
        pixels: that decoding has to hold; of an animation those of all frames.
    """

    kind: str
    height: int
    width: int
    orientation: int = 1
    pixels: int = 0


def inspect(content: bytes) -> Picture:
    """Reads a file's headers.

    Args:
        content: the whole file.

    Raises:
        PictureError: it is not read, or damaged; the message says which.
    """
    kind = picture_format(content)
    try:
        picture = READERS[kind](content)
    except (struct.error, IndexError):
        raise refuse(f"a damaged {kind}: its headers break off") from None
    if not picture.height or not picture.width:
        raise refuse(f"a damaged {kind}: it has no pixels")
    return dataclasses.replace(picture, pixels=max(picture.pixels, picture.height * picture.width))


def jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """(marker, body) of the segments before the first scan, and (SCAN, b"") where that is found."""
    position = 2
    for _ in range(MOST_PARTS):
        prefix, marker = content[position], content[position + 1]
        if prefix != 0xFF or marker == END:
            return
        if marker == SCAN:
            yield SCAN, b""
            return
        if marker in ALONE or marker == FILL:
            position += 1 if marker == FILL else 2
            continue
        (length,) = struct.unpack_from(">H", content, position + 2)
        if length < 2:
            return
        yield marker, content[position + 4 : position + 2 + length]
        position += 2 + length


def jpeg(content: bytes) -> Picture:
    """A JPEG of 8 bits and 1, 3 or 4 channels."""
    frame = kind = exif = None
    has_adobe = reached = False
    for marker, body in jpeg_segments(content):
        if marker in FRAMES and frame is None:
            kind, frame = marker, body
        elif marker == APP1 and exif is None and body.startswith(EXIF_PREFIX):
            exif = body
        has_adobe |= marker == APP14 and body.startswith(b"Adobe")
        reached |= marker == SCAN
    if frame is None or not reached:
        raise refuse("a damaged JPEG: its headers break off")
    bits, height, width, channels = struct.unpack_from(">BHHB", frame)
    if kind not in READ_FRAMES:
        raise refuse("a lossless, hierarchical or arithmetic-coded JPEG")
    if bits != 8:
        raise refuse("a JPEG that does not have 8 bits a channel")
    if channels not in (1, 3, 4):
        raise refuse("a JPEG that does not have 1, 3 or 4 channels")
    if channels == 4 and not has_adobe:
        raise refuse("a CMYK JPEG without Adobe's segment")
    return Picture("JPEG", height, width, orientation_of(exif or b""))


def chunks(content: bytes, is_png: bool) -> Iterator[tuple[bytes, int, int]]:
    """(name, start, end) of the chunks of a PNG, or else of a WebP, as far as they go."""
    position = 8 if is_png else 12
    for _ in range(MOST_PARTS):
        if position + 8 > len(content):
            return
        if is_png:
            length, name = struct.unpack_from(">I4s", content, position)
        else:
            name, length = struct.unpack_from("<4sI", content, position)
        start = position + 8
        yield name, start, start + length
        # PNG: a checksum follows; RIFF: chunks begin at even places.
        position = start + length + (4 if is_png else length % 2)


def chunk_orientation(content: bytes, name: bytes, is_png: bool) -> int:
    """EXIF's orientation from the first chunk of that name."""
    for found, start, end in chunks(content, is_png):
        if found == name:
            return orientation_of(content[start:end])
    return 1


def png(content: bytes) -> Picture:
    """A PNG whose transparency decoders agree on."""
    if content[12:16] != b"IHDR":
        raise refuse("a damaged PNG: its headers break off")
    width, height, bits, colour = struct.unpack_from(">IIBB", content, 16)
    is_transparent = any(name == b"tRNS" for name, _, _ in chunks(content, is_png=True))
    if is_transparent and colour in (0, 2) and bits != 8:
        raise refuse("a PNG with a transparent colour that does not have 8 bits")
    return Picture("PNG", height, width, chunk_orientation(content, b"eXIf", is_png=True))


def gif(content: bytes) -> Picture:
    """A GIF whose first frame fills its canvas."""
    width, height, flags = struct.unpack_from("<HHB", content, 6)
    position = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    boxes = []
    while position < len(content) and content[position] in (0x21, 0x2C):
        if content[position] == 0x2C:
            left, top, across, down, local = struct.unpack_from("<HHHHB", content, position + 1)
            boxes.append((top, left, top + down, left + across))
            # A palette of its own, then a byte, the size of codes.
            position += 11 + (3 << (local & 7) + 1 if local & 0x80 else 0)
        else:
            position += 2
        while position < len(content) and content[position]:
            position += content[position] + 1
        position += 1
    if not boxes:
        raise refuse("a damaged GIF: it has no picture")
    pixels = sum((bottom - top) * (right - left) for top, left, bottom, right in boxes)
    if boxes[0] != (0, 0, height, width):
        raise refuse("a GIF whose first frame does not fill its canvas")
    return Picture("GIF", height, width, pixels=pixels)


def webp(content: bytes) -> Picture:
    """A WebP that is not animated."""
    first = content[12:16]
    if first == b"VP8X":
        if content[20] & ANIMATION:
            raise refuse("an animated WebP")
        width = 1 + int.from_bytes(content[24:27], "little")
        height = 1 + int.from_bytes(content[27:30], "little")
    elif first == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        width, height = 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    else:
        width, height = (side & 0x3FFF for side in struct.unpack_from("<HH", content, 26))
    return Picture("WebP", height, width, chunk_orientation(content, b"EXIF", is_png=False))


@dataclasses.dataclass(frozen=True)
class Bitmap:
    """A BMP's headers: `downward` if the first row is the upper one; see `read_bitmap`."""

    header_size: int
    start: int
    width: int
    height: int
    downward: bool
    bits: int
    compression: int
    colours: int

    @property
    def stride(self) -> int:
        """Bytes of a row."""
        return (self.width * self.bits + 31) // 32 * 4


def read_bitmap(content: bytes) -> Bitmap:
    """Reads a BMP's headers as they stand there."""
    start, size = struct.unpack_from("<II", content, 10)
    if size == CORE:
        width, height, _, bits = struct.unpack_from("<HHHH", content, 18)
        return Bitmap(size, start, width, height, False, bits, 0, 0)
    width, height, _, bits, compression = struct.unpack_from("<IiHHI", content, 18)
    (colours,) = struct.unpack_from("<I", content, 46)
    return Bitmap(size, start, width, abs(height), height < 0, bits, compression, colours)


def bmp(content: bytes) -> Picture:
    """A BMP of 1, 4 or 8 bits with a palette, or of 24 or 32 bits."""
    bitmap = read_bitmap(content)
    has_masks = bitmap.compression == BIT_FIELDS and bitmap.bits == 32
    is_read = has_masks and content[54:66] == MASKS
    faults = (
        (bitmap.header_size not in BMP_HEADERS, "a BMP with an unknown header"),
        (bitmap.bits == 16, "a BMP of 16 bits a pixel"),
        (bitmap.compression in (BIT_FIELDS, 6) and not is_read, "a BMP with bit fields"),
        (bitmap.compression != 0 and not is_read, "a compressed BMP"),
        (bitmap.bits not in BMP_BITS, "a BMP of an unknown number of bits a pixel"),
        (
            not 1 <= bitmap.width < 2**31
            or bitmap.height < 1
            or bitmap.start + bitmap.height * bitmap.stride > len(content),
            "a damaged BMP: cut off, or without pixels",
        ),
    )
    for is_fault, words in faults:
        if is_fault:
            raise refuse(words)
    return Picture("BMP", bitmap.height, bitmap.width)


READERS = {"JPEG": jpeg, "PNG": png, "BMP": bmp, "GIF": gif, "WebP": webp}
