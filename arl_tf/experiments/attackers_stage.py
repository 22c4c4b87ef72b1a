"""The attackers stage: attackers as SavedModels for the demo page of serving.local_server.

They are fitted anew, since the audit keeps what its attackers made and not the attackers, with the
audit's settings and seed, on the codes of X2.
"""

import dataclasses
import pathlib
import shlex
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from arl_tf.attacks import shipped
from arl_tf.attacks.evidence import CodeNoise, Evidence, PublicPairs
from arl_tf.attacks.shipped import FITTED, ShippedAttacker
from arl_tf.auditing import attack_runs, evidence_collection
from arl_tf.auditing.caches.code_cache import CodeCache
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.sealed_images import Rows, SealedImages, audited_rows, fingerprint
from arl_tf.config.settings import Config
from arl_tf.experiments import attackers_facts, audits, references
from arl_tf.experiments.attackers_facts import PROTECTED, TASK_OUTPUT, UNPROTECTED
from arl_tf.experiments.audited_encoders import trained_encoder
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.references import AUTO
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.exporting import build, manifest, saved_model_checks, saved_models, tflite_attack
from arl_tf.training import checkpoints
from arl_tf.utils import files, publishing, revision, run_files

# In the run's export folder; below it the names that the demo page's server looks for.
FOLDER = pathlib.Path("demo_attacker")
UNPROTECTED_ENCODER = "unprotected_encoder"
# The unprotected encoder and its attacker in one, for browsers: neither photo nor code leaves them.
UNPROTECTED_FILE = "unprotected.tflite"
FACTS = "attackers.json"
VERSION = "1"
SAMPLES = 16
SAME_ATTACKER = "the attacker of this encoder's code"


@dataclasses.dataclass(frozen=True)
class Target:
    """What an attacker is fitted to.

    Attributes:
        run: whose encoder or task head is attacked.
        audited_encoder: its encoder.
        pairs: codes, or task outputs, of public images.
        noise: what asking the encoder tells of the codes' noise, as the audit's attackers know it;
            None without noise.
        audit: report.json of the encoder's audit of T; None without.
        figures: attack -> face similarity by that audit.
    """

    run: RunDirectory
    audited_encoder: AuditedEncoder
    pairs: PublicPairs
    noise: CodeNoise | None
    audit: Mapping[str, Any] | None
    figures: Mapping[str, Mapping[str, Any]]


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The attacker that is shipped for one target.

    Attributes:
        attacker: what has learned.
        sample_codes: float32 [n, ...], held-out codes that its SavedModel is compared on.
        facts: for attackers.json.
    """

    attacker: ShippedAttacker
    sample_codes: np.ndarray
    facts: Mapping[str, Any]


def run(experiment: Experiment) -> None:
    """Fits attackers on the run's encoder, its task output and its --reference; writes by rename.

    Raises:
        ValueError: an encoder is missing or of another image size.
        ExportError: a SavedModel computes something else than what was fitted, or can't be written.
    """
    config, run_files = experiment.config, experiment.run
    reference = reference_run(experiment)
    if reference is None:
        logging.info("Without --reference the demo page gets no attack on an unprotected code")
    public = public_images(experiment)
    targets = find_targets(config, run_files, reference, public)
    chosen = choose_attackers(config, targets)
    with (
        build.told_as_export_error(run_files.export),
        publishing.unfinished_folders(run_files.export) as (built, replaced),
    ):
        for name, each in chosen.items():
            save(each, built / FOLDER / name / VERSION)
        if reference is not None:
            save_unprotected(reference, chosen[UNPROTECTED], public, built / FOLDER, config.fit)
        facts = describe(experiment, targets, chosen, built / FOLDER)
        files.write_json(built / FOLDER / FACTS, facts)
        publishing.publish(
            [FOLDER], gone=[FOLDER], built=built, replaced=replaced, export_dir=run_files.export
        )


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Raises ValueError where --reference=DIR has no unprotected encoder of the same task."""
    if config.reference not in ("", AUTO):
        references.check_trained(config)


def reference_run(experiment: Experiment) -> RunDirectory | None:
    """The run directory of the unprotected encoder, which `auto` trains where it is not cached."""
    config = experiment.config
    if not config.reference or (config.reference == AUTO and config.is_unprotected):
        return None
    if config.reference != AUTO:
        return RunDirectory(pathlib.Path(config.reference))
    audited_encoder = trained_encoder(config, experiment.run, Channel())
    return RunDirectory(references.audited_reference(experiment, audited_encoder))


