"""What the page shows of the task head's outputs: attributes, one of several classes, or values."""

import json
from typing import Any

import numpy as np

from serving.server.predict import Prediction
from serving.server.servable import Servable

# As manifest.json names them.
MULTI_LABEL, SINGLE_LABEL, REGRESSION = "multi_label", "single_label", "regression"


def task_output(read: Prediction) -> np.ndarray:
    """What an attacker on the task output gets: logits, or values; float32 [N, A]."""
    return read.outputs["value" if "value" in read.outputs else "logits"]


def task_answers(read: Prediction) -> tuple[str, list[dict[str, Any]]]:
    """The kind of task, and for each attribute, class or value what the page shows of it."""
    names = attribute_names(read.servable, task_output(read).shape[1])
    if "value" in read.outputs:
        values = read.outputs["value"][0]
        return REGRESSION, [
            {"name": name, "value": round(float(value), 4)}
            for name, value in zip(names, values, strict=True)
        ]
    probability = read.outputs["probability"][0]
    # Task heads of older exports give no decision.
    decision = read.outputs["decision"][0] if "decision" in read.outputs else probability > 0.5
    answers = [
        {"name": name, "probability": round(float(value), 4), "decision": bool(decided)}
        for name, value, decided in zip(names, probability, decision, strict=True)
    ]
    return SINGLE_LABEL if is_one_of_classes(read.servable) else MULTI_LABEL, answers


def is_one_of_classes(task_head: Servable) -> bool:
    """Whether a task head decides for the likeliest of several classes, by its decisions.json."""
    path = task_head.path / "assets" / "decisions.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # An older export, or a damaged file, which nothing else reads here.
        return False
    return isinstance(content, dict) and content.get("rule") == "argmax"


def attribute_names(task_head: Servable, count: int) -> list[str]:
    """The attributes' names, which the task head's SavedModel has as an asset; else numbers."""
    path = task_head.path / "assets" / "attributes.txt"
    # Damaged names are of another number, most likely; the page then shows numbers.
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    names = text.splitlines()
    return names if len(names) == count else [f"attribute {index}" for index in range(count)]
