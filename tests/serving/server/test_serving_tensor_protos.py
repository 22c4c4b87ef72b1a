"""TensorProtos in every legal packing, and back."""

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.clients import tensor_protos as client_protos
from serving.server import tensor_protos
from serving.server.errors import ServingError
from serving.server.signature import Signature
from serving.server.validation import Limits


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


FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "bool": "bool_val",
    "int8": "int_val",
    "uint8": "int_val",
    "int16": "int_val",
    "int32": "int_val",
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}


@pytest.mark.parametrize("shape", [(2, 2), (1, 1), (), (0, 3), (300, 1)], ids=str)
@pytest.mark.parametrize(("dtype", "field"), FIELDS.items())
def test_every_value_is_in_the_field_of_its_type_and_survives_the_round_trip(dtype, field, shape):
    least = 0 if dtype == "bool" or dtype.startswith("u") else -2
    array = (np.arange(np.prod(shape)) % 5 + least).reshape(shape).astype(dtype)
    proto = tensor_protos.to_fields(array)
    assert not proto.tensor_content
    assert list(getattr(proto, field)) == array.ravel().tolist()
    assert [name.name for name, _ in proto.ListFields() if name.name.endswith("_val")] in (
        [field],
        [] if not array.size else [field],
    )
    back = tf.make_ndarray(proto)
    assert back.dtype == array.dtype and back.shape == array.shape
    np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("dtype", [tf.float16, tf.bfloat16, tf.complex64, tf.complex128])
def test_other_models_types_survive_the_round_trip(dtype):
    array = np.array([[1.5, -2], [0, 3]], dtype.as_numpy_dtype)
    for to_proto in (tensor_protos.to_fields, tensor_protos.to_content):
        back = client_protos.to_array(to_proto(array))
        assert back.dtype == array.dtype
        np.testing.assert_array_equal(back, array)


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32", "bool"])
def test_content_holds_the_bytes_and_no_field(dtype):
    array = np.array([[0, 1], [1, 0]], dtype)
    proto = tensor_protos.to_content(array)
    assert proto.tensor_content == array.tobytes()
    assert not getattr(proto, FIELDS[dtype])
    np.testing.assert_array_equal(read(proto, tf.as_dtype(dtype)), array)


STRINGS = np.array([[b"\x00\xff"], [b""], [b"a" * 300]], object)


def test_strings_are_in_string_val_and_survive_the_round_trip():
    proto = tensor_protos.to_fields(STRINGS)
    assert list(proto.string_val) == STRINGS.ravel().tolist()
    assert read(proto, tf.string, (None, 1)).tolist() == STRINGS.tolist()


@pytest.mark.parametrize("cut", [0, 1])
def test_strings_packed_in_content_are_read_as_cpp_clients_send_them(cut):
    strings = np.array([[b"a", b""], [b"x" * 300, b"\xff"]], object)
    proto = tensor_protos.to_content(strings)
    proto.tensor_content = proto.tensor_content[: len(proto.tensor_content) - cut]
    if cut:
        with pytest.raises(ServingError, match="'x' does not hold what its shape promises"):
            read(proto, tf.string)
    else:
        np.testing.assert_array_equal(read(proto, tf.string), strings)


def test_too_many_values_are_named():
    with pytest.raises(ServingError, match="promises: it has more values"):
        read(packed([1, 2, 3, 4, 5]))


def test_strings_in_content_are_what_tensorflow_itself_reads():
    proto = tensor_protos.to_content(STRINGS)
    assert not proto.string_val
    parsed = tf.io.parse_tensor(proto.SerializeToString(), tf.string)
    assert parsed.numpy().tolist() == STRINGS.tolist()


@pytest.mark.parametrize("number", [0, 1, 127, 128, 300, 2**35])
def test_varints_are_read_back_by_the_client(number):
    assert client_protos.read_varint(tensor_protos.varint(number), 0)[0] == number


@pytest.mark.parametrize("to_proto", [tensor_protos.to_fields, tensor_protos.to_content])
@pytest.mark.parametrize(
    "array", [STRINGS, np.float32([[0.5, -2]]), np.float32([]), np.array([[True]])], ids=str
)
def test_client_reads_both_forms(to_proto, array):
    back = client_protos.to_array(to_proto(array))
    assert back.dtype == array.dtype
    assert back.tolist() == array.tolist()


def test_client_reads_one_value_for_all_as_tensorflow_does():
    np.testing.assert_array_equal(client_protos.to_array(packed([5])), [[5, 5], [5, 5]])


@pytest.mark.parametrize("content", [b"\x05ab", b"\x01abc", b"\xff", b"\x80"])
def test_client_refuses_strings_that_are_cut_off_or_too_long(content):
    with pytest.raises(ValueError):
        client_protos.split_strings(content, 1)