@dataclasses.dataclass(frozen=True)
class PublicImages:
    """X2, all that these attackers may ask encoders about.

    Attributes:
        sealed: the data set's images; whatever is not public can't be read.
        rows: of the audit of T: who learns, and who is held out to choose by.
        cache_dir: of codes, so that each image is encoded once.
    """

    sealed: SealedImages
    rows: Rows
    cache_dir: pathlib.Path


def public_images(experiment: Experiment) -> PublicImages:
    """Those of a run's splits, as its audit of T takes them."""
    images = experiment.images
    rows = audited_rows(experiment.parts, "test", images.identities)
    public = np.concatenate([rows.attacker, rows.held_out])
    others = np.setdiff1d(np.arange(len(images.names)), public)
    sealed = SealedImages(images.images, others, fingerprint(images))
    return PublicImages(sealed, rows, experiment.cache)


def find_targets(
    config: Config, run: RunDirectory, reference: RunDirectory | None, public: PublicImages
) -> dict[str, Target]:
    """What is attacked: the run's code, its task output, and the unprotected code."""
    protected = code_target(config, run, public)
    targets = {PROTECTED: protected}
    if reference is not None:
        targets[UNPROTECTED] = code_target(config, reference, public)
    return {**targets, TASK_OUTPUT: task_output_target(protected)}


def code_target(config: Config, run: RunDirectory, public: PublicImages) -> Target:
    """A run's codes of the public images.

    Raises:
        ValueError: the encoder is missing or takes images of another size.
    """
    audited_encoder = load_audited_encoder(run, config.image_size)
    cache = CodeCache(public.cache_dir, audited_encoder, public.sealed)
    pairs = evidence_collection.public_pairs(
        public.rows, public.sealed, cache, audited_encoder, config.seed
    )
    noise = evidence_collection.single_noise(
        public.rows,
        cache,
        audited_encoder,
        pairs,
        answers=config.attacker_queries,
        seed=config.seed,
    )
    found = attackers_facts.audit_of(run, audited_encoder)
    return Target(run, audited_encoder, pairs, noise, found, attackers_facts.similarities(found))


def task_output_target(target: Target) -> Target:
    """What the task head says of the same codes: whoever has a code can ask the task head."""
    outputs = dataclasses.replace(
        target.pairs,
        codes=target.audited_encoder.task_output(target.pairs.codes),
        held_out_codes=target.audited_encoder.task_output(target.pairs.held_out_codes),
    )
    figures = attackers_facts.similarities(target.audit, floor=True)
    return dataclasses.replace(target, pairs=outputs, noise=None, figures=figures)


def choose_attackers(config: Config, targets: Mapping[str, Target]) -> dict[str, Chosen]:
    """Fits one attacker to every target, the same to all, so that their pictures compare.

    It is the one that the run's audit found the better on the code; without such an audit, the one
    with the lower held-out loss.
    """
    figures = targets[PROTECTED].figures
    names = list(FITTED)
    is_audited = set(names) <= set(figures)
    if is_audited:
        names = [max(names, key=lambda name: figures[name]["value"])]
    fitted = [fit(config, targets[PROTECTED], name) for name in names]
    first = min(fitted, key=lambda each: each.held_out_loss)
    why = "face similarity in the audit" if is_audited else "held-out loss"
    chosen = {PROTECTED: describe_choice(targets[PROTECTED], first, why)}
    for name, target in targets.items():
        if name != PROTECTED:
            attacker = fit(config, target, first.name)
            chosen[name] = describe_choice(target, attacker, SAME_ATTACKER)
    return chosen


def fit(config: Config, target: Target, name: str) -> ShippedAttacker:
    """Fits an attacker of FITTED, with the audit's settings and seed."""
    evidence = Evidence(
        pairs=target.pairs,
        target_codes=target.pairs.held_out_codes[:0],
        perceptual_features=audits.features(config),
        noise=target.noise,
    )
    settings = dataclasses.replace(
        audits.attacker_options(config), seed=config.seed + attack_runs.ATTACK_SEED
    )
    attacker = FITTED[name](evidence, settings)
    logging.info(
        "Attacker '%s' for %s: held-out loss %.4f", name, target.run.root, attacker.held_out_loss
    )
    return attacker


