"""Small picture files of every kind, with the pixels that every reader must see in them.

GOOD: name -> (file, upright pixels uint8 [h, w, 3], largest difference allowed).
REFUSED: name -> (file, a part of the words that refuse it).
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image

HEIGHT, WIDTH = 20, 28
ROWS, COLUMNS = np.indices((HEIGHT, WIDTH))
# No symmetry: every orientation gives another picture.
PIXELS = np.stack([ROWS * 12, COLUMNS * 9, (ROWS + COLUMNS) * 5], axis=-1).astype(np.uint8)
ALPHA = (COLUMNS * 9).astype(np.uint8)
# Red, green, blue where a place has the number 0, 1, 2, ...
PALETTE = np.random.default_rng(1).integers(0, 256, (256, 3), np.uint8)


def saved(pixels, file_format, **options):
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    buffer = io.BytesIO()
    image.save(buffer, file_format, **options)
    return buffer.getvalue()


def over_black(rgba):
    return np.rint(rgba[..., :3] * (rgba[..., 3:] / 255)).astype(np.uint8)


def grey(values):
    return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)


def packed(values, bits):
    """Rows of bytes of numbers [h, w] of that many bits."""
    per_byte = 8 // bits
    values = np.pad(values, ((0, 0), (0, -values.shape[1] % per_byte)))
    values = values.reshape(len(values), -1, per_byte)
    return (values << bits * np.arange(per_byte - 1, -1, -1)).sum(-1).astype(np.uint8)


def png_chunk(kind, content):
    checksum = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + checksum


def png(rows, width, bits, colour, extra=b""):
    """A PNG of rows of bytes."""
    header = struct.pack(">IIBBBBB", width, len(rows), bits, colour, 0, 0, 0)
    body = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    parts = png_chunk(b"IHDR", header) + extra
    parts += png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def interlaced_png(pixels, short=0):
    """A PNG of uint8 [h, w, 3] in Adam7's seven passes; of its last bytes so many are missing."""
    steps = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2))
    passes = [pixels[y::down, x::across] for x, y, across, down in (*steps, (0, 1, 1, 2))]
    lines = b"".join(b"\0" + row.tobytes() for part in passes if part.size for row in part)
    header = struct.pack(">IIBBBBB", pixels.shape[1], pixels.shape[0], 8, 2, 0, 0, 1)
    body = zlib.compress(lines[: len(lines) - short])
    parts = png_chunk(b"IHDR", header) + png_chunk(b"IDAT", body) + png_chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def with_png_chunk(file, kind, content, at_end=False):
    """A PNG with one more chunk behind its header, or before its end."""
    place = len(file) - 12 if at_end else 33
    return file[:place] + png_chunk(kind, content) + file[place:]


def bmp(rows, width, bits, *, header=40, compression=0, palette=None, masks=b"", down=False):
    """A BMP of rows of bytes, the upper one first."""
    rows = np.pad(rows, ((0, 0), (0, -rows.shape[1] % 4)))
    body = (rows if down else rows[::-1]).tobytes()
    colours = b"" if palette is None else palette.tobytes()
    height = -len(rows) if down else len(rows)
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, 1, bits)
    else:
        count = 0 if palette is None else len(palette)
        info = struct.pack(
            "<IiiHHIIiiII", header, width, height, 1, bits, compression, 0, 0, 0, count, 0
        )
        info += masks.ljust(header - 40, b"\0") if header > 40 else masks
    start = 14 + len(info) + len(colours)
    size = start + len(body)
    return b"BM" + struct.pack("<IHHI", size, 0, 0, start) + info + colours + body


def exif(orientation, order=">", kind=3, count=1, tag=0x0112, more=0):
    """An EXIF block from the byte order's mark on, `more` entries before the one in question."""
    mark = b"MM\0*" if order == ">" else b"II*\0"
    other = struct.pack(f"{order}HHII", 0x0100, 4, 1, 9) * more
    entry = struct.pack(f"{order}HHIHH", tag, kind, count, orientation, 0)
    return mark + struct.pack(f"{order}IH", 8, more + 1) + other + entry + bytes(4)


