"""audit(...): freezes an encoder, lets fresh attackers at its codes, measures their gains on T."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from arl_tf.attacks.evidence import Evidence
from arl_tf.auditing import (
    attack_runs,
    attack_store,
    content,
    judging,
    learning_curve,
    yardsticks,
)
from arl_tf.auditing.attack_store import AttackStore, StoredPictures
from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.caches.kept_embeddings import KeptEmbeddings
from arl_tf.auditing.candidates import match
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.encoders.decision_fit import fit_decisions
from arl_tf.auditing.evidence_collection import (
    HELD_OUT_NOISE,
    PUBLIC_NOISE,
    UTILITY_NOISE,
    collect,
    on_task_output,
    with_task_head,
)
from arl_tf.auditing.identity import combining
from arl_tf.auditing.identity import measurements as identity_measurements
from arl_tf.auditing.identity import runs as identity_runs
from arl_tf.auditing.identity.runs import CODE
from arl_tf.auditing.identity.spaces import IdentitySpaces, identity_spaces, known_faces
from arl_tf.auditing.leakage import Reference, headline_attack
from arl_tf.auditing.measurements import Measurements, chosen_tasks, is_floor
from arl_tf.auditing.measures_file import Measured, measured_images
from arl_tf.auditing.near_duplicates import section as near_duplicates
from arl_tf.auditing.resamples import Resamples, resampled
from arl_tf.auditing.sealed_images import Rows, SealedImages, audited_rows, fingerprint
from arl_tf.auditing.settings import QUICK, AuditContext, AuditSettings
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.metrics import reconstruction
from arl_tf.metrics.tasks.definition import TaskDecisions


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """Everything an audit found; `report.report_files` turns it into files.

    Attributes:
        content: report.json as a dictionary.
        per_image: attack or floor -> measure -> float64 [N].
        resamples: the figures in the bootstrap resamples.
        pictures: attack or floor -> reconstructions uint8 [N, S, S, 3]; may be read from disk.
        originals: uint8 [N, S, S, 3].
        names: N image names.
        measured_on: what tells the images under attack from others.
        identity: network -> attack on identity from the code -> measure -> float64 [N].
        candidate_hits: float64 [M] in [0, 1], how often the photo was found; CandidateMatch.hits.
        later_tasks: bool [draws, N] each, the attributes outside the task; see LaterTasks.kept.
    """

    content: dict[str, Any]
    per_image: Mapping[str, Mapping[str, np.ndarray]]
    resamples: Resamples
    pictures: Mapping[str, np.ndarray]
    originals: np.ndarray
    names: tuple[str, ...]
    measured_on: Measured
    identity: Mapping[str, Mapping[str, Mapping[str, np.ndarray]]] = dataclasses.field(
        default_factory=dict
    )
    candidate_hits: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    later_tasks: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Attacked:
    """Where an audit stands after its last attack, before anybody reads an image under attack.

    Attributes:
        rows: who is who.
        sealed: the images.
        cache: of codes.
        audited_encoder: what was attacked, with its task head.
        decisions: of that task head; None without one.
        evidence: what the attackers had.
        judges: the judging networks.
        spaces: the attackers' identity networks.
        store: of the attacks.
        tasks: the attacks.
        predictions: of the attacks on identity.
        curve: the attacks of the learning curve.
    """

    rows: Rows
    sealed: SealedImages
    cache: CodeCache
    audited_encoder: AuditedEncoder
    decisions: TaskDecisions | None
    evidence: Evidence
    judges: reconstruction.MetricNetworks
    spaces: IdentitySpaces
    store: AttackStore
    tasks: list[attack_runs.Task]
    predictions: identity_runs.Predictions
    curve: list[learning_curve.CurvePoint]


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
        context: the audited encoder and what surrounds it.
        reference: the unprotected encoder's audit of the same images; leakage is null without it.
    """
    attacked = attack_all(settings, images, splits, context)
    return judge(settings, images, context, attacked, reference)


