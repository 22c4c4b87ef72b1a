"""Which picture files are read, and the words that refuse all others. In TensorFlow operations.

The exported graph carries this rule, so it runs in TF Serving without any Python. The device and
the server, which must not need TensorFlow for it, have the same rule in serving/pictures; a
test holds both to the same verdicts.
"""

import tensorflow as tf

# In the order of `picture_format`; each with the bytes that its files begin with.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WebP")
JPEG, PNG, BMP, GIF, WEBP = range(5)
# Files of class folders that count as pictures; one that an index names may end in anything.
ENDINGS = (".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp")
WANTED = "expected a JPEG, PNG, BMP, GIF or WebP file"
SIGNATURES = (
    (JPEG, 0, b"\xff\xd8\xff"),
    (PNG, 0, b"\x89PNG\r\n\x1a\n"),
    (BMP, 0, b"BM"),
    (GIF, 0, b"GIF87a"),
    (GIF, 0, b"GIF89a"),
    (WEBP, 8, b"WEBP"),
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
HEAD = 32


def fits(head: tf.Tensor, table: tuple) -> tf.Tensor:
    """Which rows (_, offset, bytes) of a table a file's first bytes fit; bool [rows]."""
    return tf.stack([tf.strings.substr(head, at, len(magic)) == magic for _, at, magic in table])


def picture_format(image_bytes: tf.Tensor) -> tf.Tensor:
    """The place in FORMATS of a file's format, told by its first bytes and not by its name.

    Args:
        image_bytes: string scalar.

    Returns:
        int32 scalar.

    Raises:
        tf.errors.InvalidArgumentError: it is another format; the message names it.
    """
    head = tf.strings.substr(image_bytes, 0, HEAD) + b"\0" * HEAD
    known = fits(head, SIGNATURES)
    # RIFF holds sounds and films as well.
    riff = tf.strings.substr(head, 0, 4) == b"RIFF"
    known = known & (riff | [place != WEBP for place, _, _ in SIGNATURES])
    found = tf.reduce_any(known)
    with tf.control_dependencies([refuse_unless(found, lambda: other_words(image_bytes, head))]):
        return tf.gather([place for place, _, _ in SIGNATURES], tf.argmax(tf.cast(known, tf.int32)))


def other_words(image_bytes: tf.Tensor, head: tf.Tensor) -> tf.Tensor:
    """What is wrong with a file of no known format, for the message; string scalar."""
    other = fits(head, OTHERS)
    named = tf.gather([name for name, _, _ in OTHERS], tf.argmax(tf.cast(other, tf.int32)))
    size = tf.strings.length(image_bytes)
    got = tf.where(tf.reduce_any(other), "a file of type " + named, "a file of another type")
    got = tf.where(size == 0, "an empty file", got)
    return tf.strings.join([WANTED, ", got ", got, "."])


def refuse_unless(allowed: tf.Tensor, words) -> tf.Operation:
    """Fails with a message unless the condition holds.

    Args:
        allowed: bool scalar.
        words: string scalar or a function that gives one, which is run only for the message.

    Raises:
        tf.errors.InvalidArgumentError: it does not hold.
    """

    def refuse():
        text = words() if callable(words) else words
        with tf.control_dependencies([tf.debugging.Assert(False, [text])]):
            return tf.constant(False)

    return tf.cond(allowed, lambda: tf.constant(True), refuse)


def refuse_first(faults: tuple[tuple[tf.Tensor, str], ...]) -> tf.Operation:
    """Refuses a picture by the first fault that it has; (bool scalar, what the picture is)."""
    is_fault = tf.stack([fault for fault, _ in faults])

    def words():
        return "not supported: " + tf.gather(
            [text for _, text in faults], tf.argmax(tf.cast(is_fault, tf.int32))
        )

    return refuse_unless(~tf.reduce_any(is_fault), words)
