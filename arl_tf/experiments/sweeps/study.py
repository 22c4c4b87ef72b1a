"""The study stage: points as in a sweep, but a table, a plot and a finding instead of a front."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from arl_tf.config.settings import Config
from arl_tf.data.image_sets import ImageSet
from arl_tf.data.splits import Splits
from arl_tf.experiments import run_directory
from arl_tf.experiments.experiment import Experiment, load_audited_images, split
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import (
    kept_results,
    study_report,
    study_results,
    trial_forecast,
    trials,
)
from arl_tf.experiments.sweeps.studies import STUDIES, Study, StudyPlace
from arl_tf.experiments.sweeps.trial_queue import TrialQueue, work_through
from arl_tf.experiments.sweeps.trials import FINISHED, Trial
from arl_tf.report import report_files
from arl_tf.utils import files, run_files

FOLDER, RESULTS = "study", "study.json"


def check(config: Config, run: RunDirectory, todo: list[str]) -> None:
    """Raises ValueError where the directory holds another study, or this one of other settings."""
    refuse_another(config, run.root / FOLDER / RESULTS)


def run(experiment: Experiment) -> None:
    """Works on --study until no point is left for this process, then writes its report.

    Raises:
        ValueError: the directory holds another study, or all points have failed.
    """
    config, images, root = experiment.config, experiment.images, experiment.run.root
    refuse_another(config, root / FOLDER / RESULTS)
    study = STUDIES[config.study]
    names = images.attribute_names + images.other_attribute_names
    planned = study.points(config, names)
    named = named_trials(config, planned)
    settings = run_directory.settings_hash(config.stage_settings("study") | {"audit": "quick"})
    name = f"{config.study}_{settings}"
    queue = TrialQueue(root / FOLDER, name, config.seed, config.storage)
    queue.enqueue(list({point.name: point for point in named}.values()))
    queue.redo(lambda name: not trials.read_record(trials.directory(root, name)))
    if config.overwrite:
        queue.retry_failed()
    logging.info("%s", trial_forecast.forecast_words(experiment, planned))
    cache = str(experiment.cache)

    def write_results() -> dict[str, Any]:
        results = collect(config.study, study, planned, named, root)
        results[kept_results.SETTINGS] = kept_results.settings_of(config, "study")
        files.write_json(root / FOLDER / RESULTS, results)
        return results

    def write() -> dict[str, Any]:
        results = write_results()
        study_report.write_page(results, root / FOLDER)
        return results

    # From now on the directory is this study's, also for a command that begins meanwhile.
    write_results()
    work_through(
        queue,
        lambda point: trials.run_trial(
            with_epochs(config, point.overrides), root, point, lambda c: load(c, cache)
        ),
        # Nothing is sampled: the queue need not know what was found.
        lambda record: (0.0, 0.0),
        after_each=write,
    )
    kept_results.require_results(write()["points"], "points of the study")


def named_trials(config: Config, planned: Sequence[StudyPlace]) -> list[Trial]:
    """A point for each place; places of the same settings share the first one's."""
    first: dict[str, Trial] = {}
    named = []
    for place in planned:
        settings = run_directory.settings_hash(
            config.stage_settings("study") | dict(place.overrides)
        )
        named.append(
            first.setdefault(settings, trials.named_trial(config, place.overrides, place.label))
        )
    return named


def with_epochs(config: Config, overrides: Mapping[str, Any]) -> Config:
    """What all points have, with the task epochs of this one."""
    epochs = overrides.get("point_epochs", config.point_epochs)
    return dataclasses.replace(config, point_epochs=epochs)


def refuse_another(config: Config, path: pathlib.Path) -> None:
    """Refuses to replace another study's results; those of other settings without --overwrite."""
    refuse_another_study(config.study, path)
    settings = kept_results.settings_of(config, "study")
    kept_results.refuse_others(path, settings, overwrite=config.overwrite)


def refuse_another_study(name: str, path: pathlib.Path) -> None:
    """Raises ValueError where the results of another study would be replaced."""
    if path.exists():
        remedy = "Delete it: the study writes it anew from its points."
        found = run_files.read_json(path, remedy=remedy, keys=("study",))["study"]
        if found != name:
            raise ValueError(
                f"{path} holds the study '{found}'; use another --workdir for --study={name}."
            )


def load(config: Config, cache: str) -> tuple[ImageSet, Splits]:
    """The images and parts of a point's data settings."""
    of_the_data = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(Config)
        if field.metadata["group"] == "data"
    }
    return load_once(Config(**of_the_data), cache)


@functools.lru_cache(maxsize=2)
def load_once(config: Config, cache: str) -> tuple[ImageSet, Splits]:
    """Points of the same data share what is loaded."""
    folder = pathlib.Path(cache)
    return split(config, load_audited_images(config, folder), folder)


def collect(
    name: str,
    study: Study,
    planned: Sequence[StudyPlace],
    named: Sequence[Trial],
    root: pathlib.Path,
) -> dict[str, Any]:
    """The results of all points, finished or not."""
    records, audits, resamples = [], {}, {}
    for point in named:
        run = trials.directory(root, point.name)
        waiting = {**trials.trial_facts(point, run), "state": "waiting", "message": ""}
        records.append(trials.read_record(run) or waiting)
        if records[-1]["state"] == FINISHED:
            folder = run.audit(trials.VALIDATION)
            audits[point.name] = report_files.read_content(folder)
            resamples[point.name] = report_files.load_resamples(folder)
    kept = {name: found for name, found in resamples.items() if found}
    return study_results.assemble(name, study, planned, records, audits, kept)
