"""The reader of an ONNX file's weights, with numpy alone; the graph itself is not read.

An ONNX file is one protobuf message. Its wire format needs few lines to read, and neither the
package `onnx` nor its operators are needed for the weights. Integers quantised in blocks become
float32 here (operator DequantizeLinear, ONNX operator set 21).
"""

import pathlib
from collections.abc import Iterator

import numpy as np

from arl_tf.models.pretrained import weight_files

# Numbers of fields in onnx.proto: ModelProto.graph, GraphProto.initializer, TensorProto's.
_GRAPH, _INITIALIZER = 7, 5
_DIMS, _DATA_TYPE, _FLOAT_DATA, _INT32_DATA, _INT64_DATA, _NAME, _RAW_DATA = 1, 2, 4, 5, 7, 8, 9
# TensorProto.DataType of the tensors that can be read.
_DTYPES = {1: "<f4", 3: "i1", 7: "<i8"}
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def read_weights(path: str | pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the weights of an ONNX file, dequantised.

    Args:
        path: of the file. A weight W that is quantised in blocks is stored as `W_quantized`,
            `W_scales`, `W_zero_point` and, for a kernel, `W_shape`.

    Returns:
        Name -> float32 or int64 array of the file's shape; a quantised weight by its plain name W.

    Raises:
        ValueError: the file is damaged, or holds tensors of other kinds.
    """
    path = pathlib.Path(path)
    try:
        return _dequantised(_initializers(path.read_bytes()))
    except weight_files.PARSE_ERRORS as error:
        raise ValueError(f"{path} cannot be read as an ONNX file: {error}.") from error


def dequantised(quantised: np.ndarray, scales: np.ndarray, zero: np.ndarray) -> np.ndarray:
    """(quantised - zero) * scale, block by block along the last axis; float32 of the same shape.

    Args:
        quantised: int8 [..., n].
        scales: float32 [..., k], one for each block of n / k values.
        zero: int8 [..., k].

    Raises:
        ValueError: n is no multiple of k.
    """
    count, blocks = quantised.shape[-1], scales.shape[-1]
    if count % blocks or scales.shape != zero.shape:
        raise ValueError(f"{count} values do not make {blocks} equal blocks")
    size = count // blocks
    offset = np.repeat(zero, size, axis=-1).astype("float32")
    return (quantised.astype("float32") - offset) * np.repeat(scales, size, axis=-1)


def _dequantised(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights by plain names, of their own shapes, of tensors as the file names them."""
    weights = {}
    for name, tensor in tensors.items():
        plain, _, part = name.rpartition("_")
        if part == "quantized":
            values = dequantised(tensor, tensors[f"{plain}_scales"], tensors[f"{plain}_zero_point"])
            weights[plain] = values.reshape(tensors.get(f"{plain}_shape", values.shape))
        elif part not in ("scales", "point", "shape"):
            weights[name] = tensor
    if not weights:
        raise ValueError("it holds no weights")
    return weights


def _initializers(data: bytes) -> dict[str, np.ndarray]:
    """The graph's constant tensors by name, of the file's types and shapes."""
    tensors = {}
    for number, graph in _fields(memoryview(data)):
        if number == _GRAPH:
            parts = [part for number, part in _fields(graph) if number == _INITIALIZER]
            tensors |= dict(_tensor(part) for part in parts)
    return tensors


def _tensor(message: memoryview) -> tuple[str, np.ndarray]:
    """(name, array of its shape) of a TensorProto."""
    shape: list[int] = []
    packed: dict[int, memoryview] = {}
    kind, name = 0, ""
    for number, value in _fields(message):
        if number == _DIMS:
            shape += [value] if isinstance(value, int) else _varints(value)
        elif number == _DATA_TYPE:
            kind = value
        elif number == _NAME:
            name = bytes(value).decode()
        elif number in (_FLOAT_DATA, _INT32_DATA, _INT64_DATA, _RAW_DATA):
            packed[number] = value
    return name, _values(name, kind, packed).reshape(shape)


def _values(name: str, kind: int, packed: dict[int, memoryview]) -> np.ndarray:
    """A tensor's values in a row, [n], from whichever field holds them."""
    if kind not in _DTYPES:
        raise ValueError(f"tensor {name!r} is of data type {kind}, not one of {list(_DTYPES)}")
    if _RAW_DATA in packed:
        return np.frombuffer(packed[_RAW_DATA], _DTYPES[kind])
    if _FLOAT_DATA in packed:
        return np.frombuffer(packed[_FLOAT_DATA], "<f4")
    stored = packed.get(_INT32_DATA, packed.get(_INT64_DATA))
    if stored is None:
        raise ValueError(f"tensor {name!r} has no values")
    # A negative number is written as the 64-bit one.
    return np.array(_varints(stored), "<u8").astype("<i8").astype(_DTYPES[kind])


def _fields(message: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """(number, value) of each field: an int, or the bytes of what is longer."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            size, position = _varint(message, position)
        elif wire_type in (_FIXED32, _FIXED64):
            size = 4 if wire_type == _FIXED32 else 8
        else:
            raise ValueError(f"wire type {wire_type} at byte {position}")
        if position + size > len(message):
            raise EOFError(f"it ends in the middle of field {number}")
        yield number, message[position : position + size]
        position += size


def _varints(message: memoryview) -> list[int]:
    found, position = [], 0
    while position < len(message):
        value, position = _varint(message, position)
        found.append(value)
    return found


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    """An integer in groups of seven bits, the lowest first, and the position behind it."""
    value = 0
    for count in range(10):
        byte = message[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            return value, position + count + 1
    raise ValueError(f"an integer of more than 10 bytes at byte {position}")
