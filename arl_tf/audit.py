"""audit(...): freezes an encoder, lets fresh attackers at its codes, measures their gains on T."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf import attack_store, audit_content, audit_run, rulers, yardsticks
from arl_tf.adversary import AttackSettings, Evidence
from arl_tf.attack_store import AttackStore, StoredPictures, to_unit
from arl_tf.audit_evidence import Rows, SealedImages, audited_rows, fingerprint
from arl_tf.code_cache import CodeCache
from arl_tf.collection import UTILITY_NOISE, collect, on_task_output, with_task_head
from arl_tf.config import Config
from arl_tf.data import ImageSet
from arl_tf.findings import Findings, chosen_tasks, is_floor
from arl_tf.leakage import Reference, worst_attacks
from arl_tf.resamples import Resamples, resampled
from arl_tf.splits import Splits, names_hash
from arl_tf.subjects import Subject

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
        resamples: the figures in the bootstrap resamples.
        pictures: attack or floor -> reconstructions uint8 [N, S, S, 3]; may be read from disk.
        originals: uint8 [N, S, S, 3].
        names: N image names.
        test_hash: of the names.
    """

    content: dict[str, Any]
    per_image: Mapping[str, Mapping[str, np.ndarray]]
    resamples: Resamples
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
    evidence = collect(
        config,
        images,
        rows,
        sealed,
        cache,
        subject,
        setting.other_images,
        setting.perceptual_features,
    )
    store = open_store(config, images, rows, sealed, setting)
    tasks = attack(config, evidence, store)
    sealed.unseal()
    judges = rulers.load_rulers(
        images.images.shape[1],
        procedural=not setting.photographs,
        public_images=sealed[rows.attacker],
    )
    originals = rulers.examine(judges, sealed[rows.target], images.identities[rows.target])
    others = baselines(subject, evidence, sealed[rows.attacker])
    found = Findings(
        config=config,
        images=images,
        rows=rows,
        subject=subject,
        evidence=evidence,
        originals=originals,
        tasks=tuple(tasks),
        facts={task.name: store.facts(task.name) for task in tasks},
        measured=measure_all(judges, originals, tasks, others, store),
        yardsticks=measure_yardsticks(
            judges, originals, yardstick_store(config, images, rows, sealed, setting), config.seed
        ),
        photographs=setting.photographs,
        reference=reference,
        utility_codes=cache.codes(rows.utility, UTILITY_NOISE + config.seed),
        public_embeddings=rulers.embeddings(judges, sealed[rows.attacker]),
        fitted_head=subject.task_output is not setting.subject.task_output,
        provenance=setting.provenance,
    )
    return report_of(found, store, others, sealed[rows.target])


def attack(config: Config, evidence: Evidence, store: AttackStore) -> list[audit_run.Task]:
    """Lets the attackers at the codes and at the task output alone; the attacks that were run."""
    tasks = audit_run.planned(
        config.audit, config.audit_seeds, config.seed, evidence, config.attacker_names
    )
    outputs = evidence.task_outputs and on_task_output(evidence)
    audit_run.run_attacks(tasks, evidence, outputs, attack_settings(config), store)
    return tasks


def open_store(
    config: Config, images: ImageSet, rows: Rows, sealed: SealedImages, setting: Setting
) -> AttackStore:
    """The store of this encoder's attacks: others' there count as not there."""
    settings = {name: getattr(config, name) for name in ATTACK_SETTINGS}
    # Single codes' attacks keep the key they had before there was a choice.
    if config.codes_per_photo > 1:
        settings["codes_per_photo"] = config.codes_per_photo
    key = attack_store.store_key(
        setting.subject.sha256,
        dataclasses.asdict(setting.subject.channel),
        settings,
        sealed.fingerprint,
        *(names_hash([images.names[row] for row in part]) for part in dataclasses.astuple(rows)),
    )
    return AttackStore(setting.store_dir, key)


def baselines(
    subject: Subject, evidence: Evidence, public_images: np.ndarray
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
    found: Findings, store: AttackStore, others: Mapping[str, np.ndarray], originals: np.ndarray
) -> AuditReport:
    """The report of all that was found; the best floor attack by face similarity stands for all."""
    chosen = chosen_tasks(found)
    paths = {name: task for name, task in chosen.items() if not is_floor(name)}
    floors = {task: found.measured[task] for name, task in chosen.items() if name not in paths}
    if floors:
        paths["task_output"] = worst_attacks(floors)["face_similarity"]
    names = tuple(found.images.names[row] for row in found.rows.target)
    return AuditReport(
        content=audit_content.assemble(found),
        per_image={name: found.measured[task] for name, task in paths.items()}
        | {name: found.measured[name] for name in others},
        resamples=resampled(found),
        pictures=StoredPictures(store, paths, others),
        originals=originals,
        names=names,
        test_hash=names_hash(names),
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


def yardstick_store(
    config: Config, images: ImageSet, rows: Rows, sealed: SealedImages, setting: Setting
) -> AttackStore:
    """Where the yardsticks are kept; all encoders share those of the same images."""
    key = attack_store.store_key(
        "yardsticks",
        sealed.fingerprint,
        names_hash([images.names[row] for row in rows.target]),
        setting.photographs,
        config.seed,
    )
    return AttackStore(setting.cache_dir / f"yardsticks_{key[:16]}", key)


def measure_yardsticks(
    judges: rulers.Rulers, originals: rulers.Originals, store: AttackStore, seed: int
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
