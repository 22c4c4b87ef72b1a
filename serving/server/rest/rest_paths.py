"""Paths of TF Serving's REST API: which model, version and call a request means.

Source: tensorflow/serving, model_servers/http_rest_api_util.cc. Letter case counts in names, labels
and verbs, and nowhere else; a query belongs to the path, and so fits none of them.
"""

import dataclasses
import re
import urllib.parse

from serving.server.errors import invalid
from serving.server.layout import GREATEST_VERSION
from serving.server.predict import ModelSpec

MODEL = r"(?:/versions/(?P<version>\d+)|/labels/(?P<label>[^/:]+))?"
CALL = re.compile(
    rf"/v1/models/(?P<name>[^/:]+){MODEL}:(?P<verb>classify|regress|predict)", re.I | re.A
)
LOOK = re.compile(rf"/v1/models(?:/(?P<name>[^/:]+))?{MODEL}(?:/(?P<verb>metadata))?", re.I | re.A)
PATTERNS = {"POST": CALL, "GET": LOOK}
CALLS = ("classify", "regress", "predict")
STATUS, METADATA = "status", "metadata"


@dataclasses.dataclass(frozen=True)
class RestCall:
    """What a request asks for.

    Attributes:
        spec: the model and version; a signature is named in the body.
        verb: one of CALLS, STATUS or METADATA.
    """

    spec: ModelSpec
    verb: str


def read_path(method: str, target: str) -> RestCall:
    """What a method and a path, percent-encoded and with its query, ask for.

    Raises:
        ServingError: INVALID_ARGUMENT: nothing that there is.
    """
    pattern = PATTERNS.get(method)
    found = pattern.fullmatch(target) if pattern else None
    verb = found["verb"] if found else None
    # TF Serving's pattern takes /v1/models/x:PREDICT, but then it compares the verb.
    if not found or (method == "POST" and verb not in CALLS):
        raise invalid(f"Malformed request: {method} {target}")
    if not found["name"]:
        raise invalid("Missing model name in request.")
    spec = ModelSpec(
        urllib.parse.unquote(found["name"]),
        version_of(found["version"]) if found["version"] else None,
        urllib.parse.unquote(found["label"]) if found["label"] else None,
    )
    # It answers /v1/models/x/Metadata with the status, for the same reason.
    look = METADATA if verb == METADATA else STATUS
    return RestCall(spec, verb if method == "POST" else look)


def version_of(digits: str) -> int:
    """A version's number; ServingError INVALID_ARGUMENT where no int64 holds it."""
    # Python itself fails at numbers of thousands of digits.
    short = digits.lstrip("0")[: len(str(GREATEST_VERSION)) + 1]
    if int(short or "0") > GREATEST_VERSION:
        raise invalid(f"Failed to convert version: {digits} to numeric.")
    return int(short or "0")
