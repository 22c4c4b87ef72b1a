"""The flags: one for each setting, derived from it. Only main.py hands in the global FLAGS."""

import dataclasses
import sys
from collections.abc import Callable, Mapping
from typing import Any

from absl import flags

from arl_tf.config.checks import NAMED, comma_separated
from arl_tf.config.settings import Config, cleaned, path_names

# Another form of --task_attributes, which the setting keeps.
HELD_OUT = "held_out_attributes"
HELD_OUT_HELP = (
    "Attributes that the task head does not read, comma-separated, such as Male,Young: another form"
    " of --task_attributes=-Male,-Young."
)


def flag_help(field: dataclasses.Field) -> str:
    """A flag's help text with its range and choices appended."""
    low, high, choices = (field.metadata[key] for key in ("low", "high", "choices"))
    text = field.metadata["help"]
    bounds = [f"{sign} {bound}" for sign, bound in ((">=", low), ("<=", high)) if bound is not None]
    if bounds:
        text += f" Range: {' and '.join(bounds)}."
    if choices:
        text += f" One of: {', '.join(choices)}."
    return text


def define_flags(flag_values: flags.FlagValues) -> None:
    """Defines one absl flag for every field of Config, with its default, range and choices as help.

    And --held_out_attributes, which sets the field `task_attributes`.

    Ranges and choices are checked by Config, whose messages say more than absl's; `usage` shows the
    help.
    """
    makers: dict[type, Callable[..., Any]] = {
        bool: flags.DEFINE_boolean,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        str: flags.DEFINE_string,
    }
    for field in dataclasses.fields(Config):
        makers[type(field.default)](
            field.name,
            field.default,
            flag_help(field),
            flag_values=flag_values,
            module_name=f"arl_tf, settings of {field.metadata['group']}",
        )
        # absl calls the main module by the program's path.
        flag_values.register_key_flag_for_module(sys.argv[0], flag_values[field.name])
    flags.DEFINE_string(
        HELD_OUT,
        "",
        HELD_OUT_HELP,
        flag_values=flag_values,
        module_name="arl_tf, settings of data",
    )
    flag_values.register_key_flag_for_module(sys.argv[0], flag_values[HELD_OUT])


def given_flags(flag_values: flags.FlagValues) -> dict[str, Any]:
    """The settings that the command line or a flagfile named, with their values.

    Raises:
        ValueError: a path can't be what was meant, or two flags choose the task's attributes.
    """
    names = (field.name for field in dataclasses.fields(Config))
    given: dict[str, Any] = {
        name: flag_values[name].value for name in names if flag_values[name].present
    }
    held_out = str(flag_values[HELD_OUT].value or "")
    if held_out:
        given["task_attributes"] = without(held_out, given)
    return given | {name: cleaned(name, given[name]) for name in path_names() if name in given}


def without(names: str, given: Mapping[str, Any]) -> str:
    """--task_attributes that leaves out what --held_out_attributes names.

    Raises:
        ValueError: --task_attributes is given, too.
    """
    if given.get("task_attributes"):
        raise ValueError(
            f"--{HELD_OUT}={names} and --task_attributes={given['task_attributes']} both say which"
            " attributes the task has; give one of them."
        )
    return ",".join(f"-{name.removeprefix('-')}" for name in comma_separated(names))


def check_given(given: Mapping[str, Any]) -> None:
    """Raises ValueError where the command line says what to vary, but no stage would vary it."""
    stages = given.get("stages", Config.stages)
    for name in NAMED:
        if given.get(name) and name not in comma_separated(stages):
            raise ValueError(
                f"--{name}={given[name]} needs --stages={name}, got --stages={stages}."
            )
