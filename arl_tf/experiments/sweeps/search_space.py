"""What a sweep varies, read from a flag: values and ranges of settings, combined or sampled."""

import dataclasses
import itertools
from collections.abc import Mapping
from typing import Any

from arl_tf.config.checks import check_value
from arl_tf.config.settings import Config
from arl_tf.utils.suggestions import did_you_mean

SWEPT_GROUPS = ("model", "train")
# A sweep's points start from the encoder that they share.
NOT_SWEPT = ("warm_start", "distil_from")
TRUTH = {"true": True, "false": False, "1": True, "0": False}


@dataclasses.dataclass(frozen=True)
class Choices:
    """A setting's values to try, at least one, each once."""

    values: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included; integers where the ends are."""

    low: float
    high: float

    @property
    def is_logarithmic(self) -> bool:
        """Whether a factor counts rather than a difference."""
        return self.low > 0


Space = Mapping[str, Choices | Range]


def sweepable_fields() -> dict[str, dataclasses.Field]:
    """The settings that a sweep may vary, by name."""
    return {
        field.name: field
        for field in dataclasses.fields(Config)
        if field.metadata["group"] in SWEPT_GROUPS and field.name not in NOT_SWEPT
    }


def parse_space(text: str) -> dict[str, Choices | Range]:
    """Reads 'lambda_pixel=0.5|1.5;code_noise=0..2': values, or a range, of each setting.

    Raises:
        ValueError: an entry that can't be read, an unknown setting, one that is named twice, or a
            value that the setting can't have.
    """
    space: dict[str, Choices | Range] = {}
    for entry in filter(None, map(str.strip, text.split(";"))):
        name, equals, values = (part.strip() for part in entry.partition("="))
        if not equals or not values:
            raise ValueError(
                f"--sweep: {entry!r} can't be read; expected SETTING=VALUE|VALUE|... or"
                " SETTING=LOW..HIGH, and ; between settings."
            )
        if name in space:
            raise ValueError(f"--sweep names {name} twice; give all of its values at once.")
        space[name] = parse_values(known_field(name), values)
    if not space:
        raise ValueError(f"--sweep={text!r} names no setting; expected SETTING=VALUE|VALUE|...")
    return space


def known_field(name: str) -> dataclasses.Field:
    """The field of a setting that can be swept; ValueError with the nearest name otherwise."""
    fields = sweepable_fields()
    if name not in fields:
        hint = did_you_mean(name, fields)
        raise ValueError(
            f"--sweep names {name!r}, which is no setting of model or training.{hint}"
            f" One of: {', '.join(fields)}."
        )
    return fields[name]


def parse_values(field: dataclasses.Field, text: str) -> Choices | Range:
    """One setting's values; ValueError for one that it can't have, or that is there twice."""
    low, dots, high = text.partition("..")
    if dots:
        return parse_range(field, low, high)
    values = tuple(parse_value(field, part.strip()) for part in text.split("|"))
    if len(set(values)) < len(values):
        raise ValueError(f"--sweep: {field.name}={text} has a value twice.")
    return Choices(values)


def parse_range(field: dataclasses.Field, low: str, high: str) -> Range:
    """A range of numbers, low to high; ValueError for other settings and for an empty one."""
    if type(field.default) not in (int, float):
        raise ValueError(
            f"--sweep: {field.name} is no number and has no range; give its values, as"
            f" {field.name}=VALUE|VALUE."
        )
    ends = Range(parse_value(field, low.strip()), parse_value(field, high.strip()))
    if ends.low >= ends.high:
        raise ValueError(
            f"--sweep: {field.name}={low}..{high} is empty; expected LOW..HIGH with LOW < HIGH."
        )
    return ends


def parse_value(field: dataclasses.Field, text: str) -> Any:
    """A value of the setting's own type, in its range; ValueError otherwise."""
    kind = type(field.default)
    try:
        value = TRUTH[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise ValueError(
            f"--sweep: {field.name} takes values of type {kind.__name__}, got {text!r}."
        ) from None
    check_value(field, value)
    return value


def grid(space: Space) -> list[dict[str, Any]]:
    """Every combination of values, the last setting changing fastest.

    Raises:
        ValueError: a range, which has no end of values.
    """
    ranges = [name for name, values in space.items() if isinstance(values, Range)]
    if ranges:
        raise ValueError(
            f"--sweep gives {', '.join(ranges)} a range, which only a sampler can choose from: add"
            " --sweep_trials=N, or list values."
        )
    values = [choices.values for choices in space.values()]
    return [dict(zip(space, chosen, strict=True)) for chosen in itertools.product(*values)]
