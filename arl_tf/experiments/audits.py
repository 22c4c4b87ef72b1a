"""One audit of one encoder, and its files."""

import dataclasses
import datetime
import pathlib

from arl_tf.attacks.evidence import AttackerOptions
from arl_tf.auditing import audit
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.leakage import Reference
from arl_tf.auditing.settings import AuditContext, AuditSettings, steps_at, target_images_at
from arl_tf.config.scopes import marked
from arl_tf.config.settings import Config, subset
from arl_tf.data import splits
from arl_tf.experiments import decisions
from arl_tf.experiments.experiment import Experiment, load_other_images
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.metrics.tasks.definition import TaskDecisions
from arl_tf.models.pretrained.perceptual import perceptual_features
from arl_tf.report import report_files, tensorboard
from arl_tf.utils import revision


def run_audit(
    experiment: Experiment,
    audited_encoder: AuditedEncoder,
    reference: Reference | None,
    *,
    photographs: bool,
) -> None:
    """Attacks an encoder and writes the report, the pictures and TensorBoard's summaries.

    Args:
        experiment: settings, data and run directory.
        audited_encoder: what is audited.
        reference: the unprotected encoder's audit; None leaves leakage null.
        photographs: whether the faces are photographed, not drawn.
    """
    found = audit.audit(
        audit_settings(experiment.config),
        experiment.images,
        experiment.parts,
        context(experiment, audited_encoder, photographs=photographs),
        reference,
    )
    write_files(experiment, found, has_reference=reference is not None, photographs=photographs)


def write_files(
    experiment: Experiment, found: audit.AuditReport, *, has_reference: bool, photographs: bool
) -> None:
    """Writes the report, the pictures and TensorBoard's summaries of an audit.

    Args:
        experiment: settings and run directory.
        found: by the audit.
        has_reference: whether --reference names the audit that leakage was measured against.
        photographs: whether the faces are photographed, not drawn.
    """
    config, run = experiment.config, experiment.run
    pictures = None
    if has_reference:
        pictures = report_files.load_reconstructions(
            RunDirectory(pathlib.Path(config.reference)).audit(config.audit_split)
        )
    report_files.write_report(
        found,
        run.audit(config.audit_name),
        embed_originals=config.report_originals or not photographs,
        reference_pictures=pictures,
    )
    # HParams compare encoders of ours by what is final: their audit on T.
    compared = config.audit_name == "test" and not config.is_external
    settings = config.stage_settings("train") if compared else None
    tensorboard.write_summaries(found, run.logs, config.audit_name, settings)


def audit_settings(config: Config) -> AuditSettings:
    """What an audit takes of the settings."""
    attacker = attacker_options(config)
    steps = steps_at(config.audit, attacker.steps)
    identity = {name: getattr(config, name) for name in marked(config, "attack_identity")}
    return subset(
        config,
        AuditSettings,
        target_images=target_images_at(config.audit),
        attacker=dataclasses.replace(attacker, steps=steps),
        drawn_faces=config.dataset == "faces" and not config.codes,
        recorded=bool(config.codes),
        protected_attributes=config.protected_names,
        attack_identity=identity | {"attacker_steps": steps},
    )


def attacker_options(config: Config) -> AttackerOptions:
    """The attackers' sizes; the seed is each attack's own."""
    return AttackerOptions(
        width=config.attacker_width,
        depth=config.attacker_depth,
        steps=config.attacker_steps,
        batch_size=config.attacker_batch_size,
        learning_rate=config.attacker_learning_rate,
        mu=config.mu,
        seed=config.seed,
    )


def context(
    experiment: Experiment, audited_encoder: AuditedEncoder, *, photographs: bool
) -> AuditContext:
    """What surrounds an audit: g, folders, other images, and facts for the report."""
    config = experiment.config
    return AuditContext(
        audited_encoder=audited_encoder,
        perceptual_features=features(config),
        photographs=photographs,
        cache_dir=experiment.cache,
        store_dir=experiment.run.audit(config.audit_name) / "attacks",
        other_images=load_other_images(experiment),
        provenance={
            "audited": audited_encoder.words,
            "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
            "encoder_sha256": audited_encoder.sha256,
            "files_sha256": splits.names_hash(experiment.images.names),
            "seed": config.seed,
            **revision.provenance(),
            "settings": config.stage_settings("audit"),
        },
        decisions=own_decisions(experiment, audited_encoder),
    )


def own_decisions(experiment: Experiment, audited_encoder: AuditedEncoder) -> TaskDecisions | None:
    """The run's decisions; None for other encoders, and where a channel or share changes logits."""
    is_whole = audited_encoder.channel.is_identity and audited_encoder.share is None
    if experiment.config.is_external or not is_whole:
        return None
    return decisions.of_run(experiment, audited_encoder)


def features(config: Config):
    """The frozen network g of a run."""
    return perceptual_features(config.perceptual, config.image_size, config.perceptual_layer_names)


def photographs(config: Config) -> bool:
    """Whether the faces are photographed: recorded codes' are taken to be, drawn faces are not."""
    return bool(config.codes) or config.dataset != "faces"
