"""audit(...): freezes an encoder, lets fresh attackers at its codes, measures their gains on T."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf import attack_store, audit_content, audit_run, fitted_head, rulers
from arl_tf.adversary import AttackSettings, Evidence, PublicPairs, TaskOutputs
from arl_tf.attack_store import AttackStore, StoredPictures, to_unit
from arl_tf.audit_content import Findings
from arl_tf.audit_evidence import (
    Rows,
    SealedImages,
    audited_rows,
    fingerprint,
    further_images,
    mirrored,
)
from arl_tf.code_cache import CodeCache
from arl_tf.config import Config
from arl_tf.data import ImageSet
from arl_tf.leakage import Reference, worst_attacks
from arl_tf.splits import Splits, names_hash
from arl_tf.subjects import Subject

# Noise of the channel is drawn anew for every set of codes.
PUBLIC_NOISE, HELD_OUT_NOISE, TARGET_NOISE, UTILITY_NOISE, QUERY_NOISE = range(100, 105)
STABILITY_IMAGES, RANDOM_SHARE = 8, 1e-3
# What decides what an attack finds, beside codes and images. A higher level or another reference
# leaves finished attacks as they are.
ATTACK_SETTINGS = (
    "attacker_batch_size",
    "attacker_data_dir",
    "attacker_dataset",
    "attacker_depth",
    "attacker_learning_rate",
    "attacker_steps",
    "attacker_width",
    "audit_split",
    "dataset",
    "mu",
    "perceptual",
    "perceptual_layers",
    "seed",
    "task_attributes",
    "task_head_saved_model",
)


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """Everything an audit found; report.py turns it into files.

    Attributes:
        content: report.json as a dictionary.
        per_image: attack or floor -> measure -> float64 [N].
        pictures: attack or floor -> reconstructions uint8 [N, S, S, 3]; may be read from disk.
        originals: uint8 [N, S, S, 3].
        names: N image names.
        test_hash: of the names.
    """

    content: dict[str, Any]
    per_image: Mapping[str, Mapping[str, np.ndarray]]
    pictures: Mapping[str, np.ndarray]
    originals: np.ndarray
    names: tuple[str, ...]
    test_hash: str


@dataclasses.dataclass(frozen=True)
class Setting:
    """What an audit works with, beside its Config.

    Attributes:
        subject: what is audited.
        perceptual_features: g, for the attackers' loss.
        photographs: whether dlib's network judges identity; else the one for drawn faces.
        cache_dir: of codes.
        store_dir: of finished attacks.
        other_images: uint8 [N, S, S, 3] of another data set, for one attacker; None without.
        provenance: facts for the report.
    """

    subject: Subject
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]]
    photographs: bool
    cache_dir: pathlib.Path
    store_dir: pathlib.Path
    other_images: np.ndarray | None
    provenance: Mapping[str, Any]


def audit(
    config: Config,
    images: ImageSet,
    splits: Splits,
    setting: Setting,
    reference: Reference | None = None,
) -> AuditReport:
    """Attacks one frozen encoder and measures utility, attacks, floors and leakage.

    Attackers get public images and codes of the images under attack; these images themselves are
    sealed until the last attack is done.

    Args:
        config: the attackers' level and sizes, seed, what to measure on.
        images: the data set.
        splits: its parts.
        setting: the subject and what surrounds it.
        reference: the unprotected encoder's audit of the same images; leakage is null without it.
    """
    rows = audited_rows(splits, config.audit_split, images.identities)
    sealed = SealedImages(images.images, rows.target, fingerprint(images))
    cache = CodeCache(setting.cache_dir, setting.subject, sealed)
    subject = with_task_head(config, images, splits, setting.subject, cache)
    evidence = collect(config, images, rows, sealed, cache, setting, subject)
    floor_evidence = evidence.task_outputs and on_task_output(evidence)
    settings = attack_settings(config)
    test_names = tuple(images.names[row] for row in rows.target)
    store = AttackStore(
        setting.store_dir,
        attack_store.store_key(
            setting.subject.sha256,
            dataclasses.asdict(setting.subject.channel),
            {name: getattr(config, name) for name in ATTACK_SETTINGS},
            sealed.fingerprint,
            *(
                names_hash([images.names[row] for row in part])
                for part in dataclasses.astuple(rows)
            ),
        ),
    )
    tasks = audit_run.planned(config.audit, config.audit_seeds, config.seed, evidence)
    audit_run.run_attacks(tasks, evidence, floor_evidence, settings, store)

    sealed.unseal()
    judges = rulers.load_rulers(
        images.images.shape[1],
        procedural=not setting.photographs,
        public_images=sealed[rows.attacker],
    )
    originals = rulers.examine(judges, sealed[rows.target], images.identities[rows.target])
    others = {"mean_image": mean_pictures(sealed[rows.attacker], len(rows.target))}
    if subject.adversary is not None:
        pictures = attack_store.to_bytes(subject.adversary(evidence.target_codes))
        others["training_adversary"] = pictures
    measured = measure_all(judges, originals, tasks, others, store)
    found = Findings(
        config=config,
        images=images,
        rows=rows,
        subject=subject,
        evidence=evidence,
        originals=originals,
        tasks=tuple(tasks),
        facts={task.name: store.facts(task.name) for task in tasks},
        measured=measured,
        reference=reference,
        utility_codes=cache.codes(rows.utility, UTILITY_NOISE + config.seed),
        public_embeddings=rulers.embeddings(judges, sealed[rows.attacker]),
        fitted_head=subject.task_output is not setting.subject.task_output,
        provenance=setting.provenance,
    )
    content = audit_content.assemble(found)
    chosen = audit_content.chosen_tasks(found)
    floors = {name: chosen[name] for name in chosen if name.startswith(audit_run.FLOOR_PREFIX)}
    paths = {name: task for name, task in chosen.items() if name not in floors}
    per_image = {name: measured[task] for name, task in paths.items()}
    per_image |= {name: measured[name] for name in others}
    if floors:
        best = worst_attacks({n: measured[t] for n, t in floors.items()})["face_similarity"]
        paths["task_output"] = floors[best]
        per_image["task_output"] = measured[floors[best]]
    return AuditReport(
        content=content,
        per_image=per_image,
        pictures=StoredPictures(store, paths, others),
        originals=sealed[rows.target],
        names=test_names,
        test_hash=names_hash(test_names),
    )


def attack_settings(config: Config) -> AttackSettings:
    """The attackers' sizes; the seed is each attack's own."""
    return AttackSettings(
        width=config.attacker_width,
        depth=config.attacker_depth,
        steps=config.attacker_steps,
        batch_size=config.attacker_batch_size,
        learning_rate=config.attacker_learning_rate,
        mu=config.mu,
        seed=config.seed,
    )


def with_task_head(
    config: Config, images: ImageSet, splits: Splits, subject: Subject, cache: CodeCache
) -> Subject:
    """The subject with a task head: its own, or one fitted on X1's codes; None without labels."""
    if subject.task_output or subject.recorded_logits is not None:
        return subject
    if not images.attribute_names:
        return subject
    logging.info("The encoder comes without a task head: fitting one on the codes of X1")
    parts = [splits.private_train, splits.private_validation]
    codes = [cache.codes(part, UTILITY_NOISE + config.seed) for part in parts]
    head = fitted_head.fit_task_head(
        codes[0],
        images.attributes[parts[0]],
        codes[1],
        images.attributes[parts[1]],
        seed=config.seed,
    )
    return dataclasses.replace(subject, task_output=head)


