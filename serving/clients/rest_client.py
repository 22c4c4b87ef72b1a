"""A client of served encoders and task heads on TF Serving's REST API: numpy in, numpy out.

    with EncoderClient("localhost:8501") as client:
        codes = client.encode(images)
        print(client.read_attributes(codes).as_dicts())

Needs numpy, pillow and urllib3.
"""

import base64
import io
import json
import random
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import urllib3
from PIL import Image

from serving.clients.base import CodeClient
from serving.clients.contract import (
    ENCODE,
    ENCODE_BYTES,
    ENCODE_TO_BYTES,
    READ,
    READ_BYTES,
    ServedSignature,
    Signature,
    TensorSpec,
)
from serving.clients.errors import (
    AnswerError,
    DeadlineError,
    EncoderError,
    NotFoundError,
    RejectedError,
    ServerError,
    UnavailableError,
)

BACKOFF_FIRST_S = 0.1
BACKOFF_MAX_S = 5.0
BUSY = (429, 503)
ERRORS: dict[int, type[EncoderError]] = {
    400: RejectedError,
    404: NotFoundError,
    413: RejectedError,
    504: DeadlineError,
    **dict.fromkeys(BUSY, UnavailableError),
}
DTYPES = {"DT_UINT8": "uint8", "DT_FLOAT": "float32", "DT_STRING": "bytes"}
LONGEST_MESSAGE = 500


class PredictRetry(urllib3.Retry):
    """Repeats calls that can't have hurt: failed connections and a busy server's answers.

    Predict calls change nothing, so that one whose connection broke may be sent again. One that
    timed out may not: the server could be working on it, and would get more work. The wait before
    repeat n = 0, 1, ... is drawn from [0, 0.1 s * 2^n], limited to 5 s ("full jitter": clients that
    failed together don't come back together); a server's Retry-After is kept up to that limit.
    """

    def increment(self, method=None, url=None, response=None, error=None, **others) -> Self:
        """urllib3's, without repeats after a timed-out answer."""
        if isinstance(error, urllib3.exceptions.ReadTimeoutError):
            raise error
        return super().increment(method, url, response, error, **others)

    def get_backoff_time(self) -> float:
        """Seconds to wait before the next try."""
        longest = BACKOFF_FIRST_S * 2 ** (len(self.history) - 1)
        return random.uniform(0, min(BACKOFF_MAX_S, longest))


