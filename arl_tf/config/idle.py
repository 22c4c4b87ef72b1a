"""Settings that can't act beside the others: a value that somebody types must not do nothing.

A flag file may include another one, and a run goes on with the settings that it began with: what
they say for another defence is noted, not refused. A command's own flags are refused.
"""

import dataclasses
from collections.abc import Callable, Collection, Sequence
from typing import Any

from absl import logging

from arl_tf.config.defences import METHOD, NONE, WITH_DECODERS

# Stages whose points have settings of their own, and those that train nothing.
NOT_CHECKED = ("sweep", "study", "bench", "doctor", "encode")
OF_DECODERS = (
    "adversary_critic_weight",
    "decoders",
    "decoder_steps",
    "decoder_restart_epochs",
    "decoder_width",
    "decoder_depth",
    "decoder_warmup_epochs",
    "decoder_learning_rate",
)


@dataclasses.dataclass(frozen=True)
class Need:
    """What some settings need in order to act.

    Attributes:
        names: of the settings.
        is_met: of a Config.
        words: what would meet it.
        got: the setting that does not, whose value is said.
    """

    names: Sequence[str]
    is_met: Callable[[Any], bool]
    words: str
    got: str


def needs() -> tuple[Need, ...]:
    """All of them; a function, as defences can be registered."""
    pixel, perceptual = (
        (lambda config, part=part: config.defence in (part, "both"))
        for part in ("pixel", "perceptual")
    )
    method = ", ".join(METHOD)
    return (
        Need(
            OF_DECODERS,
            lambda config: config.defence in WITH_DECODERS,
            f"a --defence that trains decoders ({', '.join(WITH_DECODERS)})",
            "defence",
        ),
        Need(
            ("objective",),
            lambda config: config.defence in METHOD,
            f"one of --defence={method}",
            "defence",
        ),
        Need(("lambda_pixel", "hinge_margin_pixel"), pixel, "--defence=pixel or both", "defence"),
        Need(
            ("lambda_perceptual", "hinge_margin_perceptual"),
            perceptual,
            "--defence=perceptual or both",
            "defence",
        ),
        Need(
            ("hinge_margin_pixel", "hinge_margin_perceptual"),
            lambda config: config.objective == "hinge",
            "--objective=hinge",
            "objective",
        ),
        Need(
            ("epochs", "encoder_learning_rate"),
            lambda config: config.defence != NONE,
            "a --defence; without one the training is --warmup_epochs and --warmup_learning_rate",
            "defence",
        ),
        Need(
            ("warmup_learning_rate",),
            lambda config: config.warmup_epochs > 0,
            "--warmup_epochs >= 1",
            "warmup_epochs",
        ),
        Need(
            ("noise_shares",),
            lambda config: config.lambda_rate > 0,
            "--lambda_rate > 0: without it all values have the same noise",
            "lambda_rate",
        ),
        Need(
            ("distil_weight",),
            lambda config: bool(config.distil_from),
            "teachers: --distil_from",
            "distil_from",
        ),
        Need(
            ("head_width",),
            lambda config: config.head_depth > 0,
            "hidden layers: --head_depth >= 1",
            "head_depth",
        ),
    )


def idle(config: Any) -> dict[str, str]:
    """Setting -> what it would need, of those that can't act.

    Only of those that differ from their default; 0 asks for nothing, and is never idle. `config` is
    a Config.
    """
    fields = {field.name: field.default for field in dataclasses.fields(config)}
    found: dict[str, str] = {}
    for need in needs():
        if need.is_met(config):
            continue
        got = f"--{need.got}={getattr(config, need.got)}"
        for name in need.names:
            value = getattr(config, name)
            if value and value != fields[name]:
                found.setdefault(name, f"needs {need.words}; got {got}")
    return found


def check(config: Any, given: Collection[str], typed: Collection[str]) -> None:
    """Refuses settings that can't act where they were typed; notes those of flag files.

    Args:
        config: all settings, a Config.
        given: names of settings that the command line or its flag files say.
        typed: those of them that the command line itself says.

    Raises:
        ValueError: one that was typed can't act.
    """
    if set(config.stage_names) & set(NOT_CHECKED):
        return
    found = idle(config)
    wrong = [
        f"--{name}={getattr(config, name)} can't act: it {why}."
        for name, why in found.items()
        if name in typed
    ]
    if wrong:
        raise ValueError(" ".join([*wrong, "Leave it out, or set what it needs."]))
    if noted := [f"--{name}={getattr(config, name)}" for name in found if name in given]:
        logging.info("Settings of the flag file that do not act here: %s", " ".join(noted))
    if config.weights and config.warm_start and "weights" in given:
        logging.info(
            "--weights=%s is not loaded: all weights are those of --warm_start=%s. It says what"
            " the reference must have begun with",
            config.weights,
            config.warm_start,
        )


def typed_names(arguments: Sequence[str]) -> set[str]:
    """Names of the flags on a command line, without those of the flag files that it names.

    With --noNAME as NAME, too. `arguments` are those behind the program.
    """
    before_end = arguments[: arguments.index("--")] if "--" in arguments else arguments
    flags = [text for text in before_end if text.startswith("-")]
    names = {text.lstrip("-").partition("=")[0] for text in flags}
    return names | {name.removeprefix("no") for name in names}
