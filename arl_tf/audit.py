"""audit(...): freezes an encoder, lets fresh attackers at its codes, measures their gains on T."""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from arl_tf import attacks, leakage, metrics, rulers, utility
from arl_tf.config import Config
from arl_tf.data import ImageSet, to_float
from arl_tf.leakage import FLOORS, Reference, mean_estimate
from arl_tf.rulers import MEASURES
from arl_tf.runs import fit_verbosity
from arl_tf.splits import Splits, names_hash

BATCH = 128


@dataclasses.dataclass(frozen=True)
class AuditReport:
    """Everything an audit found; report.py turns it into files.

    Attributes:
        content: report.json as a dictionary.
        per_image: attack or floor -> measure -> float64 [N].
        reconstructions: attack or floor -> float32 [N, S, S, 3] in [0, 1].
        originals: float32 [N, S, S, 3] in [0, 1].
        names: N image names.
        test_hash: of the names.
    """

    content: dict[str, Any]
    per_image: dict[str, dict[str, np.ndarray]]
    reconstructions: dict[str, np.ndarray]
    originals: np.ndarray
    names: tuple[str, ...]
    test_hash: str


@dataclasses.dataclass(frozen=True)
class Rows:
    """Which images play which part in an audit; int64 row numbers."""

    attacker: np.ndarray
    held_out: np.ndarray
    utility: np.ndarray
    target: np.ndarray


def audited_rows(splits: Splits, audit_split: str, identities: np.ndarray) -> Rows:
    """The parts' roles: on T for the final figures, on validation parts where settings are chosen.

    Attackers see X2 only, in both cases. On validation, reconstructions are measured on X2's
    validation part, and the attackers' held-out images are people taken from X2's training part.
    """
    if audit_split == "test":
        return Rows(splits.public_train, splits.public_validation, splits.test, splits.test)
    people = np.unique(identities[splits.public_train])
    held_out = np.isin(identities[splits.public_train], people[::10])
    return Rows(
        splits.public_train[~held_out],
        splits.public_train[held_out],
        splits.private_validation,
        splits.public_validation,
    )


def audit(
    config: Config,
    images: ImageSet,
    splits: Splits,
    *,
    encoder: keras.Model,
    task_head: keras.Model,
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
    reference: Reference | None = None,
) -> AuditReport:
    """Attacks one frozen encoder and measures utility, attacks, floors and leakage.

    Args:
        config: sizes of the attackers, seed, what to measure on.
        images: the data set.
        splits: its parts; attackers get public ones.
        encoder: image float32 [B, S, S, 3] in [0, 1] -> code.
        task_head: code -> logits [B, A].
        perceptual_features: g, for the attackers' loss.
        reference: the unprotected encoder's audit of the same images; leakage is null without it.
    """
    rows = audited_rows(splits, config.audit_split, images.identities)
    judges = rulers.load_rulers(
        config.image_size,
        procedural=config.dataset == "faces",
        public_images=images.images[rows.attacker],
    )
    originals = rulers.examine(judges, images.images[rows.target], images.identities[rows.target])
    pairs, target_codes = collect_codes(encoder, images.images, rows)
    results = run_attacks(config, task_head, pairs, target_codes, perceptual_features)
    reconstructions = {"mean_image": repeated_mean(pairs.images, len(rows.target))}
    reconstructions |= {result.name: result.reconstructions for result in results}
    per_image = {}
    for name, pictures in reconstructions.items():
        logging.info("Measuring the reconstructions of '%s'", name)
        per_image[name] = rulers.measure(judges, pictures, originals)
    logits = outputs(task_head, outputs_of_images(encoder, images.images[rows.utility]))
    content = assemble(
        config, images, rows, results, per_image, logits, target_codes, originals, reference
    )
    names = tuple(images.names[row] for row in rows.target)
    return AuditReport(
        content, per_image, reconstructions, originals.images, names, names_hash(names)
    )


def collect_codes(
    encoder: keras.Model, images: np.ndarray, rows: Rows
) -> tuple[attacks.PublicPairs, np.ndarray]:
    """Codes of the public images and of the targets.

    The public ones come with their mirror images, as an adversary would collect them.
    """
    public = images[rows.attacker]
    public = np.concatenate([public, public[:, :, ::-1]])
    held_out = images[rows.held_out]
    pairs = attacks.PublicPairs(
        codes=outputs_of_images(encoder, public),
        images=public,
        held_out_codes=outputs_of_images(encoder, held_out),
        held_out_images=held_out,
    )
    return pairs, outputs_of_images(encoder, images[rows.target])


