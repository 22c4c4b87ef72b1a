"""Who leaks least for a given utility: in one sentence, with its interval."""

from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.config.conditions import EMBEDDING_LEAKAGE, PROTECTED_GAIN
from arl_tf.experiments.sweeps.trials import FAILED

Record = Mapping[str, Any]
# Figure -> what it is called in a sentence.
QUESTIONS = {
    "leakage": "the leakage of face similarity",
    "leakage.reid_rank1": "the leakage of rank 1",
    "candidate_match": "the share of codes whose photo is found among candidates",
    EMBEDDING_LEAKAGE: "the leakage of the embedding that attackers predict",
    PROTECTED_GAIN: "the gain on protected attributes over the task output, in MCC",
}
# Not every audit has these: they are asked for where a choice has a figure.
OPTIONAL = (EMBEDDING_LEAKAGE, PROTECTED_GAIN)
# States of a choice that is not measured yet; one that has failed will not be.
PENDING = ("waiting", "unfinished")


def questions(entries: Sequence[Record]) -> list[str]:
    """The keys of QUESTIONS that a bench answers; `entries` are bench.json's defences."""
    figures = [final["figures"] for entry in entries for final in entry["finals"].values()]
    return [
        name
        for name in QUESTIONS
        if name not in OPTIONAL or any(value_of(each, name) is not None for each in figures)
    ]


def value_of(figures: Record, name: str) -> float | None:
    """A figure's value; None where it is not known, or where an older audit does not have it."""
    value: float | None = figures.get(name, {}).get("value")
    return value


def answer(utility: float, figure: str, entries: Sequence[Record]) -> dict[str, Any]:
    """Who has the least of a figure, whether that is sure, and the sentence.

    Args:
        utility: the share of the unprotected mean MCC that was wanted.
        figure: a key of QUESTIONS.
        entries: bench.json's defences.

    Returns:
        {"utility", "figure", "least": name or None, "is_sure", "overlapping": names whose interval
        overlaps that of the least, "missed": names that have not kept the utility, "failed": names
        whose trainings or audits failed, "words"}.
    """
    key = f"{utility:g}"
    finals = {entry["name"]: entry["finals"][key] for entry in entries if key in entry["finals"]}
    failed = sorted(name for name, found in finals.items() if found["state"] == FAILED)
    missed = sorted(
        name for name, found in finals.items() if not in_contest(found) and name not in failed
    )
    known = {
        name: found["figures"][figure]
        for name, found in finals.items()
        if in_contest(found) and value_of(found["figures"], figure) is not None
    }
    order = sorted(known, key=lambda name: (known[name]["value"], name))
    overlapping = [name for name in order[1:] if overlap(known[order[0]], known[name])]
    pending = any(found["state"] in PENDING for found in finals.values())
    sure = len(order) > 1 and not overlapping and not pending
    start = beginning(utility, so_far=pending and bool(order))
    said = answer_sentence(start, figure, known, order, overlapping)
    if pending and not order:
        said = f"{start} there is no answer yet: {QUESTIONS[figure]} is not measured."
    if failed:
        said += f" Not compared, because trainings or audits failed: {', '.join(failed)}."
    return {
        "utility": utility,
        "figure": figure,
        "least": order[0] if order else None,
        "is_sure": sure,
        "overlapping": overlapping,
        "missed": missed,
        "failed": failed,
        "words": said,
    }


def beginning(utility: float, *, so_far: bool) -> str:
    """How each sentence begins; `so_far`: others are still waiting, so it may change."""
    start = f"At {100 * utility:g} % of the unprotected utility"
    return f"{start}, of those measured so far," if so_far else start


def in_contest(final: Record) -> bool:
    """Whether a choice exists, is measured, and has kept the utility on T as far as is known."""
    return final["state"] == "finished" and final["kept_on_test"]


def overlap(first: Record, second: Record) -> bool:
    """Whether two intervals have a value in common; without one nobody can say they do not."""
    if not first["ci95"] or not second["ci95"]:
        return True
    return bool(first["ci95"][1] >= second["ci95"][0] and second["ci95"][1] >= first["ci95"][0])


def answer_sentence(
    start: str,
    figure: str,
    known: Mapping[str, Record],
    order: Sequence[str],
    overlapping: Sequence[str],
) -> str:
    """The answer in one sentence, which begins with `start`."""
    what = QUESTIONS[figure]
    if not order:
        return f"{start} there is no answer: no defence that kept it has a figure for {what}."
    least, *others = order
    value = estimate_words(known[least])
    if not others:
        return (
            f"{start} there is nobody to compare with: only {least} kept it, and {what} is {value}."
        )
    if overlapping:
        names = ", ".join(f"{name} {estimate_words(known[name])}" for name in overlapping)
        bounded = all(known[name]["ci95"] for name in (least, *overlapping))
        why = "the intervals overlap" if bounded else "intervals overlap or are not known"
        return (
            f"{start} there is no winner: {what} is lowest for {least}, {value}, which can't be"
            f" told from {names}: {why}."
        )
    return (
        f"{start} {least} leaks least: {what} is {value}; next is {others[0]} with"
        f" {estimate_words(known[others[0]])}."
    )


def estimate_words(found: Record) -> str:
    """'0.30 (0.25 to 0.36)'."""
    if not found["ci95"]:
        return f"{found['value']:.2f} (no interval)"
    low, high = found["ci95"]
    return f"{found['value']:.2f} ({low:.2f} to {high:.2f})"
