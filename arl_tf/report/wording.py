"""Names of measures and floors, and figures as people read them."""

import re
from collections.abc import Mapping
from typing import Any

import markupsafe

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import ENOUGH_GAIN
from arl_tf.auditing.attack_runs import FLOOR_PREFIX
from arl_tf.metrics import reconstruction
from arl_tf.metrics.reconstruction import MEASURES

MEASURE_NAMES = {
    "psnr": "PSNR, dB",
    "ssim": "SSIM",
    "feature_similarity": "Feature similarity",
    "face_similarity": "Face similarity",
    "face_similarity_2": "Face similarity, second judge",
    "reid_rank1": "Rank 1",
    "reid_rank5": "Rank 5",
    "reid_other_photo_rank1": "Rank 1, other photo",
}
FLOOR_NAMES = {"mean_image": "mean image, no code", "task_output": "task output alone"}
FLOOR_WORDS = {"mean_image": "the mean image", "task_output": "the task output alone"}
YARDSTICK_NAMES = {
    "same_person": "two photos of one person",
    "two_strangers": "two strangers",
    "blurred_copy": "a photo and its blurred copy",
}
RETRIEVAL = "retrieval"
# 2^33 is more than the 8.2 billion people who live.
PERSON_BITS = 33
# The most characters of a name that stay on one line.
LONGEST_PART = 12
# Not in the name of an attack, which stands between slashes or underscores.
CODE_WORD = re.compile(r"(?<![\w/])code(s?)(?![\w/])")
# The space between a number and its unit.
UNIT_SPACE = re.compile(r"(?<=[0-9]) (?=(?:%|dB\b|bits?\b))")
# A flag of the command, with its value.
FLAG = re.compile(r"(--[a-z][a-z0-9_]*(?:=[^\s,;()]*)?)")
MISSING: Mapping[str, Any] = {"value": None, "ci95": None}


DECODED = (
    "a decoder's picture",
    "A network learned from public images to draw the picture from the {source}. Where the {source}"
    " says nothing, it draws what is usual in {faces}.",
)
# What the pictures of an attack are, by the first words of its name.
READINGS = {
    "retrieval": (
        "{found}",
        "Nothing is reconstructed: this is the {found} whose {source} is nearest. A high"
        " similarity means that the {source} tells which {faces} look alike.",
    ),
    "linear": (
        "a linear map's picture",
        "A weighted sum of the numbers of the {source}. Everybody can make this picture with simple"
        " means.",
    ),
    "kernel": (
        "a mixture of public images",
        "Public images laid over each other. The weight of each, which may be below zero, follows"
        " from how near its code is. Everybody can make this picture with simple means.",
    ),
    "wiener": (
        "a linear map's picture",
        "A weighted sum of the numbers of the {source}, with weights for the known noise. Everybody"
        " who knows the noise can make this picture with simple means.",
    ),
    "map": (
        "the likeliest picture for the code",
        "The picture was changed until it was the likeliest one for the code under attack, given"
        " the known noise. Parts that the code does not tell look as is usual in {faces}.",
    ),
    "optimisation": (
        "a picture with nearly the same code",
        "The picture was changed until its code was nearly the code under attack. Parts that do not"
        " change the code stay as they were at the start.",
    ),
    "generative_prior": (
        "a generated {face} with nearly the same code",
        "A generator can only draw {faces}. Judge whether it is the same {who}, not whether it is a"
        " {face}.",
    ),
    "generative_progressive": (
        "a generated {face} with nearly the same code",
        "A generator's {face} was changed, from the coarse to the fine, until its code was nearly"
        " the code under attack. Judge whether it is the same {who}.",
    ),
    "diffusion_prior": (
        "a likely {face} with nearly the same code",
        "A network that removes noise from pictures of {faces} was led to a picture with nearly the"
        " same code. Judge whether it is the same {who}, not whether it is a {face}.",
    ),
    "fused": (
        "a mean of several attackers' pictures",
        "Pictures that several attackers made of the {source}, laid over each other with weights"
        " that suit public images best.",
    ),
    "amplified": (
        "a picture with its features enlarged",
        "Another attacker's picture, moved away from the mean image. Its colours may look too"
        " strong; the {face} is recognised better.",
    ),
    "deep_image_prior": (
        "a picture with nearly the same code",
        "An untrained network was changed until the code of its picture was nearly the code under"
        " attack. It started at the mean of the public images.",
    ),
    "decoder": DECODED,
    "attention": DECODED,
}
# Of an attacker that somebody registered.
OTHER_READING = (
    "an attacker's picture",
    "The attacker made it from the {source}. It is none of this program's own attackers, so nothing"
    " more is said of it here.",
)


