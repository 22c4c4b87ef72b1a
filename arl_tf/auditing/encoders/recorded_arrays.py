"""Arrays as people record them, brought to the one form that the audit reads.

What can mean one thing only is read, and the log says how. What could mean two things is refused,
and the message says what to type: a code that is taken wrongly would look well protected.
"""

import numpy as np
from absl import logging

# Images [N, 3, H, W] or [N, H, W, 3]; a single channel is repeated.
CHANNELS = 3
# Images in [0, 1] that never get brighter than this may as well be very dark ones in 0..255.
LEAST_BRIGHTEST = 0.5
SHOWN_VALUES = 5


def mismatch(name: str, array: np.ndarray, expected: str) -> ValueError:
    """The error for an array of any shape: what it is, and what was expected."""
    return ValueError(f"{name} is {array.dtype} {list(array.shape)}; expected {expected}.")


def floats(name: str, array: np.ndarray) -> np.ndarray:
    """Floats [N, ...] as float32.

    Raises:
        ValueError: they are anything else, or not finite; the message says how to save them.
    """
    if array.dtype.kind != "f" or array.ndim < 2 or array.size == 0:
        raise mismatch(name, array, f"floats [N, ...] ({floats_hint(name, array)})")
    # What float32 can't hold becomes infinite, and is counted as such.
    with np.errstate(over="ignore"):
        values = array.astype(np.float32)
    finite = np.isfinite(values)
    if not finite.all():
        rows = len(finite) - np.count_nonzero(finite.reshape(len(finite), -1).all(axis=1))
        raise ValueError(
            f"{name} has {np.count_nonzero(~finite)} values of {finite.size} that are NaN or beyond"
            f" float32, in {rows} of {len(finite)} rows; expected finite ones."
        )
    return values


def floats_hint(name: str, array: np.ndarray) -> str:
    """What to type where an array is not floats [N, ...]."""
    kind = array.dtype.kind
    if kind == "V" and array.dtype.names is None:
        return (
            f"numpy has no {narrow_float(array.dtype)} and saves its bytes: save"
            f" {name}.astype(numpy.float32); of a PyTorch tensor {name}.float().cpu().numpy()"
        )
    if kind == "V":
        return (
            "a structured array: save numpy.lib.recfunctions.structured_to_unstructured"
            f"({name}).astype(numpy.float32)"
        )
    if kind in "iub":
        return f"cast what are integers: {name}.astype(numpy.float32); unpack them first if packed"
    if kind == "c":
        return f"numpy.stack([{name}.real, {name}.imag], axis=-1) keeps both parts"
    if array.ndim == 1 and kind == "f":
        return f"one value a row: {name}[:, None]"
    return "N and all sides >= 1" if kind == "f" else "numbers, not text or objects"


def narrow_float(dtype: np.dtype) -> str:
    """The type that numpy keeps as raw bytes of this size."""
    return {1: "float8 or int4", 2: "bfloat16"}.get(dtype.itemsize, f"type for {dtype}")


def logits(array: np.ndarray) -> np.ndarray:
    """Finite floats [N, A] as float32; probabilities are refused."""
    if array.ndim != 2:
        hint = ": logits[:, None] for a single attribute" if array.ndim == 1 else ""
        raise mismatch(
            "logits", array, f"floats [N, A], what the task head says of the codes{hint}"
        )
    values = floats("logits", array)
    if values.min() >= 0 and values.max() <= 1:
        raise ValueError(
            "logits are all in [0, 1], as probabilities p are; expected logits, before the sigmoid:"
            " p = numpy.clip(p, 1e-6, 1 - 1e-6); logits = numpy.log(p) - numpy.log1p(-p)."
        )
    return values


def image_side(shape: tuple[int, ...]) -> int | None:
    """Side of square images of a shape that `images` reads; None of other ones."""
    if len(shape) == 3 and shape[2] > CHANNELS + 1:
        sides = shape[1:3]
    elif len(shape) == 4 and is_channels_first(shape):
        sides = shape[2:4]
    else:
        sides = shape[1:3] if len(shape) == 4 else (0, 1)
    return sides[0] if sides[0] == sides[1] else None


