"""The verdict: who can do what with a code in the worst case, in a few plain sentences."""

from collections.abc import Mapping
from typing import Any

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import WHITE_BOX
from arl_tf.attacks.knowledge import UNKNOWN_NOISE, UNTOLD_NOISE, is_told, is_unknown
from arl_tf.auditing.attack_runs import LEFT_OUT
from arl_tf.auditing.judging import confused
from arl_tf.auditing.leakage import FLOORS
from arl_tf.auditing.remarks import DROPPED_SEEN
from arl_tf.report import candidates, scale
from arl_tf.report.identity_words import finding_words
from arl_tf.report.utility_words import headline as utility_headline
from arl_tf.report.wording import (
    FLOOR_WORDS,
    MISSING,
    attack_words,
    found_photo,
    has_faces,
    headline,
    headline_words,
    images_word,
    is_retrieval,
    leakage_figure,
    leaked,
    reading,
    share,
    two_digits,
    worst_by_headline,
    yardstick,
    yardstick_names,
)

# By the upper end of the leakage's interval: the true leakage may be as high as that. The first is
# given only beside the candidate match, which no encoder withstands, and of faces only by both
# judges.
STRONG = "strong protection against these attackers"
GOOD = "good protection against these attackers"
GRADES = (
    (0.1, STRONG),
    (0.25, GOOD),
    (0.5, "some protection"),
    (0.9, "weak protection"),
    (float("inf"), "no protection to speak of"),
)
# The leakage by each judge of identity; the second one is not in every audit.
JUDGES = ("face_similarity", "face_similarity_2")
# Below it, protection is claimed: only of an audit whose attackers were told everything.
LEAST_CLAIM = 0.5
QUICK = registry.LEVELS[0]
ONLY_QUICK = (
    "Only the attackers of the level quick were tried: those of standard and full may get more"
)
CONFUSED_JUDGES = (
    "A judge of identity confuses people in the photos themselves, so it does not see what"
    " attackers find"
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
    said.append(no_faces_words(content))
    said.append(candidates.match_sentences(content, codes_words(content)))
    said += [leakage_words(content), scale_words(content), judges_words(content)]
    said.append(not_strong_words(content))
    said += untold(content)
    if claims_protection(content) and untold(content):
        said.append("This audit therefore does not show that the code is protected")
    said.append(utility_words(content))
    return [f"{sentence}." for sentence in said if sentence]


def picture_words(content: Mapping[str, Any]) -> str:
    """What the worst attacker shows of the face, beside the yardsticks."""
    worst, kind = worst_by_headline(content), headline(content)
    known = {
        words: yardstick(content, name, kind)["value"]
        for name, words in yardstick_names(content).items()
    }
    beside = ", ".join(
        f"{words}: {two_digits(value)}" for words, value in known.items() if value is not None
    )
    beside = f" ({beside})" if beside else ""
    return (
        f"In the worst case ({attackers_words(content)}), whoever gets {codes_words(content)}"
        f" {access_words(content)} {deed_words(content)} of {two_digits(worst['value'])} to the"
        f" original{beside}"
    )


def deed_words(content: Mapping[str, Any]) -> str:
    """What the worst attacker can do, up to the figure of its similarity."""
    is_found = is_retrieval(worst_by_headline(content)["attack"])
    if has_faces(content):
        if is_found:
            return f"can find a {found_photo(content)} whose face has a similarity"
        return "can make a picture of the face with a similarity"
    deed = f"can find a {found_photo(content)}" if is_found else "can make a picture"
    return f"{deed} with a feature similarity"


def no_faces_words(content: Mapping[str, Any]) -> str:
    """That nobody judged identity, where the images are of no faces."""
    if has_faces(content):
        return ""
    return (
        "The images are not taken to be of faces, so the measures of identity are off and feature"
        " similarity stands in their place"
    )


def codes_words(content: Mapping[str, Any]) -> str:
    """How many codes of a photo the attackers had."""
    count = content["codes"].get("codes_per_photo", 1)
    return "one code of a photo" if count == 1 else f"{count} codes of a photo"


def access_words(content: Mapping[str, Any]) -> str:
    """What the worst attacker had besides the code."""
    worst = worst_by_headline(content)["attack"]
    knowledge = {attack["name"]: attack["knowledge"] for attack in all_attacks(content)}
    if knowledge.get(worst) == WHITE_BOX:
        return "and has the encoder"
    return "and knows the codes of other photos"


def attackers_words(content: Mapping[str, Any]) -> str:
    """Who the worst attacker is, by what its picture is and by its name, and of how many."""
    worst = worst_by_headline(content)["attack"]
    picture = reading(content, worst)[0]
    article = "a " if is_retrieval(worst) else ""
    name = f"{article}{picture}, named {attack_words(worst)}"
    count, indirect = len(all_attacks(content)), len(content.get("floor_attacks", ()))
    if count == 1:
        return f"{name}; the only attacker"
    # Whoever named the attackers counts those on the code: these are more.
    share = f", {indirect} of them on the task output" if indirect else ""
    return f"{name}; the worst of {count} attackers{share}"


def all_attacks(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The attacks on the code, then those on the task output computed from it."""
    return [*content["attacks"], *content.get("floor_attacks", ())]


def rank_words(content: Mapping[str, Any]) -> str:
    """How often an attacker's picture finds the person among all images, at worst.

    Empty where nobody judged identity.
    """
    measured = content["measured_on"]
    if content["worst"]["reid_rank1"]["value"] is None:
        return ""
    floor = content["floors"]["task_output"]["reid_rank1"]["value"]
    beside = [] if floor is None else [f"the task output alone: {share(floor)}"]
    if "chance_rank1" in measured:
        beside.append(f"a guess: {100 * measured['chance_rank1']:.1f} %")
    return (
        f"By the best picture, the right person among the {measured['images']:,}"
        f" {images_word(content)} images is found in"
        f" {share(content['worst']['reid_rank1']['value'])} of the cases"
        + (f" ({', '.join(beside)})" if beside else "")
    )


def leakage_words(content: Mapping[str, Any]) -> str:
    """The leakage of the headline measure with its grade, or why it is not known."""
    leakage = content["leakage"][headline(content)]
    if leakage["value"] is None:
        return unknown_leakage_words(content)
    if leakage["value"] <= 0:
        return (
            "These attackers got no more from the code than from the task output computed from it:"
            f" {leakage_figure(leakage)} (leakage of {headline_words(content)})"
            f"{grade_words(content)}"
        )
    return (
        f"The code gives away {leaked(leakage)} of what an unprotected code gives away beyond the"
        f" task output (leakage of {headline_words(content)}){grade_words(content)}"
    )


def unknown_leakage_words(content: Mapping[str, Any]) -> str:
    """The best floor's headline measure, and why there is no leakage."""
    kind = headline(content)
    similarity = {
        name: content["floors"][name][kind]["value"]
        for name in FLOORS
        if content["floors"][name][kind]["value"] is not None
    }
    floor = max(similarity, key=similarity.get)
    why = "there is no audit of an unprotected encoder to compare with"
    if content["reference"]:
        why = "the unprotected encoder gives away no more than that"
    words = FLOOR_WORDS[floor]
    return (
        f"{words[0].upper()}{words[1:]} gives a similarity of {two_digits(similarity[floor])}. The"
        f" leakage of the code is unknown, because {why}"
    )


def grade_words(content: Mapping[str, Any]) -> str:
    """The grade as the end of a sentence.

    None where protection would be claimed and the attackers were not told all that the threat model
    grants them: a low figure of theirs proves little.
    """
    if claims_protection(content) and untold(content):
        return ""
    return f". This is {grade_of(content)}"


def claims_protection(content: Mapping[str, Any]) -> bool:
    """Whether the grade of the leakage would say that the code is protected."""
    leakage = graded_leakage(content)
    return bool(leakage["ci95"]) and leakage["ci95"][1] <= LEAST_CLAIM


def judged_leakages(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The leakage of face similarity by each judge that measured; without faces, of features.

    And that of the embeddings that attackers predict without a picture. One that is not defined
    although its judge or network measured is among them, without value and interval.
    """
    names = JUDGES if has_faces(content) else (headline(content),)
    networks = (content.get("identity_attacks") or {}).get("networks", {})
    found = [(content["leakage"].get(name), content["worst"].get(name, MISSING)) for name in names]
    found += [
        (network["leakage"].get("cosine"), network["worst"]["code"]["cosine"])
        for network in networks.values()
    ]
    leakages = [(leakage or MISSING, measured["value"]) for leakage, measured in found]
    return [leakage for leakage, measured in leakages if {leakage["value"], measured} != {None}]


def graded_leakage(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The leakage by the judge or the prediction that finds most, by the intervals' upper ends.

    One without an interval, or without a value, counts as the most: it may be anything.
    """
    return max(
        judged_leakages(content),
        key=lambda found: found["ci95"][1] if found["ci95"] else float("inf"),
        default=MISSING,
    )


def grade_of(content: Mapping[str, Any]) -> str:
    """The grade of an audit's leakage; strong only where nothing is missing for it."""
    found = grade(graded_leakage(content))
    return GOOD if found == STRONG and missing_for_strong(content) else found


def missing_for_strong(content: Mapping[str, Any]) -> list[str]:
    """Why an audit can't call protection strong, whatever the leakage, in clauses."""
    said = []
    if not has_candidates(content):
        said.append("nobody measured whether a candidate photo can be confirmed")
    # A code may hide faces from one judge alone.
    if has_faces(content) and not has_second_judge(content):
        said.append("only one judge of identity measured the pictures")
    return said


def has_candidates(content: Mapping[str, Any]) -> bool:
    """Whether the audit says how well a candidate photo can be confirmed."""
    found = candidates.candidate_match(content)
    return bool(found) and candidates.value_of(found["exact"], "code") is not None


def has_second_judge(content: Mapping[str, Any]) -> bool:
    """Whether a second judge of identity measured the pictures; drawn faces have none."""
    return content["worst"].get(JUDGES[1], MISSING)["value"] is not None


def scale_words(content: Mapping[str, Any]) -> str:
    """The absolute figures beside the leakage; empty where it is not known."""
    kind = headline(content)
    if content["leakage"][kind]["value"] is None:
        return ""
    return (
        f"In absolute figures, {headline_words(content)} on one scale:"
        f" {scale.scale_sentence(content, kind)}"
    )


def judges_words(content: Mapping[str, Any]) -> str:
    """What a second judge of identity finds, or that there was none."""
    if not has_faces(content) or content["leakage"]["face_similarity"]["value"] is None:
        return ""
    second = content["leakage"].get(JUDGES[1]) or MISSING
    absolute = f"Face similarities by this judge: {scale.scale_sentence(content, JUDGES[1])}"
    if second["value"] is not None:
        return (
            f"By the second judge of identity the leakage is {leakage_figure(second)}. {absolute}"
        )
    if not has_second_judge(content):
        return "Only one judge of identity measured these pictures"
    return (
        "The leakage by the second judge of identity is unknown, because by this judge the"
        " unprotected encoder gives away no more than the task output or the mean image."
        f" {absolute}"
    )


def not_strong_words(content: Mapping[str, Any]) -> str:
    """Why a grade is not the best one, where what the best one asks for alone is missing."""
    missing = missing_for_strong(content)
    if not missing or grade(graded_leakage(content)) != STRONG or untold(content):
        return ""
    return f"The protection is not called strong, because {' and '.join(missing)}"


def grade(leakage: Mapping[str, Any]) -> str:
    """The grade of a leakage, by the upper end of its interval."""
    if leakage["ci95"] is None:
        return "too uncertain for a grade"
    return next(words for bound, words in GRADES if leakage["ci95"][1] <= bound)


def untold(content: Mapping[str, Any]) -> list[str]:
    """What the threat model grants and the attackers did not have or use, in sentences.

    Also that a judge does not see what they found. The threat model grants everything but the
    photo: encoder, task head, how noise is drawn, public images.
    """
    attacks, said = content["attacks"], []
    if is_noisy(content) and not any(is_told(attack) for attack in attacks):
        said.append(UNTOLD_NOISE)
    elif is_unknown(attacks):
        said.append(UNKNOWN_NOISE)
    if not any(attack["knowledge"] == WHITE_BOX for attack in attacks):
        said.append(UNTOLD_ENCODER)
    elif content["level"] == QUICK and not any(map(is_beyond_quick, attacks)):
        said.append(ONLY_QUICK)
    if confused(content.get("judges") or ()):
        said.append(CONFUSED_JUDGES)
    left_out = [text for text in content["not_tested"] if text.startswith(LEFT_OUT)]
    said += [f"These may get more: {text}" for text in left_out]
    if DROPPED_SEEN in content["not_tested"]:
        said.append(f"Not tested: {DROPPED_SEEN}")
    return said


def is_beyond_quick(attack: Mapping[str, Any]) -> bool:
    """Whether the attacker was named although the level quick has not got it."""
    attacker = registry.ATTACKERS.get(attack["name"])
    return attacker is not None and attacker.level != QUICK


def is_noisy(content: Mapping[str, Any]) -> bool:
    """Whether a photo's code carries noise: the encoder's, or that of the channel."""
    codes = content["codes"]
    channel = codes.get("channel") or {}
    return bool(
        codes.get("noisy") or channel.get("noise") or "noise" in codes.get("bounded_by", "")
    )


def utility_words(content: Mapping[str, Any]) -> str:
    """What the task keeps, in a sentence; empty without labels."""
    name, found = utility_headline(content["utility"])
    return "" if found["value"] is None else f"The task reaches a {name} of {found['value']:.3f}"
