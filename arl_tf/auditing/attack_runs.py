"""Runs the attackers of an audit one by one: what they will cost, and how far they are."""

import dataclasses
import time
from collections.abc import Callable, Collection, Iterator

from absl import logging

from arl_tf.attacks import decoder_attacks, knowledge, registry
from arl_tf.attacks.evidence import AttackerOptions, Evidence
from arl_tf.auditing import attack_results
from arl_tf.auditing.attack_store import AttackStore
from arl_tf.utils import progress

# The audit's seeds are not the training's: no attacker shares an initial weight with its adversary.
ATTACK_SEED = 1_000_003
SEED_STEP = 7919
FLOOR_PREFIX = "task_output/"
# Before the names of attackers that could have been run.
LEFT_OUT = "attackers of this level that --attackers leaves out: "
# Where no other attacks the task output alone; on photographs the strongest there by face
# similarity.
FLOOR_ATTACKER = "linear"
# Multiply-adds of a short run that tells how fast this machine is.
PROBE_STEPS = 6
SECONDS_BETWEEN_NOTES = 30.0
# Multiply-adds per second of any machine. What takes fewer seconds by it needs no measured speed:
# the measuring would take longer.
LEAST_SPEED = 2e9
SHORT_SECONDS = 10


@dataclasses.dataclass(frozen=True)
class Task:
    """One attack to run.

    Attributes:
        name: in the store: the attacker's, behind FLOOR_PREFIX for the task output alone, before
            "@1", "@2", ... for further seeds.
        attacker: a key of attacks.ATTACKERS.
        on_floor: whether it attacks the task output alone.
        seed: of the attack.
    """

    name: str
    attacker: str
    on_floor: bool
    seed: int


def planned(
    level: str, seeds: int, seed: int, evidence: Evidence, names: Collection[str] = ()
) -> list[Task]:
    """All attacks of an audit in order: on the code, then on the task output alone.

    Where no chosen attacker is one for the task output, the linear map is: else all that the task
    gives away would count as leakage.

    Args:
        level: of attackers.
        seeds: how often each trained attacker is repeated.
        seed: of the audit.
        evidence: on the codes; leaves out who lacks something.
        names: attackers to run instead of the level's.

    Raises:
        ValueError: all of them lack something.
    """
    chosen = registry.suited(level, evidence, names)
    ready = {n: a for n, a in chosen.items() if not registry.lacking(a, evidence)}
    if not ready:
        raise ValueError(
            f"--attackers={','.join(names)}: none of them can attack here. The audit would"
            f" leave out: {'; '.join(attacker.missing for attacker in chosen.values())}."
        )
    for_floor = {n: a for n, a in ready.items() if a.floor} or {
        FLOOR_ATTACKER: registry.ATTACKERS[FLOOR_ATTACKER]
    }
    tasks = []
    for on_floor in (False, True):
        if on_floor and evidence.task_outputs is None:
            continue
        for name, attacker in (for_floor if on_floor else ready).items():
            # What is solved in closed form gives the same again.
            repeats = seeds if attacker.trained else 1
            prefix = FLOOR_PREFIX if on_floor else ""
            for repeat in range(repeats):
                suffix = f"@{repeat}" if repeat else ""
                tasks.append(
                    Task(
                        f"{prefix}{name}{suffix}",
                        name,
                        on_floor,
                        seed + ATTACK_SEED + SEED_STEP * repeat,
                    )
                )
    return tasks


def not_tested(level: str, evidence: Evidence, names: Collection[str] = ()) -> list[str]:
    """Which of the attackers asked for could not be run, and which were not asked for."""
    chosen = registry.suited(level, evidence, names)
    missing = [
        attacker.missing
        for attacker in chosen.values()
        if registry.lacking(attacker, evidence) and not registry.pointless(attacker, evidence)
    ]
    of_level = registry.suited(level, evidence)
    left_out = [
        name
        for name, attacker in of_level.items()
        if name not in chosen and not registry.lacking(attacker, evidence)
    ]
    if left_out:
        missing.append(LEFT_OUT + ", ".join(left_out))
    beyond = [name for name in registry.ATTACKERS if name not in {**of_level, **chosen}]
    if beyond:
        missing.append(f"attackers of higher levels of --audit: {', '.join(beyond)}")
    return list(dict.fromkeys(missing))