def describe_choice(target: Target, attacker: ShippedAttacker, why: str) -> Chosen:
    """An attacker with what attackers.json says of it."""
    return Chosen(
        attacker,
        target.pairs.held_out_codes[:SAMPLES],
        {
            "attack": attacker.name,
            **attacker.facts,
            "chosen_by": why,
            "face_similarity": target.figures.get(attacker.name),
            "held_out_loss": attacker.held_out_loss,
            "noise_answers": target.noise.answers if target.noise else 0,
            "public_images": len(target.pairs.images),
            "encoder_sha256": target.audited_encoder.sha256,
        },
    )


def load_audited_encoder(run: RunDirectory, image_size: int) -> AuditedEncoder:
    """A run's encoder; its codes as they leave it, behind no channel, as it is exported.

    Raises:
        ValueError: it is missing or takes images of another size.
    """
    encoder = checkpoints.load_player(run.player("encoder"))
    found = encoder.input_shape[1:]
    if found != (image_size, image_size, 3):
        raise ValueError(
            f"{run.root}: its encoder takes images {list(found)}, expected"
            f" {[image_size, image_size, 3]} as --image_size={image_size} has it."
        )
    task_head = checkpoints.load_player(run.player("task_head"))
    return audited.trained_encoder(
        encoder, task_head, None, channel=Channel(), words=f"the encoder of {run.root.name}"
    )


def save(chosen: Chosen, path: pathlib.Path) -> None:
    """Writes an attacker's SavedModel, reads it back and compares it with what was fitted."""
    saved_models.save_attacker(chosen.attacker.model, path)
    with saved_model_checks.cpu():
        expected = shipped.run(chosen.attacker.model, chosen.sample_codes)
    saved_model_checks.attacker_difference(path, chosen.sample_codes, expected)


def save_unprotected(
    run: RunDirectory, chosen: Chosen, public: PublicImages, folder: pathlib.Path, fit: str
) -> None:
    """Writes the unprotected encoder as the protected one is exported, and the file for browsers.

    Both are compared with the Keras models.
    """
    encoder, task_head = (
        checkpoints.load_player(run.player(name)) for name in ("encoder", "task_head")
    )
    path = folder / UNPROTECTED_ENCODER / VERSION
    saved_models.save_encoder(encoder, encoder.input_shape[1], path, fit)
    samples = public.sealed[public.rows.held_out[:SAMPLES]]
    batches = saved_model_checks.keras_outputs(encoder, task_head, samples)
    saved_model_checks.encoder_differences(path, batches, encoder)
    content = tflite_attack.convert_and_check(encoder, chosen.attacker.model, samples)
    (folder / UNPROTECTED_FILE).write_bytes(content)


def describe(
    experiment: Experiment,
    targets: Mapping[str, Target],
    chosen: Mapping[str, Chosen],
    folder: pathlib.Path,
) -> dict[str, Any]:
    """attackers.json: which attackers there are, and what the audit says of them.

    `leakage` is the run's, of face similarity; where it is null, `why_no_leakage` says why.
    """
    protected, unprotected = targets[PROTECTED], targets.get(UNPROTECTED)
    share, why = attackers_facts.measured_leakage(
        protected.run,
        protected.audit,
        unprotected and unprotected.run,
        unprotected and unprotected.audit,
    )
    compared = unprotected.audit if unprotected and share else None
    if why == attackers_facts.NO_REFERENCE and experiment.config.is_unprotected:
        why = attackers_facts.ITSELF_UNPROTECTED
    return {
        "attackers": {
            name: attackers_facts.told(name, each.facts, folder / name)
            for name, each in chosen.items()
        },
        **attackers_facts.audited_facts(protected.audit, compared),
        "leakage": share,
        "why_no_leakage": why or None,
        "trained_on": manifest.training_data(
            experiment.config.dataset,
            len(experiment.parts.private_train),
            of_images=experiment.num_images,
            photographs=audits.photographs(experiment.config),
            faces=experiment.images.has_faces,
        ),
        **revision.provenance(),
    }


def summary(run: RunDirectory) -> list[str]:
    """What the stage wrote, and how to look at it, a line each for the terminal."""
    folder = run.export / FOLDER
    remedy = "Fit the attackers again: --stages=attackers --overwrite."
    with run_files.reading(folder / FACTS, remedy):
        told = attackers_facts.facts_lines(run_files.read_json(folder / FACTS, remedy=remedy))
    flags = [f"--model_base_path={run.export / 'saved_model'}", f"--demo_attacker={folder}"]
    command = f"python -m serving.local_server {shlex.join(flags)}"
    return [*told, f"Demo page       {command}"]
