"""TensorProtos in every legal packing, and back."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving import tensor_protos
from serving.servable import Signature
from serving.validation import Limits


def read(proto, dtype=tf.float32, shape=(None, 2)):
    signature = Signature("f", {"x": tf.TensorSpec(shape, dtype)}, {}, None)
    return tensor_protos.read_inputs({"x": proto}, signature, Limits())["x"]


def packed(values, rows=2):
    proto = tensor_pb2.TensorProto(dtype=types_pb2.DT_FLOAT, float_val=values)
    for size in (rows, 2):
        proto.tensor_shape.dim.add(size=size)
    return proto


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2, 3, 4], [[1, 2], [3, 4]]),
        ([1, 2], [[1, 2], [2, 2]]),
        ([5], [[5, 5], [5, 5]]),
        ([], [[0, 0], [0, 0]]),
    ],
    ids=["full", "last one repeats", "one for all", "zeros"],
)
def test_compressed_tensors_are_unpacked_as_tensorflow_does(values, expected):
    assert read(packed(values)).tolist() == expected


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool"])
def test_arrays_survive_the_round_trip(dtype):
    array = np.array([[0, 1], [1, 0]], dtype)
    back = read(tensor_protos.to_proto(array), tf.as_dtype(dtype))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_strings_survive_the_round_trip():
    array = np.array([b"\x00\xff", b""], object)
    assert read(tensor_protos.to_proto(array), tf.string, (None,)).tolist() == array.tolist()