def shown_measures(content: Mapping[str, Any]) -> tuple[str, ...]:
    """The measures that the pages and tables show: those that the worst attack has.

    Drawn faces have no second judge, and where no person has two photos there is no other photo.
    """
    return tuple(
        name for name in MEASURES if content["worst"].get(name, MISSING)["value"] is not None
    )


def headline(content: Mapping[str, Any]) -> str:
    """The measure that the verdict goes by: face similarity, or feature similarity without it."""
    return reconstruction.headline(shown_measures(content))


def headline_words(content: Mapping[str, Any]) -> str:
    """The same in words: "face similarity"."""
    return headline(content).replace("_", " ")


def worst_by_headline(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """The worst attack by that measure: {"attack", "value", "ci95"}."""
    return content["worst"][headline(content)]


def has_faces(content: Mapping[str, Any]) -> bool:
    """Whether identity networks judged the images, as faces."""
    return content["measured_on"].get("faces") != "none"


def who(content: Mapping[str, Any], *, several: bool = False) -> str:
    """What images of one identity are of: a "person", or, without faces, a "group"."""
    return {
        (True, False): "person",
        (True, True): "people",
        (False, False): "group",
        (False, True): "groups",
    }[has_faces(content), several]


def yardstick_names(content: Mapping[str, Any]) -> dict[str, str]:
    """Yardstick -> words; without faces the two photos are of one group, or of two."""
    of_groups = {"same_person": "two photos of one group", "two_strangers": "photos of two groups"}
    return {**YARDSTICK_NAMES, **({} if has_faces(content) else of_groups)}


def best_on_code(content: Mapping[str, Any]) -> str:
    """The worst attack by the headline measure of those on the code itself."""
    worst, kind = worst_by_headline(content)["attack"], headline(content)
    if not is_from_output(worst):
        return worst
    return max(content["attacks"], key=lambda attack: attack[kind]["value"])["name"]


def is_from_output(attack: str) -> bool:
    """Whether an attack was on the task output, which whoever has the code can compute."""
    return attack.startswith(FLOOR_PREFIX)


def attack_words(attack: str) -> str:
    """An attack's name, and in words that it starts from the task output where it does."""
    if is_from_output(attack):
        return f"{attack.removeprefix(FLOOR_PREFIX)}, from the task output computed from the code"
    return attack


def is_retrieval(attack: str) -> bool:
    """Whether an attack finds a public photo instead of making a picture."""
    return attack.removeprefix(FLOOR_PREFIX) == RETRIEVAL


def found_photo(content: Mapping[str, Any]) -> str:
    """What `retrieval` finds: where people are known, public photos are of other people."""
    known = content["measured_on"].get("identities_known", False)
    photo = "public photo" if is_photographs(content) else "public picture"
    other = "of somebody else" if has_faces(content) else "of another group"
    return f"{photo} {other}" if known else photo


def reading(content: Mapping[str, Any], attack: str) -> tuple[str, str]:
    """How to read an attack's pictures: some words for below a picture, and a sentence or two."""
    name = attack.removeprefix(FLOOR_PREFIX)
    source = "code" if name == attack else "task output"
    # Behind it is the number of a further seed.
    name = name.partition("@")[0]
    # A user's own attacker may be called as ours begin.
    is_own = name in registry.ATTACKERS and name not in registry.SHIPPED
    known = {} if is_own else READINGS
    found = (words for start, words in known.items() if f"{name}_".startswith(f"{start}_"))
    face, faces = ("face", "faces") if has_faces(content) else ("image", "such images")
    values = {"found": found_photo(content), "source": source, "face": face, "faces": faces}
    told = next(found, OTHER_READING)
    short, long = (text.format(**values, who=who(content)) for text in told)
    return short, long


def images_word(content: Mapping[str, Any]) -> str:
    """What the images under attack are called: "test" (T, seen by nobody) or "validation"."""
    return content["measured_on"]["split"]


def is_photographs(content: Mapping[str, Any]) -> bool:
    """Whether the images under attack are photographs, or taken to be; else drawn faces."""
    return content["measured_on"].get("faces", "photographs") != "drawn"


def yardstick(content: Mapping[str, Any], name: str, measure: str = "face_similarity"):
    """A yardstick's {"value", "ci95"}; undefined in an audit that did not measure it."""
    return content.get("yardsticks", {}).get(name, {}).get(measure, MISSING)


def bounded(value: float, most: float = 1.0) -> float:
    """A share of cases within its bounds: the interval of a small one may reach below 0."""
    return min(max(value, 0.0), most)


def share(value: float) -> str:
    """A share of cases as "9 %"; within 0 and 100 %."""
    return f"{100 * bounded(value):.0f} %"


def breakable(text: str) -> markupsafe.Markup:
    """A name with places where a line may end: after underscores, slashes and full stops.

    A part of more than LONGEST_PART characters may be broken anywhere.
    """
    parts = re.findall(rf"[^_/.]{{1,{LONGEST_PART}}}[_/.]*|[_/.]+", text)
    return markupsafe.Markup("<wbr>").join(parts)


def with_whole_flags(text: str) -> markupsafe.Markup:
    """The text with flags of the command marked: the page breaks none of them after a hyphen."""
    parts = []
    for part in FLAG.split(text):
        escaped = markupsafe.escape(unbroken(part))
        is_flag = FLAG.fullmatch(part) is not None
        parts.append(
            markupsafe.Markup("<span class=flag>{}</span>").format(part) if is_flag else escaped
        )
    return markupsafe.Markup("").join(parts)


def unbroken(text: str) -> str:
    """The text with no-break spaces between numbers and units: no line ends there."""
    return UNIT_SPACE.sub("\N{NO-BREAK SPACE}", text)


def percent(estimate: Mapping[str, Any], most: float = 1.0) -> str:
    """A share of cases as "57 % (51 to 63 %)"; within 0 and `most`."""
    value = f"{100 * bounded(estimate['value'], most):.0f} %"
    if not estimate["ci95"]:
        return value
    low, high = (100 * bounded(end, most) for end in estimate["ci95"])
    return f"{value} ({low:.0f} to {high:.0f} %)"


def leaked(estimate: Mapping[str, Any]) -> str:
    """A leakage as the share of what an unprotected code gives away: nothing is the least.

    It has no upper bound: a code may give away more than the unprotected one.
    """
    return percent(estimate, float("inf"))


def two_digits(value: float) -> str:
    """A figure with two digits behind the point, never as -0.00."""
    # Adding 0 takes the sign from a figure that is rounded to -0.
    return f"{round(value, 2) + 0.0:.2f}"


def leakage_figure(estimate: Mapping[str, Any]) -> str:
    """A leakage as "57 % (51 to 63 %)"; as the plain number "0.04 (-0.02 to 0.10)" below 0.

    Below 0 the attackers got less from the code than the task output alone tells: no share.
    """
    ends = estimate["ci95"] or ()
    if min([estimate["value"], *ends]) >= 0:
        return leaked(estimate)
    value, *ends = map(two_digits, (estimate["value"], *ends))
    return f"{value} ({' to '.join(ends)})" if ends else value


def format_estimate(estimate: Mapping[str, Any], digits: int = 3) -> str:
    """'value [low, high]' with so many digits behind the point; a dash where it is undefined."""
    if estimate["value"] is None:
        return "–"
    value = f"{estimate['value']:.{digits}f}"
    if estimate["ci95"] is None:
        return value
    low, high = estimate["ci95"]
    return f"{value} [{low:.{digits}f}, {high:.{digits}f}]"


def format_figure(measure: str, value: float) -> str:
    """A figure with the digits that its measure deserves."""
    return f"{value:.2f}" if measure == "psnr" else f"{value:.3f}"


def seconds_words(seconds: float) -> str:
    """How long an attacker took: "1,250", "0.4", and "< 0.1" for what takes next to no time."""
    if seconds >= 0.95:
        return f"{seconds:,.0f}"
    return f"{seconds:.1f}" if seconds >= 0.05 else "< 0.1"


def converged(attack: Mapping[str, Any]) -> str:
    """Whether an attacker had learned all it could; empty where nothing is trained."""
    gain = attack["late_gain"]
    if gain is None:
        return ""
    return "yes" if gain < ENOUGH_GAIN else f"no: {100 * gain:.1f} %"


def of_task_output(text: str) -> str:
    """What is said of an attack on codes, said of the same attack on task outputs."""
    return CODE_WORD.sub(r"task output\1", text)


def attack_notes(attack: Mapping[str, Any]) -> str:
    """What an attacker is, what it knew, and how far its seeds lie apart."""
    notes = [attack["settings"]["words"]] if "words" in attack["settings"] else []
    if "knew" in attack:
        notes.append(f"it knew {attack['knew']['words']}")
    if is_from_output(attack.get("name", "")):
        notes = [of_task_output(note) for note in notes]
    if "seeds" in attack:
        name = reconstruction.headline(attack["seeds"])
        spread = attack["seeds"][name]
        notes.append(
            f"{attack['seeds']['count']} seeds: {name.replace('_', ' ')} {spread['lowest']:.3f} to"
            f" {spread['highest']:.3f}"
        )
    return "; ".join(notes)


def training_gaps(content: Mapping[str, Any]) -> list[tuple[str, float, float]]:
    """(measure, the adversary of the training, worst new attacker); empty without an adversary."""
    adversary = content["training_adversary"]
    if not adversary:
        return []
    return [
        (m, adversary[m]["value"], content["worst"][m]["value"]) for m in shown_measures(content)
    ]
