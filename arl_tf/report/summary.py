"""The report's summary: what somebody could try with a code, and how far that gets at worst.

Every figure stands beside what the task output alone allows, what an unprotected code allows, and a
yardstick.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from arl_tf.report import candidates, identity_words, utility_words
from arl_tf.report.wording import (
    MISSING,
    has_faces,
    headline,
    headline_words,
    images_word,
    is_photographs,
    share,
    two_digits,
    who,
    yardstick,
    yardstick_names,
)

Estimate = Mapping[str, Any]
# How the task leaves attributes out, where it is of attributes.
FURTHER = {utility_words.MULTI_LABEL: "--task_attributes names those of the task"}


@dataclasses.dataclass(frozen=True)
class Row:
    """One thing to try with a code.

    Attributes:
        question: what somebody tries.
        measure: what its figures are.
        code, task_output, unprotected: {"value", "ci95"}, from this code, from the task output
            alone and from an unprotected code; undefined where it was not measured.
        compare: what the figures are to be compared with.
        is_share: whether figures are shares of cases.
    """

    question: str
    measure: str
    code: Estimate
    task_output: Estimate
    unprotected: Estimate
    compare: str
    is_share: bool = False


def summary_rows(content: Mapping[str, Any]) -> list[Row]:
    """The rows in order: picture, person, photo, linkage, known people, attributes."""
    rows = [picture_row(content)]
    if content["worst"]["reid_rank1"]["value"] is not None:
        rows.append(person_row(content))
    if identity_words.networks(content):
        rows.append(embedding_row(content))
    rows += candidate_rows(content)
    rows.append(linkage_row(content))
    codes = content["codes"]
    if codes["identity_probe"]:
        rows.append(identity_row(codes["identity_probe"], who(content, several=True)))
    if codes["attribute_probe"]:
        rows.append(attribute_row(codes["attribute_probe"]))
    return rows


def not_measured(content: Mapping[str, Any]) -> list[str]:
    """What the summary has no row for, in sentences."""
    said, people = [], who(content, several=True)
    if not has_faces(content):
        said.append(
            "Whether a face can be recognised was not measured: the images are not taken to be of"
            " faces (--identity_measures=on for photographs of faces)."
        )
    if not content["codes"]["identity_probe"]:
        said.append(
            f"Whether known {people} can be named from a code was not measured: the {people} are"
            " not known, or too few of them have several public images."
        )
    if not content["codes"]["attribute_probe"]:
        kind = utility_words.kind_of(content["utility"])
        further = FURTHER.get(kind, "--label_columns names the columns of the task")
        said.append(
            "Whether a code tells attributes outside the task was not measured: the data have no"
            f" further attributes ({further})."
        )
    return said


def picture_row(content: Mapping[str, Any]) -> Row:
    """A picture of the face, or of what was photographed."""
    kind = headline(content)
    known = {
        words: yardstick(content, name, kind)["value"]
        for name, words in yardstick_names(content).items()
    }
    said = [f"{words}: {two_digits(value)}" for words, value in known.items() if value is not None]
    return Row(
        "make a picture of the face" if has_faces(content) else "make a picture like the original",
        f"{headline_words(content)}: 1 is the same picture",
        *three(content, kind),
        "; ".join(said),
    )


def person_row(content: Mapping[str, Any]) -> Row:
    """The person among the images under attack, by that picture."""
    measured = content["measured_on"]
    said = []
    other_photo = yardstick(content, "same_person", "reid_rank1")["value"]
    if other_photo is not None:
        said.append(f"another photo of the person: {100 * other_photo:.0f} %")
    if "chance_rank1" in measured:
        said.append(f"a guess: {100 * measured['chance_rank1']:.1f} %")
    return Row(
        f"find the person among the {measured['images']:,} {images_word(content)} images with such"
        " a picture",
        "share of the cases in which the first one found is right (rank 1)",
        *three(content, "reid_rank1"),
        "; ".join(said),
        is_share=True,
    )


def embedding_row(content: Mapping[str, Any]) -> Row:
    """The person among the images under attack, by an embedding predicted from the code."""
    code, output, unprotected = identity_words.best_worst(content, "reid_rank1").values()
    chance = content["measured_on"].get("chance_rank1")
    guess = [] if chance is None else [f"a guess: {100 * chance:.1f} %"]
    network = identity_words.network_name(identity_words.best_network(content))
    return Row(
        "find the person among them without a picture, by an embedding predicted from the code",
        "share of the cases in which the first one found is right, with the photo itself among"
        f" them, by {network}",
        code,
        output,
        unprotected,
        "; ".join([*guess, *by_other_photo(content)]),
        is_share=True,
    )


def by_other_photo(content: Mapping[str, Any]) -> list[str]:
    """The same share where the photo itself is left out; empty where it is not known."""
    found = identity_words.best_worst(content, identity_words.OTHER_PHOTO)["code"]["value"]
    return [] if found is None else [f"without it, by another photo of the person: {share(found)}"]


def candidate_rows(content: Mapping[str, Any]) -> list[Row]:
    """Whether a code is of a photo at hand; no row where that was not measured."""
    found = candidates.summary_figures(content)
    if found is None:
        return []
    count = content["codes"]["candidate_match"]["candidates"]
    (code, output, unprotected), compare = found
    return [
        Row(
            f"confirm a photo at hand: pick it by a code from {count:,} candidate photos",
            "share of the cases in which the right photo comes first",
            code,
            output,
            unprotected,
            compare,
            is_share=True,
        )
    ]


def three(content: Mapping[str, Any], measure: str) -> tuple[Estimate, Estimate, Estimate]:
    """A measure of the worst attack on the code, the task output and an unprotected code."""
    reference = (content["reference"] or {}).get("worst", {})
    return (
        content["worst"][measure],
        content["floors"]["task_output"][measure],
        reference.get(measure, MISSING),
    )


def linkage_row(content: Mapping[str, Any]) -> Row:
    """Whether two codes are of one person, by the metric that tells best."""
    output = [
        m["task_output"]["auc"] for m in content["codes"]["linkage"].values() if m["task_output"]
    ]
    known = [auc for auc in output if auc["value"] is not None]
    return Row(
        f"tell whether two codes are of the same {who(content)}",
        f"ROC AUC: how often a pair of one {who(content)} is rated above a pair of two",
        content["codes"]["linkage_auc"],
        max(known, key=lambda auc: auc["value"], default=MISSING),
        MISSING,
        "a guess: 0.5; always right: 1",
    )


def identity_row(probe: Mapping[str, Any], people: str) -> Row:
    """Which of the known people (or groups) it is."""
    return Row(
        f"name which of {probe['people']:,} known {people} it is",
        "share of the cases in which the name is right",
        probe["accuracy"],
        probe.get("task_output_accuracy") or MISSING,
        MISSING,
        f"a guess: {100 * probe['chance']:.1f} %",
        is_share=True,
    )


def attribute_row(probes: Mapping[str, Mapping[str, float]]) -> Row:
    """The attribute outside the task that the code tells best."""
    name = max(probes, key=lambda attribute: probes[attribute]["mcc"])
    found = probes[name]
    output = [value for key, value in found.items() if key.startswith("task_output_")]
    many = f", the best of {len(probes)}" if len(probes) > 1 else ""
    return Row(
        f"read an attribute that the task does not need ({name}{many})",
        "MCC: agreement with the truth",
        {"value": found["mcc"], "ci95": None},
        {"value": max(output), "ci95": None} if output else MISSING,
        MISSING,
        "a guess: 0; always right: 1",
    )


def data_words(content: Mapping[str, Any]) -> str:
    """What the data were, in a sentence."""
    measured = content["measured_on"]
    people = ""
    if measured.get("identities_known"):
        people = f" of {measured['identities']:,} {who(content, several=True)}"
    images = f"{measured['images']:,} {images_word(content)} images{people}"
    if is_photographs(content):
        settings = content["provenance"].get("settings", {})
        dataset = "recorded codes" if settings.get("codes") else settings.get("dataset")
        kind = "photographs" if has_faces(content) else "images"
        return f"Data: {kind}{f' ({dataset})' if dataset else ''}, {images}."
    return (
        f"Data: faces drawn by arl_tf, no photographs, {images}. The figures say nothing about"
        " photographs of people."
    )
