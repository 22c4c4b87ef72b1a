"""A bench's trials, read from disk, and which of them is chosen: on validation alone."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from arl_tf.config import audit_figures, conditions
from arl_tf.config.settings import Config, comma_separated
from arl_tf.experiments.benches import search
from arl_tf.experiments.benches.contestants import Contestant
from arl_tf.experiments.benches.search import Tried
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import study, trials
from arl_tf.experiments.sweeps.trials import FAILED, FINISHED, Trial
from arl_tf.report import report_files

MCC = "mean_mcc"
Record = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class TrialRow:
    """A strength that is done, or has failed.

    Attributes:
        position: on the contestant's range.
        strength: the value of its setting; None for a contestant without one.
        point: its settings.
        record: of the point's directory.
        mean_mcc: on validation; None where it failed.
        kept: the same as a share of the unprotected encoder's.
        leakage: of face similarity, by the judge that sees more; None where it is not known.
    """

    position: float
    strength: float | None
    point: Trial
    record: Record
    mean_mcc: float | None = None
    kept: float | None = None
    leakage: float | None = None


def utilities(config: Config) -> tuple[float, ...]:
    """The shares of --bench_utility.

    Raises:
        ValueError: one that is no number above 0, or one that is there twice.
    """
    texts = comma_separated(config.bench_utility)
    try:
        shares = tuple(float(text) for text in texts)
    except ValueError:
        shares = ()
    if not shares or any(not 0 < share <= 2 for share in shares) or len(set(shares)) < len(shares):
        raise ValueError(
            f"--bench_utility={config.bench_utility!r} must be different numbers above 0 and up to"
            " 2, comma-separated, such as 0.97,0.9: shares of the unprotected mean MCC."
        )
    return shares


def trial_at(config: Config, contestant: Contestant, position: float, seed: int) -> Trial:
    """A contestant's point at a place of its range, trained with a seed."""
    label = contestant.name
    overrides = contestant.overrides(position)
    if contestant.setting:
        label += f" {overrides[contestant.setting]:g}"
    if seed != config.seed:
        label += f" seed {seed}"
        overrides["seed"] = seed
    return trials.named_trial(trial_base(config, overrides), overrides, label)


def trial_base(config: Config, overrides: Record) -> Config:
    """What a point is trained with beside its own settings.

    --attackers are those of the audits on T; trials have all of level quick.
    """
    return dataclasses.replace(study.with_epochs(config, overrides), attackers="")


def replay(
    config: Config, root: pathlib.Path, contestant: Contestant
) -> tuple[list[TrialRow], Trial | None]:
    """A contestant's trials as far as they are done, and the next one; None where all are done.

    The search is repeated from its beginning, so that what is next depends on this contestant's
    results alone: not on the order of the work, on who did it, or on an interruption.
    """
    rows: list[TrialRow] = []
    for _ in range(trials_of(config, contestant)):
        tried = [Tried(row.position, row.kept) for row in rows]
        position = search.next_position(tried, utilities(config))
        point = trial_at(config, contestant, position, config.seed)
        record = trials.read_record(trials.directory(root, point.name))
        if record.get("state") not in (FINISHED, FAILED):
            return rows, point
        rows.append(read_row(root, contestant, position, point, record))
    return rows, None


def trials_of(config: Config, contestant: Contestant) -> int:
    """How many trials a contestant has; without a strength they would all be the same."""
    return config.bench_trials if contestant.setting else 1


def read_row(
    root: pathlib.Path, contestant: Contestant, position: float, trial: Trial, record: Record
) -> TrialRow:
    """A trial with what its audit on validation found."""
    strength = trial.overrides[contestant.setting] if contestant.setting else None
    if record["state"] != FINISHED:
        return TrialRow(position, strength, trial, record)
    of_point = trials.directory(root, trial.name).audit(trials.VALIDATION)
    figures, unprotected = (
        audit_figures.report_figures(report_files.read_content(folder))
        for folder in (of_point, reference(root, record).audit(trials.VALIDATION))
    )
    mcc, reached = figures[MCC]["value"], unprotected[MCC]["value"]
    kept = mcc / reached if mcc is not None and reached else None
    return TrialRow(position, strength, trial, record, mcc, kept, worse_judge(figures))


def reference(root: pathlib.Path, record: Record) -> RunDirectory:
    """The audited unprotected encoder that a point is compared with."""
    return RunDirectory(root / "references" / record["reference"])


def worse_judge(figures: Mapping[str, Record]) -> float | None:
    """The higher leakage of both judges of identity; None where it is not known.

    So it is where a judge that measured has none, or none with an interval.
    """
    found = conditions.by_worse_judge(figures)
    return found["value"] if found["ci95"] else None


def choose(rows: Sequence[TrialRow], utility: float) -> TrialRow | None:
    """Of the trials that keep a utility, by its value, the one that leaks least; None: none does.

    Leakage that is not known counts as the most. Of equal ones the strongest is chosen.
    """
    kept = [row for row in rows if row.kept is not None and row.kept >= utility]

    def order(row: TrialRow) -> tuple[float, float]:
        return (math.inf if row.leakage is None else row.leakage, -row.position)

    return min(kept, key=order, default=None)


def nearest(rows: Sequence[TrialRow]) -> TrialRow | None:
    """The trial that keeps most of the utility; None where all failed."""
    known = [row for row in rows if row.kept is not None]
    return max(known, key=lambda row: row.kept or 0.0, default=None)