class EncoderClient(CodeClient):
    """A REST client; threads may share one.

    Images travel as PNG, through the signature encode_bytes: lossless, with the same codes as by
    encode, in a sixth of the bytes and half of the time that lists of numbers take (measured on
    32 faces of 64 pixels). Codes travel as bytes where the models have signatures for it, else as
    numbers.
    """

    # At most: PNG of noise in base64; decimal text with its comma and brackets; base64.
    bytes_per_value: ClassVar[dict[str, float]] = {"uint8": 1.5, "float32": 18, "bytes": 4 / 3}

    def __init__(self, address: str, *, max_connections: int = 8, **shared: Any):
        """Nothing is sent yet.

        Args:
            address: HOST:PORT, or an http:// or https:// address.
            max_connections: connections that are kept open for threads.
            shared: see CodeClient. `timeout`: seconds that a try may wait for the connection and
                for the answer's bytes. `retries`: see PredictRetry.

        Raises:
            ValueError: an argument can't be meant.
        """
        super().__init__(base_address(address), **shared)
        self._pool = urllib3.PoolManager(
            maxsize=max_connections,
            timeout=urllib3.Timeout(self.timeout),
            retries=PredictRetry(
                self.retries,
                status_forcelist=BUSY,
                allowed_methods={"GET", "POST"},
                raise_on_status=False,
                retry_after_max=BACKOFF_MAX_S,
            ),
        )
        # Bytes of the bodies that were sent; repeats don't count.
        self.sent_bytes = 0

    def close(self) -> None:
        """Closes the connections."""
        self._pool.clear()

    def _predict(self, model: str, signature: Signature, rows: Sequence) -> dict[str, np.ndarray]:
        sent, content = self.predict_call(model, signature, rows)
        answer = self.call("POST", f"{self.model_path(model)}:predict", content)
        outputs = answer.get("outputs", {})
        # A model's only output comes without its name.
        named = outputs if isinstance(outputs, dict) else {self._wanted(model, sent)[0]: outputs}
        try:
            if sent is ENCODE_TO_BYTES:
                shape = self._code_shape(model)
                return {"code": np.stack([code(item, shape) for item in named["code_bytes"]])}
            names = self._wanted(model, signature)
            return {name: np.asarray(named[name], np.float32) for name in names}
        except (KeyError, ValueError, TypeError) as error:
            raise AnswerError(
                f"{model} gives no {' and '.join(sent.outputs)} as arrays of numbers: {error}"
            ) from error

    def predict_call(
        self, model: str, signature: Signature, rows: Sequence
    ) -> tuple[Signature, bytes]:
        """The signature that is called in place of one, for its short bodies, and the call's body.

        Args:
            model: its name.
            signature: ENCODE, ENCODE_BYTES or READ.
            rows: array uint8 or float32 [N, ...], or N byte strings.

        Raises:
            EncoderError: the model has no such signature, or can't be asked.
        """
        if signature is ENCODE:
            signature, rows = ENCODE_BYTES, [png(image) for image in rows]
        served = self._served_signatures(model, signature)
        if signature is ENCODE_BYTES and ENCODE_TO_BYTES.name in served and self._code_shape(model):
            signature = ENCODE_TO_BYTES
        if signature is READ and READ_BYTES.name in served:
            signature, rows = READ_BYTES, [row.astype("<f4").tobytes() for row in rows]
        return signature, body(signature, rows)

    def _code_shape(self, model: str) -> tuple[int, ...] | None:
        """The shape of an encoder's codes; None where its metadata doesn't tell."""
        served = self._served_signatures(model, ENCODE_BYTES)[ENCODE_BYTES.name]
        spec = served.outputs.get("code")
        known = spec is not None and spec.shape is not None and None not in spec.shape[1:]
        return spec.shape[1:] if known else None

    def _signatures(self, model: str) -> dict[str, ServedSignature]:
        answer = self.call("GET", f"{self.model_path(model)}/metadata")
        try:
            signatures = answer["metadata"]["signature_def"]["signature_def"]
            return {
                name: ServedSignature(
                    tensor_specs(signature["inputs"]), tensor_specs(signature.get("outputs", {}))
                )
                for name, signature in signatures.items()
                # A model lists its initialiser as a signature without inputs.
                if signature.get("inputs")
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise AnswerError(f"{model}'s metadata has no signatures: {error!r}") from error

    def model_path(self, model: str) -> str:
        """The path of a model, of the version that was chosen."""
        name = urllib.parse.quote(model, safe="")
        return f"/v1/models/{name}{version_path(self.version, self.label)}"

    def call(self, method: str, path: str, content: bytes | None = None) -> dict[str, Any]:
        """One call of the REST API as `send` makes it; the answer's JSON object."""
        return json_object(self.send(method, path, content), self.address + path)

    def send(self, method: str, path: str, content: bytes | None = None) -> bytes:
        """One call, repeated where that is safe; the answer's body.

        Raises:
            EncoderError: the call failed.
        """
        url = self.address + path
        self.sent_bytes += len(content or b"")
        headers = {"Content-Type": "application/json"} if content else {}
        try:
            # A redirection would carry codes to a place that nobody chose.
            response = self._pool.request(
                method, url, body=content, headers=headers, redirect=False
            )
        except urllib3.exceptions.ReadTimeoutError as error:
            raise DeadlineError(f"{url}: {error}") from error
        except urllib3.exceptions.MaxRetryError as error:
            raise UnavailableError(
                f"{url} can't be reached (tries: {self.retries + 1}): {error.reason}"
            ) from error
        except urllib3.exceptions.HTTPError as error:
            raise UnavailableError(f"{url} can't be reached: {error}") from error
        if response.status != 200:
            kind = ERRORS.get(response.status, ServerError)
            message = f"{url} answers {response.status}: {error_message(response.data)}"
            raise kind(message, response.status)
        return response.data


def base_address(address: str) -> str:
    """An address with its scheme, without a slash at its end.

    Raises:
        ValueError: it names no host, or another protocol, or holds a password.
    """
    if "@" in address:
        raise ValueError(
            "The address holds a name or a password (an @), which messages would show and which the"
            " client does not send; expected HOST:PORT or http(s)://HOST:PORT."
        )
    url = address if "://" in address else f"http://{address}"
    try:
        parsed = urllib.parse.urlsplit(url)
        usable = parsed.scheme in ("http", "https") and parsed.hostname and parsed.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise ValueError(
            f"The address {address!r} names no server; expected HOST:PORT or http(s)://HOST:PORT."
        )
    return url.rstrip("/")


def version_path(version: int | None, label: str | None) -> str:
    """The part of a path that chooses a version."""
    if label is not None:
        return f"/labels/{urllib.parse.quote(label, safe='')}"
    return "" if version is None else f"/versions/{version}"


def body(signature: Signature, rows: Sequence) -> bytes:
    """A call's JSON in TF Serving's column format.

    Args:
        signature: whose input the rows are.
        rows: array float32 [N, ...], or N byte strings.
    """
    request = {
        "signature_name": signature.name,
        "inputs": {signature.input_name: ROW_VALUES[signature.dtype](rows)},
    }
    return json.dumps(request, separators=(",", ":"), allow_nan=False).encode()


def png(image: np.ndarray) -> bytes:
    """An image uint8 [h, w, 3] as a PNG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG", compress_level=1)
    return file.getvalue()


def shortest_decimals(values: np.ndarray) -> list:
    """float32 values [N, ...] as lists of the shortest numbers that become the same float32 again.

    The double nearest to a float32 takes twice as many digits.
    """
    return values.astype(str).astype(np.float64).tolist()


ROW_VALUES = {
    "float32": shortest_decimals,
    "bytes": lambda rows: [{"b64": base64.b64encode(row).decode()} for row in rows],
}


def code(item: Mapping[str, str], shape: tuple[int, ...]) -> np.ndarray:
    """One code of an answer, float32 of that shape, from {"b64": ...}.

    Raises:
        KeyError, TypeError, ValueError: it is something else.
    """
    content = base64.b64decode(item["b64"], validate=True)
    return np.frombuffer(content, "<f4").reshape(shape).astype(np.float32)


def tensor_specs(tensors: Mapping[str, dict[str, Any]]) -> dict[str, TensorSpec]:
    """Reads inputs or outputs of a model's metadata."""
    return {name: tensor_spec(tensor) for name, tensor in tensors.items()}


def tensor_spec(tensor: dict[str, Any]) -> TensorSpec:
    """Reads one of them."""
    dtype = DTYPES.get(tensor["dtype"], tensor["dtype"])
    shape = tensor["tensor_shape"]
    if shape.get("unknown_rank"):
        return TensorSpec(dtype, None)
    sides = (int(side["size"]) for side in shape.get("dim", []))
    return TensorSpec(dtype, tuple(None if side < 0 else side for side in sides))


def error_message(content: bytes) -> str:
    """The server's message out of an error's body: its `error`, else the body itself."""
    text = content.decode("utf-8", "replace")
    try:
        text = str(json.loads(text)["error"])
    except (ValueError, KeyError, TypeError):
        text = text.strip() or "(no message)"
    return text if len(text) <= LONGEST_MESSAGE else f"{text[:LONGEST_MESSAGE]}..."


def json_object(content: bytes, url: str) -> dict[str, Any]:
    """Parses an answer; raises AnswerError unless it is a JSON object."""
    try:
        answer = json.loads(content)
    except ValueError as error:
        raise AnswerError(f"{url} answers with something else than JSON: {error}") from error
    if not isinstance(answer, dict):
        raise AnswerError(f"{url} answers with a {type(answer).__name__}, expected an object.")
    return answer
