"""The learning curve in words: whether more public images would help the attacker."""

from collections.abc import Mapping
from typing import Any

from arl_tf.metrics import reconstruction

# Of face or feature similarity; a doubling that gains less changes nothing that a reader would see.
WORTH_SAYING = 0.005


def curve_sentence(content: Mapping[str, Any]) -> str:
    """Whether more public images would help; empty in audits without a curve."""
    curve = content.get("learning_curve")
    if not curve:
        return ""
    last = curve["last_doubling"]
    kind = reconstruction.headline([name for name in last if last[name]["value"] is not None])
    judged, psnr = last[kind], last["psnr"]
    images = [f"{point['public_images']:,}" for point in curve["points"][-2:]]
    helps = judged["value"] >= WORTH_SAYING and bool(judged["ci95"]) and judged["ci95"][0] > 0
    judgement = (
        "An attacker with more public images would probably get more"
        if helps
        else "More public images of the same kind would hardly help this attacker"
    )
    return (
        f"{judgement}: from {images[0]} to {images[1]} images, the {kind.replace('_', ' ')} of the"
        f" best linear map changed by {judged['value']:+.3f} and its PSNR by"
        f" {psnr['value']:+.2f} dB."
    )
