"""From a picture file's bytes to its upright pixels, with pillow and numpy.

The same pixels as the exported encoder sees, value for value: pillow's JPEG decoder uses the
accurate transform, and so does the graph. Greyscale is repeated to three channels, transparent
parts appear on black, 16 bits are cut to 8, CMYK is converted, colour profiles are not applied.
"""

import io
import struct
import warnings
import zlib

import numpy as np
from PIL import Image

from serving.pictures.formats import PictureError, refuse
from serving.pictures.headers import CORE, chunks, inspect, read_bitmap
from serving.pictures.orientation import upright

# Chunks of a PNG that every reader has to know; names of others begin with a small letter.
NECESSARY = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# (left, top, step across, step down) of each pass (PNG specification, third edition, 8.1).
ADAM7 = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
INFLATED_AT_ONCE = 1 << 20
BROKEN = (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError)


def read_pixels(content: bytes, most_pixels: int | None = None) -> np.ndarray:
    """Decodes a JPEG, PNG, BMP, GIF (its first frame) or WebP and sets it upright.

    Args:
        content: the whole file.
        most_pixels: a picture of more is refused by its header; a small file can claim any size.

    Returns:
        uint8 [h, w, 3], RGB.

    Raises:
        PictureError: it is no complete picture of a kind that is read; the message says why.
    """
    picture = inspect(content)
    if most_pixels is not None and picture.pixels > most_pixels:
        raise PictureError(
            f"it has {picture.pixels} pixels when decoded, the limit is {most_pixels}"
        )
    if picture.kind == "BMP":
        return bmp_pixels(content)
    if picture.kind == "PNG":
        content = needed_chunks(content)
    try:
        with warnings.catch_warnings():
            # Of its size, which has been looked at, and of EXIF that is not well formed.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=(picture.kind.upper(),)) as image:
                pixels = stored_pixels(image)
    except BROKEN as error:
        raise PictureError(f"no complete picture: {error}") from error
    return upright(pixels, picture.orientation)


def stored_pixels(image: Image.Image) -> np.ndarray:
    """8-bit RGB of an opened picture, uint8 [h, w, 3]."""
    if image.mode.startswith("I"):
        # Pillow would clip 16-bit grey to 255.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if "A" in image.getbands() or "transparency" in image.info:
        return over_black(np.asarray(image.convert("RGBA")))
    return np.asarray(image.convert("RGB"))


def over_black(image: np.ndarray) -> np.ndarray:
    """Colours times opacity, rounded: uint8 [h, w, 4] -> [h, w, 3]."""
    colours, alpha = image[..., :3].astype(np.int32), image[..., 3:].astype(np.int32)
    return ((colours * alpha + 127) // 255).astype(np.uint8)


def needed_chunks(content: bytes) -> bytes:
    """A PNG with what its pixels need and nothing else, as libpng would read it.

    Pillow fails at remarks and colour profiles that are damaged or large, which libpng passes over,
    and takes files that libpng refuses.

    Raises:
        PictureError: it breaks off, lacks pixels, or has necessary chunks that are damaged, unknown
            or there twice.
    """
    kept, packed = [content[:8]], []
    for name, start, end in chunks(content, is_png=True):
        is_whole = zlib.crc32(content[start - 4 : end]) == checksum(content, end)
        if not name[0] & 0x20:
            if not is_whole:
                raise refuse("a damaged PNG: a checksum is wrong or missing")
            if name not in NECESSARY or (name == b"IHDR" and len(kept) > 1):
                raise refuse("a damaged PNG: a necessary chunk is unknown or there twice")
        elif name != b"tRNS" or not is_whole:
            continue
        kept.append(content[start - 8 : end + 4])
        if name == b"IDAT":
            packed.append(content[start:end])
        if name == b"IEND":
            check_inflated(b"".join(packed), kept[1][8:])
            return b"".join(kept)
    raise refuse("a damaged PNG: it breaks off")


def check_inflated(packed: bytes, header: bytes) -> None:
    """Raises PictureError where a PNG's data, inflated, have fewer bytes than its pixels.

    Args:
        packed: the content of its IDAT chunks.
        header: that of IHDR.
    """
    width, height, bits, colour, _, _, interlaced = struct.unpack_from(">IIBBBBB", header)
    passes = ADAM7 if interlaced else ((0, 0, 1, 1),)
    wanted = 0
    for left, top, across, down in passes:
        columns, rows = -(-(width - left) // across), -(-(height - top) // down)
        if columns > 0 and rows > 0:
            wanted += rows * (1 + (columns * bits * CHANNELS.get(colour, 1) + 7) // 8)
    unpacker, found = zlib.decompressobj(), 0
    try:
        while found < wanted and (part := unpacker.decompress(packed, INFLATED_AT_ONCE)):
            found, packed = found + len(part), unpacker.unconsumed_tail
    except zlib.error:
        found = 0
    if found < wanted:
        raise refuse("a damaged PNG: it breaks off")


def checksum(content: bytes, end: int) -> int | None:
    """The checksum behind a chunk; None where the file ends before it."""
    stored = content[end : end + 4]
    return struct.unpack(">I", stored)[0] if len(stored) == 4 else None


def bmp_pixels(content: bytes) -> np.ndarray:
    """Decodes a BMP that `inspect` has passed; uint8 [h, w, 3].

    Pillow reads some palettes and masks otherwise.

    Raises:
        PictureError: it has colours beyond its palette.
    """
    bitmap = read_bitmap(content)
    rows = np.frombuffer(content, np.uint8, bitmap.height * bitmap.stride, bitmap.start)
    rows = rows.reshape(bitmap.height, bitmap.stride)
    if not bitmap.downward:
        rows = rows[::-1]
    if bitmap.bits > 8:
        depth = bitmap.bits // 8
        pixels = rows[:, : bitmap.width * depth].reshape(bitmap.height, bitmap.width, depth)
        return pixels[..., 2::-1]
    per_byte = 8 // bitmap.bits
    shifts = bitmap.bits * np.arange(per_byte - 1, -1, -1, dtype=np.uint8)
    places = (rows[..., None] >> shifts & ((1 << bitmap.bits) - 1)).reshape(bitmap.height, -1)
    places = places[:, : bitmap.width]
    most, entry = 1 << bitmap.bits, 3 if bitmap.header_size == CORE else 4
    count = bitmap.colours if 0 < bitmap.colours <= most else most
    start = 14 + bitmap.header_size
    held = min(count, max(len(content) - start, 0) // entry)
    if places.max() >= held:
        raise refuse("a damaged BMP: colours beyond its palette")
    palette = np.frombuffer(content, np.uint8, held * entry, start).reshape(held, entry)
    return palette[:, 2::-1][places]