def jpeg_segment(marker, content):
    return struct.pack(">BBH", 0xFF, marker, len(content) + 2) + content


def with_segment(jpeg, marker, content):
    """A JPEG with one more segment at its beginning."""
    return jpeg[:2] + jpeg_segment(marker, content) + jpeg[2:]


def with_exif(jpeg, block):
    return with_segment(jpeg, 0xE1, b"Exif\0\0" + block)


def webp_exif(block):
    return saved(PIXELS, "WEBP", lossless=True, exif=block)


def turned(orientation):
    """The pixels as a camera stores them that notes this orientation (EXIF 2.32, tag 274)."""
    top, left = PIXELS, PIXELS.transpose(1, 0, 2)
    return {
        1: top,
        2: top[:, ::-1],
        3: top[::-1, ::-1],
        4: top[::-1],
        5: left,
        6: left[::-1],
        7: left[::-1, ::-1],
        8: left[:, ::-1],
    }[orientation]


def patched(content, place, value):
    return content[:place] + bytes((value,)) + content[place + 1 :]


RGBA = np.concatenate([PIXELS, ALPHA[..., None]], axis=2)
JPEG = saved(PIXELS, "JPEG", quality=95, subsampling=0)
PNG = saved(PIXELS, "PNG")
BLUE_GREEN_RED = PIXELS[..., ::-1].reshape(HEIGHT, -1)
BLUE_GREEN_RED_X = np.dstack([PIXELS[..., ::-1], ALPHA]).reshape(HEIGHT, -1)
SMALL = Image.fromarray(PIXELS).quantize(32)
SMALL_PIXELS = np.asarray(SMALL.convert("RGB"))
CYAN = Image.fromarray(PIXELS).convert("CMYK")
FRAME_PLACE = JPEG.index(b"\xff\xc0")
CMYK_JPEG = saved(CYAN, "JPEG", quality=95)
STANDARD_MASKS = struct.pack("<III", 0xFF0000, 0xFF00, 0xFF)


def numbers(bits):
    return (ROWS * 7 + COLUMNS) % (1 << bits)


def palette_bmp(bits, header=40, colours=None):
    palette = PALETTE[: 1 << bits] if colours is None else PALETTE[:colours]
    blue_first = palette[:, ::-1]
    if header != 12:
        blue_first = np.concatenate([blue_first, np.zeros((len(palette), 1), np.uint8)], axis=1)
    return bmp(packed(numbers(bits), bits), WIDTH, bits, palette=blue_first, header=header)


def small_gif_frame():
    """A GIF whose first frame is smaller than its canvas."""
    file = bytearray(saved(SMALL.crop((3, 2, 13, 12)), "GIF"))
    file[6:10] = struct.pack("<HH", WIDTH, HEIGHT)
    return bytes(file)


def transparent_gif():
    seen = np.where(np.asarray(SMALL)[..., None] == 3, 0, SMALL_PIXELS)
    return saved(SMALL, "GIF", transparency=3), seen, 0