def collect(
    config: Config,
    images: ImageSet,
    rows: Rows,
    sealed: SealedImages,
    cache: CodeCache,
    setting: Setting,
    subject: Subject,
) -> Evidence:
    """Everything that the attackers get."""
    public = sealed[rows.attacker]
    codes = cache.codes(rows.attacker, PUBLIC_NOISE + config.seed)
    public_rows = rows.attacker
    query = None
    if subject.encoder is not None:
        # The public ones come with their mirror images, as an adversary would collect them.
        codes = np.concatenate(
            [codes, cache.query("mirrored", rows.attacker, PUBLIC_NOISE + config.seed)]
        )
        public, public_rows = mirrored(public), np.concatenate([rows.attacker] * 2)
        query = NoisyQueries(subject, QUERY_NOISE + config.seed)
    held_out_codes = cache.codes(rows.held_out, HELD_OUT_NOISE + config.seed)
    target_codes = cache.codes(rows.target, TARGET_NOISE + config.seed)
    pairs = PublicPairs(codes, public, held_out_codes, sealed[rows.held_out])
    outputs = None
    if subject.recorded_logits is not None:
        logits = subject.recorded_logits
        outputs = TaskOutputs(logits[public_rows], logits[rows.held_out], logits[rows.target])
    elif subject.task_output is not None:
        outputs = TaskOutputs(
            *(subject.task_output(each) for each in (codes, held_out_codes, target_codes))
        )
    return Evidence(
        pairs=pairs,
        target_codes=target_codes,
        perceptual_features=setting.perceptual_features,
        task_outputs=outputs,
        query=query,
        encode=subject.white_box,
        random_codes=query is not None and is_random(query, public[:STABILITY_IMAGES]),
        other_domain=query and other_pairs(setting.other_images, query),
        more_images=query and further_images(config, images, sealed[rows.attacker]),
    )