def run_attacks(
    tasks: list[Task],
    evidence: Evidence,
    floor_evidence: Evidence | None,
    settings: AttackerOptions,
    store: AttackStore,
) -> None:
    """Runs what is not finished yet and keeps every result as soon as it is there.

    Args:
        tasks: from `planned`.
        evidence: on the codes.
        floor_evidence: with the task output in place of the codes; None without a task head.
        settings: of the attackers; their seeds are the tasks'.
        store: of results.
    """
    todo = [task for task in tasks if store.facts(task.name) is None]
    if len(todo) < len(tasks):
        logging.info("%d of %d attacks are finished already", len(tasks) - len(todo), len(tasks))
    if not todo:
        return
    views = {False: evidence, True: floor_evidence}
    costs = [
        registry.ATTACKERS[task.attacker].cost(views[task.on_floor], settings) for task in todo
    ]
    speed = LEAST_SPEED
    if sum(costs) > SHORT_SECONDS * speed:
        speed = multiply_adds_per_second(evidence, settings)
    for line in forecast(todo, costs, speed):
        logging.info("%s", line)
    started = time.perf_counter()
    with progress.bar("Attacks", sum(costs) or len(todo)) as advance:
        for number, task in enumerate(todo, start=1):
            logging.info(
                "Attack %d of %d: %s (%s so far, about %s to go)",
                number,
                len(todo),
                task.name,
                minutes(time.perf_counter() - started),
                minutes(sum(costs[number - 1 :]) / speed),
            )
            run_task(task, views[task.on_floor], settings, store)
            advance(costs[number - 1] if sum(costs) else 1)


def run_task(task: Task, evidence: Evidence, settings: AttackerOptions, store: AttackStore) -> None:
    """Runs one attack and keeps its result."""
    attacker = registry.ATTACKERS[task.attacker]
    start = store.load(with_seed_of(task, attacker.starts_from)) if attacker.starts_from else None
    seen = evidence.as_seen(attacker.knowledge)
    result = attacker.run(
        seen,
        dataclasses.replace(settings, seed=task.seed, progress=progress_of(task.name)),
        name=task.name,
        start=start,
    )
    result = attack_results.checked(result, task.name, seen)
    knew = {knowledge.KNEW: knowledge.knowledge_facts(attacker, seen)}
    store.save(dataclasses.replace(result, settings={**result.settings, **knew}))
    logging.info(
        "Attack %s: held-out loss %.4f after %s",
        task.name,
        min(result.held_out_loss),
        minutes(result.seconds),
    )


def progress_of(name: str) -> Callable[[float, float], None]:
    """A function that logs how far an attack is, at most every SECONDS_BETWEEN_NOTES."""
    last = time.perf_counter()

    def note(share: float, held_out_loss: float) -> None:
        nonlocal last
        if time.perf_counter() - last >= SECONDS_BETWEEN_NOTES:
            last = time.perf_counter()
            logging.info(
                "Attack %s: %.0f %% of its steps at most, held-out loss %.4f",
                name,
                100 * share,
                held_out_loss,
            )

    return note


def with_seed_of(task: Task, attacker: str) -> str:
    """The name of another attacker's result with the same seed, or its only one."""
    _, at, repeat = task.name.partition("@")
    return f"{attacker}{at}{repeat}" if registry.ATTACKERS[attacker].trained else attacker


def forecast(todo: list[Task], costs: list[float], speed: float) -> Iterator[str]:
    """What the attacks will cost, one line each and the sum."""
    yield f"{len(todo)} attacks to run, at most about {minutes(sum(costs) / speed)}:"
    for task, cost in zip(todo, costs, strict=True):
        attacker = registry.ATTACKERS[task.attacker]
        yield f"  {task.name:32s} {attacker.knowledge:10s} {minutes(cost / speed):>8s}"


def minutes(seconds: float) -> str:
    """A duration for people: "7 s" or "3 min"."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"


def multiply_adds_per_second(evidence: Evidence, settings: AttackerOptions) -> float:
    """How fast this machine trains the plain decoder, by a few steps of it."""
    recipe = decoder_attacks.DecoderRecipe("probe")
    seconds = decoder_attacks.seconds_of_steps(evidence, settings, recipe, PROBE_STEPS)
    cost = registry.decoder_cost(recipe, evidence, dataclasses.replace(settings, steps=PROBE_STEPS))
    return cost / seconds
