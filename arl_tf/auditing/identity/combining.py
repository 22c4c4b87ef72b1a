"""Runs the attackers that combine what others made: after them, from the pictures they kept."""

import dataclasses
import functools
from collections.abc import Callable, Sequence

from absl import logging

from arl_tf.attacks import combined, knowledge
from arl_tf.attacks.combined import Finished
from arl_tf.attacks.evidence import AttackerOptions, AttackResult, Evidence
from arl_tf.attacks.knowledge import ASKED, KNEW, KNOWN, NO_NOISE, NOT_TOLD, UNKNOWN
from arl_tf.auditing.attack_runs import ATTACK_SEED, FLOOR_PREFIX, Task
from arl_tf.auditing.attack_store import AttackStore

FUSED, AMPLIFIED = "fused", "amplified"
# Who finds public images as they are.
RETRIEVAL = "retrieval"
# Who learns from another data set alone: its held-out images choose.
OTHER_DOMAIN = "other_domain"
FEWEST = 2
BY_KNOWLEDGE = (KNOWN, ASKED, NOT_TOLD, UNKNOWN, NO_NOISE)
Combiner = Callable[..., AttackResult]


def combine(
    tasks: Sequence[Task],
    evidence: Evidence,
    floor_evidence: Evidence | None,
    combiners: dict[str, Combiner],
    settings: AttackerOptions,
    store: AttackStore,
) -> list[Task]:
    """Lets the combiners at the pictures of finished attacks; the tasks that they are.

    On the code and on the task output, each from the attacks there. Where fewer than FEWEST made
    pictures there is nothing to combine. What is kept counts only if it was made of the same
    attacks: a higher level has more of them.

    Args:
        tasks: finished attacks.
        evidence: on the codes.
        floor_evidence: on the task output alone; None without a task head.
        combiners: name -> (evidence, members, settings, *, name) -> result; in this order, each
            gets what those before it made, too.
        settings: of the attackers.
        store: of results.
    """
    seed, done = settings.seed + ATTACK_SEED, []
    for on_floor, seen in ((False, evidence), (True, floor_evidence)):
        members = [task.name for task in tasks if task.on_floor is on_floor and combines(task)]
        if len(members) < FEWEST:
            continue
        for name, combiner in combiners.items():
            task = Task(f"{FLOOR_PREFIX if on_floor else ''}{name}", name, on_floor, seed)
            facts = store.facts(task.name)
            if facts is None or facts["settings"].get("members") != members:
                logging.info("Attack %s: from the pictures of %d attacks", task.name, len(members))
                finished = [finished_attack(store, member) for member in members]
                options = dataclasses.replace(settings, seed=seed)
                store.save(
                    with_members(combiner(seen, finished, options, name=task.name), store, members)
                )
            members = [*members, task.name]
            done.append(task)
    return done


def combines(task: Task) -> bool:
    """Whether a task's pictures can be combined with others'.

    One of several seeds; not public photographs as they are, nor an attack whose held-out images
    are others than the rest's.
    """
    return is_combined(task.name)


def is_combined(name: str) -> bool:
    """As `combines`, by the name of an attack on the code or on the task output."""
    attacker = name.removeprefix(FLOOR_PREFIX)
    return "@" not in name and attacker != RETRIEVAL and not attacker.endswith(OTHER_DOMAIN)


def finished_attack(store: AttackStore, name: str) -> Finished:
    """A finished attack with its pictures in the store."""
    return Finished(
        name,
        store.facts(name)["knowledge"],
        functools.partial(store.held_out_pictures, name),
        functools.partial(store.pictures, name),
    )


def with_members(result: AttackResult, store: AttackStore, members: list[str]) -> AttackResult:
    """The result with the attacks it was made of, and all that they knew."""
    used = result.settings.get("weights") or [result.settings["start"]]
    knew = [store.facts(name)["settings"].get(KNEW) for name in used]
    parts = [part for each in knew if each for part in each["words"].split(knowledge.BETWEEN)]
    words = knowledge.BETWEEN.join(dict.fromkeys(parts))
    facts = {"members": members, KNEW: {"noise": told(knew), "words": words}}
    return dataclasses.replace(result, settings={**result.settings, **facts})


def told(knew: Sequence[dict[str, str] | None]) -> str:
    """The noise that was known to those who knew most of it."""
    states = [each["noise"] for each in knew if each]
    return min(states, key=BY_KNOWLEDGE.index, default=NO_NOISE)


def combiners_of(faces: combined.Faces | None, *, judged: bool) -> dict[str, Combiner]:
    """The combiners by name.

    Args:
        faces: the attacker's own identity networks; None where the images are of no faces.
        judged: whether the last of them judges pictures, too.
    """
    if faces is None:
        return {FUSED: combined.fused_attack}
    return {
        FUSED: combined.fused_attack,
        AMPLIFIED: functools.partial(combined.amplified_attack, faces=faces, judged=judged),
    }
