"""Files that appear by rename: a reader sees the old file or the whole new one."""

import json
import os
import pathlib
from typing import Any


def aside(path: pathlib.Path) -> pathlib.Path:
    """Where a file is written before it is renamed: by this process alone, of the same suffix."""
    return path.with_name(f"unfinished_{os.getpid()}_{path.name}")


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file aside, then renames it: a reader sees the old file or the whole new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        unfinished.write_text(text, encoding="utf-8")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes strict JSON (NaN is refused with ValueError), by rename."""
    write_text(path, json.dumps(value, indent=1, allow_nan=False) + "\n")
