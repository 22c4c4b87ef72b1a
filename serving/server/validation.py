"""Looks at a request's tensors before TensorFlow does.

A loaded signature does not check what it is given: a wrong rank ends the whole process, a wrong
height or width is accepted in silence, and a small file may decode to gigabytes.
"""

import dataclasses
import struct
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from serving.server.errors import invalid
from serving.server.signature import Signature

# Inputs of this name hold picture files.
IMAGE_INPUT = "image_bytes"
JPEG, PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"


@dataclasses.dataclass(frozen=True)
class Limits:
    """What one request may hold.

    Attributes:
        items: items of a batch.
        pixels: pixels of all its picture files together, decoded.
        request_bytes: bytes on the wire, and of any one tensor.
    """

    items: int = 1024
    pixels: int = 100_000_000
    request_bytes: int = 32 * 2**20


def check_names(signature: Signature, names: Iterable[str]) -> None:
    """Raises ServingError unless these are the signature's inputs."""
    names = set(names)
    if names != set(signature.inputs):
        raise invalid(
            f"Signature {signature.name!r} takes the inputs {_listed(signature.inputs)}, got"
            f" {_listed(names)}."
        )


def check_shape(name: str, shape: Sequence[int], spec: tf.TensorSpec, limits: Limits) -> None:
    """Raises ServingError for a shape that the signature does not take, or that is too large."""
    expected = spec.shape
    # TensorShape itself raises for a negative size.
    if any(size < 0 for size in shape) or not expected.is_compatible_with(list(shape)):
        raise invalid(
            f"Input {name!r} has shape {_shape(shape)}, expected {_shape(expected.as_list())}."
        )
    if 0 in shape:
        raise invalid(f"Input {name!r} is empty: its shape is {_shape(shape)}.")
    item_bytes = 1 if spec.dtype == tf.string else spec.dtype.size
    total = item_bytes
    for size in shape:
        total *= int(size)
    if total > limits.request_bytes:
        raise invalid(
            f"Input {name!r} of shape {_shape(shape)} takes {total} bytes, the limit is"
            f" {limits.request_bytes}."
        )


def check_inputs(signature: Signature, inputs: Mapping[str, np.ndarray], limits: Limits) -> int:
    """Checks everything that can be checked without running the signature.

    Args:
        signature: what is to be run.
        inputs: name -> array; strings as an object array of bytes.
        limits: of a request.

    Returns:
        The number of items: 1 for a signature without a batch axis.

    Raises:
        ServingError: names, dtypes, shapes or values are not what the signature takes.
    """
    check_names(signature, inputs)
    for name, array in inputs.items():
        spec = signature.inputs[name]
        check_shape(name, array.shape, spec, limits)
        if array.dtype != spec.dtype.as_numpy_dtype:
            raise invalid(f"Input {name!r} is {array.dtype}, expected {spec.dtype.name}.")
        if spec.dtype.is_floating and not np.isfinite(array).all():
            raise invalid(f"Input {name!r} holds NaN or infinity, expected finite numbers.")
    items = _count_items(signature, inputs, limits)
    if IMAGE_INPUT in inputs:
        check_pictures(inputs[IMAGE_INPUT].ravel(), limits)
    return items


def _count_items(signature: Signature, inputs: Mapping[str, np.ndarray], limits: Limits) -> int:
    if not signature.batchable:
        return 1
    counts = {name: len(array) for name, array in inputs.items()}
    if len(set(counts.values())) != 1:
        raise invalid(f"The inputs differ in their number of items: {counts}.")
    items = next(iter(counts.values()))
    if items > limits.items:
        raise invalid(
            f"The request has {items} items, the limit is {limits.items}; send several requests."
        )
    return items


def check_pictures(files: Sequence[bytes], limits: Limits) -> None:
    """Raises ServingError unless all are JPEG or PNG and decode to no more than limits.pixels."""
    pixels = 0
    for index, (height, width) in enumerate(picture_sizes(files)):
        pixels += height * width
        if pixels > limits.pixels:
            raise invalid(
                f"Pictures 0 to {index} have {pixels} pixels when decoded, the limit of a request"
                f" is {limits.pixels}."
            )


def picture_sizes(files: Sequence[bytes]) -> list[tuple[int, int]]:
    """Heights and widths of JPEG and PNG files, from their headers alone.

    Raises:
        ServingError: a header is neither's, or broken; the message names the file's place.
    """
    jpegs = {place: file for place, file in enumerate(files) if file.startswith(JPEG)}
    sizes = {place: png_size(file, place) for place, file in enumerate(files) if place not in jpegs}
    if jpegs:
        try:
            shapes = jpeg_shapes(list(jpegs.values())).numpy()
        except tf.errors.InvalidArgumentError:
            shapes = [jpeg_shape(file, place) for place, file in jpegs.items()]
        for place, (height, width, _) in zip(jpegs, shapes, strict=True):
            sizes[place] = int(height), int(width)
    return [sizes[place] for place in range(len(files))]


@tf.function(input_signature=[tf.TensorSpec((None,), tf.string)])
def jpeg_shapes(files: tf.Tensor) -> tf.Tensor:
    """Height, width and channels of JPEG files, int32 [N, 3]; a third of the time of N calls."""
    shape = tf.TensorSpec((3,), tf.int32)
    return tf.map_fn(tf.io.extract_jpeg_shape, files, fn_output_signature=shape)


def jpeg_shape(file: bytes, place: int) -> np.ndarray:
    """The same of one file; raises ServingError where it is damaged."""
    try:
        return jpeg_shapes([file]).numpy()[0]
    except tf.errors.InvalidArgumentError as error:
        raise invalid(f"Picture {place} is a damaged JPEG of {len(file)} bytes.") from error


def png_size(file: bytes, place: int) -> tuple[int, int]:
    """Height and width of a PNG; raises ServingError for any other file."""
    if file.startswith(PNG) and file[12:16] == b"IHDR" and len(file) >= 24:
        # PNG specification, 11.2.2: IHDR comes first and begins with width and height.
        width, height = struct.unpack(">II", file[16:24])
        return height, width
    what = "is empty" if not file else f"begins with {file[:8]!r}"
    raise invalid(f"Picture {place} {what}, expected a JPEG or PNG file.")


def check_filter(signature: Signature, names: Iterable[str]) -> tuple[str, ...]:
    """The outputs to return: those named, or all if none is.

    Raises:
        ServingError: the signature has no such output, or it is named twice.
    """
    names = tuple(names)
    for name in names:
        if name not in signature.outputs:
            raise invalid(
                f"output tensor alias not found in signature: {name}; outputs are"
                f" {_listed(signature.outputs)}."
            )
    if len(set(names)) < len(names):
        raise invalid(f"output_filter names an output twice: {', '.join(names)}.")
    return names or tuple(signature.outputs)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(repr, names))) or "none"


def _shape(sizes: Iterable[int | None]) -> str:
    return "[" + ", ".join("?" if size is None else str(int(size)) for size in sizes) + "]"
