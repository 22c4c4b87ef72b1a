"""The absolute figures of one measure on one scale: what stands beside every relative figure."""

from collections.abc import Mapping
from typing import Any

from arl_tf.report.wording import MISSING, two_digits, yardstick, yardstick_names

Estimate = Mapping[str, Any]
# Key -> words; from what shows nothing of the person to what shows all of it.
STEPS = {
    "mean_image": "the mean image",
    "two_strangers": "two strangers",
    "task_output": "the task output alone",
    "code": "this code",
    "unprotected": "an unprotected code",
    "same_person": "two photos of one person",
}


def steps(content: Mapping[str, Any], measure: str = "face_similarity") -> dict[str, Estimate]:
    """Key of STEPS -> {"value", "ci95"}; undefined where it was not measured.

    `code` is the worst attack's figure, `unprotected` the worst on the unprotected code.
    """
    reference = (content.get("reference") or {}).get("worst", {})
    floors = content["floors"]
    return {
        "mean_image": floors["mean_image"].get(measure, MISSING),
        "two_strangers": yardstick(content, "two_strangers", measure),
        "task_output": floors["task_output"].get(measure, MISSING),
        "code": content["worst"].get(measure, MISSING),
        "unprotected": reference.get(measure, MISSING),
        "same_person": yardstick(content, "same_person", measure),
    }


def step_names(content: Mapping[str, Any]) -> dict[str, str]:
    """STEPS, with the words that yardsticks have in this report."""
    known = yardstick_names(content)
    return {name: known.get(name, said) for name, said in STEPS.items()}


def scale_sentence(content: Mapping[str, Any], measure: str = "face_similarity") -> str:
    """The steps that are known, as "the mean image 0.14, two strangers 0.02, ..."."""
    names = step_names(content)
    return ", ".join(
        f"{names[name]} {two_digits(found['value'])}"
        for name, found in steps(content, measure).items()
        if found["value"] is not None
    )
