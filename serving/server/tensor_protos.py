"""TensorProto to arrays and back, for gRPC."""

import numpy as np
import tensorflow as tf
from tensorflow.core.framework import tensor_pb2, types_pb2

from serving.server import validation
from serving.server.errors import invalid
from serving.server.signature import Signature
from serving.server.validation import Limits


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
    try:
        array = tf.make_ndarray(proto)
        if array.dtype == object and not all(isinstance(item, bytes) for item in array.flat):
            raise ValueError("its strings are missing")
        return array
    except (ValueError, TypeError, OverflowError) as error:
        raise invalid(f"Input {name!r} does not hold what its shape promises: {error}") from error


def to_proto(array: np.ndarray) -> tensor_pb2.TensorProto:
    """A TensorProto that holds the array."""
    return tf.make_tensor_proto(array)


def _dtype_name(number: int) -> str:
    known = types_pb2.DataType.values()
    return types_pb2.DataType.Name(number) if number in known else f"data type {number}"