def run_attacks(
    config: Config,
    task_head: keras.Model,
    pairs: attacks.PublicPairs,
    target_codes: np.ndarray,
    perceptual_features: Callable[[tf.Tensor], Sequence[tf.Tensor]],
) -> list[attacks.AttackResult]:
    """The same decoder against the codes, and against the task output alone (the floor)."""
    settings = attacks.DecoderSettings(
        width=config.attacker_width,
        depth=config.attacker_depth,
        steps=config.attacker_steps,
        batch_size=config.attacker_batch_size,
        learning_rate=config.attacker_learning_rate,
        mu=config.mu,
        # Not the training's seed: the attacker shares no initial weight with training's adversary.
        seed=config.seed + 1_000_003,
    )
    from_output = dataclasses.replace(
        pairs,
        codes=outputs(task_head, pairs.codes),
        held_out_codes=outputs(task_head, pairs.held_out_codes),
    )
    attack = functools.partial(
        attacks.decoder_attack,
        settings=settings,
        perceptual_features=perceptual_features,
        verbose=fit_verbosity(),
    )
    logging.info("Attack 'decoder': a new decoder learns from %d public codes", len(pairs.codes))
    on_codes = attack(pairs, target_codes, name="decoder")
    logging.info("Floor 'task_output': the same decoder learns from the task output alone")
    on_output = attack(from_output, outputs(task_head, target_codes), name="task_output")
    return [on_codes, on_output]


def outputs(model: keras.Model, values: np.ndarray) -> np.ndarray:
    """A model's output in inference mode for float32 [N, ...]."""
    return model.predict(values, batch_size=BATCH, verbose=0)


def outputs_of_images(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """A model's output in inference mode for uint8 images [N, S, S, 3]."""
    parts = [
        np.asarray(model(to_float(tf.constant(images[start : start + BATCH])), training=False))
        for start in range(0, len(images), BATCH)
    ]
    return np.concatenate(parts)


def repeated_mean(public_images: np.ndarray, count: int) -> np.ndarray:
    """X2's mean image, the floor without any code: float32 [count, S, S, 3] in [0, 1]."""
    mean = public_images.mean(axis=0, dtype=np.float64) / 255.0
    return np.broadcast_to(mean.astype(np.float32), (count, *mean.shape))


def assemble(
    config: Config,
    images: ImageSet,
    rows: Rows,
    results: list[attacks.AttackResult],
    per_image: dict[str, dict[str, np.ndarray]],
    logits: np.ndarray,
    target_codes: np.ndarray,
    originals: rulers.Originals,
    reference: Reference | None,
) -> dict[str, Any]:
    """report.json's content (the contract is in WORKSPACE.md)."""
    weights = metrics.identity_weights(originals.identities, config.bootstrap_samples, config.seed)
    on_codes = [result for result in results if result.name not in FLOORS]
    worst = leakage.worst_attacks({result.name: per_image[result.name] for result in on_codes})
    estimates = {
        name: {measure: mean_estimate(values, weights) for measure, values in measures.items()}
        for name, measures in per_image.items()
    }
    utility_weights = metrics.identity_weights(
        images.identities[rows.utility], config.bootstrap_samples, config.seed
    )
    linkage = metrics.linkage_auc(target_codes, originals.identities)
    return {
        "utility": utility.measure_utility(
            logits, images.attributes[rows.utility], images.attribute_names, utility_weights
        ),
        "floors": {name: estimates[name] for name in FLOORS},
        "attacks": [
            {
                "name": result.name,
                "knowledge": result.knowledge,
                "settings": dict(result.settings),
                "seconds": round(result.seconds, 1),
                "held_out_loss": list(result.held_out_loss),
                **estimates[result.name],
            }
            for result in on_codes
        ],
        "worst": {
            measure: {"attack": name, **estimates[name][measure]} for measure, name in worst.items()
        },
        "leakage": {
            measure: leakage.leakage(measure, per_image, worst[measure], reference, weights)
            for measure in MEASURES
        },
        "codes": {
            "linkage_auc": utility.estimate(linkage),
            "attribute_probe": {},
            "shape": list(target_codes.shape[1:]),
            "bytes": int(target_codes[0].nbytes),
        },
        "reference": reference and leakage.describe_reference(reference, weights),
        "measured_on": {
            "split": config.audit_split,
            "images": len(rows.target),
            "identities": len(np.unique(originals.identities)),
            "attacker_images": len(rows.attacker),
        },
    }
