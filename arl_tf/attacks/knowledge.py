"""What an attacker knew, in words and as one of five states of its knowledge of the noise."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from arl_tf.attacks.attacker import Attacker
from arl_tf.attacks.evidence import WHITE_BOX, Evidence

# In the settings of an attack's result.
KNEW = "knew"
# Between two things that an attacker knew, in its words.
BETWEEN = "; "
# Of the noise in codes: known from the inside, estimated from answers, there and not told, nobody
# knows whether there is any, absent.
KNOWN, ASKED, NOT_TOLD, UNKNOWN, NO_NOISE = "known", "asked", "not told", "unknown", "none"
TOLD = (KNOWN, ASKED)
UNTOLD_NOISE = (
    "The attackers were not told the noise of the codes, so these figures are too low: an attacker"
    " who knows the noise gets more"
)
UNKNOWN_NOISE = (
    "Only recorded codes are at hand, so it is unknown whether these codes have noise. If they do,"
    " the attackers were not told it, and these figures are too low"
)


def knowledge_facts(attacker: Attacker, seen: Evidence) -> dict[str, str]:
    """{"noise": one of the five states, "words": all that an attacker worked with}.

    Args:
        attacker: of the registry.
        seen: the evidence as it sees it (`Evidence.as_seen`).
    """
    public = attacker.learns_from.format(public_words(seen.pairs.images))
    parts = [public, noise_words(seen)]
    if attacker.knowledge == WHITE_BOX and "encode" in attacker.needs:
        parts.append("the inside of the encoder")
    parts += [words for need, words in NEEDED.items() if need in attacker.needs]
    parts.append(OF_NOISE.get(attacker.only_for, ""))
    return {"noise": noise_state(seen), "words": BETWEEN.join(filter(None, parts))}


def public_words(images: np.ndarray) -> str:
    """Whose codes an attacker learned from: public images uint8 [N, S, S, 3], N >= 1.

    Where the encoder can be asked, each image comes with its mirror image: the second half is the
    first, mirrored. A report gives the number of images without them elsewhere.
    """
    half = len(images) // 2
    if len(images) == 2 * half and np.array_equal(images[half], images[0][:, ::-1]):
        return f"the codes of {half:,} public images and of their mirror images"
    return f"the codes of {len(images):,} public images"


NEEDED = {
    "task_outputs": "the task output",
    "query": "the encoder's answers to further images",
    "identity_features": "an identity network",
    "other_domain": "another data set",
}

# By `Attacker.only_for`: what is used of the noise beside means and variances.
OF_NOISE = {
    "drops_values": "which values of each code were dropped",
    "has_laplace_noise": "the law of this noise, which is Laplace's",
}


def noise_state(seen: Evidence) -> str:
    """What is known of the noise in the codes."""
    if seen.noise is not None:
        return ASKED if seen.noise.answers else KNOWN
    if seen.random_codes:
        return NOT_TOLD
    return UNKNOWN if seen.unknown_noise else NO_NOISE


def noise_words(seen: Evidence) -> str:
    """The same in words; empty where codes have no noise."""
    state = noise_state(seen)
    if state == KNOWN:
        return "mean codes and the noise of every value, from the inside of the encoder"
    if state == ASKED:
        return (
            "mean codes and the noise of every value, estimated from"
            f" {seen.noise.answers} answers to each image"
        )
    if state == UNKNOWN:
        return "not whether the codes have noise, because only recorded codes are at hand"
    return "nothing of the noise in the codes" if state == NOT_TOLD else ""


def untold(attacks: Sequence[Mapping[str, Any]]) -> list[str]:
    """Names of the attacks in report.json's `attacks` that were not told the noise of the codes."""
    return [a["name"] for a in attacks if a.get(KNEW, {}).get("noise") == NOT_TOLD]


def is_unknown(attacks: Sequence[Mapping[str, Any]]) -> bool:
    """Whether report.json's `attacks` were on codes of which nobody knows if they have noise."""
    return any(a.get(KNEW, {}).get("noise") == UNKNOWN for a in attacks)


def is_told(attack: Mapping[str, Any]) -> bool:
    """Whether an entry of `attacks` knew something of the noise."""
    return attack.get(KNEW, {}).get("noise") in TOLD
