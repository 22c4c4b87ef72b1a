"""Says in what two runs of the same command differ: python tests/compare_runs.py BEFORE AFTER.

Compares report.json and manifest.json of two run directories. Times, versions and paths differ in
any case and are left out. Prints one line for each other difference; exits 1 where there is one.
"""

import json
import pathlib
import sys
from collections.abc import Iterator
from typing import Any

FILES = ("audit/report.json", "export/manifest.json")
# Keys of what no two runs share, wherever they stand.
LEFT_OUT = frozenset(
    {
        "seconds",
        "git_revision",
        "versions",
        "python",
        "created",
        "date",
        "workdir",
        "cache_dir",
        # TensorFlow gives every SavedModel another one.
        "fingerprint.pb",
    }
)
# Figures of reductions whose order depends on the threads.
TOLERANCE = 1e-6


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """A line for each place where two JSON values differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            if pathlib.PurePath(key).name in LEFT_OUT:
                continue
            if key not in before or key not in after:
                yield f"{path}/{key}: only {'after' if key in after else 'before'}"
            else:
                yield from differences(before[key], after[key], f"{path}/{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{path}/{number}")
    elif not same(before, after):
        yield f"{path}: {before!r} before, {after!r} after"


def same(before: Any, after: Any) -> bool:
    """Whether two plain values are equal, numbers within TOLERANCE."""
    numbers = (int, float)
    if isinstance(before, numbers) and isinstance(after, numbers):
        return abs(before - after) <= TOLERANCE * max(1.0, abs(before))
    return before == after


def main(before: str, after: str) -> int:
    """Compares two run directories; the exit code."""
    found = []
    for name in FILES:
        contents = (json.loads((pathlib.Path(run) / name).read_text()) for run in (before, after))
        found += [f"{name}{line}" for line in differences(*contents)]
    print("\n".join(found) or "no difference")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
