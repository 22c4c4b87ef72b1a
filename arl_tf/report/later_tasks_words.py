"""Later tasks in words: what a code buys over the task output, and what it must not tell."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from arl_tf.report.wording import format_estimate

SOURCES = {
    "code": "this code",
    "task_output": "the task output alone",
    "unprotected": "an unprotected code",
    "gain": "this code over the task output",
}

KINDS = {
    "mean": "mean of all attributes",
    "wanted": "mean of those that are not protected",
    "protected_mean": "mean of protected ones",
}


@dataclasses.dataclass(frozen=True)
class LaterTasksWords:
    """The section of the page.

    Attributes:
        sentence: what the code buys.
        rows: (which attributes, from what they were learned, source -> estimate of the MCC), the
            mean of all, of wanted and of protected ones by number of labelled codes.
        largest: from what single attributes were learned.
        attributes: (name, source -> estimate), from all labelled codes.
        protected: a sentence for each protected attribute.
    """

    sentence: str
    rows: list[tuple[str, str, Mapping[str, Any]]]
    largest: str
    attributes: list[tuple[str, Mapping[str, Any]]]
    protected: list[str]


def section(content: Mapping[str, Any]) -> LaterTasksWords | None:
    """The section; None where the task leaves no attribute out, and in older audits."""
    found = content["codes"].get("later_tasks")
    if not found:
        return None
    return LaterTasksWords(
        sentence=sentence(found),
        rows=[row for size in found["sizes"] for row in size_rows(size)],
        largest=size_words(found["sizes"][-1]),
        attributes=list(found["sizes"][-1]["attributes"].items()),
        protected=protected_sentences(found["protected"]),
    )


def size_rows(size: Mapping[str, Any]) -> list[tuple[str, str, Mapping[str, Any]]]:
    """The means of a number of labelled codes; of both kinds where some are protected."""
    found = [(words, size.get(kind)) for kind, words in KINDS.items()]
    # Without protected attributes all are wanted; older audits have the mean of all alone.
    if not size.get("protected_mean") or size["protected_mean"]["code"]["value"] is None:
        found = found[:1]
    return [(words, size_words(size), figures) for words, figures in found]


def size_words(size: Mapping[str, Any]) -> str:
    """From how many codes was learned, and how often they were drawn."""
    draws = f", mean of {size['draws']} draws" if size["draws"] > 1 else ", all"
    return f"{size['labels']:,} labelled codes{draws}"


def sentence(found: Mapping[str, Any]) -> str:
    """What the code buys over the task output, with all labelled codes."""
    size = found["sizes"][-1]
    mean, count = size["mean"], len(size["attributes"])
    attributes = "1 attribute" if count == 1 else f"{count} attributes"
    beside = "".join(
        f", from {SOURCES[source]} {format_estimate(mean[source])}"
        for source in ("task_output", "unprotected")
        if mean[source]["value"] is not None
    )
    learned = (
        f"Learned later from {size['labels']:,} labelled codes, {attributes} outside the task"
        f" {'has' if count == 1 else 'have'} a mean MCC of {format_estimate(mean['code'])}{beside}"
    )
    return f"{learned}{bought(mean['gain'])}."


def bought(gain: Mapping[str, Any]) -> str:
    """The gain over the task output as the end of a sentence."""
    if gain["value"] is None:
        return ""
    if not gain["ci95"] or gain["ci95"][0] <= 0:
        return (
            f"; the gain over the task output, {format_estimate(gain)}, is not shown to be above 0:"
            " for tasks like these the task output could be sent instead of the code"
        )
    return f"; this is what sending the code buys over the task output: {format_estimate(gain)}"


def protected_sentences(protected: Mapping[str, Any] | None) -> list[str]:
    """For each protected attribute whether the code tells it beyond the task output."""
    if not protected:
        return []
    return [
        f"{name} is to be protected. The code"
        f" {'tells' if found['told'] else 'is not shown to tell'} more of it than the task output:"
        f" the gain in MCC is {format_estimate(found['gain'])}."
        for name, found in protected["attributes"].items()
    ]
