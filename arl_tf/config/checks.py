"""What no setting, and no two settings together, may be: the checks behind Config.

A Config is taken as it comes, by its attributes: this module can't import the one that calls it.
"""

import dataclasses
import math
from typing import Any

from arl_tf.config.choices import ENCODERS
from arl_tf.config.conditions import parse_conditions
from arl_tf.config.data_checks import check_data, check_dataset, comma_separated
from arl_tf.config.defences import METHOD, NONE, WITH_DECODERS
from arl_tf.config.storage import check_storage
from arl_tf.config.strategies import check_strategy
from arl_tf.utils.suggestions import did_you_mean

# Stages that train many encoders, each a run of its own.
ALONE = ("sweep", "study", "bench")
# Those of them that a setting of the same name tells what to do.
NAMED = ("sweep", "study")
# Stages that leave the run directory as it is, and run alone, too.
ASIDE = ("doctor", "encode")
FEWEST_IDENTITIES = 5
# Backbones of our own, of which nobody has published weights.
UNPUBLISHED = ("small", "resnet18")
# Below, 1 - signal_share rounds to 0 in float32.
LEAST_NOISE = 1e-3


def check_value(field: dataclasses.Field, value: Any) -> None:
    """Raises ValueError when a setting's value is of the wrong type, out of range or no choice."""
    expected = type(field.default)
    is_number = expected is float and isinstance(value, int) and not isinstance(value, bool)
    if type(value) is not expected and not is_number:
        raise ValueError(f"--{field.name} must be of type {expected.__name__}, got {value!r}.")
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    if choices and value not in choices:
        hint = did_you_mean(str(value), choices)
        raise ValueError(
            f"--{field.name} must be one of {', '.join(choices)}; got {value!r}.{hint}"
        )
    if expected is float and not math.isfinite(value):
        raise ValueError(f"--{field.name} must be a finite number, got {value}.")
    if low is not None and value < low:
        raise ValueError(f"--{field.name} must be >= {low}, got {value}.")
    if high is not None and value > high:
        raise ValueError(f"--{field.name} must be <= {high}, got {value}.")


def check_combinations(config: Any, stages: tuple[str, ...], precisions: tuple[str, ...]) -> None:
    """Raises ValueError for settings that are possible one by one but not together.

    Args:
        config: a Config whose values have passed `check_value`.
        stages: names of all the stages there are.
        precisions: names of all the precisions of TFLite files.
    """
    check_run(config, stages)
    check_data(config)
    check_sizes(config)
    check_backbone(config)
    check_code(config)
    check_defence(config)
    check_audit(config)
    check_export(config, precisions)
    check_many(config)
    check_encode(config)
    check_strategy(config)
    check_storage(config)


def check_encode(config: Any) -> None:
    """Refuses an encoding without source or target, and with what it can't use."""
    if comma_separated(config.stages) != ("encode",):
        return
    for name in ("encode_from", "encode_to"):
        if not getattr(config, name):
            raise ValueError(f"--stages=encode needs --{name}, got none.")
    for name in ("codes", "encoder_tflite"):
        if getattr(config, name):
            raise ValueError(
                f"--{name}={getattr(config, name)}: --stages=encode uses the encoder of --workdir"
                " or --encoder_saved_model."
            )
    if config.strategy != "default":
        raise ValueError(
            f"--strategy={config.strategy} shares the steps of a training; --stages=encode shares"
            " photos, with --encode_processes or --beam_options."
        )
    if config.beam_options:
        check_beam(config)


def check_beam(config: Any) -> None:
    """Refuses what would say how many work at once, where Beam's own options do."""
    for name, nothing in (("encode_processes", 1), ("threads", 0)):
        if getattr(config, name) != nothing:
            raise ValueError(
                f"--{name}={getattr(config, name)} is of this machine's processes, but"
                " --beam_options says which workers encode; leave one of them out."
            )


def check_export(config: Any, precisions: tuple[str, ...]) -> None:
    """Refuses conditions that can't be read, and unknown precisions."""
    try:
        parse_conditions(config.require)
    except ValueError as error:
        raise ValueError(f"--require: {error}") from None
    for name in comma_separated(config.tflite_precisions):
        if name not in precisions:
            raise ValueError(
                f"--tflite_precisions must name some of {', '.join(precisions)}; got {name!r}."
            )


