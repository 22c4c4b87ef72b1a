"""Which code ran: versions of packages, and the git revision of a checkout."""

import importlib.metadata
import os
import pathlib
import platform
import subprocess
from typing import Any

PACKAGE = pathlib.Path(__file__).parents[1]
VERSIONED_PACKAGES = ("tensorflow", "keras", "tensorflow-datasets", "numpy", "absl-py")
# Seconds; a hanging file system must not hold up a run.
PATIENCE = 10


def provenance() -> dict[str, Any]:
    """Versions, platform and the git revision of the code; None for what is not known."""
    versions = {name: version(name) for name in VERSIONED_PACKAGES}
    return {
        "versions": versions,
        "python": platform.python_version(),
        "git_revision": git_revision(PACKAGE),
    }


def version(package: str) -> str | None:
    """An installed package's version; None for one that comes under another name."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git_revision(folder: pathlib.Path) -> str | None:
    """The revision that a folder of code was checked out at, 'dirty' where it was changed.

    None without git, outside a checkout, in one that git does not trust, and for a package that
    is installed within somebody else's repository.
    """
    if git(folder, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    return git(folder, "describe", "--always", "--dirty")


def git(folder: pathlib.Path, *arguments: str) -> str | None:
    """What a git command says of a folder; None where it can't."""
    # GIT_DIR and the like, which git sets for hooks, name another repository.
    environment = {name: value for name, value in os.environ.items() if name[:4] != "GIT_"}
    try:
        finished = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    said = finished.stdout.strip()
    return said if finished.returncode == 0 and said else None
