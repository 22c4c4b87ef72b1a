"""audit(...): freezes an encoder, lets fresh attackers at its codes, measures their gains on T."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from absl import logging

from arl_tf.attacks.evidence import Evidence
from arl_tf.auditing import attack_runs, attack_store, content, learning_curve, yardsticks
from arl_tf.auditing.attack_store import AttackStore, StoredPictures, to_unit
from arl_tf.auditing.candidates import match
from arl_tf.auditing.code_cache import CodeCache
from arl_tf.auditing.decision_fit import fit_decisions
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.evidence_collection import (
    UTILITY_NOISE,
    collect,
    on_task_output,
    with_task_head,
)
from arl_tf.auditing.identity import combining, findings
from arl_tf.auditing.identity import runs as identity_runs
from arl_tf.auditing.identity.runs import CODE
from arl_tf.auditing.identity.spaces import IdentitySpaces, identity_spaces
from arl_tf.auditing.leakage import Reference, worst_attacks
from arl_tf.auditing.measurements import Measurements, chosen_tasks, is_floor
from arl_tf.auditing.resamples import Resamples, resampled
from arl_tf.auditing.sealed_images import Rows, SealedImages, audited_rows, fingerprint
from arl_tf.auditing.settings import AuditContext, AuditSettings
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits, names_hash
from arl_tf.metrics import reconstruction


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """Everything an audit found; report.py turns it into files.

    Attributes:
        content: report.json as a dictionary.
        per_image: attack or floor -> measure -> float64 [N].
        resamples: the figures in the bootstrap resamples.
        pictures: attack or floor -> reconstructions uint8 [N, S, S, 3]; may be read from disk.
        originals: uint8 [N, S, S, 3].
        names: N image names.
        test_hash: of the names.
        identity: network -> attack on identity from the code -> measure -> float64 [N].
        candidate_hits: how often the right candidate photo was found, see CandidateMatch.hits.
    """

    content: dict[str, Any]
    per_image: Mapping[str, Mapping[str, np.ndarray]]
    resamples: Resamples
    pictures: Mapping[str, np.ndarray]
    originals: np.ndarray
    names: tuple[str, ...]
    test_hash: str
    identity: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]] = dataclasses.field(
        default_factory=dict
    )
    candidate_hits: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


def audit(
    settings: AuditSettings,
    images: ImageSet,
    splits: Splits,
    context: AuditContext,
    reference: Reference | None = None,
) -> AuditReport:
    """Attacks one frozen encoder and measures utility, attacks, floors and leakage.

    Attackers get public images and codes of the images under attack; these images themselves are
    sealed until the last attack is done.

    Args:
        settings: the attackers' level and sizes, seed, what to measure on.
        images: the data set.
        splits: its parts.
        context: the subject and what surrounds it.
        reference: the unprotected encoder's audit of the same images; leakage is null without it.
    """
    rows = audited_rows(splits, settings.audit_split, images.identities)
    sealed = SealedImages(images.images, rows.target, fingerprint(images))
    cache = CodeCache(context.cache_dir, context.subject, sealed)
    subject = with_task_head(settings.seed, images, splits, context.subject, cache)
    decisions = context.decisions or fit_decisions(
        images, splits.private_validation, subject, cache, UTILITY_NOISE + settings.seed
    )
    evidence = collect(
        settings,
        images,
        rows,
        sealed,
        cache,
        subject,
        context.other_images,
        context.perceptual_features,
    )
    judges = reconstruction.load_metric_networks(
        images.images.shape[1],
        procedural=not context.photographs,
        public_images=sealed[rows.attacker],
    )
    evidence = dataclasses.replace(
        evidence, identity_features=reconstruction.identity_features(judges)
    )
    store = open_store(settings, images, rows, sealed, context)
    spaces = identity_spaces(judges, sealed[rows.attacker], photographs=context.photographs)
    tasks = attack(settings, evidence, store, spaces)
    predictions = identity_runs.run(settings, evidence, spaces, tasks, store)
    curve = learning_curve.run(settings, evidence, len(rows.attacker), store)
    sealed.unseal()
    originals = reconstruction.examine(judges, sealed[rows.target], images.identities[rows.target])
    others = baselines(subject, evidence, sealed[rows.attacker])
    found = Measurements(
        settings=settings,
        images=images,
        rows=rows,
        subject=subject,
        evidence=evidence,
        originals=originals,
        tasks=tuple(tasks),
        facts={task.name: store.facts(task.name) for task in tasks},
        measured={
            **measure_all(judges, originals, [task.name for task in tasks], others, store),
            **measure_all(judges, originals, [point.name for point in curve], {}, store),
        },
        curve=tuple(curve),
        yardsticks=measure_yardsticks(
            judges,
            originals,
            yardstick_store(settings.seed, images, rows, sealed, context),
            settings.seed,
        ),
        photographs=context.photographs,
        reference=reference,
        utility_codes=cache.codes(rows.utility, UTILITY_NOISE + settings.seed),
        public_embeddings=spaces.public_embeddings,
        identity=findings.measure(
            predictions, spaces.original_directions(originals), originals.identities
        ),
        fitted_head=subject.task_output is not context.subject.task_output,
        candidates=match.match(
            settings,
            subject,
            evidence,
            sealed[rows.target],
            images.identities[rows.target],
            rows.target,
            images.identities[rows.attacker] if images.identities_known else None,
        ),
        provenance=context.provenance,
        decisions=decisions,
    )
    return report_of(found, store, others, sealed[rows.target])


def attack(
    settings: AuditSettings, evidence: Evidence, store: AttackStore, spaces: IdentitySpaces
) -> list[attack_runs.Task]:
    """Lets the attackers at the codes and at the task output alone; the attacks that were run.

    Attackers that combine others' pictures belong to every level; --attackers leaves them out.
    """
    tasks = attack_runs.planned(
        settings.audit, settings.audit_seeds, settings.seed, evidence, settings.attacker_names
    )
    outputs = evidence.task_outputs and on_task_output(evidence)
    attack_runs.run_attacks(tasks, evidence, outputs, settings.attacker, store)
    if settings.attacker_names:
        return tasks
    options = dataclasses.replace(settings.attacker, seed=settings.seed)
    # A network of the attacker's own chooses; with one network it is the judge's, too.
    combiners = combining.combiners_of(spaces.directions, judged=len(spaces.names) == 1)
    return tasks + combining.combine(tasks, evidence, outputs, combiners, options, store)


def open_store(
    settings: AuditSettings,
    images: ImageSet,
    rows: Rows,
    sealed: SealedImages,
    context: AuditContext,
) -> AttackStore:
    """The store of this encoder's attacks: others' there count as not there."""
    identity = dict(settings.attack_identity)
    # Single codes' attacks keep the key they had before there was a choice.
    if settings.codes_per_photo > 1:
        identity["codes_per_photo"] = settings.codes_per_photo
    key = attack_store.store_key(
        context.subject.sha256,
        dataclasses.asdict(context.subject.channel),
        identity,
        sealed.fingerprint,
        *(names_hash([images.names[row] for row in part]) for part in dataclasses.astuple(rows)),
    )
    return AttackStore(context.store_dir, key)


def baselines(
    subject: AuditedEncoder, evidence: Evidence, public_images: np.ndarray
) -> dict[str, np.ndarray]:
    """Pictures uint8 [M, S, S, 3] that no attacker had to be trained for, by name.

    X2's mean image, the floor without any code; and what training's own adversary makes of it.
    """
    pictures = {"mean_image": mean_pictures(public_images, len(evidence.target_codes))}
    if subject.adversary is not None:
        pictures["training_adversary"] = attack_store.to_bytes(
            subject.adversary(evidence.target_codes)
        )
    return pictures


def report_of(
    found: Measurements, store: AttackStore, others: Mapping[str, np.ndarray], originals: np.ndarray
) -> AuditReport:
    """The report of all that was found; the best floor attack by face similarity stands for all."""
    chosen = chosen_tasks(found)
    paths = dict(chosen)
    floors = {task: found.measured[task] for name, task in chosen.items() if is_floor(name)}
    if floors:
        paths["task_output"] = worst_attacks(floors)["face_similarity"]
    names = tuple(found.images.names[row] for row in found.rows.target)
    return AuditReport(
        content=content.assemble(found),
        per_image={name: found.measured[task] for name, task in paths.items()}
        | {name: found.measured[name] for name in others},
        resamples=resampled(found),
        pictures=StoredPictures(store, paths, others),
        originals=originals,
        names=names,
        test_hash=names_hash(names),
        identity=found.identity.on(CODE),
        candidate_hits=found.candidates.hits,
    )


def mean_pictures(public_images: np.ndarray, count: int) -> np.ndarray:
    """X2's mean image `count` times, the floor without any code: uint8 [count, S, S, 3]."""
    mean = attack_store.to_bytes(public_images.mean(axis=0, dtype=np.float64) / 255.0)
    return np.broadcast_to(mean, (count, *mean.shape))


