"""JSON to arrays and back, for the dtypes and formats that TF Serving's documentation gives."""

import json

import numpy as np
import pytest
import tensorflow as tf

from serving.server.errors import ServingError
from serving.server.rest import json_tensors
from serving.server.signature import Signature


def signature(**inputs):
    """A signature that takes [?] of these dtypes."""
    specs = {name: tf.TensorSpec((None,), dtype) for name, dtype in inputs.items()}
    return Signature("f", specs, {}, None)


def read(body, **inputs):
    return json_tensors.read_inputs(
        json_tensors.parse(json.dumps(body).encode()), signature(**inputs)
    )


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("float32", [0.5, -1, 1e10]),
        ("float64", [0.5, -1, 1e300]),
        ("uint8", [0, 255]),
        ("int8", [-128, 127]),
        ("int64", [-(2**63), 2**63 - 1]),
        ("uint64", [2**63, 2**64 - 1]),
        ("bool", [True, False]),
    ],
)
def test_numbers_arrive_as_the_signatures_dtype(dtype, values):
    array = read({"instances": values}, x=dtype)["x"]
    assert array.dtype == dtype
    assert array.tolist() == values


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("uint8", [256]),
        ("int8", [-129]),
        ("int64", [2**63]),
        ("int64", [0.5]),
        ("bool", [1]),
        ("float32", ["1"]),
        ("float32", [True]),
        ("float32", [True, 0.5]),
        ("uint8", [True, 2]),
        ("bool", [True, 0]),
        ("string", [1]),
        ("string", [None]),
        ("complex64", [1.0]),
    ],
)
def test_values_of_another_kind_or_range_are_refused(dtype, values):
    with pytest.raises(ServingError, match="Input 'x'"):
        read({"instances": values}, x=dtype)


def test_text_and_b64_arrive_as_bytes():
    array = read({"instances": ["ä", {"b64": "AP8="}]}, x="string")["x"]
    assert array.tolist() == ["ä".encode(), b"\x00\xff"]


def test_ragged_strings_are_refused():
    with pytest.raises(ServingError, match="regular"):
        read({"inputs": [["a"], ["b", "c"]]}, x="string")


def test_rows_of_several_inputs_become_columns():
    arrays = read({"instances": [{"x": 1, "y": "a"}, {"x": 2, "y": "b"}]}, x="int64", y="string")
    assert {name: array.tolist() for name, array in arrays.items()} == {
        "x": [1, 2],
        "y": [b"a", b"b"],
    }


@pytest.mark.parametrize("body", [{"instances": [1, 2]}, {"inputs": [1, 2]}])
def test_several_inputs_must_be_named(body):
    with pytest.raises(ServingError, match="name the inputs"):
        read(body, x="int64", y="int64")


def test_nan_is_read_as_tf_serving_does():
    body = json_tensors.parse(b'{"instances": [NaN, -Infinity]}')
    array = json_tensors.read_inputs(body, signature(x="float32"))["x"]
    np.testing.assert_array_equal(array, [np.nan, -np.inf])


def test_single_output_comes_without_its_name_in_both_formats():
    outputs = {"y": np.float32([[0.1], [2]])}
    written = json_tensors.write_outputs(outputs, rows=True, items=2)
    assert written == b'{"predictions":[[0.1],[2.0]]}'
    written = json_tensors.write_outputs(outputs, rows=False, items=2)
    assert written == b'{"outputs":[[0.1],[2.0]]}'


def test_several_outputs_come_by_row_or_by_column():
    outputs = {"a": np.int32([1, 2]), "b": np.float32([[3], [4]])}
    rows = json.loads(json_tensors.write_outputs(outputs, rows=True, items=2))
    assert rows == {"predictions": [{"a": 1, "b": [3.0]}, {"a": 2, "b": [4.0]}]}
    columns = json.loads(json_tensors.write_outputs(outputs, rows=False, items=2))
    assert columns == {"outputs": {"a": [1, 2], "b": [[3.0], [4.0]]}}


def test_float32_survives_json_bit_for_bit():
    values = np.random.default_rng(0).normal(size=100).astype(np.float32)
    written = json.loads(json_tensors.write_outputs({"y": values}, rows=False, items=1))
    np.testing.assert_array_equal(np.float32(written["outputs"]), values)


def test_strings_come_as_text_or_as_b64_by_the_outputs_name():
    outputs = {"a": np.array([b"x"], object), "a_bytes": np.array([b"\xff"], object)}
    written = json.loads(json_tensors.write_outputs(outputs, rows=True, items=1))
    assert written == {"predictions": [{"a": "x", "a_bytes": {"b64": "/w=="}}]}


def test_output_without_a_row_for_every_instance_is_refused_as_rows():
    with pytest.raises(ServingError, match="ask for columns"):
        json_tensors.write_outputs({"y": np.float32(3)}, rows=True, items=2)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_outputs_that_are_not_finite_are_written_as_tf_serving_does(value):
    written = json_tensors.write_outputs({"y": np.float32([value])}, rows=True, items=1)
    assert json.loads(written)["predictions"] == pytest.approx([value], nan_ok=True)


def test_long_string_among_numbers_is_refused_before_it_could_widen_an_array(monkeypatch):
    monkeypatch.setattr(json_tensors.np, "array", lambda *_: pytest.fail("made an array"))
    with pytest.raises(ServingError, match="must hold numbers for float32, got list of 1001"):
        read({"instances": [[1] * 1000 + ["x" * 1000]]}, x="float32")


@pytest.mark.parametrize(("dtype", "leaf"), [("float32", 1), ("string", "a")])
def test_nesting_without_end_is_refused(dtype, leaf):
    value = leaf
    for _ in range(900):
        value = [value]
    with pytest.raises(ServingError, match="nested deeper than 32"):
        read({"instances": value}, x=dtype)


def test_text_that_no_encoding_can_write_is_refused():
    body = json_tensors.parse(b'{"inputs": {"x": ["\\ud800"], "y": [NaN]}}')
    with pytest.raises(ServingError, match="is no text"):
        json_tensors.read_inputs(body, signature(x="string", y="float32"))


@pytest.mark.parametrize(("text", "content"), [("AAA", b"\0\0"), ("AA", b"\0"), ("AA==", b"\0")])
def test_base64_may_come_without_its_padding(text, content):
    assert read({"inputs": [{"b64": text}]}, x="string")["x"].tolist() == [content]
