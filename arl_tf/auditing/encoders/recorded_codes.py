"""Codes that somebody recorded, and the images they are codes of: reads and checks an .npz file.

Every message names the file, the array, what it holds and what was expected of it.
"""

import dataclasses
import pathlib
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.data import image_sets
from arl_tf.models import architectures

ARRAYS = ("codes", "images", "labels", "identities", "names", "logits")
REQUIRED = ("codes", "images")
# Fewer can't be dealt to X1, X2, T and their validation parts, and would measure nothing.
LEAST_IMAGES = 60
SIDE_STEP, LARGEST_SIDE = 32, 512
HEADER_READERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


@dataclasses.dataclass(frozen=True)
class RecordedCodes:
    """Codes of an encoder that is not at hand.

    Attributes:
        codes: float32 [N, ...], of a shape that decoders take.
        images: what they are codes of, with all that is known of them.
        logits: float32 [N, A], what the task head says of the codes; None where nothing is known.
        labels_known: whether the file holds labels; else `images.attributes` is [N, 0].
        code_shape: of a code in the file; where no decoder takes it, `codes` are flattened.
    """

    codes: np.ndarray
    images: image_sets.ImageSet
    logits: np.ndarray | None
    labels_known: bool
    code_shape: tuple[int, ...]


def read_codes(path: str | pathlib.Path, image_size: int) -> RecordedCodes:
    """Reads an .npz file of recorded codes.

    It holds `codes`, floats [N, ...], and `images`, uint8 [N, H, W, 3], RGB; and may hold `labels`,
    {0, 1} [N, A], `identities`, integers [N], `names` of attributes, strings [A], and `logits`,
    floats [N, A].

    Args:
        path: of the file.
        image_size: S, pixels; images of another size go through `data.preprocess`.

    Raises:
        ValueError: the file is missing or damaged, or its arrays are not as they should be.
    """
    arrays = read_arrays(path)
    try:
        return checked(arrays, image_size)
    except ValueError as error:
        raise ValueError(f"--codes={path}: {error}") from error


def codes_image_size(path: str | pathlib.Path) -> int | None:
    """Side of the images in an .npz file of recorded codes, by its header; pixels.

    Returns:
        The side, where images are square and can be audited as they are (a multiple of 32, at most
        512); None otherwise.

    Raises:
        ValueError: the file is missing, or no .npz file with images.
    """
    try:
        with open_archive(path) as archive, archive.open("images.npy") as file:
            version = np.lib.format.read_magic(file)
            if version not in HEADER_READERS:
                return None
            shape, _, _ = HEADER_READERS[version](file)
    except (KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"--codes={path}: images can't be read ({error}).") from error
    if len(shape) != 4 or shape[1] != shape[2]:
        return None
    return shape[1] if shape[1] % SIDE_STEP == 0 and 0 < shape[1] <= LARGEST_SIDE else None


