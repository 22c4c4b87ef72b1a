"""The chosen strengths on T: trained with every seed, attacked by the same attackers."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
from absl import logging

from arl_tf.config.settings import Config
from arl_tf.experiments.benches import choice
from arl_tf.experiments.benches.choice import TrialRow
from arl_tf.experiments.benches.contestants import Contestant
from arl_tf.experiments.sweeps import final_audits, trials
from arl_tf.experiments.sweeps.trials import FAILED, FINISHED, Loader, Trial
from arl_tf.utils import files, interruption, run_lock

RECORD = "final.json"
Chosen = Mapping[str, tuple[Contestant, Sequence[TrialRow]]]


def seeds(config: Config) -> range:
    """The seeds of the trainings that are audited on T."""
    return range(config.seed, config.seed + config.bench_seeds)


def trials_of(config: Config, contestant: Contestant, row: TrialRow) -> list[Trial]:
    """A chosen strength with every seed; the first is the trial itself."""
    return [choice.trial_at(config, contestant, row.position, seed) for seed in seeds(config)]


def planned(config: Config, chosen: Chosen) -> list[Trial]:
    """What is to be audited on T: every contestant's choice at every utility, each once."""
    found: dict[str, Trial] = {}
    for contestant, rows in chosen.values():
        for utility in choice.utilities(config):
            row = choice.choose(rows, utility)
            if row:
                found |= {point.name: point for point in trials_of(config, contestant, row)}
    return list(found.values())


def read_record(config: Config, root: pathlib.Path, name: str) -> dict[str, Any]:
    """What is known of a point's audit on T; empty where these attackers have not attacked it."""
    path = trials.directory(root, name).root / RECORD
    keys = ("name", "state", "message", "attacked_by")
    record = trials.read_note(path, keys, "It is audited again.")
    return record if record.get("attacked_by") == attacked_by(config) else {}


def attacked_by(config: Config) -> dict[str, str]:
    """The attackers of all audits on T, in settings."""
    return {"audit": config.audit, "attackers": config.attackers}


def run_final(config: Config, root: pathlib.Path, trial: Trial, load: Loader) -> dict[str, Any]:
    """Trains a point where that is not done, and audits it and its reference on T.

    Args:
        config: the bench's settings.
        root: its directory.
        trial: the chosen settings.
        load: gives the images.

    Returns:
        The record that is kept beside the point's; a failure is recorded with its reason.
    """
    run = trials.directory(root, trial.name)
    with run_lock.owned(run.root, wait=True):
        try:
            record = audited(config, root, trial, load)
        except trials.FAILURES as error:
            if interruption.came() or files.is_of_the_disk(error):
                raise
            logging.warning("Audit of %s on T failed: %s", trial.label, error)
            message = f"{type(error).__name__}: {error}"
            record = trials.trial_facts(trial, run) | {"state": FAILED, "message": message}
        record |= {"attacked_by": attacked_by(config)}
        files.write_json(run.root / RECORD, record)
        keras.utils.clear_session()
        return record


def audited(config: Config, root: pathlib.Path, trial: Trial, load: Loader) -> dict[str, Any]:
    """Trains and audits a point on T; raises one of FAILURES where that can't be done."""
    run, base = trials.directory(root, trial.name), choice.trial_base(config, trial.overrides)
    experiment, shared = trials.prepared(base, root, trial, run, load)
    trials.ensure_trained(experiment, root)
    data = (experiment.images, experiment.parts)
    for directory, beside in ((shared.audited, ""), (run, str(shared.audited.root))):
        final_audits.ensure(directory, *data, reference=beside, **attacked_by(config))
    return trials.trial_facts(trial, run) | {
        "state": FINISHED,
        "message": "",
        "seconds": trials.read_seconds(run),
        "reference": shared.audited.root.name,
        "shared_seconds": trials.read_seconds(shared.trained),
    }
