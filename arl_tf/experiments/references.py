"""The unprotected reference of a run: checked, read, or trained and audited in the cache."""

import dataclasses
import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from arl_tf.auditing import measures_file
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder, as_recorded
from arl_tf.auditing.leakage import Reference
from arl_tf.auditing.sealed_images import audited_rows
from arl_tf.auditing.settings import target_images_at
from arl_tf.config.choices import CUTS
from arl_tf.config.scopes import marked, reference_values, unprotected_values
from arl_tf.config.settings import Config
from arl_tf.data import splits
from arl_tf.data.image_sets import ImageSet
from arl_tf.experiments import run_directory, train_stage
from arl_tf.experiments.audited_encoders import trained_encoder
from arl_tf.experiments.audits import photographs, run_audit
from arl_tf.experiments.experiment import Experiment, load_other_images
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.models import architectures
from arl_tf.training import checkpoints
from arl_tf.utils import run_files, run_lock

AUTO = "auto"


def load_reference(experiment: Experiment) -> Reference:
    """Reads the audit of the run directory that --reference names.

    Raises:
        ValueError: as `check_audited`, or it was measured on other images.
    """
    config = experiment.config
    attacked = attacked_images(config, experiment.images, experiment.parts)
    return measures_file.load_measures(check_audited(config), config.reference, attacked)


def check_audited(config: Config) -> pathlib.Path:
    """Returns the file of per-image measures that --reference holds.

    Raises:
        ValueError: it is not audited, is protected itself, is of another shape or data, or was
            attacked with other settings.
    """
    run = RunDirectory(pathlib.Path(config.reference))
    path = run.audit(config.audit_split) / measures_file.MEASURES_FILE
    # What that very audit was run with; config.json tells of the directory's latest command.
    recorded = run_directory.finished_stages(run).get(f"audit_{config.audit_split}")
    if path.exists():
        run_files.require_whole(path, measures_file.REMEDY)
    if not path.exists() or recorded is None:
        raise ValueError(
            f"--reference={config.reference} holds no {path.relative_to(run.root)}; train it with"
            f" --defence=none and audit it with --audit_split={config.audit_split} first, or use"
            " --reference=auto."
        )
    external = is_external(recorded)
    if not external:
        refuse_protected(config.reference, recorded)
    shared = marked(config, "shared", value="audit")
    if not external and not is_external(config.stage_settings("audit")):
        shared += marked(config, "shared", value="model")
    differing = run_directory.differing_settings(
        recorded, {name: getattr(config, name) for name in shared}
    )
    if differing:
        raise ValueError(f"--reference={config.reference} differs: {', '.join(differing)}.")
    return path


def check_trained(config: Config) -> None:
    """Raises ValueError where --reference=DIR has no unprotected encoder of the same task."""
    run = RunDirectory(pathlib.Path(config.reference))
    recorded = run_directory.finished_stages(run).get("train")
    if recorded is None or not run.player("encoder").exists():
        raise ValueError(
            f"--reference={config.reference} holds no trained encoder (checkpoints/encoder.keras),"
            " which --stages=attackers attacks beside this one; name the directory of an"
            " unprotected run, or give an empty --reference= for this encoder's attacker alone."
        )
    refuse_protected(config.reference, recorded)
    shared = {name: getattr(config, name) for name in marked(config, "shared", value="model")}
    differing = run_directory.differing_settings(recorded, shared)
    if differing:
        raise ValueError(f"--reference={config.reference} differs: {', '.join(differing)}.")
    for name in ("encoder", "task_head"):
        checkpoints.require_player(run.player(name))


def refuse_protected(reference: str, recorded: Mapping[str, Any]) -> None:
    """Raises ValueError where the settings recorded of a reference's training protect its code."""
    protected = [
        f"--{name}={recorded[name]}"
        for name, without in unprotected_values(Config).items()
        if recorded.get(name, without) != without
    ]
    if protected:
        raise ValueError(
            f"--reference={reference} was trained or audited with {' '.join(protected)}; the"
            " reference must be unprotected (--defence=none, no --code_levels or --code_noise, no"
            " --channel_*)."
        )


def is_external(settings: Mapping[str, Any]) -> bool:
    """Whether an audit was of an encoder that arl_tf did not train."""
    return any(settings.get(name) for name in ("codes", "encoder_saved_model", "encoder_tflite"))


