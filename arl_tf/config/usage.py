"""What --help, --helpfull and --version print, and what is said of one that can't be read."""

import dataclasses
import importlib.metadata
import platform
import re
import shutil
import textwrap
from collections.abc import Sequence
from typing import Any

from absl import flags

from arl_tf.config.choices import STAGES
from arl_tf.config.flag_definitions import flag_help
from arl_tf.config.settings import Config
from arl_tf.utils.suggestions import did_you_mean

# In the order of the work.
TOPICS = {
    "run": "The run",
    "data": "Data",
    "model": "Networks",
    "train": "Training",
    "audit": "Audit",
    "export": "Export",
    "sweep": "Sweeps and studies",
    "bench": "Bench of defences",
    "encode": "Encoding of many photos",
}
OTHERS = "Logging and checks"
MOST_USED = (
    "workdir",
    "stages",
    "overwrite",
    "dataset",
    "data_dir",
    "encoder",
    "cut",
    "defence",
    "code_noise",
    "audit",
    "reference",
    "require",
)
# Of absl's own flags, those that say something here; the rest are for its developers.
ABSL_FLAGS = ("verbosity", "log_dir", "only_check_args", "run_with_pdb", "run_with_profiling")
FLAGFILE = (
    "Read flags from this file, one --name=value a line; a line that begins with # is a comment."
)
HELP = {
    "--help": "help",
    "-help": "help",
    "-h": "help",
    "-?": "help",
    "--?": "help",
    "--helpshort": "help",
    "-helpshort": "help",
    "--helpfull": "helpfull",
    "-helpfull": "helpfull",
    "--helpxml": "helpxml",
    "-helpxml": "helpxml",
    "--version": "version",
    "-version": "version",
}
INTRODUCTION = """\
Trains an encoder whose codes keep a task and resist being turned back into pictures. Attacks
the codes with new attackers, reports what they found, and exports the encoder.

Usage: python -m arl_tf.main [--flagfile=FILE] [--name=value ...]

Examples:
  python -m arl_tf.main --flagfile=configs/demo.cfg
      Everything, on drawn faces: no data needed.
  python -m arl_tf.main --flagfile=configs/celeba_small.cfg --data_dir=~/celeba --workdir=runs/a
      Likewise on photographs, in a run directory of your choice.
  python -m arl_tf.main --workdir=runs/a --stages=audit --audit=full
      Audits a trained run again, with more attackers. The run remembers its other settings.
  python -m arl_tf.main --stages=audit --codes=codes.npz --workdir=runs/b
      Audits codes that another encoder made.

If a command was stopped, start it again: it goes on. The last value of a flag counts, so
put your own after --flagfile.
"""
EXPECTED = {int: "a whole number", float: "a number", bool: "true or false"}
VERSIONED = ("tensorflow", "keras", "numpy", "ai-edge-litert")


def asked_for(arguments: Sequence[str]) -> str | None:
    """'help', 'helpfull', 'helpxml' or 'version' where the command line asks for it, else None."""
    if arguments[:1] == ["help"]:
        return "help"
    before_end = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return next((HELP[text] for text in before_end if text in HELP), None)


def help_text() -> str:
    """What --help prints: the most used flags and examples."""
    by_name = {field.name: field for field in dataclasses.fields(Config)}
    parts = [INTRODUCTION, "The flags used most:", entry("flagfile", FLAGFILE)]
    parts += [setting_entry(by_name[name]) for name in MOST_USED]
    parts.append(f"\nAll {len(by_name)} flags: --helpfull    Version: --version")
    return "\n".join(parts)


def full_help_text(flag_values: flags.FlagValues) -> str:
    """What --helpfull prints: every flag by topic, in the order of the work."""
    parts = [INTRODUCTION]
    for topic, title in TOPICS.items():
        parts.append(f"{title}:")
        if topic == "run":
            parts.append(entry("flagfile", FLAGFILE))
        fields = dataclasses.fields(Config)
        parts += [setting_entry(f) for f in fields if f.metadata["topic"] == topic]
        parts.append("")
    parts.append(f"{OTHERS}:")
    parts += [entry(name, f"{flag_values[name].help.strip()}") for name in ABSL_FLAGS]
    return "\n".join(parts)


def setting_entry(field: dataclasses.Field) -> str:
    """A setting's flag with its help and default."""
    if isinstance(field.default, bool):
        return entry(f"[no]{field.name}", flag_help(field))
    default = "none" if field.default == "" else field.default
    return entry(field.name, f"{flag_help(field)} Default: {default}.")


def entry(name: str, text: str) -> str:
    """A flag and its text, wrapped to the terminal."""
    width = min(100, max(50, shutil.get_terminal_size().columns))
    lines = textwrap.wrap(text, width - 6, break_long_words=False, break_on_hyphens=False)
    return "\n".join([f"  --{name}", *(f"      {line}" for line in lines)])


def version_text() -> str:
    """What --version prints."""
    versions = ", ".join(f"{name} {installed(name)}" for name in VERSIONED)
    return f"arl_tf {installed('arl_tf')} (Python {platform.python_version()}, {versions})"


def installed(package: str) -> str:
    """A package's version; from a checkout that was not installed, arl_tf has none."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def parsing_error(error: flags.Error, flag_values: flags.FlagValues) -> str:
    """What is said of a command line that absl can't read."""
    if not isinstance(error, flags.UnrecognizedFlagError):
        return f"{wrong_value(str(error)) or str(error).rstrip('.')}. See --helpfull."
    name = error.flagname
    known = [*(field.name for field in dataclasses.fields(Config)), *ABSL_FLAGS, "flagfile"]
    hint = did_you_mean(name.replace("-", "_").lower(), known, most=3)
    return f"Unknown flag --{name}.{hint} --helpfull lists all flags."


def wrong_value(message: str) -> str | None:
    """Absl's words on a value of the wrong type, as Config would say it; None for other errors."""
    match = re.match(r"flag --(\w+)=(.*?): ", message, re.DOTALL)
    types: dict[str, Any] = {
        field.name: type(field.default) for field in dataclasses.fields(Config)
    }
    expected = EXPECTED.get(types.get(match[1], str)) if match else None
    return f"--{match[1]} must be {expected}, got {match[2]!r}" if match and expected else None


def stray_argument(text: str) -> str:
    """What is said of an argument that is no flag."""
    if text in STAGES:
        hint = f"Did you mean: --stages={text}?"
    elif text.lstrip("\u2010\u2011\u2012\u2013\u2014\u2212-") != text:
        hint = "Flags begin with two plain hyphens, --."
    elif "=" in text:
        hint = f"Did you mean: --{text}?"
    else:
        hint = "A value follows its flag with =, and blanks in it need quotes."
    return f"Unexpected argument {text!r}: every setting is a --flag=value. {hint}"
