"""Python and packages, beside what arl_tf requires and what it is tested with."""

import importlib.metadata
import pathlib
import platform
import re
from collections.abc import Iterator, Mapping, Sequence

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from arl_tf.experiments.doctor.findings import MEND, NOTE, OK, Finding
from arl_tf.utils.revision import version

DISTRIBUTION = "arl_tf"
PINS = pathlib.Path(__file__).parents[3] / "requirements.txt"
REINSTALL = "pip install -r requirements.txt -e . in a checkout, or pip install 'arl_tf[all]'."


def check_python() -> Iterator[Finding]:
    """The interpreter beside the package's requires-python."""
    own = platform.python_version()
    if version(DISTRIBUTION) is None:
        found = f"{own}; arl_tf is not installed, so it can be imported in this folder only"
        yield Finding("Python", NOTE, found, REINSTALL)
        return
    wanted = importlib.metadata.metadata(DISTRIBUTION)["Requires-Python"]
    if wanted and not SpecifierSet(wanted).contains(own, prereleases=True):
        remedy = f"Make an environment with a Python {wanted}."
        yield Finding("Python", MEND, f"{own}; arl_tf needs {wanted}", remedy)
    else:
        yield Finding("Python", OK, own)


def check_packages() -> Iterator[Finding]:
    """Every package that arl_tf requires, and those of its extras that are installed."""
    if version(DISTRIBUTION) is None:
        yield from check_pins(read_pins(PINS))
        return
    required = [Requirement(text) for text in importlib.metadata.requires(DISTRIBUTION) or ()]
    needed = [each for each in required if each.marker is None]
    optional = [each for each in required if each.marker and not is_tool(each)]
    yield from faults(needed, optional, {each.name: version(each.name) for each in required})
    yield from check_pins(read_pins(PINS))


def is_tool(requirement: Requirement) -> bool:
    """Whether a package is for tests, documents or a GPU alone."""
    return any(f'"{extra}"' in str(requirement.marker) for extra in ("docs", "gpu", "test"))


def faults(
    needed: Sequence[Requirement], optional: Sequence[Requirement], have: Mapping[str, str | None]
) -> Iterator[Finding]:
    """Packages that are missing or of a wrong version, and one line where none is.

    Args:
        needed: always.
        optional: of extras; they may be missing.
        have: package -> installed version, or None.
    """
    missing = [each for each in needed if have[each.name] is None]
    wrong = [each for each in (*needed, *optional) if not fits(each, have[each.name])]
    for each in missing:
        yield Finding(each.name, MEND, f"not installed; arl_tf needs {each}", REINSTALL)
    for each in {each.name: each for each in wrong}.values():
        found = f"{have[each.name]}; arl_tf needs {each.name}{each.specifier}"
        yield Finding(each.name, MEND, found, f"pip install '{each.name}{each.specifier}'")
    if not missing and not wrong:
        yield Finding("packages", OK, f"all {len(needed)} required ones, in versions that fit")


def fits(requirement: Requirement, installed: str | None) -> bool:
    """Whether an installed version is one that is required; what is missing fits."""
    return installed is None or requirement.specifier.contains(installed, prereleases=True)


def read_pins(path: pathlib.Path) -> dict[str, str]:
    """Package -> version of a requirements file; empty outside a checkout."""
    if not path.is_file():
        return {}
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", path.read_text(encoding="utf-8"), re.M))


def check_pins(pins: Mapping[str, str]) -> Iterator[Finding]:
    """Installed versions beside the set that is tested together."""
    have = {name: version(name) for name in pins}
    differing = [
        f"{name} {have[name]} ({pin})"
        for name, pin in pins.items()
        if have[name] not in (None, pin)
    ]
    if differing:
        found = f"other than tested: {', '.join(differing)}"
        yield Finding("pinned versions", NOTE, found, "pip install -r requirements.txt")
    elif pins:
        installed = sum(have[name] is not None for name in pins)
        yield Finding("pinned versions", OK, f"{installed} of {len(pins)} installed, all as tested")
