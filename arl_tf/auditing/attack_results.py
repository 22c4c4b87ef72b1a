"""What an attacker hands over, checked: a broken one must not make a code look safe."""

import json
from typing import Any

import numpy as np

from arl_tf.attacks.evidence import AttackResult, Evidence

# How far pictures may leave [0, 1]: closed forms overshoot a little, levels of 0 to 255 do by far.
OVERSHOOT = 4.0


def checked(result: Any, name: str, evidence: Evidence) -> AttackResult:
    """The result of an attacker itself.

    Args:
        result: what it returned.
        name: that it was given.
        evidence: that it saw.

    Raises:
        TypeError: it is no AttackResult.
        ValueError: a part of it is not what `AttackResult` says.
    """
    if not isinstance(result, AttackResult):
        raise TypeError(
            f"The attacker {name!r} must return an AttackResult, got {type(result).__name__}."
        )
    if result.name != name:
        raise ValueError(
            f"The attacker {name!r} must return a result of the name that it is given, got"
            f" {result.name!r}."
        )
    side = evidence.pairs.images.shape[1:]
    for what, count in (
        ("reconstructions", len(evidence.target_codes)),
        ("held_out_reconstructions", len(evidence.pairs.held_out_codes)),
    ):
        check_pictures(getattr(result, what), (count, *side), f"{what} of the attacker {name!r}")
    losses = result.held_out_loss
    if not isinstance(losses, (tuple, list)) or not losses or not np.isfinite(losses).all():
        raise ValueError(
            f"held_out_loss of the attacker {name!r} must be a tuple of one or more finite numbers,"
            f" got {losses!r}."
        )
    try:
        json.dumps(dict(result.settings))
    except (TypeError, ValueError) as error:
        raise ValueError(f"settings of the attacker {name!r} must be JSON-able: {error}.") from None
    return result


def check_pictures(pictures: Any, shape: tuple[int, ...], what: str) -> None:
    """Raises ValueError where pictures are no finite floats in [0, 1] of the shape [n, S, S, 3]."""
    found = np.asarray(pictures)
    if found.shape != shape or found.dtype.kind != "f":
        raise ValueError(
            f"{what} must be float32 {list(shape)} in [0, 1], got {found.dtype}"
            f" {list(found.shape)}."
        )
    if not np.isfinite(found).all():
        raise ValueError(f"{what} hold NaN or infinite values.")
    if found.size and max(-float(found.min()), float(found.max())) > OVERSHOOT:
        raise ValueError(
            f"{what} must be in [0, 1], got {found.min():.3g} to {found.max():.3g}: divide levels"
            " of 0 to 255 by 255."
        )
