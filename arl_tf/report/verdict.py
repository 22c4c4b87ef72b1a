"""The verdict: who can do what with a code in the worst case, in a few plain sentences."""

from collections.abc import Mapping
from typing import Any

from arl_tf.attacks.evidence import WHITE_BOX
from arl_tf.attacks.knowledge import UNTOLD_NOISE, is_told
from arl_tf.auditing.leakage import FLOORS
from arl_tf.report import candidates
from arl_tf.report.identity_words import finding_words
from arl_tf.report.wording import (
    FLOOR_WORDS,
    YARDSTICK_NAMES,
    found_photo,
    is_retrieval,
    mean_mcc,
    percent,
    share,
    yardstick,
)

# By the upper end of the leakage's interval: the true leakage may be as high as that.
GRADES = (
    (0.1, "strong protection against these attackers"),
    (0.25, "good protection against these attackers"),
    (0.5, "some protection"),
    (0.9, "weak protection"),
    (float("inf"), "no protection to speak of"),
)
# Below it, protection is claimed: only of an audit whose attackers were told everything.
LEAST_CLAIM = 0.5
ONLY_QUICK = (
    "Only the attackers of the level quick were tried: those of standard and full may get more"
)
UNTOLD_ENCODER = (
    "No attacker used the inside of the encoder (white-box), so these figures may be too low"
)


def verdict(content: Mapping[str, Any]) -> str:
    """The finding in a few sentences: who can do what with a code, in the worst case."""
    return " ".join(sentences(content))


def sentences(content: Mapping[str, Any]) -> list[str]:
    """The verdict's sentences, the most important first."""
    said = [picture_words(content), rank_words(content), finding_words(content)]
    said.append(candidates.words(content, codes_words(content)))
    said.append(leakage_words(content))
    said += untold(content)
    if claims_protection(content) and untold(content):
        said.append("This audit therefore does not show that the code is protected")
    said.append(utility_words(content))
    return [f"{sentence}." for sentence in said if sentence]


def picture_words(content: Mapping[str, Any]) -> str:
    """What the worst attacker shows of the face, beside the yardsticks."""
    worst = content["worst"]["face_similarity"]
    does = "can make a picture of the face with"
    if is_retrieval(worst["attack"]):
        does = f"can find a {found_photo(content)} whose face has"
    known = {words: yardstick(content, name)["value"] for name, words in YARDSTICK_NAMES.items()}
    beside = ", ".join(
        f"{words}: {value:.2f}" for words, value in known.items() if value is not None
    )
    beside = f" ({beside})" if beside else ""
    return (
        f"In the worst case ({attackers_words(content)}), whoever gets {codes_words(content)}"
        f" {access_words(content)} {does} a similarity of {worst['value']:.2f} to the"
        f" original{beside}"
    )


def codes_words(content: Mapping[str, Any]) -> str:
    """How many codes of a photo the attackers had."""
    count = content["codes"].get("codes_per_photo", 1)
    return "one code of a photo" if count == 1 else f"{count} codes of a photo"


def access_words(content: Mapping[str, Any]) -> str:
    """What the worst attacker by face similarity had besides the code."""
    worst = content["worst"]["face_similarity"]["attack"]
    knowledge = {attack["name"]: attack["knowledge"] for attack in content["attacks"]}
    if knowledge.get(worst) == WHITE_BOX:
        return "and has the encoder"
    return "and knows the codes of other photos"


def attackers_words(content: Mapping[str, Any]) -> str:
    """Who the worst attacker by face similarity is, and of how many."""
    name, count = content["worst"]["face_similarity"]["attack"], len(content["attacks"])
    return f"the only attacker: {name}" if count == 1 else f"worst of {count} attackers: {name}"


