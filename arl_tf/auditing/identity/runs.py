"""Runs the attacks on identity: from codes, from the task output, and all they know together."""

import dataclasses
import time
from collections.abc import Mapping, Sequence

import numpy as np
from absl import logging

from arl_tf.attacks.combined import CHOOSING_IMAGES
from arl_tf.attacks.evidence import BLACK_BOX, WHITE_BOX, Evidence
from arl_tf.attacks.identity import registry as identity_registry
from arl_tf.attacks.identity.faces import Directions, IdentityResult, PublicFaces, mean_cosine
from arl_tf.attacks.identity.fusion import fused, fusion_weights
from arl_tf.auditing.attack_runs import ATTACK_SEED, Task
from arl_tf.auditing.attack_store import AttackStore
from arl_tf.auditing.evidence_collection import on_task_output
from arl_tf.auditing.identity import kept
from arl_tf.auditing.identity.combining import combines
from arl_tf.auditing.identity.spaces import IdentitySpaces, public_faces
from arl_tf.auditing.settings import AuditSettings
from arl_tf.utils import progress

CODE, TASK_OUTPUT = "code", "task_output"
FUSION = "fusion"
# Picture attackers whose pictures the fusion sees.
FUSED_PICTURES = 2


@dataclasses.dataclass(frozen=True)
class Predictions:
    """What the attacks on identity predict. Sources are CODE and TASK_OUTPUT.

    Attributes:
        results: source -> results; empty where the images are of no faces.
        alone: source -> directions [M, E] that are predicted from this source alone by all
            attackers together, for linkage. The results on the code use the task output, too.
    """

    results: dict[str, list[IdentityResult]] = dataclasses.field(default_factory=dict)
    alone: dict[str, Directions] = dataclasses.field(default_factory=dict)


def run(
    settings: AuditSettings,
    evidence: Evidence,
    spaces: IdentitySpaces,
    tasks: Sequence[Task],
    store: AttackStore,
) -> Predictions:
    """Predicts embeddings from codes and from the task output; no image under attack is read.

    Args:
        settings: level, seed, sizes.
        evidence: on the codes.
        spaces: the attackers' own identity networks.
        tasks: attacks that have made pictures.
        store: of results.
    """
    found = Predictions()
    if not spaces.names:
        return found
    faces = public_faces(spaces, len(evidence.pairs.images), evidence.pairs.held_out_images)
    views = {TASK_OUTPUT: on_task_output(evidence)} if evidence.task_outputs else {}
    views[CODE] = evidence
    on_output: list[IdentityResult] = []
    for source, view in views.items():
        logging.info("Predicting embeddings of faces from the %s", source.replace("_", " "))
        direct = predicted(settings, view, source, faces, store)
        # Whoever has the code has the task output, too.
        known = {result.name: result for result in direct}
        beside = {f"{TASK_OUTPUT}/{result.name}": result for result in on_output}
        pictures = best_pictures(spaces, faces, tasks, store, on_floor=source == TASK_OUTPUT)
        found.results[source] = [*direct, fusion({**known, **beside}, pictures, faces)]
        found.alone[source] = fusion(known, pictures, faces).target
        on_output = direct
    return found


def predicted(
    settings: AuditSettings,
    evidence: Evidence,
    source: str,
    faces: PublicFaces,
    store: AttackStore,
) -> list[IdentityResult]:
    """The results of the level's attackers; those that are kept are not predicted again."""
    chosen = identity_registry.identity_attackers(settings.audit)
    found = {name: kept.load(store, source, name, faces.networks) for name in chosen}
    missing = [name for name, result in found.items() if result is None]
    options = dataclasses.replace(settings.attacker, seed=settings.seed + ATTACK_SEED)
    view = identity_registry.view_of(evidence, options) if missing else None
    words = f"Embeddings predicted from the {source.replace('_', ' ')}"
    with progress.bar(words, len(missing)) as advance:
        for name in missing:
            found[name] = chosen[name].run(view, evidence, faces, options)
            kept.save(store, source, found[name])
            advance()
    return list(found.values())


@dataclasses.dataclass(frozen=True)
class PictureMember:
    """A picture attacker in embedding space.

    Attributes:
        knowledge: BLACK_BOX or WHITE_BOX.
        held_out, target: network -> directions float32 [n, E] of its pictures.
    """

    knowledge: str
    held_out: Mapping[str, np.ndarray]
    target: Mapping[str, np.ndarray]


def best_pictures(
    spaces: IdentitySpaces,
    faces: PublicFaces,
    tasks: Sequence[Task],
    store: AttackStore,
    *,
    on_floor: bool,
) -> dict[str, PictureMember]:
    """The picture attacks that show held-out faces best, by the attacker's networks.

    Those of one seed, FUSED_PICTURES of them.
    """
    names = [task.name for task in tasks if task.on_floor is on_floor and combines(task)]
    scores = {}
    for name in names:
        shown = spaces.directions(store.held_out_pictures(name)[:CHOOSING_IMAGES])
        scores[name] = np.mean(
            [mean_cosine(rows, faces.held_out[net][: len(rows)]) for net, rows in shown.items()]
        )
    best = sorted(scores, key=scores.get, reverse=True)[:FUSED_PICTURES]
    return {
        name: PictureMember(
            store.facts(name)["knowledge"],
            spaces.directions(store.held_out_pictures(name)),
            spaces.directions(store.pictures(name)),
        )
        for name in best
    }


def fusion(
    known: Mapping[str, IdentityResult], pictures: Mapping[str, PictureMember], faces: PublicFaces
) -> IdentityResult:
    """The weighted mean of all that is known, in each network's space.

    The weights are those that predict held-out public images best, by least squares.
    """
    started = time.perf_counter()
    members = {**known, **pictures}
    weights, held_out, target = {}, {}, {}
    for network, truth in faces.held_out.items():
        stacked = np.stack([member.held_out[network] for member in members.values()])
        found = dict(zip(members, fusion_weights(stacked, truth).tolist(), strict=True))
        weights[network] = {name: round(weight, 4) for name, weight in found.items() if weight}
        held_out[network], target[network] = (
            fused({name: part(member)[network] for name, member in members.items()}, found)
            for part in (lambda member: member.held_out, lambda member: member.target)
        )
    is_white = any(member.knowledge == WHITE_BOX for member in members.values())
    return IdentityResult(
        name=FUSION,
        knowledge=WHITE_BOX if is_white else BLACK_BOX,
        settings={
            "words": "the weighted mean of several attackers, in the space of embeddings",
            "weights": weights,
        },
        seconds=time.perf_counter() - started,
        held_out=held_out,
        target=target,
    )