class NoisyQueries:
    """Asks a subject for codes; the channel's noise is new each time, and the same in each run."""

    def __init__(self, subject: Subject, seed: int):
        """Takes the subject and the seed of the first answer's noise."""
        self._subject, self._seed, self._count = subject, seed, 0

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Codes of uint8 [n, S, S, 3]."""
        self._count += 1
        return self._subject.query(images, self._seed * 1_000_003 + self._count)


def is_random(query: Callable[[np.ndarray], np.ndarray], images: np.ndarray) -> bool:
    """Whether the same images get other codes when asked again."""
    first, second = query(images), query(images)
    # More than what threads leave to chance.
    return bool(np.abs(first - second).max() > RANDOM_SHARE * first.std())


def other_pairs(
    images: np.ndarray | None, query: Callable[[np.ndarray], np.ndarray]
) -> PublicPairs | None:
    """Public pairs of another data set; every tenth image is held out."""
    if images is None:
        return None
    held_out = np.arange(len(images)) % 10 == 0
    public = mirrored(images[~held_out])
    return PublicPairs(query(public), public, query(images[held_out]), images[held_out])


def on_task_output(evidence: Evidence) -> Evidence:
    """The evidence of an adversary who sees the task output alone."""
    outputs = evidence.task_outputs
    pairs = dataclasses.replace(
        evidence.pairs, codes=outputs.public, held_out_codes=outputs.held_out
    )
    return Evidence(
        pairs=pairs, target_codes=outputs.target, perceptual_features=evidence.perceptual_features
    )


def mean_pictures(public_images: np.ndarray, count: int) -> np.ndarray:
    """X2's mean image `count` times, the floor without any code: uint8 [count, S, S, 3]."""
    mean = attack_store.to_bytes(public_images.mean(axis=0, dtype=np.float64) / 255.0)
    return np.broadcast_to(mean, (count, *mean.shape))


def measure_all(
    judges: rulers.Rulers,
    originals: rulers.Originals,
    tasks: Sequence[audit_run.Task],
    others: Mapping[str, np.ndarray],
    store: AttackStore,
) -> dict[str, dict[str, np.ndarray]]:
    """Measures of every attack's pictures and of others; name -> measure -> float64 [N].

    What was measured before is read from the store.
    """
    measured = {}
    for name in [task.name for task in tasks] + list(others):
        measured[name] = store.measures(name)
        if measured[name] is None:
            logging.info("Measuring the reconstructions of '%s'", name)
            pictures = others[name] if name in others else store.pictures(name)
            measured[name] = rulers.measure(judges, to_unit(pictures), originals)
            store.save_measures(name, measured[name])
    return measured
