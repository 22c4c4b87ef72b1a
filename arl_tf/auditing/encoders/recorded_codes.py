"""Codes that somebody recorded, and the images they are codes of: reads and checks an .npz file.

Every message names the file, the array, what it holds and what was expected of it.
"""

import dataclasses
import functools
import math
import pathlib
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf.auditing.encoders import recorded_arrays
from arl_tf.data import image_sets, preprocessing
from arl_tf.models import architectures
from arl_tf.utils import run_files

ARRAYS = ("codes", "images", "labels", "identities", "names", "logits")
REQUIRED = ("codes", "images")
# Fewer can't be dealt to X1, X2, T and their validation parts, and would measure nothing.
LEAST_IMAGES = 60
SIDE_STEP, LARGEST_SIDE = 32, 512
# Names of arrays that a message lists at most: a PyTorch file has hundreds.
MOST_SHOWN = 8
REMEDY = "Save it with numpy.savez(FILE, codes=codes, images=images, ...)."
# How each array is read; names come with those that they are names of.
READERS = {
    "codes": functools.partial(recorded_arrays.floats, "codes"),
    "images": recorded_arrays.images,
    "labels": recorded_arrays.labels,
    "identities": recorded_arrays.identities,
    "logits": recorded_arrays.logits,
}
OBJECT_HINTS = {
    "names": "text: numpy.array(names, dtype=str)",
    "identities": "text or integers: numpy.array(identities, dtype=str)",
}
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


def read_codes(
    path: str | pathlib.Path, image_size: int, fit: str = preprocessing.CROP
) -> RecordedCodes:
    """Reads an .npz file of recorded codes.

    It holds `codes`, floats [N, ...], and `images`, uint8 [N, H, W, 3], RGB; and may hold `labels`,
    {0, 1} [N, A], `identities`, integers [N], `names` of attributes, strings [A], and `logits`,
    floats [N, A]. `recorded_arrays` says which other forms are read.

    Args:
        path: of the file.
        image_size: S, pixels; images of another size go through `preprocessing.preprocess`.
        fit: how it makes them square.

    Raises:
        ValueError: the file is missing or damaged, or its arrays are not as they should be.
    """
    arrays = read_arrays(path)
    try:
        return checked(arrays, image_size, fit)
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
    with open_archive(path) as archive:
        found = [name.removesuffix(".npy") for name in archive.namelist()]
        require_arrays(path, found, ("images",))
        try:
            with archive.open("images.npy") as file:
                version = np.lib.format.read_magic(file)
                if version not in HEADER_READERS:
                    return None
                shape, _, _ = HEADER_READERS[version](file)
        except run_files.PARSE_ERRORS as error:
            reason = run_files.one_line(error)
            raise ValueError(f"--codes={path}: images can't be read ({reason}).") from error
    side = recorded_arrays.image_side(shape)
    return side if side and side % SIDE_STEP == 0 and side <= LARGEST_SIDE else None


def open_archive(path: str | pathlib.Path) -> zipfile.ZipFile:
    """Opens what should be an .npz file."""
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"--codes={path}: there is no such file.")
    run_files.require_whole(path, REMEDY)
    if not zipfile.is_zipfile(path):
        raise run_files.refusal(f"--codes={path}", "is not an .npz file, or is cut off", REMEDY)
    with run_files.reading(path, REMEDY):
        return zipfile.ZipFile(path)


