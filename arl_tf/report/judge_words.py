"""How well the judges of identity judge, for report.html."""

from collections.abc import Mapping
from typing import Any

from arl_tf.report.wording import format_estimate, two_digits

NETWORK_NAMES = {"dlib": "dlib's", "sface": "SFace", "drawn_faces": "of drawn faces"}


def rows(content: Mapping[str, Any]) -> list[tuple[str, tuple[str, ...]]]:
    """(network and pictures, AUC, similarity of one person's, of two strangers') of each judge.

    Empty for an audit by a version that did not measure its judges.
    """
    return [
        (f"{NETWORK_NAMES.get(judge['network'], judge['network'])}: {words}", figures(judge[kind]))
        for judge in content.get("judges", ())
        for kind, words in pictures_of(judge).items()
    ]


def pictures_of(judge: Mapping[str, Any]) -> dict[str, str]:
    """Kind of pictures -> what they are, in words; without photos that are blurred by nothing."""
    blurred = f"a photo and one blurred by {judge['blur_pixels']:.1f} pixels"
    return {
        "originals": "two photos",
        **({"blurred": blurred} if has_blur(judge) else {}),
        "attack_pictures": f"a photo and a picture by the attacker {judge['attack']}",
    }


def has_blur(judge: Mapping[str, Any]) -> bool:
    """Whether its blurred photos are blurred: by 0.1 pixels or more."""
    return round(judge["blur_pixels"], 1) > 0


def is_blurred(content: Mapping[str, Any]) -> bool:
    """Whether a judge has a row of blurred photos."""
    return any(has_blur(judge) for judge in content.get("judges", ()))


def figures(found: Mapping[str, Any]) -> tuple[str, ...]:
    """The AUC, and both similarities with the range of nine pairs in ten."""
    return (
        format_estimate(found["auc"]),
        *(with_range(found[kind]) for kind in ("same_person", "strangers")),
    )


def with_range(found: Mapping[str, Any]) -> str:
    """A mean similarity and the range that holds nine pairs in ten."""
    if found["value"] is None:
        return format_estimate(found)
    low, high = found["range90"]
    return f"{two_digits(found['value'])} ({two_digits(low)} to {two_digits(high)})"
