"""Tensors of gRPC answers as arrays, in either form in which TF Serving sends them."""

import itertools
import math

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2


def to_array(proto: tensor_pb2.TensorProto) -> np.ndarray:
    """The array of a TensorProto, whether its values are in fields or in `tensor_content`.

    A client can't ask for one of the forms: no field of PredictRequest chooses it, only a flag of
    the server. Fields of floats are copied as they are, almost as fast as `tensor_content`.

    Raises:
        ValueError: it does not hold what its shape promises.
    """
    shape = tuple(dimension.size for dimension in proto.tensor_shape.dim)
    if proto.dtype == types_pb2.DT_FLOAT and len(proto.float_val) == math.prod(shape):
        # make_ndarray makes a Python number of every value: 400 times the time.
        return np.array(proto.float_val, np.float32).reshape(shape)
    if proto.dtype == types_pb2.DT_STRING and proto.tensor_content:
        strings = split_strings(proto.tensor_content, math.prod(shape))
        return np.array([*strings, None], object)[:-1].reshape(shape)
    return tf.make_ndarray(proto)


def split_strings(content: bytes, count: int) -> list[bytes]:
    """Strings of a `tensor_content`: all lengths as varints, then all bytes.

    Raises:
        ValueError: it is cut off, or too long.
    """
    lengths, at = [], 0
    for _ in range(count):
        length, at = read_varint(content, at)
        lengths.append(length)
    if at + sum(lengths) != len(content):
        raise ValueError(f"{count} strings of {sum(lengths)} bytes are not {len(content)} bytes.")
    ends = np.cumsum([at, *lengths]).tolist()
    return [content[start:end] for start, end in itertools.pairwise(ends)]


def read_varint(content: bytes, at: int) -> tuple[int, int]:
    """A number of 7 bits a byte, the lowest first, and the place behind it.

    Raises:
        ValueError: the bytes end before it does.
    """
    number = shift = 0
    while at < len(content):
        byte, at = content[at], at + 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
        shift += 7
    raise ValueError("A length is cut off.")