def is_channels_first(shape: tuple[int, ...]) -> bool:
    """Whether images [N, ...] can only be [N, C, H, W]."""
    return shape[1] in (1, CHANNELS) and min(shape[2:]) > CHANNELS + 1


def images(array: np.ndarray) -> np.ndarray:
    """Images as uint8 [N, H, W, 3], RGB.

    Read are also: [N, 3, H, W]; a single channel; integers in 0..255; floats in [0, 1], or whole
    ones in 0..255.

    Raises:
        ValueError: they are anything else; the message says what to type.
    """
    laid_out = channels_last(array)
    if array.dtype == np.uint8:
        return laid_out
    if array.dtype.kind not in "iuf":
        raise refused_images(array, images_hint(array))
    low, high = float(array.min()), float(array.max())
    if array.dtype.kind == "f" and low >= 0 and LEAST_BRIGHTEST < high <= 1:
        logging.info("images: floats in [0, 1] are read as images * 255")
        return np.round(laid_out * 255.0).astype(np.uint8)
    if low >= 0 and 1 < high <= 255 and is_whole(array):
        logging.info("images: %s in 0..255 are read as uint8", array.dtype)
        return laid_out.astype(np.uint8)
    raise refused_images(array, f", values {low:g} to {high:g}: {values_hint(low, high)}")


def is_whole(array: np.ndarray) -> bool:
    """Whether numbers of any shape are whole, whatever their type."""
    return array.dtype.kind != "f" or bool((array == np.round(array)).all())


def channels_last(array: np.ndarray) -> np.ndarray:
    """Images as [N, H, W, 3], where their shape leaves no doubt; any type."""
    shape = array.shape
    if array.size and array.ndim == 3 and shape[2] > CHANNELS + 1:
        array = array[..., None]
    elif array.size and array.ndim == 4 and is_channels_first(shape):
        array = np.moveaxis(array, 1, 3)
    if array.ndim != 4 or array.shape[3] not in (1, CHANNELS) or not array.size:
        raise refused_images(array, images_hint(array))
    if array.shape != shape:
        logging.info("images: %s are read as [N, H, W, C] %s", list(shape), list(array.shape))
    if array.shape[3] == 1:
        logging.info("images: their single channel is repeated three times")
        array = np.repeat(array, CHANNELS, axis=3)
    return array


def refused_images(array: np.ndarray, hint: str) -> ValueError:
    """The error for images of any shape; the hint begins with its own punctuation."""
    return mismatch("images", array, f"uint8 [N, H, W, 3], RGB{hint}")


def images_hint(array: np.ndarray) -> str:
    """What to type for images of a type or shape that is not read."""
    if array.dtype.kind == "V":
        return f"; {floats_hint('images', array)}"
    if array.dtype.kind in "SUO":
        return "; decode the files: numpy.stack([numpy.asarray(image) for image in images])"
    if array.ndim == 4 and array.shape[3] == CHANNELS + 1:
        return "; images[..., :3] drops the fourth channel"
    if array.ndim == 2:
        return "; images.reshape(-1, H, W, 3) for rows of pixels"
    if array.ndim == 3:
        return "; repeat a single channel: numpy.repeat(images[..., None], 3, axis=3)"
    if array.ndim == 5:
        return "; images[:, 0] takes the first of several an entry"
    return ""


def values_hint(low: float, high: float) -> str:
    """What to type for numbers that are no pixels of 0..255."""
    cast = ".astype(numpy.uint8)"
    if not np.isfinite([low, high]).all():
        return "leave out images with NaN or infinite values"
    if low >= 0 and high <= 1:
        return f"scale to 0..255 and round: numpy.round(images * 255){cast}"
    if low >= 0 and high <= 255:
        return f"numpy.round(images){cast}"
    if low >= -1 and high <= 1:
        return f"numpy.round((images + 1) * 127.5){cast}"
    if low >= 0 and high <= 65535:
        return f"(images // 257){cast} for 16-bit values"
    return (
        f"undo their normalisation: numpy.clip((images * std + mean) * 255, 0, 255).round(){cast}"
    )


