"""The audit stage: what is audited, beside which reference; then the audit and its report."""

import dataclasses
import functools
import pathlib

import numpy as np
from absl import logging

from arl_tf.attacks import registry
from arl_tf.auditing import audit, leakage
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited, external, external_files
from arl_tf.auditing.encoders.audited import Subject
from arl_tf.auditing.sealed_images import audited_rows
from arl_tf.config.settings import CUTS, Config
from arl_tf.data import image_sets, splits
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.experiments import run_directory
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.models import architectures
from arl_tf.report import report_files, tensorboard
from arl_tf.training import checkpoints, train
from arl_tf.utils import revision, run_lock

AUTO = "auto"
# What makes no difference to an encoder that is trained without an adversary: protected runs that
# differ in these share one reference.
WITHOUT_ADVERSARY = (
    "objective",
    "lambda_pixel",
    "lambda_perceptual",
    "hinge_margin_pixel",
    "hinge_margin_perceptual",
    "code_levels",
    "code_noise",
    "lambda_rate",
    "warm_start",
    "decoders",
    "decoder_width",
    "decoder_depth",
    "decoder_steps",
    "decoder_restart_epochs",
    "decoder_warmup_epochs",
    "epochs",
    "encoder_learning_rate",
    "decoder_learning_rate",
)
# What is audited, and how its codes are sent; not the reference's.
OF_THE_SUBJECT = (
    "codes",
    "encoder_saved_model",
    "encoder_tflite",
    "task_head_saved_model",
    "channel_clip",
    "channel_levels",
    "channel_noise",
    "codes_per_photo",
    "reference",
)
MOST_OTHER_IMAGES = 20_000


def load_audited_images(config: Config, cache_dir: pathlib.Path) -> ImageSet:
    """The images that belong to recorded codes, or else the data set that the config names."""
    if config.codes:
        return image_sets.choose_task(recorded(config).images, config.task_attributes)
    return image_sets.load_images(config, cache_dir)


def recorded(config: Config) -> external.RecordedCodes:
    """What --codes holds."""
    return read_once(config.codes, config.image_size)


@functools.lru_cache(maxsize=1)
def read_once(path: str, image_size: int) -> external.RecordedCodes:
    """Images and codes lie in one file; it is read once."""
    return external.read_codes(path, image_size=image_size)


def audit_stage(config: Config, run: RunDirectory, images: ImageSet, parts: Splits) -> None:
    """Attacks an encoder and writes the report; with --reference=auto, the reference's first."""
    subject = load_subject(config, run, images)
    reference = None
    unprotected = config.is_unprotected and not config.is_foreign and subject.channel.is_identity
    if config.reference == AUTO and unprotected:
        logging.info("--reference=auto: this is the unprotected encoder itself; it needs none")
    elif config.reference:
        if config.reference == AUTO:
            path = audited_reference(config, run, images, parts, subject)
            config = dataclasses.replace(config, reference=str(path))
        rows = audited_rows(parts, config.audit_split, images.identities).target
        names = [images.names[row] for row in rows]
        reference = leakage.load_reference(config, splits.names_hash(names))
    run_audit(config, run, images, parts, subject, reference, photographs=photographs(config))


def photographs(config: Config) -> bool:
    """Whether the faces are photographed: recorded codes' are taken to be, drawn faces are not."""
    return bool(config.codes) or config.dataset != "faces"


def run_audit(
    config: Config,
    run: RunDirectory,
    images: ImageSet,
    parts: Splits,
    subject: Subject,
    reference: leakage.Reference | None,
    *,
    photographs: bool,
) -> None:
    """One audit and its files."""
    folder = run.audit(config.audit_name)
    found = audit.audit(
        config,
        images,
        parts,
        audit.Setting(
            subject=subject,
            perceptual_features=train.perceptual_features(config),
            photographs=photographs,
            cache_dir=cache_folder(config, run),
            store_dir=folder / "attacks",
            other_images=load_other_images(config, run),
            provenance={
                "audited": subject.words,
                "encoder_sha256": subject.sha256,
                "files_sha256": splits.names_hash(images.names),
                "seed": config.seed,
                **revision.provenance(),
                "settings": config.settings("audit"),
            },
        ),
        reference,
    )
    pictures = None
    if reference:
        pictures = report_files.load_reconstructions(
            RunDirectory(pathlib.Path(config.reference)).audit(config.audit_split)
        )
    report_files.write_report(
        found,
        folder,
        embed_originals=config.report_originals or not photographs,
        reference_pictures=pictures,
    )
    tensorboard.write_summaries(found, run.logs, config.audit_name)


def cache_folder(config: Config, run: RunDirectory) -> pathlib.Path:
    """Where prepared images, codes and references are kept."""
    return pathlib.Path(config.cache_dir or run.root / "cache")


