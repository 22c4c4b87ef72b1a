"""The sweep stage: trains and audits many points, and delivers the one that meets a target."""

import dataclasses
import pathlib
from typing import Any

import filelock
import optuna
from absl import logging

from arl_tf.config import audit_figures, conditions
from arl_tf.config.settings import Config
from arl_tf.experiments import export_stage, run_directory
from arl_tf.experiments.experiment import Experiment
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import (
    final_audits,
    kept_results,
    search_space,
    sweep_report,
    sweep_results,
    target,
    trials,
)
from arl_tf.experiments.sweeps.trial_queue import TrialQueue, suggest, work_through
from arl_tf.experiments.sweeps.trials import FINISHED, Trial
from arl_tf.report import report_files
from arl_tf.utils import files, run_files

FOLDER, RESULTS, CHOSEN = "sweep", "sweep.json", "chosen.json"
DELIVERY = "delivery.lock"


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Before data are read: refuses a --sweep that can't be run, and another one's directory."""
    space = search_space.parse_space(config.sweep)
    if not config.sweep_trials:
        search_space.grid(space)
    refuse_another_sweep(config, run)


def run(experiment: Experiment) -> None:
    """Works on the sweep until no point is left for this process; then its results and the choice.

    Args:
        experiment: what all points have; --sweep says what they differ in.

    Raises:
        ValueError: all points have failed, or the directory holds another sweep.
        target.NoPointQualifiesError: none meets --target.
    """
    config, sweep_run = experiment.config, experiment.run
    refuse_another_sweep(config, sweep_run)
    forget_another_choice(config, sweep_run)
    queue, space = open_queue(config, sweep_run), search_space.parse_space(config.sweep)
    if not config.sweep_trials:
        queue.enqueue([trials.named_trial(config, chosen) for chosen in search_space.grid(space)])
    queue.redo(lambda name: not trials.read_record(trials.directory(sweep_run.root, name)))
    if config.overwrite:
        queue.retry_failed()
    # From now on the directory is this sweep's, also for a command that begins meanwhile.
    write_results(queue, config, sweep_run)

    def sampled(trial: optuna.Trial) -> Trial:
        return trials.named_trial(config, suggest(trial, space))

    logging.info("Sweep of %d points", config.sweep_trials or len(queue.trials()))
    work_through(
        queue,
        lambda point: trials.run_trial(
            config, sweep_run.root, point, lambda _: (experiment.images, experiment.parts)
        ),
        lambda record: objectives(sweep_run.root, record),
        sampler=sampled,
        num_trials=config.sweep_trials,
        after_each=lambda: write_results(queue, config, sweep_run),
    )
    results = write_results(queue, config, sweep_run)
    sweep_report.write_page(results, sweep_run.root / FOLDER, read_choice(sweep_run))
    sweep_report.write_hyper_parameters(results, sweep_run.logs / FOLDER)
    kept_results.require_results(results["points"], "points of the sweep")
    if config.target:
        # Two processes that end together both get here: the second finds T audited.
        with filelock.FileLock(sweep_run.root / FOLDER / DELIVERY):
            deliver(experiment, results)
        sweep_report.write_page(results, sweep_run.root / FOLDER, read_choice(sweep_run))


def sweep_settings(config: Config) -> dict[str, Any]:
    """What decides the results of a sweep: how points are chosen, and their settings."""
    chosen = "any number" if config.sweep_trials else 0
    return kept_results.settings_of(config, "sweep", sweep_trials=chosen)


def refuse_another_sweep(config: Config, run: RunDirectory) -> None:
    """Raises ValueError where the results of another sweep would be replaced without --overwrite.

    Its points would stay, but its table, choice and export would be this one's.
    """
    path = run.root / FOLDER / RESULTS
    kept_results.refuse_others(path, sweep_settings(config), overwrite=config.overwrite)


def forget_another_choice(config: Config, run: RunDirectory) -> None:
    """Removes what another sweep chose, where --overwrite replaces its results."""
    if kept_results.differing(run.root / FOLDER / RESULTS, sweep_settings(config)):
        (run.root / FOLDER / CHOSEN).unlink(missing_ok=True)


def open_queue(config: Config, run: RunDirectory) -> TrialQueue:
    """The queue of this very sweep: the same variation of the same settings."""
    kind = "sampled" if config.sweep_trials else "grid"
    # --audit is the level of the final audit on T.
    settings = run_directory.settings_hash(config.stage_settings("sweep") | {"audit": "quick"})
    return TrialQueue(run.root / FOLDER, f"{kind}_{settings}", config.seed, config.storage)


def objectives(root: pathlib.Path, record: dict[str, Any]) -> tuple[float, ...]:
    """(mean MCC, leakage) of a finished point; empty where its leakage is not known."""
    point = {"figures": sweep_results.figures_of_audit(audit_of(root, record))}
    if not sweep_results.is_known(point):
        return ()
    return tuple(
        point["figures"][name]["value"] for name in (sweep_results.UTILITY, sweep_results.LEAKAGE)
    )


def audit_of(root: pathlib.Path, record: dict[str, Any]) -> dict[str, Any]:
    """A finished point's report.json on validation."""
    return report_files.read_content(
        RunDirectory(root / record["directory"]).audit(trials.VALIDATION)
    )