def check_many(config: Any) -> None:
    """Refuses a sweep, study or bench beside other stages, or without what it is to vary."""
    asked = comma_separated(config.stages)
    for name in (*ALONE, *ASIDE):
        if name in asked and len(asked) > 1:
            raise ValueError(f"--stages={name} runs alone, got --stages={config.stages}.")
    for name in ALONE:
        if name not in asked:
            continue
        if name in NAMED and not getattr(config, name):
            raise ValueError(f"--stages={name} needs --{name}, got none.")
        if config.warm_start or config.reference:
            raise ValueError(
                f"--stages={name} trains the encoder that its points start from and are compared"
                " with; leave out --warm_start and --reference."
            )
    channel = [
        f"--{name}={getattr(config, name):g}"
        for name in ("channel_clip", "channel_levels", "channel_noise")
        if getattr(config, name)
    ]
    if config.target and channel:
        raise ValueError(
            f"--target={config.target} exports an encoder, whose audit must be of its codes as they"
            f" are; leave out {' '.join(channel)}."
        )
    if config.study == "adversary" and "study" in asked and config.defence not in WITH_DECODERS:
        raise ValueError(
            "--study=adversary varies the adversary: it needs a --defence that trains one, got"
            f" --defence={config.defence}."
        )
    if config.target and asked != ("sweep",):
        raise ValueError(
            f"--target={config.target} chooses among a sweep's points: it needs --stages=sweep, got"
            f" --stages={config.stages}."
        )
    try:
        parse_conditions(config.target)
    except ValueError as error:
        raise ValueError(f"--target: {error}") from None


def check_code(config: Any) -> None:
    """Refuses a bounded code that is not normalised, and what bounds or teachers need."""
    if config.code_levels == 1:
        raise ValueError(
            "--code_levels=1 leaves one value, no code; use 2 or more, or 0 for no rounding."
        )
    for name in ("code_levels", "code_noise"):
        if getattr(config, name) and not config.code_channels:
            raise ValueError(
                f"--{name}={getattr(config, name)} needs a normalised code: --code_channels >= 1,"
                " got 0."
            )
    if config.code_noise and config.deterministic:
        raise ValueError(
            f"--deterministic with --code_noise={config.code_noise}: --deterministic makes the"
            " noise repeatable, and repeatable noise is no protection; leave one of them out."
        )
    if 0 < config.code_noise < LEAST_NOISE:
        raise ValueError(
            f"--code_noise must be 0 (none) or >= {LEAST_NOISE:g}, got {config.code_noise:g}:"
            " smaller noise is lost in the rounding of 32-bit numbers."
        )
    if config.lambda_rate and not config.code_noise:
        raise ValueError(
            f"--lambda_rate={config.lambda_rate} is a price on what passes through noise: it needs"
            " --code_noise > 0, got 0."
        )
    check_price(config)


def check_price(config: Any) -> None:
    """Refuses a price per bit that would rise longer than the encoder learns at it."""
    rising = f"--lambda_rate_epochs={config.lambda_rate_epochs}"
    if config.lambda_rate_epochs and not config.lambda_rate:
        raise ValueError(f"{rising} raises the price per bit: it needs --lambda_rate > 0, got 0.")
    name = "warmup_epochs" if config.warmup_epochs else "epochs"
    if config.lambda_rate_epochs > getattr(config, name):
        raise ValueError(
            f"{rising}: the price must have risen when the phase ends; expected at most"
            f" --{name}={getattr(config, name)}."
        )


def check_audit(config: Any) -> None:
    """Refuses what an audit can't attack, and attackers without their data."""
    external = [
        name for name in ("codes", "encoder_tflite", "encoder_saved_model") if getattr(config, name)
    ]
    if len(external) > 1 and config.codes:
        raise ValueError(
            f"--codes={config.codes} and --{external[1]}={getattr(config, external[1])} are two"
            " things to audit; name one."
        )
    if external and comma_separated(config.stages) not in (("audit",), ("encode",)):
        flag = external[0]
        raise ValueError(
            f"--{flag} is audited, nothing is trained or exported: it needs --stages=audit, got"
            f" --stages={config.stages}."
        )
    if config.task_head_saved_model and not (config.encoder_saved_model or config.encoder_tflite):
        raise ValueError(
            f"--task_head_saved_model={config.task_head_saved_model} belongs to an"
            " --encoder_saved_model or --encoder_tflite, which is missing."
        )
    check_channel(config)
    if config.codes_per_photo > 1 or config.audit_share:
        check_special_audit(config)
    if config.attacker_data_dir and not config.attacker_dataset:
        raise ValueError(
            f"--attacker_data_dir={config.attacker_data_dir} needs --attacker_dataset (celeba for a"
            " folder in CelebA's layout)."
        )
    if config.attacker_dataset:
        check_dataset(config.attacker_dataset, config.attacker_data_dir, "attacker_")