def read_arrays(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Those of ARRAYS that the file holds, of any shape; others are left alone, with a warning.

    Raises:
        ValueError: there is no such file, or it lacks one of REQUIRED.
    """
    with open_archive(path), np.load(path, allow_pickle=False) as file:
        require_arrays(path, file.files, REQUIRED)
        unknown = sorted(set(file.files) - set(ARRAYS))
        if unknown:
            logging.warning(
                "%s: arrays %s are not read; known are %s",
                path,
                ", ".join(unknown),
                ", ".join(ARRAYS),
            )
        return {name: read_array(path, file, name) for name in ARRAYS if name in file.files}


def require_arrays(path: str | pathlib.Path, found: Sequence[str], required: Sequence[str]) -> None:
    """Raises ValueError where a file lacks an array; names those that it has."""
    missing = [name for name in required if name not in found]
    if missing:
        shown = ", ".join(found[:MOST_SHOWN]) or "nothing"
        more = ", ..." if len(found) > MOST_SHOWN else ""
        raise ValueError(
            f"--codes={path} holds {shown}{more}, but no {' and no '.join(missing)}. {REMEDY}"
        )


def read_array(path: str | pathlib.Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    """Reads one array, of any shape; ValueError for pickled objects and damaged files."""
    try:
        return np.asarray(file[name])
    except run_files.PARSE_ERRORS as error:
        hint = "an array of numbers from an undamaged file"
        if "pickle" in str(error):
            hint = OBJECT_HINTS.get(name, f"numpy.stack(list({name})), not an array of objects")
        raise ValueError(
            f"--codes={path}: {name} can't be read ({run_files.one_line(error)}); expected {hint}."
        ) from error


def checked(arrays: Mapping[str, np.ndarray], image_size: int, fit: str) -> RecordedCodes:
    """Checks all arrays and puts them together; shapes and errors are those of `read_codes`."""
    read = {name: READERS[name](array) for name, array in arrays.items() if name in READERS}
    check_lengths(read)
    names = attribute_names(arrays.get("names"), read)
    codes, code_shape = read["codes"], read["codes"].shape[1:]
    return RecordedCodes(
        codes=codes.reshape(len(codes), *kept_shape(code_shape, image_size)),
        images=image_set(read, names, image_size, fit),
        logits=read.get("logits"),
        labels_known="labels" in read,
        code_shape=code_shape,
    )


def kept_shape(code_shape: tuple[int, ...], image_size: int) -> tuple[int, ...]:
    """The shape in which codes are attacked: theirs where decoders take it, else flat."""
    return code_shape if is_decodable(code_shape, image_size) else (math.prod(code_shape),)


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


def check_lengths(arrays: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError where arrays [N, ...] are of different numbers of images, or too few."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        hint = recorded_arrays.length_hint(arrays)
        raise ValueError(
            f"arrays differ in length: {found}; expected one row an image in each{hint}."
        )
    if lengths["codes"] < LEAST_IMAGES:
        raise ValueError(
            f"codes has {lengths['codes']} rows; expected at least {LEAST_IMAGES}, to be dealt to"
            " training, attack and test."
        )


def attribute_names(names: np.ndarray | None, arrays: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    """Names of the labels' columns, given or made up; () without labels.

    `names` is text [A], or None; labels and logits, where `arrays` has them, are [N, A]. ValueError
    where these do not fit together.
    """
    counts = {name: arrays[name].shape[1] for name in ("labels", "logits") if name in arrays}
    if len(set(counts.values())) > 1:
        raise ValueError(
            f"labels has {counts['labels']} attributes and logits {counts['logits']}; expected"
            " the same ones."
        )
    count = next(iter(counts.values()), 0)
    if names is None:
        given = tuple(f"attribute_{column}" for column in range(count))
    else:
        given = recorded_arrays.names(names, count)
    if len(set(given)) < count or not all(given):
        raise ValueError(f"names holds empty or repeated ones: {', '.join(given)}.")
    return given if "labels" in counts else ()


def image_set(
    arrays: Mapping[str, np.ndarray], names: tuple[str, ...], image_size: int, fit: str
) -> image_sets.ImageSet:
    """The images, prepared, with what is known of them.

    `arrays`: images uint8 [N, H, W, 3]; labels uint8 [N, A] and identities int64 [N], if known.
    """
    count = len(arrays["images"])
    return image_sets.ImageSet(
        images=prepared(arrays["images"], image_size, fit),
        attributes=arrays.get("labels", np.zeros((count, 0), np.uint8)),
        identities=arrays.get("identities", np.arange(count, dtype=np.int64)),
        attribute_names=names,
        names=tuple(f"image_{number:06d}" for number in range(count)),
        bad_images=(),
        identities_known="identities" in arrays,
    )


def prepared(images: np.ndarray, image_size: int, fit: str) -> np.ndarray:
    """uint8 [N, H, W, 3] -> [N, S, S, 3]; images of that size stay as they are."""
    if images.shape[1:3] == (image_size, image_size):
        return images

    @tf.function(autograph=False, input_signature=[tf.TensorSpec(images.shape[1:], tf.uint8)])
    def prepare(image):
        with tf.device(preprocessing.DEVICE):
            return preprocessing.preprocess(image, image_size, fit)

    return np.stack([prepare(image).numpy() for image in images])