def open_archive(path: str | pathlib.Path) -> zipfile.ZipFile:
    """Opens what should be an .npz file."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"--codes={path}: there is no such file.")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"--codes={path} is not an .npz file; expected one that numpy.savez wrote."
        )
    return zipfile.ZipFile(path)


def read_arrays(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """The arrays of ARRAYS that the file holds; others are left alone, with a warning."""
    with open_archive(path), np.load(path, allow_pickle=False) as file:
        missing = [name for name in REQUIRED if name not in file.files]
        if missing:
            raise ValueError(
                f"--codes={path} holds {', '.join(file.files) or 'nothing'}, but no"
                f" {' and no '.join(missing)}."
            )
        unknown = sorted(set(file.files) - set(ARRAYS))
        if unknown:
            logging.warning(
                "%s: arrays %s are not read; known are %s",
                path,
                ", ".join(unknown),
                ", ".join(ARRAYS),
            )
        return {name: read_array(path, file, name) for name in ARRAYS if name in file.files}


def read_array(path: str | pathlib.Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """Reads one array; no pickled objects."""
    try:
        return np.asarray(file[name])
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(
            f"--codes={path}: {name} can't be read ({error}); expected an array of numbers, or of"
            " strings for names (numpy.array(names, dtype=str)), from an undamaged file."
        ) from error


def checked(arrays: Mapping[str, np.ndarray], image_size: int) -> RecordedCodes:
    """Checks all arrays and puts them together."""
    codes = checked_floats("codes", arrays["codes"])
    check_images(arrays["images"])
    labels, logits = arrays.get("labels"), arrays.get("logits")
    labels = None if labels is None else checked_labels(labels)
    logits = None if logits is None else checked_logits(logits)
    check_lengths(arrays)
    names = attribute_names(arrays.get("names"), {"labels": labels, "logits": logits})
    code_shape = codes.shape[1:]
    return RecordedCodes(
        codes=codes if is_decodable(code_shape, image_size) else codes.reshape(len(codes), -1),
        images=image_set(arrays, labels, names, image_size),
        logits=logits,
        labels_known=labels is not None,
        code_shape=code_shape,
    )


def is_decodable(code_shape: tuple[int, ...], image_size: int) -> bool:
    """Whether a decoder takes codes of this shape; says what to do where it does not."""
    try:
        architectures.check_decodable(code_shape, image_size)
    except ValueError as error:
        logging.warning(
            "%s Codes are flattened, which makes attacks weaker than grids do: if they are grids"
            " with channels first, give them as [N, h, w, c]",
            error,
        )
        return False
    return True


def mismatch(name: str, array: np.ndarray, expected: str) -> ValueError:
    """What is wrong with an array."""
    return ValueError(f"{name} is {array.dtype} {list(array.shape)}; expected {expected}.")


def checked_floats(name: str, array: np.ndarray) -> np.ndarray:
    """Floats [N, ...] as float32; ValueError where they are anything else, or not finite."""
    if array.dtype.kind != "f" or array.ndim < 2 or array.size == 0:
        hint = "cast what are integers" if array.dtype.kind in "iub" else "N and all sides >= 1"
        raise mismatch(name, array, f"floats [N, ...] ({hint})")
    # What float32 can't hold becomes infinite, and is counted as such.
    with np.errstate(over="ignore"):
        floats = array.astype(np.float32)
    finite = np.isfinite(floats)
    if not finite.all():
        rows = len(finite) - np.count_nonzero(finite.reshape(len(finite), -1).all(axis=1))
        raise ValueError(
            f"{name} has {np.count_nonzero(~finite)} values of {finite.size} that are NaN or beyond"
            f" float32, in {rows} of {len(finite)} rows; expected finite ones."
        )
    return floats


def check_images(images: np.ndarray) -> None:
    """Raises ValueError for anything but uint8 [N, H, W, 3], with a hint where it is common."""
    if images.dtype == np.uint8 and images.ndim == 4 and images.shape[3] == 3 and images.size:
        return
    hint = ""
    if images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 1):
        hint = "; repeat a single channel three times"
    elif images.ndim == 4 and images.shape[1] == 3:
        hint = "; transpose channels to the end"
    elif images.dtype.kind == "f":
        hint = "; scale to 0..255 and round"
    raise mismatch("images", images, f"uint8 [N, H, W, 3], RGB{hint}")


def checked_labels(labels: np.ndarray) -> np.ndarray:
    """{0, 1} [N, A] as uint8."""
    if labels.dtype.kind not in "biu" or labels.ndim != 2 or labels.shape[1] == 0:
        raise mismatch("labels", labels, "uint8 or bool [N, A], A >= 1; leave them out if unknown")
    values = np.unique(labels)
    if not np.isin(values, (0, 1)).all():
        hint = "; (labels + 1) // 2 makes them so" if np.isin(values, (-1, 1)).all() else ""
        shown = ", ".join(str(value) for value in values[:5])
        raise ValueError(f"labels has the values {shown}; expected 0 and 1{hint}.")
    return labels.astype(np.uint8)


def checked_logits(logits: np.ndarray) -> np.ndarray:
    """Finite floats [N, A] as float32."""
    if logits.ndim != 2:
        raise mismatch("logits", logits, "floats [N, A], what the task head says of the codes")
    return checked_floats("logits", logits)


def check_lengths(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError where arrays speak of different numbers of images, or of too few."""
    identities = arrays.get("identities")
    if identities is not None and (identities.dtype.kind not in "iu" or identities.ndim != 1):
        hint = "numpy.unique(identities, return_inverse=True)[1] numbers them"
        raise mismatch("identities", identities, f"integers [N]; {hint}")
    lengths = {name: len(array) for name, array in arrays.items() if name != "names"}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise ValueError(f"arrays differ in length: {found}; expected one row an image in each.")
    if lengths["codes"] < LEAST_IMAGES:
        raise ValueError(
            f"codes has {lengths['codes']} rows; expected at least {LEAST_IMAGES}, to be dealt to"
            " training, attack and test."
        )


def attribute_names(
    names: np.ndarray | None, per_attribute: Mapping[str, np.ndarray | None]
) -> tuple[str, ...]:
    """Names of the labels' columns, given or made up; () without labels."""
    counts = {name: a.shape[1] for name, a in per_attribute.items() if a is not None}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"labels has {counts['labels']} attributes and logits {counts['logits']}; expected"
            " the same ones."
        )
    count = next(iter(counts.values()), 0)
    if names is None:
        given = tuple(f"attribute_{column}" for column in range(count))
    elif names.dtype.kind != "U" or names.shape != (count,):
        raise mismatch("names", names, f"{count} strings, one an attribute of labels and logits")
    else:
        given = tuple(names.tolist())
    if len(set(given)) < count or not all(given):
        raise ValueError(f"names holds empty or repeated ones: {', '.join(given)}.")
    return given if "labels" in counts else ()


def image_set(
    arrays: Mapping[str, np.ndarray],
    labels: np.ndarray | None,
    names: tuple[str, ...],
    image_size: int,
) -> image_sets.ImageSet:
    """The images, prepared, with what is known of them."""
    images, identities = arrays["images"], arrays.get("identities")
    count = len(images)
    everyone = np.arange(count) if identities is None else identities
    return image_sets.ImageSet(
        images=prepared(images, image_size),
        attributes=np.zeros((count, 0), np.uint8) if labels is None else labels,
        identities=everyone.astype(np.int64),
        attribute_names=names,
        names=tuple(f"image_{number:06d}" for number in range(count)),
        bad_images=(),
        identities_known=identities is not None,
    )


def prepared(images: np.ndarray, image_size: int) -> np.ndarray:
    """uint8 [N, H, W, 3] -> [N, S, S, 3]; images of that size stay as they are."""
    if images.shape[1:3] == (image_size, image_size):
        return images

    @tf.function(input_signature=[tf.TensorSpec(images.shape[1:], tf.uint8)])
    def prepare(image):
        return image_sets.preprocess(image, image_size)

    return np.stack([prepare(image).numpy() for image in images])