def measure_all(
    judges: reconstruction.MetricNetworks,
    originals: reconstruction.Originals,
    names: Sequence[str],
    others: Mapping[str, np.ndarray],
    store: AttackStore,
) -> dict[str, dict[str, np.ndarray]]:
    """Measures of the pictures of stored attacks and of others; name -> measure -> float64 [N].

    What was measured before is read from the store.
    """
    measured = {}
    for name in [*names, *others]:
        measured[name] = store.measures(name)
        if measured[name] is None:
            logging.info("Measuring the reconstructions of '%s'", name)
            pictures = others[name] if name in others else store.pictures(name)
            measured[name] = reconstruction.measure(judges, to_unit(pictures), originals)
            store.save_measures(name, measured[name])
    return measured


def yardstick_store(
    seed: int, images: ImageSet, rows: Rows, sealed: SealedImages, context: AuditContext
) -> AttackStore:
    """Where the yardsticks are kept; all encoders share those of the same images."""
    key = attack_store.store_key(
        "yardsticks",
        sealed.fingerprint,
        names_hash([images.names[row] for row in rows.target]),
        context.photographs,
        seed,
    )
    return AttackStore(context.cache_dir / f"yardsticks_{key[:16]}", key)


def measure_yardsticks(
    judges: reconstruction.MetricNetworks,
    originals: reconstruction.Originals,
    store: AttackStore,
    seed: int,
) -> dict[str, dict[str, np.ndarray]]:
    """The yardsticks that these images have; name -> measure -> float64 [N]. Kept in the store."""
    found = {}
    for name in yardsticks.YARDSTICKS:
        measured = store.measures(name)
        if measured is None:
            measured = yardsticks.measure(judges, originals, name, seed)
            if measured is None:
                continue
            store.save_measures(name, measured)
        found[name] = measured
    return found
