"""Attackers, defences and privacy terms of a user's own, without a change to arl_tf."""

import dataclasses
import re
import sys
from collections.abc import Callable, Collection, Sequence
from typing import Any

import keras
import tensorflow as tf

from arl_tf.attacks import registry
from arl_tf.attacks.evidence import BLACK_BOX, WHITE_BOX, AttackResult, Evidence
from arl_tf.attacks.registry import LEVELS, Attacker
from arl_tf.auditing.leakage import COMBINED
from arl_tf.config import defences as defence_names
from arl_tf.defences import registry as registry_of_defences
from arl_tf.defences.definition import Defence, Number, Step
from arl_tf.models import losses

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
SHIPPED_FORMS, SHIPPED_DEFENCES = frozenset(losses.FORMS), frozenset(defence_names.DEFENCES)


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

    Registered again, a name of your own stands for the new one: a cell of a notebook can be run
    again.

    Args:
        name: of the attacker, as reports name it: letters, digits, _ and -, a letter first.
        run: (evidence, options, *, name, start) -> `attacks.evidence.AttackResult`; it never gets
            an image under attack.
        level: the first of "quick", "standard", "full" that runs it.
        knowledge: "black-box" or "white-box".
        needs: fields of `attacks.evidence.Evidence` without which it can't run.
        floor: whether it also attacks the task output alone.

    Raises:
        TypeError: `run` can't be called.
        ValueError: the name is taken or none, or an unknown level, knowledge or field of Evidence.
    """
    check_name("attacker", name, registry.SHIPPED | set(COMBINED))
    check_function("run", run)
    fields = [field.name for field in dataclasses.fields(Evidence)]
    strange = [name for name in needs if not hasattr(Evidence, name) and name not in fields]
    if strange:
        raise ValueError(
            f"Evidence has no {', '.join(strange)}; needs may name {', '.join(fields)}."
        )
    if level not in LEVELS:
        raise ValueError(f"level must be one of {', '.join(LEVELS)}; got {level!r}.")
    if knowledge not in (BLACK_BOX, WHITE_BOX):
        raise ValueError(f"knowledge must be {BLACK_BOX} or {WHITE_BOX}; got {knowledge!r}.")
    registry.ATTACKERS[name] = Attacker(run, level, knowledge=knowledge, needs=needs, floor=floor)


def register_defence(
    name: str,
    term: Callable[[tf.Tensor, float], tf.Tensor] | None = None,
    *,
    loss: Callable[[Step, float], tf.Tensor] | None = None,
    layers: Callable[[float, float], Sequence[keras.Layer]] | None = None,
    observe: Callable[[Step, float], None] | None = None,
    strength: float = 1.0,
    bound: float | None = None,
    adversary: bool = False,
) -> None:
    """Adds a defence for `--defence=NAME`, or with `term` a form of the method's privacy term.

    The defence needs a loss or layers. Its numbers are the settings `defence_strength` and
    `defence_bound`.

    Args:
        name: of the defence, or of the form, as of `register_attacker`.
        term: (distance, margin) -> scalar that the encoder minimises; `distance` is the pixel or
            perceptual distance between reconstruction and image. Then `name` is one for
            `PrivacyObjective(form=name, ...)`, and there are no other arguments.
        loss: (step, bound) -> scalar that the encoder minimises, with the weight `strength`; `step`
            is a `defences.definition.Step`.
        layers: (strength, bound) -> layers at the end of the encoder, also where it is exported.
            Their names begin with "defence_"; noise is a `models.code_layers.DrawnNoise`.
        observe: (step, bound) -> None: takes statistics for the layers in every encoder step.
        strength: default of the first number, > 0.
        bound: default of the second number, > 0; None: the defence takes none.
        adversary: whether decoders are trained beside the encoder; then `step.pictures` holds what
            they make of the codes.

    Raises:
        TypeError: what should be a function can't be called.
        ValueError: the name is taken or none, there is nothing that protects, or `term` with
            others.
    """
    functions = {"term": term, "loss": loss, "layers": layers, "observe": observe}
    for what, function in functions.items():
        if function is not None:
            check_function(what, function)
    if term is not None:
        others = {"loss": loss, "layers": layers, "observe": observe, "bound": bound}
        given = [each for each, value in others.items() if value is not None]
        given += ["strength"] * (strength != 1.0) + ["adversary"] * adversary
        if given:
            raise ValueError(
                f"A term is a form of the privacy term, which takes no {', '.join(given)}: register"
                " a defence under another name, without term."
            )
        check_name("form", name, SHIPPED_FORMS)
        losses.FORMS[name] = term
        return
    check_name("defence", name, SHIPPED_DEFENCES)
    if loss is None and layers is None:
        raise ValueError(f"The defence {name!r} needs a loss or layers, got neither.")
    registry_of_defences.DEFENCES[name] = Defence(
        "registered by arl_tf.register_defence",
        positive("strength", strength),
        None if bound is None else positive("bound", bound),
        layers=layers,
        loss=loss,
        observe=observe,
        adversary=adversary,
    )
    for names, is_one in ((defence_names.DEFENCES, True), (defence_names.WITH_DECODERS, adversary)):
        if name in names:
            names.remove(name)
        if is_one:
            names.append(name)


def check_name(kind: str, name: str, taken: Collection[str]) -> None:
    """Raises ValueError where a name is taken, or would be read as something else elsewhere.

    Args:
        kind: of what it names, for messages.
        name: that a user gives.
        taken: names of arl_tf's own.
    """
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise ValueError(
            f"The name of a {kind} is of letters, digits, _ and -, a letter first; got {name!r}."
        )
    if name in taken:
        raise ValueError(f"arl_tf has {kind} {name!r} already; choose another name.")


def check_function(what: str, given: Any) -> None:
    """Raises TypeError where an argument is no function."""
    if not callable(given):
        raise TypeError(f"{what} must be a function, got {type(given).__name__}.")


def positive(words: str, default: float) -> Number:
    """Any positive number; ValueError where its default is none."""
    if default <= 0:
        raise ValueError(f"{words} must be > 0, got {default}.")
    return Number(words, default, sys.float_info.min)
