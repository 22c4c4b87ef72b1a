"""Attackers and privacy terms of a user's own, without a change to arl_tf."""

from collections.abc import Callable

import tensorflow as tf

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import BLACK_BOX, WHITE_BOX, AttackResult
from arl_tf.attacks.registry import LEVELS, Attacker
from arl_tf.models import losses


def register_attacker(
    name: str,
    run: Callable[..., AttackResult],
    *,
    level: str = "full",
    knowledge: str = BLACK_BOX,
    needs: tuple[str, ...] = (),
    floor: bool = False,
) -> None:
    """Adds an attacker to every audit of this process from now on.

    Args:
        name: of the attacker, as reports name it.
        run: (evidence, options, *, name, start) -> `attacks.evidence.AttackResult`; it never gets
            an image under attack.
        level: the first of "quick", "standard", "full" that runs it.
        knowledge: "black-box" or "white-box".
        needs: fields of `attacks.evidence.Evidence` without which it can't run.
        floor: whether it also attacks the task output alone.

    Raises:
        ValueError: the name is taken, or an unknown level or knowledge.
    """
    if name in registry.ATTACKERS:
        raise ValueError(f"There is an attacker {name!r} already; choose another name.")
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}.")
    if knowledge not in (BLACK_BOX, WHITE_BOX):
        raise ValueError(f"knowledge must be {BLACK_BOX} or {WHITE_BOX}; got {knowledge!r}.")
    registry.ATTACKERS[name] = Attacker(run, level, knowledge=knowledge, needs=needs, floor=floor)


def register_defence(name: str, term: Callable[[tf.Tensor, float], tf.Tensor]) -> None:
    """Adds a form of the encoder's privacy term, for `PrivacyObjective(form=name, ...)`.

    Args:
        name: of the form.
        term: (distance, margin) -> scalar that the encoder minimises; `distance` is the pixel or
            perceptual distance between reconstruction and image.

    Raises:
        ValueError: the name is taken.
    """
    if name in losses.FORMS:
        raise ValueError(f"There is a form {name!r} already; choose another name.")
    losses.FORMS[name] = term