def check_special_audit(config: Any) -> None:
    """Refuses several codes of a photo, or a share, where there is none, and later stages."""
    special, wanted = f"--codes_per_photo={config.codes_per_photo}", "single"
    if config.audit_share:
        special, wanted = f"--audit_share={config.audit_share}", "whole"
        if config.is_external:
            raise ValueError(f"{special} is of the codes of an encoder that arl_tf trained.")
    if config.codes and not config.channel_noise:
        raise ValueError(
            f"{special}: --codes={config.codes} holds one code of each photo; leave it out, or say"
            " with --channel_noise how codes differ."
        )
    others = [name for name in comma_separated(config.stages) if name not in ("train", "audit")]
    if others:
        raise ValueError(
            f"{special} is for an audit; --stages={','.join(others)} needs the audit of {wanted}"
            " codes: run it in a command of its own."
        )


def check_channel(config: Any) -> None:
    """Refuses a channel that nothing can be sent through."""
    if config.channel_levels == 1:
        raise ValueError(
            "--channel_levels=1 leaves one value, no code; use 2 or more, or 0 for no rounding."
        )
    if config.channel_levels and not config.channel_clip:
        raise ValueError(
            f"--channel_levels={config.channel_levels} needs a range: --channel_clip > 0, got 0."
        )


def check_run(config: Any, stages: tuple[str, ...]) -> None:
    """Refuses unknown stages, an empty list of them, and a run directory without a name."""
    asked = comma_separated(config.stages)
    unknown = [name for name in asked if name not in stages]
    if unknown or not asked:
        raise ValueError(f"--stages must name some of {', '.join(stages)}; got {config.stages!r}.")
    if not config.workdir.strip():
        raise ValueError(f"--workdir={config.workdir!r} names no folder; name the run directory.")


def check_backbone(config: Any) -> None:
    """Refuses published weights of a backbone that has none."""
    if config.weights and config.encoder in UNPUBLISHED:
        raise ValueError(
            f"--weights={config.weights}: the encoder {config.encoder} has no published weights;"
            " leave --weights empty, or use one of"
            f" --encoder={', '.join(name for name in ENCODERS if name not in UNPUBLISHED)}."
        )


def check_sizes(config: Any) -> None:
    """Refuses sizes that can't give a private, a public and a test set."""
    taken = config.private_fraction + config.public_fraction
    # The small term forgives the rounding of sums such as 0.053 + 0.937.
    if not config.private_images and not config.public_images and taken > 0.99 + 1e-9:
        raise ValueError(
            f"--private_fraction={config.private_fraction:g} and"
            f" --public_fraction={config.public_fraction:g} leave {1 - taken:.2g} of the images for"
            " the test set; leave at least 0.01."
        )
    if config.dataset != "faces":
        return
    if config.private_images + config.public_images >= config.num_faces:
        raise ValueError(
            f"--private_images={config.private_images} and --public_images={config.public_images}"
            f" leave none of --num_faces={config.num_faces} for the test set; draw more faces."
        )
    identities = -(-config.num_faces // config.images_per_identity)
    if identities < FEWEST_IDENTITIES:
        raise ValueError(
            f"--num_faces={config.num_faces} with --images_per_identity="
            f"{config.images_per_identity} are {identities} people; the parts need at least"
            f" {FEWEST_IDENTITIES}: draw more faces, or fewer of each."
        )


def check_defence(config: Any) -> None:
    """Refuses a defence whose weights are 0, one that would train nothing, and no layer of g."""
    if config.perceptual_layers and config.perceptual_layer_names is None:
        raise ValueError(
            f"--perceptual_layers={config.perceptual_layers!r} names no layer; leave it empty for"
            " the network's default layers."
        )
    if config.defence in (NONE, *METHOD):
        for name in ("defence_strength", "defence_bound"):
            if getattr(config, name):
                raise ValueError(
                    f"--{name}={getattr(config, name):g} is of the published defences, got"
                    f" --defence={config.defence}; see docs/defences.md."
                )
    if config.defence == NONE:
        if config.warmup_epochs == 0:
            raise ValueError(
                "--defence=none trains in warm-up only: --warmup_epochs must be >= 1, got 0."
            )
        return
    if config.epochs == 0:
        raise ValueError(
            f"--defence={config.defence} needs --epochs >= 1, got 0; use --defence=none for no"
            " adversary."
        )
    if config.defence not in METHOD:
        return
    for name in ("pixel", "perceptual"):
        if config.defence in (name, "both") and getattr(config, f"lambda_{name}") == 0:
            raise ValueError(
                f"--defence={config.defence} needs --lambda_{name} > 0, got 0; use --defence=none"
                " for no adversary."
            )
        if config.objective == "hinge" and getattr(config, f"hinge_margin_{name}") == 0:
            raise ValueError(
                f"--objective=hinge with --hinge_margin_{name}=0 rewards nothing; raise the margin."
            )
