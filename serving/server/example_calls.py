"""Classify, Regress and MultiInference: calls on tf.Example, refused as TF Serving refuses them.

The exported models have signatures for Predict alone. TF Serving answers such calls with what the
request lacks, then with what the signature is not, and never with UNIMPLEMENTED. Source:
tensorflow/serving, servables/tensorflow: classifier.cc, regressor.cc, multi_inference.cc.
"""

from collections.abc import Iterable

import grpc

from serving.server.errors import ServingError, invalid
from serving.server.model_store import ModelStore
from serving.server.predict import ModelSpec
from serving.server.rest import json_tensors
from serving.server.servable import DEFAULT_SIGNATURE, Servable

CLASSIFY, REGRESS = "classify", "regress"
# By method: TF Serving's word for its signatures, and their method_name.
KINDS = {
    CLASSIFY: ("classification", "tensorflow/serving/classify"),
    REGRESS: ("regression", "tensorflow/serving/regress"),
}
METHODS = {method_name: method for method, (_, method_name) in KINDS.items()}
EXAMPLES = "examples"


def check_body(body: bytes) -> str:
    """Checks a REST body of :classify or :regress; returns the signature's name, or "".

    Raises:
        ServingError: INVALID_ARGUMENT: it is no JSON object with a list of examples.
    """
    content = json_tensors.parse_object(body)
    name = json_tensors.signature_name(content)
    examples = content.get(EXAMPLES)
    if EXAMPLES not in content:
        raise invalid(f"When method is classify, key {EXAMPLES!r} is expected and was not found.")
    if not isinstance(examples, list) or not examples:
        raise invalid(f"Expecting {EXAMPLES!r} value to be a list that is not empty.")
    return name


def refuse(store: ModelStore, spec: ModelSpec, method: str) -> None:
    """Raises what TF Serving answers to a call of a model that has no signature for it.

    Args:
        store: where the model is looked for.
        spec: the model, version and signature.
        method: CLASSIFY or REGRESS.

    Raises:
        ServingError: NOT_FOUND: no such model or version; INVALID_ARGUMENT: no such signature, or
            one of another kind; UNIMPLEMENTED: the signature would do, this server can't.
    """
    with store.lease(spec.name, spec.version, spec.label) as servable:
        _refuse_signature(servable, spec.signature_name or DEFAULT_SIGNATURE, method)


def refuse_tasks(store: ModelStore, tasks: Iterable[tuple[ModelSpec, str]]) -> None:
    """The same for MultiInference's tasks: a spec and a method_name each."""
    tasks = list(tasks)
    if not tasks or not tasks[0][0].name:
        raise invalid("ModelSpec has no name specified.")
    for spec, method_name in tasks:
        if method_name not in METHODS:
            message = f"Unsupported signature method_name: {method_name}"
            raise ServingError(grpc.StatusCode.UNIMPLEMENTED, message)
        refuse(store, spec, METHODS[method_name])


def _refuse_signature(servable: Servable, name: str, method: str) -> None:
    definitions = servable.signature_defs.signature_def
    if name not in definitions:
        raise invalid(f"No signature was found with the name: {name}")
    word, expected = KINDS[method]
    if definitions[name].method_name != expected:
        raise invalid(
            f"Expected {word} signature method_name to be {expected}. Was:"
            f" {definitions[name].method_name}"
        )
    raise ServingError(
        grpc.StatusCode.UNIMPLEMENTED, f"{method} is not implemented by this server; use predict."
    )
