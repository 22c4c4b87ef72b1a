"""The run: where it writes, which stages, how the machine is used."""

import dataclasses

from arl_tf.config.option import option


@dataclasses.dataclass(frozen=True)
class RunGroup:
    """The run: where it writes, which stages, how the machine is used."""

    workdir: str = option(
        "runs/default", "Run directory: everything the run writes.", group="run", path=True
    )
    stages: str = option(
        "train,audit,export",
        "Stages to run, comma-separated: train, audit, export; attackers, for the demo page of"
        " serving.local_server; or one of these alone: sweep (many points, see --sweep),"
        " study (see --study), bench (compares defences, see --bench_defences), doctor (checks"
        " packages, machine and data, and says what to mend), encode (many photos into codes, see"
        " --encode_from).",
        group="run",
    )
    overwrite: bool = option(
        False, "Redo stages that are finished; what they wrote before is replaced.", group="run"
    )
    dry_run: bool = option(
        False,
        "Print what the command would do (settings, data, networks, time and memory) and end."
        " Nothing is trained or written.",
        group="run",
    )
    cache_dir: str = option(
        "",
        "Folder of prepared images and of the references of --reference=auto; empty: inside"
        " --workdir. Runs that share one prepare the images only once.",
        group="run",
        path=True,
    )
    threads: int = option(
        0,
        "Threads of one operation; 0: all cores. Give each of two runs side by side half of the"
        " cores.",
        group="run",
        low=0,
    )
    seed: int = option(
        0,
        "Seed of splits, initial weights, data order and attackers.",
        group="data",
        topic="run",
        low=0,
        high=2**31 - 1,
        attack_identity=True,
    )
