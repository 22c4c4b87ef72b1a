"""The attackers stage: attackers as SavedModels for the demo page of serving.local_server.

They are fitted anew, since the audit keeps what its attackers made and not the attackers, with the
audit's settings and seed, on the codes of X2.
"""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from absl import logging

from arl_tf.attacks import shipped
from arl_tf.attacks.evidence import Evidence
from arl_tf.attacks.shipped import FITTED, ShippedAttacker
from arl_tf.auditing import attack_runs, evidence_collection
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.code_cache import CodeCache
from arl_tf.auditing.encoders import audited
from arl_tf.auditing.encoders.audited import Subject
from arl_tf.auditing.sealed_images import Rows, SealedImages, audited_rows, fingerprint
from arl_tf.config.settings import Config
from arl_tf.experiments import audits, references, run_directory
from arl_tf.experiments.audited_encoders import trained_subject
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.references import AUTO
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.exporting import build, saved_models
from arl_tf.report import report_files
from arl_tf.training import checkpoints
from arl_tf.utils import files, publishing

# In the run's export folder; below it the names that serving.web.demo looks for.
FOLDER = pathlib.Path("demo_attacker")
PROTECTED, UNPROTECTED, UNPROTECTED_ENCODER = "protected", "unprotected", "unprotected_encoder"
FACTS = "attackers.json"
VERSION = "1"
SAMPLES = 16


@dataclasses.dataclass(frozen=True)
class Chosen:
    """The attacker that is shipped for one encoder.

    Attributes:
        attacker: what has learned.
        sample_codes: float32 [n, ...], held-out codes that its SavedModel is compared on.
        facts: for attackers.json.
    """

    attacker: ShippedAttacker
    sample_codes: np.ndarray
    facts: Mapping[str, Any]


def run(experiment: Experiment) -> None:
    """Fits attackers on the run's encoder and on its --reference, and writes them by rename.

    Raises:
        ValueError: an encoder is missing or of another image size.
        ExportError: a SavedModel computes something else than what was fitted, or can't be written.
    """
    config, run_files = experiment.config, experiment.run
    encoders = {PROTECTED: run_files}
    reference = reference_run(experiment)
    if reference is None:
        logging.info("Without --reference the demo page gets this encoder's attacker only")
    else:
        encoders[UNPROTECTED] = reference
    public = public_images(experiment)
    chosen = {name: choose(config, each, public) for name, each in encoders.items()}
    with (
        build.told_as_export_error(run_files.export),
        publishing.unfinished_folders(run_files.export) as (built, replaced),
    ):
        for name, each in chosen.items():
            save(each, built / FOLDER / name / VERSION)
        if reference is not None:
            save_encoder(reference, public, built / FOLDER / UNPROTECTED_ENCODER / VERSION)
        files.write_json(built / FOLDER / FACTS, describe(run_files, chosen, built / FOLDER))
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
    subject = trained_subject(config, experiment.run, Channel())
    return RunDirectory(references.audited_reference(experiment, subject))


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


def choose(config: Config, run: RunDirectory, public: PublicImages) -> Chosen:
    """Fits the attacker that a run's audit found the better; both, where it was not audited.

    Args:
        config: the attackers' sizes and seed.
        run: whose encoder is attacked.
        public: images.

    Raises:
        ValueError: the encoder is missing or takes images of another size.
    """
    subject = load_subject(run, config.image_size)
    cache = CodeCache(public.cache_dir, subject, public.sealed)
    pairs = evidence_collection.public_pairs(
        public.rows, public.sealed, cache, subject, config.seed
    )
    evidence = Evidence(
        pairs=pairs,
        target_codes=pairs.held_out_codes[:0],
        perceptual_features=audits.features(config),
    )
    # The audit's seed: the same attackers as it reports of.
    settings = dataclasses.replace(
        audits.attacker_options(config), seed=config.seed + attack_runs.ATTACK_SEED
    )
    figures = audited_figures(run, subject)
    best = max(figures, key=lambda name: figures[name]["value"]) if figures else None
    fitted = [FITTED[name](evidence, settings) for name in ([best] if best else FITTED)]
    attacker = min(fitted, key=lambda each: each.held_out_loss)
    logging.info(
        "Attacker '%s' for %s: held-out loss %.4f", attacker.name, run.root, attacker.held_out_loss
    )
    return Chosen(
        attacker,
        pairs.held_out_codes[:SAMPLES],
        {
            "attack": attacker.name,
            **attacker.facts,
            "chosen_by": "face similarity in the audit" if best else "held-out loss",
            "face_similarity": figures.get(attacker.name),
            "held_out_loss": attacker.held_out_loss,
            "public_images": len(pairs.images),
            "encoder_sha256": subject.sha256,
        },
    )


def load_subject(run: RunDirectory, image_size: int) -> Subject:
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
    return audited.trained_subject(
        encoder, task_head, None, channel=Channel(), words=f"the encoder of {run.root.name}"
    )


def audited_figures(run: RunDirectory, subject: Subject) -> dict[str, dict[str, Any]]:
    """Face similarity of both attackers by the audit of T; empty without both of this encoder.

    An audit behind a channel is one of other codes.
    """
    folder = run.audit("test")
    if not (folder / report_files.REPORT_JSON).exists():
        return {}
    content = report_files.read_content(folder)
    if content["provenance"]["encoder_sha256"] != subject.sha256 or content["codes"]["channel"]:
        return {}
    figures = {each["name"]: each["face_similarity"] for each in content["attacks"]}
    found = {name: figures[name] for name in FITTED if name in figures}
    is_complete = len(found) == len(FITTED) and all(
        figure["value"] is not None for figure in found.values()
    )
    return found if is_complete else {}


def save(chosen: Chosen, path: pathlib.Path) -> None:
    """Writes an attacker's SavedModel, reads it back and compares it with what was fitted."""
    attacker, codes = chosen.attacker, chosen.sample_codes
    saved_models.save_attacker(attacker.pictures, attacker.variables, codes.shape[1:], path)
    with saved_models.cpu():
        expected = shipped.run(attacker.pictures, codes)
    saved_models.attacker_parity(path, codes, expected)


def save_encoder(run: RunDirectory, public: PublicImages, path: pathlib.Path) -> None:
    """Writes the unprotected encoder as the protected one is exported, and compares it."""
    encoder, task_head = (
        checkpoints.load_player(run.player(name)) for name in ("encoder", "task_head")
    )
    saved_models.save_encoder(encoder, encoder.input_shape[1], path)
    samples = public.sealed[public.rows.held_out[:SAMPLES]]
    batches = saved_models.keras_outputs(encoder, task_head, samples)
    saved_models.encoder_parity(path, batches, encoder)


def describe(
    run: RunDirectory, chosen: Mapping[str, Chosen], folder: pathlib.Path
) -> dict[str, Any]:
    """attackers.json: which attackers there are, and what the audit says of them.

    `leakage` is the run's, of face similarity; null without a reference, or where the audit is not
    of this encoder.
    """
    was_audited = chosen[PROTECTED].facts["face_similarity"] is not None
    leaks = report_files.read_content(run.audit("test"))["leakage"] if was_audited else None
    return {
        "attackers": {
            name: {**each.facts, "bytes": size_of(folder / name)} for name, each in chosen.items()
        },
        "leakage": leaks and leaks["face_similarity"],
        **run_directory.provenance(),
    }


def size_of(folder: pathlib.Path) -> int:
    """Bytes of all files below a folder."""
    return sum(facts["bytes"] for facts in publishing.describe_files(folder).values())
