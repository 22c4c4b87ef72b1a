"""The reader of ONNX weights, on messages that are put together here byte by byte."""

import numpy as np
import pytest

from arl_tf.models.pretrained import onnx_file, weight_files

FLOAT, INT8, INT64, DOUBLE = 1, 3, 7, 11


def varint(value):
    """Groups of seven bits, the lowest first; a negative number as one of 64 bits."""
    value %= 2**64
    groups = []
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])


def field(number, value):
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def tensor(name, kind, shape, number, data):
    dims = b"".join(field(1, size) for size in shape)
    return dims + field(2, kind) + field(number, data) + field(8, name.encode())


def file_of(path, *tensors):
    graph = field(2, b"graph") + b"".join(field(5, each) for each in tensors)
    path.write_bytes(field(1, 8) + field(7, graph))
    return path


def floats(*values):
    return np.array(values, "<f4").tobytes()


def test_a_block_is_its_integers_less_its_zero_point_times_its_scale():
    quantised = np.array([[1, -2, 3, 4]], "i1")
    found = onnx_file.dequantised(quantised, np.array([[0.5, 2.0]]), np.array([[1, 0]], "i1"))
    np.testing.assert_array_equal(found, [[0.0, -1.5, 6.0, 8.0]])


def test_values_that_make_no_equal_blocks_are_refused():
    with pytest.raises(ValueError, match="3 values do not make 2 equal blocks"):
        onnx_file.dequantised(np.zeros((1, 3), "i1"), np.ones((1, 2)), np.zeros((1, 2), "i1"))


@pytest.mark.parametrize("stored", ["raw", "packed"])
def test_weights_are_read_by_name_dequantised_and_in_shape(tmp_path, stored):
    values = np.array([1, -2, 3, 4], "i1")
    data = values.tobytes() if stored == "raw" else b"".join(map(varint, values.tolist()))
    path = file_of(
        tmp_path / "net.onnx",
        tensor("plain", FLOAT, (2,), 4 if stored == "packed" else 9, floats(0.25, -3)),
        tensor("kernel_quantized", INT8, (1, 4), 9 if stored == "raw" else 5, data),
        tensor("kernel_scales", FLOAT, (1, 2), 9, floats(0.5, 2)),
        tensor("kernel_zero_point", INT8, (1, 2), 9, bytes([1, 0])),
        tensor("kernel_shape", INT64, (2,), 7, varint(2) + varint(2)),
    )
    weights = onnx_file.read_weights(path)
    assert list(weights) == ["plain", "kernel"]
    np.testing.assert_array_equal(weights["plain"], [0.25, -3])
    np.testing.assert_array_equal(weights["kernel"], [[0.0, -1.5], [6.0, 8.0]])


def test_a_tensor_of_another_kind_is_refused_by_name(tmp_path):
    path = file_of(tmp_path / "net.onnx", tensor("wide", DOUBLE, (1,), 9, bytes(8)))
    with pytest.raises(ValueError, match="'wide' is of data type 11"):
        onnx_file.read_weights(path)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.99999])
def test_a_truncated_file_is_refused_by_file_name(tmp_path, share):
    data = weight_files.verified_path(weight_files.SFACE_NETWORK).read_bytes()
    path = tmp_path / "short.onnx"
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(ValueError, match=r"short\.onnx cannot be read"):
        onnx_file.read_weights(path)