def write_results(queue: TrialQueue, config: Config, run: RunDirectory) -> dict[str, Any]:
    """Writes sweep.json as far as the sweep has come; returns its content."""
    with queue.guard():
        results = collect(queue, run.root) | {kept_results.SETTINGS: sweep_settings(config)}
        files.write_json(run.root / FOLDER / RESULTS, results)
    return results


def collect(queue: TrialQueue, root: pathlib.Path) -> dict[str, Any]:
    """The results of all points that the queue knows, finished or not."""
    records = [record_of(root, trial) for trial in queue.trials()]
    finished = [record for record in records if record["state"] == FINISHED]
    audits = {record["name"]: audit_of(root, record) for record in finished}
    references = {
        name: report_files.read_content(
            RunDirectory(root / "references" / name).audit(trials.VALIDATION)
        )
        for name in sorted({record["reference"] for record in finished})
    }
    return sweep_results.assemble(records, audits, references)


def record_of(root: pathlib.Path, trial: optuna.trial.FrozenTrial) -> dict[str, Any]:
    """A point's record; one that is not done yet is 'waiting' or 'running'."""
    name = trial.user_attrs["point"]
    run = trials.directory(root, name)
    record = trials.read_record(run) if trial.state.is_finished() else {}
    if record:
        return record
    waiting = Trial(name, trial.user_attrs["label"], trial.user_attrs["overrides"])
    state = "waiting" if trial.state.is_finished() else trial.state.name.lower()
    return {**trials.trial_facts(waiting, run), "state": state, "message": ""}


def deliver(experiment: Experiment, results: dict[str, Any]) -> None:
    """Chooses by --target, audits the chosen point and its reference on T once, and exports it.

    The choice waits for points that other processes still work on: the last process chooses.
    """
    config, run = experiment.config, experiment.run
    running = sum(point["state"] == "running" for point in results["points"])
    if running:
        print(f"{running} points are still running in other processes; the last of them chooses.")
        return
    asked = conditions.parse_conditions(config.target)
    choice = target.choose_trial(asked, results)
    chosen = RunDirectory(run.root / choice.point["directory"], export_root=run.root)
    logging.info("Chosen: %s; its audit on T begins", choice.point["label"])
    outcomes = test_outcomes(experiment, chosen, asked, choice)
    words, earlier = target.promise_words(outcomes), read_choice(run)
    files.write_json(
        run.root / FOLDER / CHOSEN,
        {
            "target": config.target,
            "point": choice.point["name"],
            "label": choice.point["label"],
            "directory": choice.point["directory"],
            "on_validation": [outcome.words for outcome in choice.outcomes],
            "on_test": [outcome.words for outcome in outcomes],
            "promise": words,
            "held": all(outcome.holds for outcome in outcomes),
            "points_audited_on_test": looked_at(run.root),
        },
    )
    print(f"\nChosen by --target={config.target}: {choice.point['label']}\n{words}")
    settings = final_audits.recorded_config(chosen, **export_settings(config))
    export(
        dataclasses.replace(experiment, config=settings, run=chosen),
        is_chosen_again=earlier is not None and earlier["point"] == choice.point["name"],
    )


def export(chosen: Experiment, *, is_chosen_again: bool) -> None:
    """Exports the chosen point, unless the very same export is there.

    The same command again, or a second process that ends, would else publish version after version
    of the same models.
    """
    if is_chosen_again and export_stage.is_current(chosen):
        logging.info("%s holds the chosen point as it is; not exported again", chosen.run.export)
        return
    export_stage.run(chosen)


def test_outcomes(
    experiment: Experiment,
    chosen: RunDirectory,
    asked: tuple[conditions.Condition, ...],
    choice: target.Choice,
) -> tuple[conditions.Outcome, ...]:
    """The target's conditions on T, at --audit's level; the reference is audited likewise."""
    root = experiment.run.root
    reference = RunDirectory(root / "references" / choice.point["reference"])
    audits = []
    # The sweep may have been moved since the point was audited: its reference has moved with it.
    level, data = experiment.config.audit, (experiment.images, experiment.parts)
    for directory, named in ((reference, ""), (chosen, str(reference.root))):
        final_audits.ensure(directory, *data, audit=level, reference=named)
        audits.append(report_files.read_content(directory.audit("test")))
    unprotected, audited = audits
    return conditions.check_conditions(
        asked,
        audit_figures.report_figures(audited),
        audit_figures.reference_figures(audited, audit_figures.report_figures(unprotected)),
    )


def export_settings(config: Config) -> dict[str, Any]:
    """What this command says of the export: the point's own settings are as old as the point."""
    names = [f.name for f in dataclasses.fields(config) if f.metadata["group"] == "export"]
    return {name: getattr(config, name) for name in (*names, "allow_unaudited")}


def looked_at(root: pathlib.Path) -> int:
    """How many of the sweep's points were audited on T: each look makes the next less blind."""
    directories = map(RunDirectory, (root / "points").glob("*/"))
    return sum(
        "audit_test" in run_directory.finished_stages(directory) for directory in directories
    )


def read_choice(run: RunDirectory) -> dict[str, Any] | None:
    """chosen.json; None where nothing was chosen."""
    path = run.root / FOLDER / CHOSEN
    remedy = "Delete it: the sweep chooses again."
    return run_files.read_json(path, remedy=remedy) if path.exists() else None
