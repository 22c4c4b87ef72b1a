"""Bodies of REST's :predict to arrays and back, in row and column format."""

import binascii
import codecs
import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import orjson
import pybase64
import tensorflow as tf

from serving.server import validation
from serving.server.errors import invalid
from serving.server.signature import Signature

B64 = "b64"
# TF Serving's rule for outputs: others hold text.
BYTES_SUFFIX = "_bytes"
ROWS, COLUMNS = "instances", "inputs"
NUMBERS = {int, float}
BLANKS = dict.fromkeys(map(ord, " \t\n\v\f\r"))
MOST_AXES = 32
KINDS = {"b": "true or false", "u": "whole numbers", "i": "whole numbers", "f": "numbers"}


@dataclasses.dataclass(frozen=True)
class Body:
    """A parsed body of :predict.

    Attributes:
        signature_name: "" if the client named none.
        content: the whole object.
    """

    signature_name: str
    content: Mapping[str, Any]

    @property
    def rows(self) -> bool:
        """Whether the tensors came as "instances", else as "inputs".

        Raises:
            ServingError: INVALID_ARGUMENT: neither is there, or both.
        """
        given = [key for key in (ROWS, COLUMNS) if key in self.content]
        if len(given) != 1:
            raise invalid(
                f"Request must have either {ROWS!r} or {COLUMNS!r}, got {given or 'none'}."
            )
        return given == [ROWS]


def parse(body: bytes) -> Body:
    """Parses a body. Keys that it does not know are ignored, as TF Serving does.

    Raises:
        ServingError: INVALID_ARGUMENT: it is no JSON object, or names its signature wrongly.
    """
    content = parse_object(body)
    return Body(signature_name(content), content)


def parse_object(body: bytes) -> dict[str, Any]:
    """Parses a JSON object, with or without a byte order mark before it.

    Raises:
        ServingError: INVALID_ARGUMENT: it is something else.
    """
    body = body.removeprefix(codecs.BOM_UTF8)
    if not body:
        raise invalid("JSON Parse error: The document is empty")
    content = _parse_json(body)
    if not isinstance(content, dict):
        raise invalid("Request must be a JSON object.")
    return content


def signature_name(content: Mapping[str, Any]) -> str:
    """The signature that a request names; "" where it names none.

    Raises:
        ServingError: INVALID_ARGUMENT: it is no string.
    """
    name = content.get("signature_name", "")
    if not isinstance(name, str):
        raise invalid(f"'signature_name' must be a string, got {_short(name)}.")
    return name


def _parse_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        # TF Serving takes these tokens, which JSON does not have.
        if b"NaN" not in body and b"Infinity" not in body:
            raise invalid(f"JSON Parse error: {error}") from error
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {error}") from error


def read_inputs(body: Body, signature: Signature) -> dict[str, np.ndarray]:
    """Arrays of a body's tensors by name, of the signature's dtypes and the body's shapes.

    Raises:
        ServingError: INVALID_ARGUMENT: names, nesting or values don't fit.
    """
    if body.rows:
        columns = _rows_to_columns(body.content[ROWS], signature)
    else:
        columns = _name_columns(body.content[COLUMNS], signature)
    validation.check_names(signature, columns)
    return {
        name: _to_array(name, value, signature.inputs[name].dtype)
        for name, value in columns.items()
    }


def _is_named(value: Any) -> bool:
    return isinstance(value, dict) and set(value) != {B64}


def _rows_to_columns(rows: Any, signature: Signature) -> dict[str, Any]:
    if not isinstance(rows, list) or not rows:
        raise invalid(f"{ROWS!r} must be a list that is not empty, got {_short(rows)}.")
    named = sum(map(_is_named, rows))
    if not named:
        return {_only_input(signature): rows}
    names = set(rows[0])
    if named < len(rows) or any(set(row) != names for row in rows):
        raise invalid(f"All of {ROWS!r} must be objects with the same names, or none.")
    return {name: [row[name] for row in rows] for name in names}


def _name_columns(columns: Any, signature: Signature) -> dict[str, Any]:
    if not _is_named(columns):
        return {_only_input(signature): columns}
    # TF Serving looks up the inputs that it needs, and at no other key.
    known = {name: value for name, value in columns.items() if name in signature.inputs}
    return known if len(known) == len(signature.inputs) else columns


def _only_input(signature: Signature) -> str:
    names = sorted(signature.inputs)
    if len(names) != 1:
        raise invalid(f"Signature {signature.name!r} takes {', '.join(names)}; name the inputs.")
    return names[0]


def _to_array(name: str, value: Any, dtype: tf.DType) -> np.ndarray:
    """Nested lists as an array of this type, of the lists' shape; ServingError for others."""
    if dtype == tf.string:
        return _string_array(name, value)
    _refuse_other_than_numbers(name, value, dtype)
    try:
        array = np.array(value)
    except (ValueError, OverflowError) as error:
        raise invalid(f"Input {name!r} is not a regular array: {error}") from error
    if not array.size:
        return array.astype(dtype.as_numpy_dtype)
    kind = np.dtype(dtype.as_numpy_dtype).kind
    taken = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}.get(kind, "")
    if array.dtype.kind not in taken:
        raise invalid(
            f"Input {name!r} must hold {_kind_words(dtype)} for {dtype.name}, got {_short(value)}."
        )
    if kind in "iu" and (array.min() < dtype.min or array.max() > dtype.max):
        raise invalid(
            f"Input {name!r} holds {array.min()} to {array.max()}, expected {dtype.name}:"
            f" {dtype.min} to {dtype.max}."
        )
    # Too large for float32 becomes infinity, which is refused where NaN is.
    with np.errstate(over="ignore"):
        return array.astype(dtype.as_numpy_dtype)