def rank_words(content: Mapping[str, Any]) -> str:
    """How often an attacker's picture finds the person among the test images, at worst."""
    measured = content["measured_on"]
    floor = content["floors"]["task_output"]["reid_rank1"]["value"]
    beside = [] if floor is None else [f"the task output alone: {share(floor)}"]
    if "chance_rank1" in measured:
        beside.append(f"a guess: {100 * measured['chance_rank1']:.1f} %")
    return (
        f"The best attacker finds the right person among the {measured['images']:,} test images in"
        f" {share(content['worst']['reid_rank1']['value'])} of the cases"
        + (f" ({', '.join(beside)})" if beside else "")
    )


def leakage_words(content: Mapping[str, Any]) -> str:
    """The leakage of face similarity with its grade, or why it is not known."""
    leakage = content["leakage"]["face_similarity"]
    if leakage["value"] is None:
        return unknown_leakage_words(content)
    if leakage["value"] <= 0:
        return (
            "The code gives away no more than the task output alone does:"
            f" {percent(leakage)} (leakage of face similarity){grade_words(content)}"
        )
    return (
        f"The code gives away {percent(leakage)} of what an unprotected code gives away beyond the"
        f" task output (leakage of face similarity){grade_words(content)}"
    )


def unknown_leakage_words(content: Mapping[str, Any]) -> str:
    """The best floor's face similarity, and why there is no leakage."""
    similarity = {
        name: content["floors"][name]["face_similarity"]["value"]
        for name in FLOORS
        if content["floors"][name]["face_similarity"]["value"] is not None
    }
    floor = max(similarity, key=similarity.get)
    why = "there is no audit of an unprotected encoder to compare with"
    if content["reference"]:
        why = "the unprotected encoder gives away no more than that"
    words = FLOOR_WORDS[floor]
    return (
        f"{words[0].upper()}{words[1:]} gives a similarity of {similarity[floor]:.2f}. The leakage"
        f" of the code is unknown, because {why}"
    )


def grade_words(content: Mapping[str, Any]) -> str:
    """The grade as the end of a sentence.

    None where protection would be claimed and the attackers were not told all that the threat model
    grants them: a low figure of theirs proves little.
    """
    if claims_protection(content) and untold(content):
        return ""
    return f". This is {grade(content['leakage']['face_similarity'])}"


def claims_protection(content: Mapping[str, Any]) -> bool:
    """Whether the grade of the leakage would say that the code is protected."""
    leakage = content["leakage"]["face_similarity"]
    return bool(leakage["ci95"]) and leakage["ci95"][1] <= LEAST_CLAIM


def grade(leakage: Mapping[str, Any]) -> str:
    """The grade of a leakage, by the upper end of its interval."""
    if leakage["ci95"] is None:
        return "too uncertain for a grade"
    return next(words for bound, words in GRADES if leakage["ci95"][1] <= bound)


def untold(content: Mapping[str, Any]) -> list[str]:
    """What the threat model grants and the attackers did not have or use, in sentences.

    The threat model grants everything but the photo: encoder, task head, how noise is drawn, public
    images.
    """
    attacks, said = content["attacks"], []
    if is_noisy(content) and not any(is_told(attack) for attack in attacks):
        said.append(UNTOLD_NOISE)
    if not any(attack["knowledge"] == WHITE_BOX for attack in attacks):
        said.append(UNTOLD_ENCODER)
    elif content["level"] == "quick":
        said.append(ONLY_QUICK)
    return said


def is_noisy(content: Mapping[str, Any]) -> bool:
    """Whether a photo's code carries noise: the encoder's, or that of the channel."""
    codes = content["codes"]
    channel = codes.get("channel") or {}
    return bool(
        codes.get("noisy") or channel.get("noise") or "noise" in codes.get("bounded_by", "")
    )


def utility_words(content: Mapping[str, Any]) -> str:
    """What the task keeps, in a sentence; empty without labels."""
    name, mcc = mean_mcc(content["utility"])
    return "" if mcc["value"] is None else f"The task reaches a {name} of {mcc['value']:.3f}"