def load_subject(config: Config, run: RunDirectory, images: ImageSet) -> Subject:
    """What is to be audited.

    Raises:
        ValueError: a file that is no encoder, or codes that don't fit the images.
    """
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
        return audited.recorded_subject(
            codes, channel=channel, words=f"recorded codes {pathlib.Path(config.codes).name}"
        )
    if config.encoder_saved_model or config.encoder_tflite:
        return external_files.foreign_subject(config, images, channel)
    return trained_subject(config, run, channel)


def protection(config: Config) -> list[str]:
    """The flags that say what protects a run's code."""
    bounds = {name: getattr(config, name) for name in ("code_noise", "lambda_rate", "code_levels")}
    return [
        f"--defence={config.defence}",
        *(f"--{name}={value:g}" for name, value in bounds.items() if value),
    ]


def trained_subject(config: Config, run: RunDirectory, channel: Channel) -> Subject:
    """The encoder of a run directory, with training's own adversary where there was one."""
    decoder = None
    if config.defence != "none" and run.player("decoder").exists():
        decoder = checkpoints.load_player(run.player("decoder"))
    return audited.trained_subject(
        checkpoints.load_player(run.player("encoder")),
        checkpoints.load_player(run.player("task_head")),
        decoder,
        channel=channel,
        words=f"{config.encoder}, cut {config.cut}, trained with {' '.join(protection(config))}",
    )


def load_other_images(config: Config, run: RunDirectory) -> np.ndarray | None:
    """The images of --attacker_dataset, at most MOST_OTHER_IMAGES of them.

    None without one, or where no attacker of this audit takes them: to encode them is most of a
    short audit's work.
    """
    attackers = registry.chosen(config.audit, config.attacker_names).values()
    if not config.attacker_dataset or not any("other_domain" in a.needs for a in attackers):
        return None
    other = dataclasses.replace(
        config,
        stages="train",
        codes="",
        encoder_saved_model="",
        encoder_tflite="",
        task_head_saved_model="",
        task_attributes="",
        dataset=config.attacker_dataset,
        data_dir=config.attacker_data_dir,
        attacker_dataset="",
        attacker_data_dir="",
        private_images=0,
        public_images=0,
    )
    images = image_sets.load_images(other, cache_folder(config, run)).images
    return np.asarray(images[:MOST_OTHER_IMAGES])


def audited_reference(
    config: Config, run: RunDirectory, images: ImageSet, parts: Splits, subject: Subject
) -> pathlib.Path:
    """Trains and audits the unprotected encoder of the same shape, where it is not cached.

    Returns:
        Its run directory, in the cache.
    """
    settings = reference_settings(config, subject)
    key = run_directory.settings_hash(
        {**settings.settings("audit"), "split": config.audit_split, "files": images.names[:1]}
        | {"parts": splits.describe_splits(parts, images)["parts"]}
    )
    cached = RunDirectory(cache_folder(config, run) / f"reference_{key}")
    settings = dataclasses.replace(
        settings, workdir=str(cached.root), cache_dir=str(cache_folder(config, run))
    )
    logging.info("--reference=auto: the unprotected encoder in %s", cached.root)
    # Runs that share a cache share the reference; one of them makes it.
    with run_lock.owned(cached.root, wait=True):
        finish_reference(config, settings, cached, images, parts, subject)
    return cached.root


def finish_reference(
    config: Config,
    settings: Config,
    cached: RunDirectory,
    images: ImageSet,
    parts: Splits,
    subject: Subject,
) -> None:
    """Trains and audits the reference of `settings` as far as that is not done."""
    finished = run_directory.finished_stages(cached)
    run_directory.write_config(cached, settings)
    if "train" not in finished:
        train.train(settings, cached, images, parts)
        run_directory.mark_finished(cached, "train", settings.settings("train"))
    stage = f"audit_{settings.audit_name}"
    if stage not in finished:
        unprotected = trained_subject(settings, cached, Channel())
        if subject.encoder is None:
            unprotected = audited.as_recorded(unprotected, images.images)
        logging.info("--reference=auto: the same attackers at the unprotected encoder")
        run_audit(
            settings, cached, images, parts, unprotected, None, photographs=photographs(config)
        )
        run_directory.mark_finished(cached, stage, settings.settings("audit"))
        logging.info("--reference=auto: the reference is done; now the encoder under audit")


def reference_settings(config: Config, subject: Subject) -> Config:
    """The same settings without a defence and without what only a defence needs.

    Raises:
        ValueError: no cut of --encoder has a code of the audited shape.
    """
    plain = {
        field.name: field.default
        for field in dataclasses.fields(Config)
        if field.name in WITHOUT_ADVERSARY + OF_THE_SUBJECT
    }
    if config.is_foreign:
        plain |= shape_settings(config, subject.code_shape)
    if config.warmup_epochs == 0:
        raise ValueError(
            "--reference=auto trains the reference in warm-up only: --warmup_epochs must be >= 1,"
            " got 0; raise it, or name an audited --reference=DIR."
        )
    return dataclasses.replace(
        config, **plain, defence="none", stages="train,audit", overwrite=False
    )


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