def _refuse_other_than_numbers(name: str, value: Any, dtype: tf.DType, depth: int = 0) -> None:
    """Before NumPy makes an array: a single long string among numbers would widen them all."""
    if depth > MOST_AXES:
        raise invalid(f"Input {name!r} is nested deeper than {MOST_AXES} lists.")
    kinds = set(map(type, value)) if isinstance(value, list) else {type(value)}
    # Among numbers NumPy would take true for 1, among truths 1 for true; TF Serving takes neither.
    wanted = {bool} if dtype == tf.bool else NUMBERS
    if kinds <= wanted:
        return
    if kinds != {list}:
        if list in kinds and kinds <= {list, *wanted}:
            raise invalid(f"Input {name!r} is not a regular array.")
        raise invalid(
            f"Input {name!r} must hold {_kind_words(dtype)} for {dtype.name}, got {_short(value)}."
        )
    for part in value:
        _refuse_other_than_numbers(name, part, dtype, depth + 1)


def _kind_words(dtype: tf.DType) -> str:
    return KINDS.get(np.dtype(dtype.as_numpy_dtype).kind, "nothing that JSON has")


def _string_array(name: str, value: Any) -> np.ndarray:
    """Nested lists of strings as an object array of bytes, of the lists' shape."""
    array = np.array(_to_bytes(name, value), dtype=object)
    if not all(isinstance(item, bytes) for item in array.flat):
        raise invalid(f"Input {name!r} is not a regular array.")
    return array


def _to_bytes(name: str, value: Any, depth: int = 0) -> Any:
    """The same nested lists, strings and {"b64": ...} turned to bytes."""
    if depth > MOST_AXES:
        raise invalid(f"Input {name!r} is nested deeper than {MOST_AXES} lists.")
    if isinstance(value, list):
        return [_to_bytes(name, item, depth + 1) for item in value]
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError as error:
            raise invalid(f"Input {name!r} is no text: {error}") from error
    if not isinstance(value, dict) or set(value) != {B64} or not isinstance(value[B64], str):
        raise invalid(f'Input {name!r} must hold strings or {{"b64": ...}}, got {_short(value)}.')
    try:
        return decode_base64(value[B64])
    except (binascii.Error, ValueError) as error:
        raise invalid(f"Input {name!r}: unable to base64 decode: {error}") from error


def decode_base64(text: str) -> bytes:
    """Decodes base64 as TF Serving does (abseil, strings/escaping.cc, Base64Unescape).

    Blanks and line breaks may stand anywhere: Android, Java's MIME encoder and Python's
    encodebytes break lines. Padding, of "=" or ".", may be left out, or be complete.

    Raises:
        ValueError: it is no base64.
    """
    try:
        return pybase64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        joined = text.translate(BLANKS)
    digits = joined.rstrip("=.")
    missing = -len(digits) % 4
    if len(joined) - len(digits) not in (0, missing):
        raise ValueError(f"wrong padding {joined[len(digits) :][:8]!r}")
    return pybase64.b64decode(digits + "=" * missing, validate=True)


def write_outputs(outputs: Mapping[str, np.ndarray], *, rows: bool, items: int) -> bytes:
    """The answer's body: "predictions" for rows, "outputs" for columns.

    A single output comes without its name. For rows outputs are [items, ...], else of any shape.

    Raises:
        ServingError: INVALID_ARGUMENT: an output has no row for every instance.
    """
    values = {name: _plain(name, array) for name, array in outputs.items()}
    finite = all(np.isfinite(array).all() for array in outputs.values() if array.dtype.kind == "f")
    dump = _dump if finite else _dump_non_finite
    if not rows:
        return dump({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    for name, array in outputs.items():
        if not array.ndim or len(array) != items:
            raise invalid(f"Output {name!r} is not a row for every instance; ask for columns.")
    if len(values) == 1:
        return dump({"predictions": next(iter(values.values()))})
    by_row = zip(*values.values(), strict=True)
    return dump({"predictions": [dict(zip(values, row, strict=True)) for row in by_row]})


def _plain(name: str, array: np.ndarray) -> Any:
    """What orjson can write: arrays of any shape as they are, of strings as nested lists."""
    if array.dtype != object:
        return np.ascontiguousarray(array)

    def convert(value):
        if isinstance(value, list):
            return [convert(item) for item in value]
        if name.endswith(BYTES_SUFFIX):
            return {B64: pybase64.b64encode_as_string(value)}
        return value.decode(errors="replace")

    return convert(array.tolist())


def _dump(content: Any) -> bytes:
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _dump_non_finite(content: Any) -> bytes:
    """With the tokens NaN and Infinity, which TF Serving writes and orjson does not."""
    return json.dumps(content, default=lambda array: array.tolist()).encode()


def _short(value: Any) -> str:
    """The beginning of a value, for a message."""
    if isinstance(value, list | dict):
        return f"{type(value).__name__} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