def attack_all(
    settings: AuditSettings, images: ImageSet, splits: Splits, context: AuditContext
) -> Attacked:
    """Collects what the attackers get, and runs all attacks; arguments as of `audit`."""
    rows = audited_rows(splits, settings.audit_split, images.identities, settings.target_images)
    # All of T, also where some of its people are attacked only.
    hidden = np.union1d(rows.target, splits.test)
    sealed = SealedImages(images.images, hidden, fingerprint(images))
    cache = CodeCache(context.cache_dir, context.audited_encoder, sealed)
    audited_encoder = with_task_head(settings.seed, images, splits, context.audited_encoder, cache)
    judges = reconstruction.load_metric_networks(
        images.images.shape[1],
        procedural=not context.photographs,
        public_images=sealed[rows.attacker],
        has_faces=images.has_faces,
        known=KeptEmbeddings(context.cache_dir, sealed, (rows.attacker, rows.held_out)).recall,
    )
    evidence = dataclasses.replace(
        collect(
            settings,
            images,
            rows,
            sealed,
            cache,
            audited_encoder,
            context.other_images,
            context.perceptual_features,
        ),
        identity_features=reconstruction.identity_features(judges),
    )
    store = attack_store.open_store(settings, images, rows, sealed, context)
    spaces = identity_spaces(judges, sealed[rows.attacker], all_networks=not is_quick(settings))
    tasks = attack(settings, evidence, store, spaces)
    # Four more linear maps to fit and to measure: too much for an audit of minutes, and nothing
    # that somebody who names the attackers asked for.
    curve = []
    if not is_quick(settings) and not settings.attacker_names:
        curve = learning_curve.run(settings, evidence, len(rows.attacker), store)
    return Attacked(
        rows=rows,
        sealed=sealed,
        cache=cache,
        audited_encoder=audited_encoder,
        decisions=context.decisions
        or fit_decisions(
            images, splits.private_validation, audited_encoder, cache, UTILITY_NOISE + settings.seed
        ),
        evidence=evidence,
        judges=judges,
        spaces=spaces,
        store=store,
        tasks=tasks,
        predictions=identity_runs.run(settings, evidence, spaces, tasks, store),
        curve=curve,
    )


def is_quick(settings: AuditSettings) -> bool:
    """Whether the audit is to take minutes only."""
    return settings.audit == QUICK


def judge(
    settings: AuditSettings,
    images: ImageSet,
    context: AuditContext,
    attacked: Attacked,
    reference: Reference | None,
) -> AuditReport:
    """Unseals the images under attack and measures what the attacks found.

    `attacked` comes from `attack_all`; the rest is as of `audit`.
    """
    attacked.sealed.unseal()
    rows = attacked.rows
    others = yardsticks.pictures_of(
        attacked.audited_encoder, attacked.evidence, attacked.sealed[rows.attacker]
    )
    found = measure(settings, images, context, attacked, others, reference)
    return report_of(found, attacked.store, others, attacked.sealed[rows.target])


