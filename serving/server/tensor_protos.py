"""TensorProto to arrays and back, for gRPC."""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.common import files
from serving.server import validation
from serving.server.errors import invalid
from serving.server.signature import Signature
from serving.server.validation import Limits

# Packed values of these fields lie on the wire as NumPy has them in memory (little-endian): a copy
# takes a tenth of the time of a Python number a value.
RAW_FIELDS = {
    "float32": "float_val",
    "float64": "double_val",
    "complex64": "scomplex_val",
    "complex128": "dcomplex_val",
    "bool": "bool_val",
}
FIELDS = dict.fromkeys(("int8", "uint8", "int16", "uint16", "int32"), "int_val") | {
    "int64": "int64_val",
    "uint32": "uint32_val",
    "uint64": "uint64_val",
}
# Their bits, as whole numbers.
HALVES = ("float16", "bfloat16")
# Protocol buffers, encoding: the wire type of a packed field.
LENGTH_DELIMITED = 2


def read_inputs(
    protos: dict[str, tensor_pb2.TensorProto], signature: Signature, limits: Limits
) -> dict[str, np.ndarray]:
    """Arrays of a request's tensors.

    Dtype and shape are compared with the signature before a byte is unpacked: a TensorProto of a
    few bytes may claim a shape of terabytes.

    Raises:
        ServingError: INVALID_ARGUMENT.
    """
    validation.check_names(signature, protos)
    arrays = {}
    for name, proto in protos.items():
        spec = signature.inputs[name]
        if proto.dtype != spec.dtype.as_datatype_enum:
            raise invalid(
                f"Input {name!r} is {_dtype_name(proto.dtype)}, expected"
                f" {_dtype_name(spec.dtype.as_datatype_enum)}."
            )
        if proto.tensor_shape.unknown_rank:
            raise invalid(f"Input {name!r} has no shape.")
        shape = [dimension.size for dimension in proto.tensor_shape.dim]
        validation.check_shape(name, shape, spec, limits)
        arrays[name] = _to_array(name, proto)
    return arrays


def _to_array(name: str, proto: tensor_pb2.TensorProto) -> np.ndarray:
    """The array of the shape that a TensorProto states; ServingError where it holds another."""
    try:
        if proto.dtype == types_pb2.DT_STRING and proto.tensor_content:
            # C++ clients pack strings so (Tensor::AsProtoTensorContent); make_ndarray can't.
            return _unpacked(proto)
        array = tf.make_ndarray(proto)
        if array.dtype == object and not all(isinstance(item, bytes) for item in array.flat):
            raise ValueError("its strings are missing")
        return array
    except (ValueError, TypeError, OverflowError, tf.errors.InvalidArgumentError) as error:
        # NumPy's words for more values than the shape has.
        reason = "it has more values" if "negative values" in str(error) else files.one_line(error)
        raise invalid(f"Input {name!r} does not hold what its shape promises: {reason}") from error


def _unpacked(proto: tensor_pb2.TensorProto) -> np.ndarray:
    """The array of a TensorProto as TensorFlow itself unpacks it."""
    with tf.device("CPU"):
        found = tf.io.parse_tensor(proto.SerializeToString(), tf.as_dtype(proto.dtype)).numpy()
    # A scalar comes as bytes.
    return np.array(found, object)


def to_fields(array: np.ndarray) -> tensor_pb2.TensorProto:
    """A TensorProto with every value in the field of its type, such as `float_val`.

    TF Serving answers so unless it is told otherwise, and its clients read these fields.

    Args:
        array: of any shape; numbers, or strings as an object array of bytes.
    """
    proto = _described(array)
    if array.dtype == object:
        proto.string_val.extend(array.ravel().tolist())
    elif array.dtype.name in RAW_FIELDS:
        field = proto.DESCRIPTOR.fields_by_name[RAW_FIELDS[array.dtype.name]]
        content = array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        tag = varint(field.number << 3 | LENGTH_DELIMITED)
        proto.MergeFromString(tag + varint(len(content)) + content)
    elif array.dtype.name in HALVES:
        proto.half_val.extend(array.ravel().view(np.uint16).tolist())
    else:
        getattr(proto, FIELDS[array.dtype.name]).extend(array.ravel().tolist())
    return proto


def to_content(array: np.ndarray) -> tensor_pb2.TensorProto:
    """A TensorProto with all values in `tensor_content`, as TF Serving answers behind its flag.

    Any shape. Strings: all lengths as varints, then all bytes (TensorFlow, tensor_coding.cc).
    """
    proto = _described(array)
    if array.dtype == object:
        strings = array.ravel().tolist()
        proto.tensor_content = b"".join([*(varint(len(text)) for text in strings), *strings])
    else:
        proto.tensor_content = array.tobytes()
    return proto


def _described(array: np.ndarray) -> tensor_pb2.TensorProto:
    """A TensorProto of the array's dtype and shape, without its values."""
    proto = tensor_pb2.TensorProto(dtype=tf.as_dtype(array.dtype).as_datatype_enum)
    for size in array.shape:
        proto.tensor_shape.dim.add(size=size)
    return proto


def varint(number: int) -> bytes:
    """A number >= 0 as protocol buffers write it: 7 bits a byte, the lowest first."""
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _dtype_name(number: int) -> str:
    known = types_pb2.DataType.values()
    return types_pb2.DataType.Name(number) if number in known else f"data type {number}"
