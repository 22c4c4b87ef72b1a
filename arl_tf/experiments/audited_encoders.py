"""Which encoder an audit is of: a run's, one in a file, or recorded codes."""

import pathlib

from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited, external_files, one_share
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.auditing.encoders.external_files import EncoderFiles
from arl_tf.config.settings import Config, subset
from arl_tf.defences import registry
from arl_tf.experiments.experiment import Experiment, recorded
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.training import checkpoints


def load_audited_encoder(experiment: Experiment) -> AuditedEncoder:
    """What is to be audited.

    Raises:
        ValueError: a file that is no encoder, or codes that don't fit the images.
    """
    config, images = experiment.config, experiment.images
    channel = Channel(config.channel_clip, config.channel_levels, config.channel_noise)
    if config.codes:
        codes = recorded(config)
        num_logits = 0 if codes.logits is None else codes.logits.shape[1]
        if num_logits and num_logits != len(images.attribute_names) and codes.labels_known:
            raise ValueError(
                f"--codes={config.codes} has {num_logits} logits and the task has"
                f" {len(images.attribute_names)} attributes; name the task's with"
                " --task_attributes."
            )
        return audited.recorded_encoder(
            codes, channel=channel, words=f"recorded codes {pathlib.Path(config.codes).name}"
        )
    if config.encoder_saved_model or config.encoder_tflite:
        return external_files.external_audited_encoder(
            subset(config, EncoderFiles), images, channel
        )
    audited_encoder = trained_encoder(config, experiment.run, channel)
    if config.audit_share:
        return one_share.of_share(audited_encoder, shares_of(config), config.audit_share)
    return audited_encoder


def shares_of(config: Config) -> int:
    """Into how many shares a run's codes are divided; 1: they stay whole."""
    choice = registry.choice_of(config.defence, config.defence_strength, config.defence_bound)
    return registry.shares_of(choice)


def check_share(config: Config) -> None:
    """Raises ValueError where --audit_share is none of the shares of a run's codes."""
    shares = shares_of(config)
    if config.audit_share and shares == 1:
        raise ValueError(
            f"--audit_share={config.audit_share} needs codes that are divided: a run of"
            f" --defence=distributed, got --defence={config.defence}."
        )
    if config.audit_share > shares:
        raise ValueError(
            f"--audit_share={config.audit_share}: the run's codes have {shares} shares; expected"
            f" from 1 to {shares}, or 0 for all."
        )


def protection(config: Config) -> list[str]:
    """The flags that say what protects a run's code."""
    bounds = {name: getattr(config, name) for name in ("code_noise", "lambda_rate", "code_levels")}
    bounds |= {name: getattr(config, name) for name in ("defence_strength", "defence_bound")}
    return [
        f"--defence={config.defence}",
        *(f"--{name}={value:g}" for name, value in bounds.items() if value),
    ]


def trained_encoder(config: Config, run: RunDirectory, channel: Channel) -> AuditedEncoder:
    """The encoder of a run directory, with training's own adversary where there was one."""
    decoder = None
    if registry.trains_decoders(config.defence) and run.player("decoder").exists():
        decoder = checkpoints.load_player(run.player("decoder"))
    return audited.trained_encoder(
        checkpoints.load_player(run.player("encoder")),
        checkpoints.load_player(run.player("task_head")),
        decoder,
        channel=channel,
        words=f"the encoder {config.encoder}, cut {config.cut}, trained with"
        f" {' '.join(protection(config))}",
    )
