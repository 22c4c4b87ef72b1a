"""What a command takes over from earlier ones on the same run directory."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.config.scopes import marked
from arl_tf.config.settings import Config, audit_name


def inheritable_names() -> list[str]:
    """Settings that a later command on the same run directory takes over: all but group "run"."""
    return [field.name for field in dataclasses.fields(Config) if field.metadata["group"] != "run"]


def inherited(
    recorded: Mapping[str, Any], finished: Mapping[str, Any], given: Mapping[str, Any]
) -> dict[str, Any]:
    """What a command takes over from earlier ones on the same run directory.

    What one audit was of is not another's: the attackers chosen for a look at validation must not
    weaken the audit of T in silence.

    Args:
        recorded: settings of the directory's latest command.
        finished: stage -> the settings it was run with.
        given: settings that the command line names.
    """
    names = inheritable_names()
    found = {name: recorded[name] for name in names if name in recorded}
    own, latest = (
        audit_name(
            values.get("audit_split", Config.audit_split),
            values.get("codes_per_photo", Config.codes_per_photo),
            values.get("audit_share", Config.audit_share),
        )
        for values in (given, recorded)
    )
    of_own = finished.get(f"audit_{own}")
    if of_own is not None:
        audit = [f.name for f in dataclasses.fields(Config) if f.metadata["group"] == "audit"]
        return found | {name: of_own[name] for name in audit if name in of_own}
    if own != latest and "audit" in recorded.get("stages", ""):
        return without(found, marked(Config, "one_audit"))
    return found


def without(settings: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The settings but for some of them."""
    return {name: value for name, value in settings.items() if name not in names}
