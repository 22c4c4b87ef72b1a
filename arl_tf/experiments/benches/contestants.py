"""What a bench compares: each defence with the one setting that makes it stronger."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from arl_tf.config.scopes import no_defence_values
from arl_tf.config.settings import Config, comma_separated
from arl_tf.defences import registry
from arl_tf.defences.definition import Defence, Number
from arl_tf.experiments import train_stage
from arl_tf.experiments.sweeps.trials import SHARED_TEACHER
from arl_tf.utils.suggestions import did_you_mean

# What a command may say of a defence; none of it may reach another one.
PLAIN = {
    **no_defence_values(Config),
    "defence_strength": 0.0,
    "defence_bound": 0.0,
    "private_attributes": "",
    "distil_from": "",
    "objective": "negative",
}
OURS = "this project's method, docs/method.md"
# Those of configs/celeba_small.cfg: the pixel term's weight beside the perceptual one's.
PIXEL_BESIDE_PERCEPTUAL = 100.0
PIXEL = Number("Weight of the pixel term.", 1.0, 1e-6)
PERCEPTUAL = Number("Weight of the perceptual term.", 0.02, 1e-6)
BIT_PRICE = Number("Price per bit, in nats of the task loss.", 5e-5, 1e-9)
DIGITS = 3


@dataclasses.dataclass(frozen=True)
class Contestant:
    """A defence that takes part.

    Attributes:
        name: of the bench.
        source: the paper, or where it is described.
        words: what its strength is; "" where it has none.
        setting: the setting that is its strength; "" where it has none.
        weakest: least strength that is tried.
        strongest: greatest strength that is tried.
        settings: its other settings.
        tied: settings that are a multiple of the strength -> the factor.
        whole: whether the strength is a whole number.
    """

    name: str
    source: str
    words: str = ""
    setting: str = ""
    weakest: float = 0.0
    strongest: float = 0.0
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tied: Mapping[str, float] = dataclasses.field(default_factory=dict)
    whole: bool = False

    def strength(self, position: float) -> float:
        """The strength at a place from 0 (weakest) to 1 (strongest) of the logarithmic range."""
        low, high = math.log(self.weakest), math.log(self.strongest)
        value = math.exp(low + position * (high - low))
        return float(round(value)) if self.whole else float(f"{value:.{DIGITS}g}")

    def overrides(self, position: float) -> dict[str, Any]:
        """Setting -> value, at a place of the range; everything of other defences is switched off.

        Args:
            position: in [0, 1]; of no account for a contestant without a strength.
        """
        if not self.setting:
            return {**PLAIN, **self.settings}
        value = self.strength(position)
        tied = {name: float(f"{value * factor:.{DIGITS}g}") for name, factor in self.tied.items()}
        return {**PLAIN, **self.settings, self.setting: value, **tied}


def with_number(
    name: str, source: str, setting: str, number: Number, settings: Mapping[str, Any], **more: Any
) -> Contestant:
    """A contestant that tries a number's search range."""
    weakest, strongest = number.search_range
    found = Contestant(name, source, number.words, setting, weakest, strongest, settings, **more)
    return dataclasses.replace(found, whole=number.whole)


def methods_own(config: Config) -> list[Contestant]:
    """The unprotected encoder, the paper's three losses, and what this project ships.

    All train the encoder for as many epochs: those without decoders spend those of the fight on
    the task.
    """
    alone = {"defence": registry.NONE, "point_epochs": config.point_epochs + config.epochs}
    priced = {**alone, "code_noise": 1.0}
    paper = "the paper, arXiv 1911.10143: decoders and a negative loss"
    both = {"tied": {"lambda_pixel": PIXEL_BESIDE_PERCEPTUAL}}
    toward_mean = {"defence": "both", "objective": "toward_mean"}
    taught = {**priced, "distil_from": SHARED_TEACHER}
    weight, bit = "lambda_perceptual", "lambda_rate"
    return [
        Contestant(registry.NONE, "no protection: the others are compared with it", settings=alone),
        with_number("pixel", paper, "lambda_pixel", PIXEL, {"defence": "pixel"}),
        with_number("perceptual", paper, weight, PERCEPTUAL, {"defence": "perceptual"}),
        with_number("both", paper, weight, PERCEPTUAL, {"defence": "both"}, **both),
        with_number("toward_mean", OURS, weight, PERCEPTUAL, toward_mean, **both),
        with_number("priced_noise", OURS, bit, BIT_PRICE, priced),
        with_number("priced_noise_distilled", OURS, bit, BIT_PRICE, taught),
    ]


def published(config: Config, name: str, defence: Defence) -> Contestant:
    """A defence of the registry; its second number is at its default."""
    settings: dict[str, Any] = {"defence": name}
    if defence.private or defence.private_optional:
        settings["private_attributes"] = config.private_attributes
    return with_number(name, defence.source, "defence_strength", defence.strength, settings)


def all_contestants(config: Config) -> dict[str, Contestant]:
    """Every defence that can take part, by name."""
    own = methods_own(config)
    others = [published(config, name, defence) for name, defence in registry.DEFENCES.items()]
    return {contestant.name: contestant for contestant in (*own, *others)}


def left_out(config: Config) -> dict[str, str]:
    """Defence that these settings do not allow -> why."""
    reasons = {
        name: refusal(config, contestant) for name, contestant in all_contestants(config).items()
    }
    return {name: reason for name, reason in reasons.items() if reason}


def refusal(config: Config, contestant: Contestant) -> str:
    """Why a contestant can't be trained with these settings; empty where it can."""
    try:
        train_stage.check_defence(dataclasses.replace(config, **contestant.overrides(0.5)))
    except ValueError as error:
        return str(error)
    return ""


def chosen_contestants(config: Config) -> list[Contestant]:
    """Those that --bench_defences names, in its order; empty: every one that is possible.

    Raises:
        ValueError: an unknown name, one that is named twice, or one that the settings do not allow.
    """
    known, impossible = all_contestants(config), left_out(config)
    names = comma_separated(config.bench_defences)
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known)
            raise ValueError(
                f"--bench_defences: there is no defence {name!r}; one of {', '.join(known)}.{hint}"
            )
        if name in impossible:
            raise ValueError(f"--bench_defences={name} can't take part: {impossible[name]}")
    if len(set(names)) < len(names):
        raise ValueError(f"--bench_defences={config.bench_defences} has a name twice.")
    return [known[name] for name in names or known if name not in impossible]