def labels(array: np.ndarray) -> np.ndarray:
    """Labels as {0, 1} [N, A] uint8; read are also bool and -1 and 1, as integers or floats."""
    if array.ndim == 1 and array.dtype.kind in "biuf":
        raise mismatch("labels", array, f"uint8 or bool [N, A]{row_hint(array)}")
    if array.dtype.kind not in "biuf" or array.ndim != 2 or array.shape[1] == 0:
        raise mismatch("labels", array, f"uint8 or bool [N, A], A >= 1{labels_hint(array)}")
    values = np.unique(array)
    if np.isin(values, (0, 1)).all():
        return array.astype(np.uint8)
    # CelebA's own files have them so.
    if np.array_equal(values, (-1, 1)):
        logging.info("labels: -1 and 1 are read as 0 and 1")
        return (array > 0).astype(np.uint8)
    shown = ", ".join(f"{value:g}" for value in values[:SHOWN_VALUES])
    more = ", ..." if len(values) > SHOWN_VALUES else ""
    raise ValueError(f"labels has the values {shown}{more}; expected 0 and 1{two_hint(values)}.")


def row_hint(array: np.ndarray) -> str:
    """What to type for labels [N]: of one attribute, or numbers of classes."""
    if len(np.unique(array)) <= 2:
        return ": labels[:, None] for a single attribute"
    return ": labels[:, None] == numpy.unique(labels) makes an attribute of each class"


def labels_hint(array: np.ndarray) -> str:
    """What to type for labels of another type or shape than numbers [N, A]."""
    if array.dtype.kind in "SU":
        return '; labels == "yes" compares text'
    if array.dtype.kind == "V":
        return "; labels.astype(numpy.uint8) before numpy.savez"
    if array.ndim == 3 and 1 in array.shape[1:]:
        return "; numpy.squeeze removes sides of 1"
    return "; leave them out if unknown"


def two_hint(values: np.ndarray) -> str:
    """What to type for labels that are not 0 and 1; values [n] are those that occur, ascending."""
    if np.isnan(values).any():
        return "; leave out rows with unknown labels"
    if np.isin(values, (-1, 0, 1)).all():
        return "; (labels > 0).astype(numpy.uint8), if 0 is no third, unknown value"
    if values.min() >= 0 and values.max() <= 1:
        return "; (labels > 0.5).astype(numpy.uint8) decides what are probabilities"
    return f"; (labels == {values[-1]:g}).astype(numpy.uint8), for what counts as present"


def identities(array: np.ndarray) -> np.ndarray:
    """Identities as int64 [N]; read are also text, whole floats and [N, 1]."""
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    hint = "numpy.unique(identities, return_inverse=True)[1] numbers them"
    if array.ndim != 1 or array.dtype.kind not in "iufSU":
        raise mismatch("identities", array, f"integers or text [N]; {hint}")
    if array.dtype.kind in "SU":
        return np.unique(array, return_inverse=True)[1].astype(np.int64)
    if array.dtype.kind == "f" and not (np.isfinite(array).all() and is_whole(array)):
        raise ValueError(
            f"identities is {array.dtype} with values that are not whole; expected integers [N];"
            f" {hint}."
        )
    return array.astype(np.int64)


def names(array: np.ndarray, count: int) -> tuple[str, ...]:
    """Names of `count` attributes; text [A], or bytes in UTF-8."""
    if array.dtype.kind not in "SU" or array.shape != (count,):
        hint = ": numpy.array(names, dtype=str)" if array.dtype.kind not in "SU" else ""
        raise mismatch(
            "names", array, f"{count} strings, one an attribute of labels and logits{hint}"
        )
    if array.dtype.kind == "U":
        return tuple(array.tolist())
    return tuple(name.decode("utf-8") for name in array.tolist())


def length_hint(arrays: dict[str, np.ndarray]) -> str:
    """What to type where arrays [N, ...] differ in length; empty where that is not clear."""
    count = len(arrays["codes"])
    for name in ("labels", "logits"):
        array = arrays.get(name)
        if array is not None and array.ndim == 2 and len(array) != count == array.shape[1]:
            return f"; {name}.T swaps its sides"
    few = len(arrays["images"])
    if few and count % few == 0 and count > few:
        return (
            f"; numpy.repeat(images, {count // few}, axis=0), and likewise the others, for"
            f" {count // few} codes of each image in a row"
        )
    return ""