def good_pngs():
    def of_depth(bits):
        return png(packed(numbers(bits), bits), WIDTH, bits, 0)

    def with_palette(bits, extra=b""):
        chunk = png_chunk(b"PLTE", PALETTE[: 1 << bits].tobytes())
        return png(packed(numbers(bits), bits), WIDTH, bits, 3, chunk + extra)

    transparency = png_chunk(b"tRNS", bytes((0, 100)))
    opacity = np.full(4, 255)
    opacity[:2] = 0, 100
    half = np.concatenate([PALETTE[numbers(2)], opacity[numbers(2)][..., None]], axis=2)
    wide = np.repeat(PIXELS[..., None], 2, axis=-1).reshape(HEIGHT, -1)
    one_colour = np.where((PIXELS[4, 5] == PIXELS).all(-1, keepdims=True), 0, PIXELS)
    colour = struct.pack(">HHH", *PIXELS[4, 5].tolist())
    return {
        "png": (PNG, PIXELS, 0),
        "png_interlaced": (interlaced_png(PIXELS), PIXELS, 0),
        "png_interlaced_small": (interlaced_png(PIXELS[:2, :3]), PIXELS[:2, :3], 0),
        "png_large_remark": (
            with_png_chunk(PNG, b"zTXt", b"k\0\0" + zlib.compress(bytes(2_000_000))),
            PIXELS,
            0,
        ),
        "png_damaged_gamma": (
            with_png_chunk(PNG, b"gAMA", bytes(4)).replace(
                png_chunk(b"gAMA", bytes(4))[-4:], b"!" * 4
            ),
            PIXELS,
            0,
        ),
        "png_trailing": (PNG + b"and more", PIXELS, 0),
        "png_rgba": (saved(RGBA, "PNG"), over_black(RGBA), 0),
        "png_grey_alpha": (
            saved(np.dstack([PIXELS[..., 0], ALPHA]), "PNG"),
            over_black(np.dstack([grey(PIXELS[..., 0]), ALPHA])),
            0,
        ),
        "png_one_colour_transparent": (
            with_png_chunk(PNG, b"tRNS", colour),
            one_colour,
            0,
        ),
        "png_16_bits": (png(wide, WIDTH, 16, 2), PIXELS, 0),
        "png_grey_16_bits": (
            saved(ROWS.astype(np.uint16) * 3000, "PNG"),
            grey(ROWS * 3000 >> 8),
            0,
        ),
        "png_palette_transparent": (with_palette(2, transparency), over_black(half), 0),
        "apng": (
            saved(PIXELS, "PNG", save_all=True, append_images=[Image.new("RGB", (WIDTH, HEIGHT))]),
            PIXELS,
            0,
        ),
        **{f"png_palette_{n}": (with_palette(n), PALETTE[numbers(n)], 0) for n in (1, 2, 4, 8)},
        **{
            f"png_grey_{n}": (of_depth(n), grey(numbers(n) * (255 // ((1 << n) - 1))), 0)
            for n in (1, 2, 4, 8)
        },
    }


def good_bitmaps():
    fields = {"compression": 3, "masks": STANDARD_MASKS}
    return {
        "bmp_24": (saved(PIXELS, "BMP"), PIXELS, 0),
        "bmp_24_from_the_top": (bmp(BLUE_GREEN_RED, WIDTH, 24, down=True), PIXELS, 0),
        "bmp_24_os2": (bmp(BLUE_GREEN_RED, WIDTH, 24, header=12), PIXELS, 0),
        "bmp_24_v4": (bmp(BLUE_GREEN_RED, WIDTH, 24, header=108), PIXELS, 0),
        "bmp_24_v5": (bmp(BLUE_GREEN_RED, WIDTH, 24, header=124), PIXELS, 0),
        "bmp_24_trailing": (saved(PIXELS, "BMP") + b"and more", PIXELS, 0),
        "bmp_32": (bmp(BLUE_GREEN_RED_X, WIDTH, 32), PIXELS, 0),
        "bmp_32_from_the_top": (bmp(BLUE_GREEN_RED_X, WIDTH, 32, down=True), PIXELS, 0),
        "bmp_32_masks": (bmp(BLUE_GREEN_RED_X, WIDTH, 32, **fields), PIXELS, 0),
        "bmp_8_os2": (palette_bmp(8, header=12), PALETTE[numbers(8)], 0),
        "bmp_grey": (saved(PIXELS[..., 0], "BMP"), grey(PIXELS[..., 0]), 0),
        **{f"bmp_{n}": (palette_bmp(n), PALETTE[numbers(n)], 0) for n in (1, 4, 8)},
    }


def good_files():
    """name -> (file, pixels, largest difference)."""
    return {
        "jpeg": (JPEG, PIXELS, 8),
        "jpeg_progressive": (saved(PIXELS, "JPEG", quality=95, progressive=True), PIXELS, 16),
        "jpeg_grey": (saved(PIXELS[..., 0], "JPEG", quality=95), grey(PIXELS[..., 0]), 4),
        "jpeg_cmyk": (CMYK_JPEG, PIXELS, 10),
        "jpeg_trailing": (JPEG + b"and more", PIXELS, 8),
        **good_pngs(),
        **good_bitmaps(),
        "gif": (saved(SMALL, "GIF"), SMALL_PIXELS, 0),
        "gif_interlaced": (saved(SMALL, "GIF", interlace=1), SMALL_PIXELS, 0),
        "gif_animated": (
            saved(SMALL, "GIF", save_all=True, append_images=[Image.new("P", (WIDTH, HEIGHT))]),
            SMALL_PIXELS,
            0,
        ),
        "gif_transparent": transparent_gif(),
        "webp": (saved(PIXELS, "WEBP", quality=95), PIXELS, 24),
        "webp_lossless": (saved(PIXELS, "WEBP", lossless=True), PIXELS, 0),
        "webp_alpha": (saved(RGBA, "WEBP", lossless=True, exact=True), over_black(RGBA), 0),
        "webp_extended": (webp_exif(exif(1)), PIXELS, 0),
    }


def oriented_files():
    """name -> (file that stores turned pixels, upright pixels, largest difference)."""
    files = {}
    for number in range(1, 9):
        stored = turned(number)
        jpeg = saved(stored, "JPEG", quality=95, subsampling=0)
        for order, word in ((">", "big"), ("<", "little")):
            file = with_exif(jpeg, exif(number, order, more=number))
            files[f"jpeg_{number}_{word}"] = (file, PIXELS, 8)
        block = exif(number, "<")
        file = with_png_chunk(saved(stored, "PNG"), b"eXIf", block, at_end=number > 4)
        files[f"png_{number}"] = (file, PIXELS, 0)
        for prefix, word in ((b"", ""), (b"Exif\0\0", "_prefix")):
            file = saved(stored, "WEBP", lossless=True, exif=prefix + block)
            files[f"webp_{number}{word}"] = (file, PIXELS, 0)
    return files


def upright_files():
    """Files whose EXIF says nothing that counts."""
    six = exif(6)
    blocks = {
        "nine": exif(9),
        "zero": exif(0),
        "long_number": exif(6, kind=4),
        "two_values": exif(6, count=2),
        "other_tag": exif(6, tag=0x0113),
        "cut_off": six[:16],
        "empty": b"",
        "no_order": b"XX" + six[2:],
        "far_directory": six[:4] + b"\xff\xff\xff\xff" + six[8:],
        "short_header": six[:6],
    }
    files = {f"jpeg_{name}": (with_exif(JPEG, block), PIXELS, 8) for name, block in blocks.items()}
    files |= {
        f"png_{name}": (with_png_chunk(PNG, b"eXIf", block), PIXELS, 0)
        for name, block in blocks.items()
    }
    files["jpeg_xmp"] = with_segment(JPEG, 0xE1, b"http://ns.adobe.com/xap/1.0/\0" + six), PIXELS, 8
    files["jpeg_second_exif"] = with_exif(with_exif(JPEG, six), exif(1)), PIXELS, 8
    files["jpeg_exif_in_a_comment"] = with_segment(JPEG, 0xFE, b"Exif\0\0" + six), PIXELS, 8
    files["bmp_exif_behind"] = saved(PIXELS, "BMP") + b"Exif\0\0" + six, PIXELS, 0
    return files


def truncated_files():
    files = {
        "jpeg": JPEG,
        "png": PNG,
        "bmp": saved(PIXELS, "BMP"),
        "gif": saved(SMALL, "GIF"),
        "webp": saved(PIXELS, "WEBP"),
        "webp_lossless": saved(PIXELS, "WEBP", lossless=True),
    }
    half = {f"{name}_half": (file[: len(file) // 2], "") for name, file in files.items()}
    head = {f"{name}_head": (file[:14], "") for name, file in files.items()}
    return half | head | {"jpeg_without_end": (JPEG[:-2], ""), "png_without_end": (PNG[:-12], "")}


def refused_files():
    """name -> (file, words)."""
    stray = Image.fromarray(PIXELS)
    wide = np.repeat(PIXELS[..., None], 2, axis=-1).reshape(HEIGHT, -1)
    colour = png_chunk(b"tRNS", bytes(6))
    rgb_masks = struct.pack("<III", 0xFF, 0xFF00, 0xFF0000)
    two_bytes = np.zeros((HEIGHT, 2 * WIDTH), np.uint8)
    adobe = CMYK_JPEG.index(b"\xff\xee")
    frames = [Image.new("RGB", (WIDTH, HEIGHT), (9, 9, 9))]
    data_place = PNG.index(b"IDAT") + 6
    taller = (png(PIXELS[:-1], WIDTH, 8, 2)[8:33], png(PIXELS, WIDTH, 8, 2)[8:33])
    return {
        "empty": (b"", "an empty file"),
        "text": (b"no picture at all", "another type"),
        "wav": (b"RIFF\0\0\0\0WAVEfmt ", "another type"),
        "tiff": (saved(stray, "TIFF"), "TIFF"),
        "jpeg_2000": (saved(stray, "JPEG2000"), "JPEG 2000"),
        "avif": (saved(stray, "AVIF"), "AVIF"),
        "heic": (b"\0\0\0\x18ftypheic" + bytes(20), "HEIC"),
        "heif": (b"\0\0\0\x18ftypmif1" + bytes(20), "HEIF"),
        "jpeg_xl": (b"\xff\x0a" + bytes(20), "JPEG XL"),
        "icon": (saved(stray, "ICO"), "icon"),
        "lfs": (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        "html": (b"<!DOCTYPE html><html>", "HTML"),
        "bmp_16": (bmp(two_bytes, WIDTH, 16), "16 bits"),
        "bmp_565": (bmp(two_bytes, WIDTH, 16, compression=3, masks=rgb_masks), "16 bits"),
        "bmp_fields": (
            bmp(BLUE_GREEN_RED_X, WIDTH, 32, compression=3, masks=rgb_masks),
            "bit fields",
        ),
        "bmp_rle": (bmp(packed(numbers(8), 8), WIDTH, 8, compression=1), "compressed BMP"),
        "bmp_header": (patched(saved(PIXELS, "BMP"), 14, 41), "unknown header"),
        "bmp_2": (bmp(packed(numbers(2), 2), WIDTH, 2), "unknown number of bits"),
        "bmp_short_palette": (palette_bmp(8, colours=20), "beyond its palette"),
        "jpeg_12_bits": (patched(JPEG, FRAME_PLACE + 4, 12), "8 bits"),
        "jpeg_arithmetic": (patched(JPEG, FRAME_PLACE + 1, 0xC9), "arithmetic"),
        "jpeg_lossless": (patched(JPEG, FRAME_PLACE + 1, 0xC3), "lossless"),
        "jpeg_two_channels": (patched(JPEG, FRAME_PLACE + 9, 2), "1, 3 or 4 channels"),
        "jpeg_cmyk_bare": (CMYK_JPEG[:adobe] + CMYK_JPEG[adobe + 16 :], "without Adobe"),
        "png_16_transparent": (png(wide, WIDTH, 16, 2, colour), "transparent colour"),
        "png_checksum": (patched(PNG, data_place, PNG[data_place] ^ 255), "damaged PNG"),
        "png_lines_missing": (png(PIXELS[:-1], WIDTH, 8, 2).replace(*taller), "damaged PNG"),
        "png_interlaced_short": (interlaced_png(PIXELS, short=1), "damaged PNG"),
        "png_two_headers": (PNG[:33] + PNG[8:], "damaged PNG"),
        "png_unknown_necessary_chunk": (with_png_chunk(PNG, b"CgBI", bytes(4)), "damaged PNG"),
        "gif_small_frame": (small_gif_frame(), "does not fill its canvas"),
        "webp_animated": (saved(PIXELS, "WEBP", save_all=True, append_images=frames), "animated"),
        **truncated_files(),
    }


GOOD = good_files()
ORIENTED = oriented_files()
UPRIGHT = upright_files()
REFUSED = refused_files()
READ = {
    **GOOD,
    **{f"oriented_{name}": value for name, value in ORIENTED.items()},
    **{f"upright_{name}": value for name, value in UPRIGHT.items()},
}