def measure(
    settings: AuditSettings,
    images: ImageSet,
    context: AuditContext,
    attacked: Attacked,
    others: Mapping[str, np.ndarray],
    reference: Reference | None,
) -> Measurements:
    """Measures all attacks, now that the images are unsealed.

    `others` are pictures uint8 [M, S, S, 3] that nobody had to attack for, see `pictures_of`; the
    rest is as of `audit`.
    """
    rows, store, judges = attacked.rows, attacked.store, attacked.judges
    people, names = images.identities[rows.target], [task.name for task in attacked.tasks]
    parts = (rows.attacker, rows.held_out, rows.target)
    kept = KeptEmbeddings(context.cache_dir, attacked.sealed, parts)
    originals = kept.examine(judges, attacked.sealed[rows.target], people)
    points = [point.name for point in attacked.curve]
    measured = attack_store.measure_all(judges, originals, names, others, store)
    measured |= attack_store.measure_all(judges, originals, points, {}, store)
    photos = attack_store.yardstick_store(settings.seed, images, rows, attacked.sealed, context)
    return Measurements(
        settings=settings,
        images=images,
        rows=rows,
        audited_encoder=attacked.audited_encoder,
        evidence=attacked.evidence,
        originals=originals,
        tasks=tuple(attacked.tasks),
        facts={name: store.facts(name) for name in names},
        measured=measured,
        curve=tuple(attacked.curve),
        yardsticks=yardsticks.measure_all(judges, originals, photos, settings.seed),
        judged=judging.judge_worst(
            judges, originals, {name: measured[name] for name in names}, store, settings.seed
        ),
        photographs=context.photographs,
        reference=reference,
        utility_codes=attacked.cache.codes(rows.utility, UTILITY_NOISE + settings.seed),
        labelled_codes=np.concatenate(
            [
                attacked.cache.codes(rows.attacker, PUBLIC_NOISE + settings.seed),
                attacked.cache.codes(rows.held_out, HELD_OUT_NOISE + settings.seed),
            ]
        ),
        public_embeddings=attacked.spaces.public_embeddings,
        identity=identified(attacked, originals, people),
        predicted_alone=attacked.predictions.alone,
        fitted_head=attacked.audited_encoder.task_output is not context.audited_encoder.task_output,
        candidates=matched(settings, images, attacked),
        provenance=context.provenance,
        decisions=attacked.decisions,
        near_duplicates=near_duplicates.measure(
            attacked.audited_encoder,
            tuple(attacked.sealed[part] for part in parts),
            lambda pictures: reconstruction.measure(judges, pictures, originals),
            count=settings.near_duplicates,
            seed=settings.seed,
        ),
    )


def identified(
    attacked: Attacked, originals: reconstruction.Originals, people: np.ndarray
) -> identity_measurements.MeasuredIdentity:
    """Whom the attacks on identity find; `people` int [M] are on the images under attack."""
    return identity_measurements.measure(
        attacked.predictions.results,
        attacked.spaces.original_directions(originals),
        people,
        known_faces(attacked.spaces, attacked.evidence.pairs.held_out_images),
    )


def matched(settings: AuditSettings, images: ImageSet, attacked: Attacked) -> match.CandidateMatch:
    """Whether codes are of candidate photos: the unsealed images under attack."""
    rows = attacked.rows
    return match.match(
        settings,
        attacked.audited_encoder,
        attacked.evidence,
        attacked.sealed[rows.target],
        images.identities[rows.target],
        rows.target,
        images.identities[rows.attacker] if images.identities_known else None,
    )


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
    faces = spaces.directions if spaces.names else None
    combiners = combining.combiners_of(faces, judged=len(spaces.names) == 1)
    return tasks + combining.combine(tasks, evidence, outputs, combiners, options, store)


def report_of(
    found: Measurements, store: AttackStore, others: Mapping[str, np.ndarray], originals: np.ndarray
) -> AuditReport:
    """The report of all that was found; the best floor attack by the headline measure counts.

    `others` is as of `measure`, `originals` are the images under attack, uint8 [M, S, S, 3].
    """
    chosen = chosen_tasks(found)
    paths = dict(chosen)
    floors = {task: found.measured[task] for name, task in chosen.items() if is_floor(name)}
    if floors:
        paths["task_output"] = headline_attack(floors)
    names = tuple(found.images.names[row] for row in found.rows.target)
    return AuditReport(
        content=content.assemble(found),
        per_image={name: found.measured[task] for name, task in paths.items()}
        | {name: found.measured[name] for name in others},
        resamples=resampled(found),
        pictures=StoredPictures(store, paths, others),
        originals=originals,
        names=names,
        measured_on=measured_images(found.images, found.rows.target),
        identity=found.identity.on(CODE),
        candidate_hits=found.candidates.hits,
        later_tasks=found.later_tasks.kept if found.later_tasks else {},
    )
