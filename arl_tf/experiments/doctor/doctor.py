"""The stage `doctor`: looks at machine, packages and data, and says what is to be mended.

It imports nothing that may be missing or broken before it looks at it, and writes nothing.
"""

import functools
import pathlib

from arl_tf.config.settings import Config
from arl_tf.experiments.doctor import findings, inputs, machine, software
from arl_tf.experiments.doctor.findings import Check


def run(config: Config) -> None:
    """Prints a table of all findings.

    Args:
        config: all settings.

    Raises:
        ValueError: something must be mended before a run; the table says how.
    """
    found = findings.collected(checks(config))
    print(findings.shown(found))
    faults = findings.to_mend(found)
    if faults:
        names = ", ".join(fault.what for fault in faults)
        raise ValueError(f"{len(faults)} of {len(found)} checks must be mended: {names}.")


def checks(config: Config) -> list[tuple[str, Check]]:
    """(what is looked at, the check), in the order of the table."""
    workdir = pathlib.Path(config.workdir)
    cache = pathlib.Path(config.cache_dir or workdir / "cache")

    def check_disks():
        needs = {
            "workdir": (workdir, machine.RUN_BYTES),
            "cache_dir": (cache, inputs.bytes_to_prepare(config, cache)),
        }
        yield from machine.check_disks(needs)

    return [
        ("Python", software.check_python),
        ("packages", software.check_packages),
        ("threads", functools.partial(machine.check_threads, config.threads)),
        ("oneDNN", machine.check_all_onednn),
        ("GPU", machine.check_gpu),
        ("weights", inputs.check_weights),
        ("data", functools.partial(inputs.check_data, config)),
        ("folders, clock", functools.partial(inputs.check_places, config)),
        ("disk", check_disks),
        ("ports", machine.check_ports),
    ]
