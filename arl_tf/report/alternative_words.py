"""The alternative to a code in words: when to send the task output instead, and what it costs."""

from collections.abc import Mapping
from typing import Any

from arl_tf.report.utility_words import REGRESSION, SINGLE_LABEL, kind_of

CONDITIONS = (
    "The device that takes the photo can run the task head.",
    "The task is fixed: nobody needs to learn other tasks from the same codes later.",
)
# The conditions as one sentence, for where a list would be in the way.
WHEN = (
    "Send the task output instead of the code if the device can run the task head and no other"
    " tasks are to be learned from the codes later."
)
MILLION = 1e6


def sent_words(content: Mapping[str, Any]) -> str:
    """What is sent and what it tells: "the task output instead of a code: 40 yes/no decisions"."""
    what = "the task output instead of a code"
    kind, codes = kind_of(content["utility"]), content["codes"]
    if not codes.get("task_output_bits"):
        return what
    if kind == REGRESSION:
        return f"{what}: {codes['task_output_bits'] // 32:,} numbers"
    if kind == SINGLE_LABEL:
        return f"{what}: the class, {codes['task_decision_bits']:,} bits"
    return f"{what}: {codes['task_decision_bits']:,} yes/no decisions"


def cost_words(codes: Mapping[str, Any]) -> str:
    """What the device saves by sending a code, in multiply-adds; empty where it is not known.

    `codes` is the section of report.json.
    """
    encoder = codes.get("encoder_multiply_adds")
    if not encoder:
        return ""
    whole = encoder + codes["task_head_multiply_adds"]
    code, output = (f"{each / MILLION:.1f}" for each in (encoder, whole))
    if code == output:
        return (
            f"A code saves the device no computation here: {code} million multiply-adds with or"
            " without the task head."
        )
    return (
        "With a code the device computes less:"
        f" {code} million multiply-adds instead of {output} million."
    )
