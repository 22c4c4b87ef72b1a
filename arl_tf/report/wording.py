"""An audit in words and numbers for people: the verdict, the tables' rows, the terminal's lines."""

from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.attacks.evidence import ENOUGH_GAIN
from arl_tf.auditing.leakage import FLOORS
from arl_tf.metrics.reconstruction import MEASURES

MEASURE_NAMES = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "feature_similarity": "Feature similarity",
    "face_similarity": "Face similarity",
    "reid_rank1": "Rank 1",
    "reid_rank5": "Rank 5",
}
FLOOR_NAMES = {"mean_image": "no code: mean image", "task_output": "from the task output"}
FLOOR_WORDS = {"mean_image": "the mean image", "task_output": "the task output alone"}
# By the upper end of the leakage's interval: what it may well be is what counts.
GRADES = (
    (0.1, "strong protection against these attackers"),
    (0.25, "good protection against these attackers"),
    (0.5, "some protection"),
    (0.9, "weak protection"),
    (float("inf"), "no protection to speak of"),
)


def verdict(content: Mapping[str, Any]) -> str:
    """The finding in one sentence."""
    leakage = content["leakage"]["face_similarity"]
    if leakage["value"] is None:
        return f"{similarity_words(content)}{utility_words(content)}."
    found = (
        f"{percent(leakage)} of what an unprotected code gives away beyond the task output"
        if leakage["value"] > 0
        else f"no more than the task output, a leakage of {percent(leakage)}"
    )
    return (
        f"{code_words(content)} gives away {found}, by face similarity and"
        f" {attackers_words(content)}: {grade(leakage)}{utility_words(content)}."
    )


def similarity_words(content: Mapping[str, Any]) -> str:
    """The beginning of a verdict where leakage is unknown: the figure beside its best floor."""
    similarity = {
        name: content["floors"][name]["face_similarity"]["value"]
        for name in FLOORS
        if content["floors"][name]["face_similarity"]["value"] is not None
    }
    floor = max(similarity, key=similarity.get)
    why = "without an unprotected reference its leakage is unknown"
    if content["reference"]:
        why = "its unprotected reference gives away no more than that, so its leakage is unknown"
    code, similar = code_words(content), format_estimate(content["worst"]["face_similarity"])
    return (
        f"From {code[0].lower()}{code[1:]} {attackers_words(content)} reconstructs faces with a"
        f" similarity of {similar} to the original, where"
        f" {FLOOR_WORDS[floor]} gives {similarity[floor]:.3f}; {why}"
    )


def code_words(content: Mapping[str, Any]) -> str:
    """What was attacked, as the beginning of a sentence."""
    count = content["codes"].get("codes_per_photo", 1)
    return "This code" if count == 1 else f"The mean of {count} codes of a photo"


def attackers_words(content: Mapping[str, Any]) -> str:
    """Who the worst attacker by face similarity is, and of how many."""
    name, count = content["worst"]["face_similarity"]["attack"], len(content["attacks"])
    return (
        f"the only attacker ({name})" if count == 1 else f"the worst of {count} attackers ({name})"
    )


def utility_words(content: Mapping[str, Any]) -> str:
    """What the task keeps, as the end of a sentence; empty without labels."""
    mcc = content["utility"]["mean_mcc"]
    return "" if mcc["value"] is None else f"; the task reaches a mean MCC of {mcc['value']:.3f}"


def grade(leakage: Mapping[str, Any]) -> str:
    """The verdict's grade of a leakage, by the upper end of its interval."""
    if leakage["ci95"] is None:
        return "too uncertain for a grade"
    return next(words for bound, words in GRADES if leakage["ci95"][1] <= bound)


def percent(estimate: Mapping[str, Any]) -> str:
    """A share as "57 % (51 to 63 %)"."""
    value = f"{100 * estimate['value']:.0f} %"
    if not estimate["ci95"]:
        return value
    low, high = estimate["ci95"]
    return f"{value} ({100 * low:.0f} to {100 * high:.0f} %)"


def format_estimate(estimate: Mapping[str, Any]) -> str:
    """'value [low, high]', or a dash where it is undefined."""
    if estimate["value"] is None:
        return "–"
    if estimate["ci95"] is None:
        return f"{estimate['value']:.3f}"
    low, high = estimate["ci95"]
    return f"{estimate['value']:.3f} [{low:.3f}, {high:.3f}]"


def format_figure(measure: str, value: float) -> str:
    """A figure with the digits that its measure deserves."""
    return f"{value:.2f}" if measure == "psnr" else f"{value:.3f}"


def converged(attack: Mapping[str, Any]) -> str:
    """Whether an attacker had learned all it could; empty where nothing is trained."""
    gain = attack["late_gain"]
    if gain is None:
        return ""
    return "yes" if gain < ENOUGH_GAIN else f"no: {100 * gain:.1f} %"


def attack_notes(attack: Mapping[str, Any]) -> str:
    """What an attacker is, and how far its seeds lie apart."""
    notes = [attack["settings"]["words"]] if "words" in attack["settings"] else []
    if "seeds" in attack:
        spread = attack["seeds"]["face_similarity"]
        notes.append(
            f"{attack['seeds']['count']} seeds: face similarity {spread['lowest']:.3f} to"
            f" {spread['highest']:.3f}"
        )
    return "; ".join(notes)


def training_gaps(content: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """(measure, training's own adversary, worst fresh attacker); empty without an adversary."""
    adversary = content["training_adversary"]
    if not adversary:
        return []
    return [(m, adversary[m]["value"], content["worst"][m]["value"]) for m in MEASURES]


def table_rows(content: Mapping[str, Any]) -> Sequence[tuple[str, Mapping[str, Any]]]:
    """(label, measures) of reference, attacks, adversary and floors, most to least informed."""
    rows = [(f"attack: {attack['name']}", attack) for attack in content["attacks"]]
    if content["reference"]:
        rows.insert(0, ("unprotected reference", content["reference"]["worst"]))
    if content["training_adversary"]:
        rows.append(("training's adversary", content["training_adversary"]))
    rows += [(f"floor: {FLOOR_NAMES[name]}", content["floors"][name]) for name in reversed(FLOORS)]
    return rows


def headline(content: Mapping[str, Any]) -> str:
    """The headline figures beside their floors, for the terminal; the warnings, the verdict."""
    lines = [f"{'':28s}" + "".join(f"{name:>20s}" for name in MEASURES)]
    for label, measures in table_rows(content):
        lines.append(f"{label[:28]:28s}" + cells(measures[name]["value"] for name in MEASURES))
    leaks = [content["leakage"][name]["value"] for name in MEASURES]
    if any(value is not None for value in leaks):
        lines.append(f"{'leakage':28s}" + cells(leaks))
    utility = content["utility"]
    summary = ", ".join(
        f"{name} {format_estimate(utility[name])}" for name in ("mean_mcc", "accuracy", "roc_auc")
    )
    warned = [f"warning: {text}" for text in content["warnings"]]
    return "\n".join([f"utility: {summary}", *lines, *warned, verdict(content)])


def cells(values) -> str:
    """Values in columns; a dash where one is undefined."""
    return "".join(f"{'-' if value is None else f'{value:.3f}':>20s}" for value in values)
