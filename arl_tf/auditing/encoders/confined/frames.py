"""Messages between two processes: a line of JSON, and arrays as raw bytes. Nothing is pickled.

A message is an object of names and values; arrays follow it in the order of its `arrays`, each of
which has a type and a shape. Whatever the other side sends is read as that, or refused.
"""

import json
import math
import struct
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

LENGTH = struct.Struct("<Q")
# Of the line of JSON; an array is limited by its own shape.
MAX_HEADER_BYTES = 1 << 20
MAX_ARRAY_BYTES = 1 << 33
DTYPES = ("uint8", "float32")
MAX_RANK = 8


class FrameError(ValueError):
    """The other side sent no message, or one that is none."""


def write(stream: BinaryIO, message: Mapping[str, Any], *arrays: np.ndarray) -> None:
    """Sends a message.

    Args:
        stream: opened for writing.
        message: what JSON can hold.
        arrays: uint8 or float32, of any shape.
    """
    described = [{"dtype": array.dtype.name, "shape": list(array.shape)} for array in arrays]
    header = json.dumps({**message, "arrays": described}).encode()
    stream.write(LENGTH.pack(len(header)))
    stream.write(header)
    for array in arrays:
        stream.write(np.ascontiguousarray(array).tobytes())
    stream.flush()


def read(stream: BinaryIO) -> tuple[dict[str, Any], list[np.ndarray]]:
    """Receives a message, and its arrays, uint8 or float32 of any shape.

    Raises:
        FrameError: the stream ended, or holds something else.
    """
    (length,) = LENGTH.unpack(exactly(stream, LENGTH.size))
    if length > MAX_HEADER_BYTES:
        raise FrameError(f"a header of {length} bytes; expected at most {MAX_HEADER_BYTES}")
    try:
        message = json.loads(exactly(stream, length))
        arrays = [read_array(stream, each) for each in message.pop("arrays")]
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise FrameError(f"no message: {error}") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise FrameError(f"no JSON: {error}") from error
    return message, arrays


def read_array(stream: BinaryIO, described: Mapping[str, Any]) -> np.ndarray:
    """An array of the type and shape that the message says."""
    dtype, shape = described["dtype"], described["shape"]
    sides = isinstance(shape, list) and all(type(side) is int and side >= 0 for side in shape)
    if dtype not in DTYPES or not sides or len(shape) > MAX_RANK:
        raise FrameError(f"an array of {dtype} {shape}; expected {' or '.join(DTYPES)}")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > MAX_ARRAY_BYTES:
        raise FrameError(f"an array of {size} bytes; expected at most {MAX_ARRAY_BYTES}")
    return np.frombuffer(exactly(stream, size), dtype).reshape(shape)


def exactly(stream: BinaryIO, count: int) -> bytes:
    """So many bytes; FrameError where the stream ends before."""
    found = stream.read(count)
    if len(found) != count:
        raise FrameError(f"the stream ended after {len(found)} of {count} bytes")
    return found
