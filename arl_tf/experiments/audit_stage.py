"""The audit stage: what is audited, beside which reference; then the audit and its report."""

from absl import logging

from arl_tf.auditing.encoders import tflite_encoder
from arl_tf.auditing.later_tasks import section as later_section
from arl_tf.config.settings import Config
from arl_tf.experiments import audited_encoders, audits, references, trusted_encoders
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.references import AUTO
from arl_tf.experiments.run_directory import RunDirectory


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Before data are read: raises ValueError for encoders or references that can't be used."""
    audited_encoders.check_share(config)
    if config.is_external and run.checkpoints.exists():
        raise ValueError(
            f"{run.root} holds an encoder that arl_tf trained; audit another encoder's codes in"
            " another --workdir."
        )
    trusted_encoders.check(config, run)
    if config.encoder_tflite:
        tflite_encoder.read_file(config.encoder_tflite)
    if config.reference not in ("", AUTO):
        references.check_audited(config)


def run(experiment: Experiment) -> None:
    """Attacks an encoder and writes the report; with --reference=auto, the reference's first."""
    config = experiment.config
    later_section.check_protected(config.protected_names, experiment.images)
    audited_encoder = audited_encoders.load_audited_encoder(experiment)
    reference = None
    unprotected = (
        config.is_unprotected and not config.is_external and audited_encoder.channel.is_identity
    )
    if config.reference == AUTO and unprotected:
        logging.info("--reference=auto: this is the unprotected encoder itself; it needs none")
    elif config.reference:
        if config.reference == AUTO:
            path = references.audited_reference(experiment, audited_encoder)
            experiment = experiment.with_settings(reference=str(path))
        reference = references.load_reference(experiment)
    audits.run_audit(experiment, audited_encoder, reference, photographs=audits.photographs(config))