def audited_reference(experiment: Experiment, audited_encoder: AuditedEncoder) -> pathlib.Path:
    """Trains and audits the unprotected encoder of the same shape, where it is not cached.

    Returns:
        Its run directory, in the cache.
    """
    images, parts = experiment.images, experiment.parts
    settings = reference_settings(experiment.config, audited_encoder)
    key = reference_key(settings, experiment)
    cached = RunDirectory(experiment.cache / f"reference_{key}")
    settings = dataclasses.replace(
        settings, workdir=str(cached.root), cache_dir=str(experiment.cache)
    )
    logging.info("--reference=auto: the unprotected encoder in %s", cached.root)
    # Runs that share a cache share the reference; one of them makes it.
    with run_lock.owned(cached.root, wait=True):
        finish_reference(Experiment(settings, cached, images, parts), experiment, audited_encoder)
    return cached.root


def reference_key(settings: Config, experiment: Experiment) -> str:
    """What tells a reference from others in one cache: its settings, and what the data hold.

    Where data lie is no setting that counts: another folder may hold other pictures by the same
    names, and so may the same folder later on.

    Args:
        settings: of the reference.
        experiment: the audited encoder's, with the data.
    """
    images, parts = experiment.images, experiment.parts
    others = load_other_images(experiment)
    return run_directory.settings_hash(
        settings.stage_settings("audit")
        | {"split": settings.audit_split}
        | splits.same_data(parts, images)
        | {"attacked": dataclasses.asdict(attacked_images(settings, images, parts))}
        | {"other_images": None if others is None else splits.pixels_hash(others)}
    )


def attacked_images(
    config: Config, images: ImageSet, parts: splits.Splits
) -> measures_file.Measured:
    """What tells the images under attack from others."""
    rows = audited_rows(
        parts, config.audit_split, images.identities, target_images_at(config.audit)
    ).target
    return measures_file.measured_images(images, rows)


def finish_reference(
    reference: Experiment, audited: Experiment, audited_encoder: AuditedEncoder
) -> None:
    """Trains and audits a reference as far as that is not done.

    Args:
        reference: the unprotected encoder's settings and directory, with the audited one's data.
        audited: what the reference is for.
        audited_encoder: the encoder under audit.
    """
    settings, cached = reference.config, reference.run
    finished = run_directory.finished_stages(cached)
    run_directory.write_config(cached, settings)
    if "train" not in finished:
        train_stage.run(reference)
        run_directory.mark_finished(cached, "train", settings.stage_settings("train"))
    stage = f"audit_{settings.audit_name}"
    measures = cached.audit(settings.audit_split) / measures_file.MEASURES_FILE
    if stage not in finished or not (measures.exists() and measures_file.is_current(measures)):
        unprotected = trained_encoder(settings, cached, Channel())
        if audited_encoder.encoder is None:
            unprotected = as_recorded(unprotected, reference.images.images)
        logging.info("--reference=auto: the same attackers at the unprotected encoder")
        run_audit(reference, unprotected, None, photographs=photographs(audited.config))
        run_directory.mark_finished(cached, stage, settings.stage_settings("audit"))
        logging.info("--reference=auto: the reference is done; now the encoder under audit")


def reference_settings(config: Config, audited_encoder: AuditedEncoder) -> Config:
    """The same settings without a defence and without what only a defence needs.

    Raises:
        ValueError: no cut of --encoder has a code of the audited shape.
    """
    plain = reference_values(Config)
    if config.is_external:
        plain |= shape_settings(config, audited_encoder.code_shape)
    if config.warmup_epochs == 0:
        raise ValueError(
            "--reference=auto trains the reference in warm-up only: --warmup_epochs must be >= 1,"
            " got 0; raise it, or name an audited --reference=DIR."
        )
    return dataclasses.replace(config, **plain, stages="train,audit", overwrite=False)


def shape_settings(config: Config, code_shape: tuple[int, ...]) -> dict[str, str | int]:
    """The cut and the channels that give --encoder a code of this shape."""
    for cut in CUTS:
        encoder, _ = architectures.build_encoder_and_task_head(
            config.encoder,
            image_size=config.image_size,
            cut=cut,
            code_channels=code_shape[-1],
            num_attributes=1,
        )
        if encoder.output_shape[1:] == code_shape:
            return {"cut": cut, "code_channels": code_shape[-1]}
    raise ValueError(
        f"--reference=auto can't train an encoder whose code has the shape {code_shape}:"
        f" {config.encoder} gives others at every cut of {config.image_size}-pixel images. Audit"
        " the unprotected encoder yourself and name its directory: --reference=DIR."
    )
