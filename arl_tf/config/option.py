"""One setting: default, range, help, group and scope in a dataclass field."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from arl_tf.config.scopes import Scope


def option(
    default: Any,
    help_text: str,
    *,
    group: str,
    low: float | None = None,
    high: float | None = None,
    choices: Sequence[str] | None = None,
    path: bool = False,
    paths: bool = False,
    topic: str | None = None,
    **scope: Any,
) -> Any:
    """A dataclass field that carries a setting's default, range or choices, help, group and scope.

    Args:
        default: also the flag's default; its type is the setting's.
        help_text: of the flag.
        group: the stage whose result the setting changes, or "run".
        low: least value.
        high: greatest value.
        choices: all values, where there are few.
        path: whether it names a file or folder.
        paths: whether it names several, comma-separated.
        topic: the part of --helpfull where it stands, if not that of its group.
        **scope: marks of `scopes.Scope`, which say what else the setting decides.
    """
    metadata = {"help": help_text, "group": group, "low": low, "high": high, "choices": choices}
    shown = {"path": path or paths, "several": paths, "topic": topic or group}
    return dataclasses.field(default=default, metadata=metadata | shown | {"scope": Scope(**scope)})
