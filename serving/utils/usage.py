"""Help of the development server, and what is said of a command line that can't be read."""

import difflib
import re
import shutil
import textwrap
from collections.abc import Mapping, Sequence

from absl import flags

HELP_WORDS = ("--help", "-help", "--helpshort", "-helpshort", "-h", "-?", "--?")
FULL_HELP_WORDS = ("--helpfull", "-helpfull", "--helpxml", "-helpxml")


def asked_for(
    arguments: Sequence[str],
    introduction: str,
    topics: Mapping[str, Sequence[str]],
    most_used: Sequence[str],
    values: flags.FlagValues,
) -> str | None:
    """The help that a command line asks for; None where it asks for none.

    Args:
        arguments: the command line without the program.
        introduction: what the command does, with examples.
        topics: title -> its flags, in the order of --helpfull.
        most_used: the flags of --help.
        values: where the flags are defined.
    """
    if any(word in arguments for word in FULL_HELP_WORDS):
        parts = [introduction]
        for title, names in topics.items():
            parts += [f"{title}:", *(entry(values[name]) for name in names), ""]
        return "\n".join(parts)
    if arguments[:1] == ["help"] or any(word in arguments for word in HELP_WORDS):
        shown = [entry(values[name]) for name in most_used]
        return "\n".join(
            [introduction, "The flags used most:", *shown, "", "All flags: --helpfull"]
        )
    return None


def entry(flag: flags.Flag) -> str:
    """A flag, its text and its default, wrapped to the terminal."""
    width = min(100, max(50, shutil.get_terminal_size().columns))
    name = f"[no]{flag.name}" if flag.boolean else flag.name
    default = (
        "" if flag.boolean else f" Default: {'none' if flag.default is None else flag.default}."
    )
    lines = textwrap.wrap(f"{flag.help}{default}", width - 6, break_on_hyphens=False)
    return "\n".join([f"  --{name}", *(f"      {line}" for line in lines)])


def wrong_number(message: str) -> str | None:
    """Absl's words on a value that is no number, in this project's words; None for other errors."""
    match = re.match(r"flag --(\w+)=(.*?): (?:invalid literal for int|could not convert)", message)
    if not match:
        return None
    expected = "a whole number" if "for int" in match[0] else "a number"
    return f"--{match[1]} must be {expected}, got {match[2]!r}"


def parsing_error(error: flags.Error, names: Sequence[str]) -> str:
    """What is said of a command line that absl can't read.

    Args:
        error: absl's.
        names: of all flags.
    """
    if not isinstance(error, flags.UnrecognizedFlagError):
        return f"{wrong_number(str(error)) or str(error).rstrip('.')}. See --helpfull."
    near = difflib.get_close_matches(error.flagname.replace("-", "_").lower(), names, n=3)
    hint = f" Did you mean: {', '.join(near)}?" if near else ""
    return f"Unknown flag --{error.flagname}.{hint} --helpfull lists all flags."
