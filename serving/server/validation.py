"""Looks at a request's tensors before TensorFlow does.

A loaded signature does not check what it is given: a wrong rank ends the whole process, a wrong
height or width is accepted in silence, and a small file may decode to gigabytes.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorflow as tf

from serving.pictures.formats import PictureError
from serving.pictures.headers import inspect
from serving.server.errors import invalid
from serving.server.signature import Signature

# Inputs of this name hold picture files.
IMAGE_INPUT = "image_bytes"


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


@dataclasses.dataclass(frozen=True)
class Size:
    """What a request holds: items of its batch, and pixels of its picture files when decoded."""

    items: int
    pixels: int


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


def check_inputs(signature: Signature, inputs: Mapping[str, np.ndarray], limits: Limits) -> Size:
    """Checks everything that can be checked without running the signature.

    Args:
        signature: what is to be run.
        inputs: name -> array; strings as an object array of bytes.
        limits: of a request.

    Returns:
        The request's size; its items are 1 for a signature without a batch axis.

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
    files = inputs[IMAGE_INPUT].ravel() if IMAGE_INPUT in inputs else ()
    return Size(items, check_pictures(files, limits))


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


def check_pictures(files: Sequence[bytes], limits: Limits) -> int:
    """Counts the pixels that picture files have when decoded.

    Raises:
        ServingError: one is of no format that encoders read, or they are too large.
    """
    pixels = 0
    for index, file in enumerate(files):
        try:
            pixels += inspect(file).pixels
        except PictureError as error:
            raise invalid(f"Picture {index} is refused: {error}.") from error
        if pixels > limits.pixels:
            raise invalid(
                f"Pictures 0 to {index} have {pixels} pixels when decoded, the limit of a request"
                f" is {limits.pixels}."
            )
    return pixels


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
