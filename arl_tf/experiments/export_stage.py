"""The export stage: the gate, the images that files are proved on, then the export."""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from absl import logging

from arl_tf.auditing.channel import Channel
from arl_tf.config.audit_figures import reference_figures, report_figures
from arl_tf.config.checks import comma_separated
from arl_tf.config.conditions import Figures, parse_conditions
from arl_tf.config.settings import Config
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.experiments import audited_encoders, audits, decisions, gate, run_directory
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.exporting import build, manifest
from arl_tf.exporting.tflite_checks import Proof
from arl_tf.models import fingerprint
from arl_tf.report import report_files
from arl_tf.training import checkpoints
from arl_tf.utils import revision, run_files

SAMPLES = 16
MOST_VALIDATION_IMAGES = 512


def run(experiment: Experiment) -> None:
    """Exports encoder and task head, where the audit lets them.

    Raises:
        ValueError: the gate is closed, or codes are divided among servers.
    """
    config, files, images = experiment.config, experiment.run, experiment.images
    refuse_shares(config)
    encoder, found = opened_gate(config, files)
    if not found.passed:
        logging.warning("--allow_unaudited: exported although %s", found.words)
    build.export_models(
        encoder,
        checkpoints.load_player(files.player("task_head")),
        image_size=config.image_size,
        attribute_names=images.attribute_names,
        task_kind=images.task_kind,
        proof=proof_of(images, experiment.parts, config.calibration_images),
        export_dir=files.export,
        provenance={**revision.provenance(), **exported_facts(config, files)},
        gate=found.describe(allow_unaudited=config.allow_unaudited),
        trained_on=manifest.training_data(
            config.dataset,
            len(experiment.parts.private_train),
            of_images=experiment.num_images,
            photographs=audits.photographs(config),
            faces=experiment.images.has_faces,
        ),
        decisions=decisions.of_run(
            experiment, audited_encoders.trained_encoder(config, files, Channel())
        ),
        fit=config.fit,
        precisions=tuple(dict.fromkeys(comma_separated(config.tflite_precisions))),
    )


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Before data are read: refuses divided codes, and an export without an audit of T.

    Raises:
        ValueError: for either.
    """
    refuse_shares(config)
    if config.allow_unaudited:
        return
    audits = "audit" in config.stage_names and config.audit_name == "test"
    was_audited = (run.audit("test") / report_files.REPORT_JSON).exists()
    if not audits and ("train" in todo or not was_audited):
        raise ValueError(
            f"{run.root} can't be exported: --stages={config.stages} with"
            f" --audit_split={config.audit_split} leaves it without an audit of T; add audit to"
            f" --stages. {gate.REMEDY}"
        )


def refuse_shares(config: Config) -> None:
    """Raises ValueError where the defence divides codes among servers.

    An exported task head takes all of a code in one place, where nothing is divided any more.
    """
    shares = audited_encoders.shares_of(config)
    if shares > 1:
        raise ValueError(
            f"--defence={config.defence} divides every code among {shares} servers. An exported"
            " task head takes whole codes at one server, where this defence protects nothing. It is"
            " there to be compared: use --stages=train,audit."
        )


def opened_gate(config: Config, run: RunDirectory) -> tuple[keras.Model, gate.Gate]:
    """A run's encoder and what the gate found of it; ValueError where the gate is closed."""
    encoder = checkpoints.load_player(run.player("encoder"))
    found = judge_run(config, run, encoder)
    gate.require_passed(found, str(run.root), allow_unaudited=config.allow_unaudited)
    return encoder, found


def exported_facts(config: Config, run: RunDirectory) -> dict[str, Any]:
    """What the manifest's provenance says of the settings and the audit of an export."""
    return {
        "settings_sha256": run_directory.settings_hash(config.stage_settings("export")),
        "audit": report_files.read_figures(run.audit("test")),
    }


def is_current(experiment: Experiment) -> bool:
    """Whether the run's export is what `run` would make: encoder, settings, audit and gate.

    An export whose files are gone, or of another size, is not.

    Raises:
        ValueError: the gate is closed.
    """
    config, files = experiment.config, experiment.run
    encoder, found = opened_gate(config, files)
    path = files.export / build.MANIFEST
    if not path.exists():
        return False
    try:
        manifest_now = run_files.read_json(path, remedy="It is written anew.")
    except run_files.UnreadableFileError as error:
        logging.warning("%s", error)
        return False
    facts = {
        "encoder_sha256": fingerprint.weights_hash(encoder),
        "gate": found.describe(allow_unaudited=config.allow_unaudited),
        "provenance": manifest_now.get("provenance", {}) | exported_facts(config, files),
    }
    wanted = json.loads(json.dumps(facts))
    return all(manifest_now.get(name) == value for name, value in wanted.items()) and all(
        (files.export / name).is_file() and (files.export / name).stat().st_size == each["bytes"]
        for name, each in manifest_now.get("files", {}).items()
    )


def judge_run(config: Config, run: RunDirectory, encoder: keras.Model) -> gate.Gate:
    """Holds the run's audit of T against --require."""
    folder = run.audit("test")
    content = (
        report_files.read_content(folder) if (folder / report_files.REPORT_JSON).exists() else None
    )
    return gate.judge(
        parse_conditions(config.require),
        content,
        fingerprint.weights_hash(encoder),
        reference_figures(content, own_figures(content)) if content else None,
    )


def own_figures(content: Mapping[str, Any]) -> Figures | None:
    """The figures of the report of an audit's reference; None where it has none, or it is gone."""
    if not content["reference"]:
        return None
    folder = RunDirectory(pathlib.Path(content["reference"]["workdir"])).audit("test")
    if not (folder / report_files.REPORT_JSON).exists():
        return None
    content = report_files.read_content(folder)
    if "mean_mcc_at_0" not in content["utility"]:
        raise ValueError(
            f"{folder / report_files.REPORT_JSON}: the mean MCC is that of thresholds of 0, by an"
            " older version of arl_tf; audit the reference again (--overwrite)."
        )
    return report_figures(content)


def proof_of(images: ImageSet, parts: Splits, calibration_images: int) -> Proof:
    """Images that files are made and judged with: X2's, and the validation parts; none of T."""
    held_out = np.concatenate([parts.private_validation, parts.public_validation])
    validation = evenly_spread(held_out, MOST_VALIDATION_IMAGES)
    return Proof(
        samples=np.asarray(images.images[parts.public_validation[:SAMPLES]]),
        calibration=np.asarray(
            images.images[evenly_spread(parts.public_train, calibration_images)]
        ),
        validation=np.asarray(images.images[validation]),
        attributes=np.asarray(images.attributes[validation]),
    )


def evenly_spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of rows int [n], evenly spread."""
    if len(rows) <= count:
        return rows
    return rows[np.linspace(0, len(rows) - 1, count).round().astype(int)]
