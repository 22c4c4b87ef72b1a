"""The attacks on identity in words: whom embeddings find that were predicted from codes."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.report.wording import MISSING, format_estimate, images_word, leakage_figure, share

NETWORK_NAMES = {
    "dlib": "dlib's network",
    "sface": "SFace",
    "drawn_faces": "the network for drawn faces",
}
SOURCES = {
    "code": "this code",
    "task_output": "the task output alone",
    "unprotected": "an unprotected code",
}
OTHER_PHOTO = "reid_other_photo_rank1"
MEASURES = {
    "cosine": "cosine",
    "reid_rank1": "rank 1",
    "reid_rank5": "rank 5",
    OTHER_PHOTO: "rank 1, other photo",
}


def networks(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Network -> its attacks, as in report.json; empty in audits without attacks on identity."""
    return content.get("identity_attacks", {}).get("networks", {})


def network_name(network: str) -> str:
    """A network in words."""
    return NETWORK_NAMES.get(network, network)


def best_network(content: Mapping[str, Any]) -> str | None:
    """The network by which most people are found from a code; None without attacks on identity."""
    found = networks(content)
    return max(
        found, key=lambda name: found[name]["worst"]["code"]["reid_rank1"]["value"], default=None
    )


def best_worst(content: Mapping[str, Any], measure: str) -> dict[str, Mapping[str, Any]]:
    """Source -> the worst attack's estimate, by `best_network`; empty without such attacks.

    Undefined where an older audit lacks the measure.
    """
    network = best_network(content)
    if network is None:
        return {}
    worst = networks(content)[network]["worst"]
    return {source: worst[source].get(measure, MISSING) for source in SOURCES}


def finding_words(content: Mapping[str, Any]) -> str:
    """How often a predicted embedding finds the person, in a sentence; empty where not measured."""
    found = best_worst(content, "reid_rank1")
    if not found:
        return ""
    chance = content["measured_on"].get("chance_rank1")
    guess = [] if chance is None else [f"a guess: {100 * chance:.1f} %"]
    return (
        "An attacker who makes no picture, but predicts the embedding of the face, which an"
        " identity network computes from a photo, finds the right person among the"
        f" {images_word(content)} images, with the photo itself among them, in"
        f" {share(found['code']['value'])} of the cases"
        f"{beside_words(found, guess)}{other_photo_words(content)}{leakage_words(content)}"
    )


def beside_words(found: Mapping[str, Mapping[str, Any]], more: Sequence[str] = ()) -> str:
    """What stands beside the share of the code, in brackets; empty where nothing is known."""
    beside = [
        f"{SOURCES[source]}: {share(found[source]['value'])}"
        for source in ("task_output", "unprotected")
        if found[source]["value"] is not None
    ]
    return f" ({', '.join([*beside, *more])})" if beside or more else ""


def other_photo_words(content: Mapping[str, Any]) -> str:
    """How often another photo of the person is found where the photo itself is not at hand.

    The middle of a sentence; empty where no person has two photos, and of older audits.
    """
    found = best_worst(content, OTHER_PHOTO)
    if found["code"]["value"] is None:
        return ""
    return (
        "; without it, by another photo of the person, in"
        f" {share(found['code']['value'])}{beside_words(found)}"
    )


def leakage_words(content: Mapping[str, Any]) -> str:
    """The leakage of the cosine by the network that finds most, as the end of a sentence.

    By the intervals' upper ends, as the grade and the gate have it. The attacks that it leaves out
    count in the other figures of the sentence.
    """
    known = {
        name: network
        for name, network in networks(content).items()
        if network["leakage"]["cosine"]["value"] is not None
    }
    if not known:
        return ""
    name = max(known, key=lambda name: upper_end(known[name]["leakage"]["cosine"]))
    left_out = known[name].get("left_out") or ()
    without = f", without {' and '.join(left_out)}" if left_out else ""
    return (
        f"; leakage of the predicted embedding, by its cosine in {network_name(name)}{without}:"
        f" {leakage_figure(known[name]['leakage']['cosine'])}"
    )


def upper_end(leakage: Mapping[str, Any]) -> float:
    """The upper end of a leakage's interval; without one, its value may be anything."""
    return leakage["ci95"][1] if leakage["ci95"] else float("inf")


@dataclasses.dataclass(frozen=True)
class Table:
    """One network's table.

    Attributes:
        name: of the network, in words.
        rows: (attack, what it is, source -> measure -> estimate, leakage of the cosine).
    """

    name: str
    rows: list[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]


def attack_words(attack: Mapping[str, Any]) -> str:
    """What an attack on identity is, and what it knew."""
    said = [attack["settings"]["words"], attack["knowledge"]]
    if attack.get("knew"):
        said.append(f"it knew {attack['knew']['words']}")
    return "; ".join(said)


def tables(content: Mapping[str, Any]) -> list[Table]:
    """One table for each network; the worst attack of each measure is the last row."""
    found = []
    for network, described in networks(content).items():
        rows = [
            (
                attack["name"],
                attack_words(attack),
                with_all_measures(attack),
                attack["leakage"]["cosine"],
            )
            for attack in described["attacks"]
        ]
        words = "the best attacker for each figure, on the code or the task output"
        worst = with_all_measures(described["worst"])
        rows.append(("worst", words, worst, described["leakage"]["cosine"]))
        found.append(Table(network_name(network), rows))
    return found


def with_all_measures(sources: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Source -> measure -> estimate, undefined where an older audit lacks the measure."""
    return {
        source: {measure: sources[source].get(measure, MISSING) for measure in MEASURES}
        for source in SOURCES
    }


def markdown(content: Mapping[str, Any]) -> list[str]:
    """The tables as lines of Markdown; none without attacks on identity."""
    lines = []
    for table in tables(content):
        heads = [f"{words}: {said}" for words in SOURCES.values() for said in MEASURES.values()]
        lines += [
            "",
            f"Embeddings predicted from codes, compared by {table.name}:",
            "",
            f"| | {' | '.join(heads)} | leakage of the cosine |",
            "|---" * (len(heads) + 2) + "|",
        ]
        for name, _, sources, leakage in table.rows:
            figures = [format_estimate(sources[s][m]) for s in SOURCES for m in MEASURES]
            lines.append(f"| {name} | {' | '.join(figures)} | {format_estimate(leakage)} |")
    return lines
