"""The learning curve in words: whether more public images would help the attacker."""

from collections.abc import Mapping
from typing import Any

# Of face similarity; a doubling that gains less changes nothing that a reader would see.
WORTH_SAYING = 0.005


def curve_sentence(content: Mapping[str, Any]) -> str:
    """Whether more public images would help; empty in audits without a curve."""
    curve = content.get("learning_curve")
    if not curve:
        return ""
    face, psnr = (curve["last_doubling"][name] for name in ("face_similarity", "psnr"))
    images = [f"{point['public_images']:,}" for point in curve["points"][-2:]]
    helps = face["value"] >= WORTH_SAYING and bool(face["ci95"]) and face["ci95"][0] > 0
    judgement = (
        "An attacker with more public images than these would probably get more"
        if helps
        else "More public images of the same kind would hardly help this attacker"
    )
    return (
        f"{judgement}: from {images[0]} to {images[1]} images, the face similarity of the best"
        f" linear map changed by {face['value']:+.3f} and its PSNR by {psnr['value']:+.2f} dB."
    )
