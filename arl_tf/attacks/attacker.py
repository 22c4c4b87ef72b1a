"""What an attacker is, and how the kinds of attackers are made into one."""

import dataclasses
import functools
from collections.abc import Callable

from arl_tf.attacks import views
from arl_tf.attacks.decoder_attacks import DecoderRecipe, decoder_attack, decoder_cost
from arl_tf.attacks.evidence import (
    BLACK_BOX,
    WHITE_BOX,
    AttackerOptions,
    AttackResult,
    Evidence,
)

NO_GRADIENT = "white-box attacks, because the inside of the encoder is not available"


@dataclasses.dataclass(frozen=True)
class Attacker:
    """One way to attack codes.

    Attributes:
        run: (evidence, settings, *, name, start) -> AttackResult; `start` is the result of the
            attack that `starts_from` names, None where there is none.
        level: the first of `registry.LEVELS` that runs it.
        knowledge: BLACK_BOX or WHITE_BOX.
        needs: fields of Evidence without which it can't run.
        starts_from: the attack whose result it improves.
        floor: whether it also attacks the task output alone. What only makes sense for codes
            does not.
        trained: whether another seed gives another result.
        cost: (evidence, settings) -> multiply-adds at most, roughly, for the forecast.
        missing: what the report says was not tested where `needs` is not met.
        only_for: a field of Evidence; where it is false, there is nothing to attack in this way.
        learns_from: what the report says of the images that it learns from; {} stands for what all
            attackers have.
        outdone_by: an attacker that finds more. Where that one can attack, this one belongs to the
            last level.
    """

    run: Callable[..., AttackResult]
    level: str
    knowledge: str = BLACK_BOX
    needs: tuple[str, ...] = ()
    starts_from: str | None = None
    floor: bool = False
    trained: bool = True
    cost: Callable[[Evidence, AttackerOptions], float] = lambda evidence, settings: 0.0
    missing: str = ""
    only_for: str = ""
    outdone_by: str = ""
    learns_from: str = "{}"


def decoder(
    recipe: DecoderRecipe,
    level: str,
    view: views.View = views.unchanged,
    **entry,
) -> Attacker:
    """An attacker that trains one decoder on one view of the evidence."""

    def run(evidence, settings, *, name, start=None):
        del start
        return decoder_attack(view(evidence, settings), settings, name=name, recipe=recipe)

    return Attacker(run, level, cost=functools.partial(decoder_cost, recipe), **entry)


def closed_form(
    attack: Callable[..., AttackResult], level: str, view: views.View = views.unchanged, **entry
) -> Attacker:
    """An attacker that trains nothing, on one view of the evidence."""

    def run(evidence, settings, *, name, start=None):
        del start
        found = attack(view(evidence, settings), settings, name=name)
        # What was learned by asking is nobody's inside.
        inside = evidence.encode is not None or evidence.known_noise is not None
        knowledge = entry.get("knowledge", BLACK_BOX) if inside else BLACK_BOX
        return dataclasses.replace(found, knowledge=knowledge)

    return Attacker(run, level, trained=False, **entry)


def white_box(
    attack: Callable[..., AttackResult], level: str, view: views.View = views.unchanged, **entry
) -> Attacker:
    """An attacker that differentiates the encoder, on one view of the evidence."""
    cost = functools.partial(decoder_cost, DecoderRecipe("about as long as this decoder"))
    entry = {"needs": ("encode",), "missing": NO_GRADIENT, "cost": cost, **entry}

    def run(evidence, settings, *, name, start=None):
        found = attack(view(evidence, settings), settings, start=start)
        return dataclasses.replace(found, name=name)

    return Attacker(run, level, WHITE_BOX, **entry)
