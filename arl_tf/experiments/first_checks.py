"""What folders and clock must be before any work: all of it would be missed hours later."""

import pathlib
import time

from arl_tf.config.settings import Config
from arl_tf.data.labelled.table import TABLE
from arl_tf.experiments.run_directory import RunDirectory, audit_folders
from arl_tf.utils import files

# Years that the dates in a .keras file, which is a ZIP archive, can have.
YEARS = range(1980, 2108)
# Prefixes of the settings of data sets: the run's, X2's, the attackers'.
DATASETS = ("", "public_", "attacker_")


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Looks at the folders that are written, and at the clock.

    Raises:
        ValueError: a folder can't be written, lies among the data or is of another program, or the
            clock is wrong.
    """
    written = {"workdir": run.root}
    if config.cache_dir:
        written["cache_dir"] = pathlib.Path(config.cache_dir)
    for flag, folder in written.items():
        files.check_can_be_written(flag, folder)
        check_apart_from_data(config, flag, folder)
    if "train" in todo:
        check_own(run)
    check_clock(time.localtime().tm_year)


def check_apart_from_data(config: Config, flag: str, folder: pathlib.Path) -> None:
    """Raises ValueError for a folder inside class folders: it would be a class, or an image."""
    for prefix in DATASETS:
        source = pathlib.Path(getattr(config, f"{prefix}data_dir"))
        is_read = getattr(config, f"{prefix}dataset") == "folder" and source.is_dir()
        if is_read and not (source / TABLE).exists():
            files.check_apart(flag, folder, f"{prefix}data_dir", source)


def check_own(run: RunDirectory) -> None:
    """Raises ValueError where a training would mix with, or replace, what others wrote."""
    if any(path.exists() for path in (run.config, run.splits, run.stages)):
        return
    kept = (run.checkpoints, run.logs, run.export, *audit_folders(run))
    strange = [path.name for path in kept if path.is_dir() and any(path.iterdir())]
    strange += [run.metrics.name] if run.metrics.exists() else []
    if strange:
        raise ValueError(
            f"--workdir={run.root} holds {', '.join(strange)}, but no {run.config.name}: it is no"
            " run directory of arl_tf, which would write there and remove old files. Name a new"
            " folder."
        )


def check_clock(year: int) -> None:
    """Raises ValueError where the trained models could not be saved, for their date."""
    if year not in YEARS:
        raise ValueError(
            f"The clock of this machine says that it is the year {year}; .keras files can't be"
            " written then. Set the clock."
        )
