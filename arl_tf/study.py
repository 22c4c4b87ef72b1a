"""The study stage: points as in a sweep, but a table, a plot and a finding instead of a front."""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from absl import logging

from arl_tf import (
    audit_stage,
    data,
    point_forecast,
    points,
    public_data,
    report,
    run_files,
    runs,
    study_report,
    study_results,
)
from arl_tf.config import Config
from arl_tf.data import ImageSet
from arl_tf.point_queue import PointQueue, work_through
from arl_tf.points import FINISHED, Point
from arl_tf.runs import RunDirectory
from arl_tf.splits import Splits
from arl_tf.studies import STUDIES, Study, StudyPoint

FOLDER, RESULTS = "study", "study.json"


def study_stage(config: Config, run: RunDirectory, images: ImageSet, parts: Splits) -> None:
    """Works on --study until no point is left for this process, then writes its report.

    Raises:
        ValueError: the directory holds another study.
    """
    refuse_another_study(config.study, run.root / FOLDER / RESULTS)
    study = STUDIES[config.study]
    names = images.attribute_names + images.other_attribute_names
    planned = study.points(config, names)
    named = named_points(config, planned)
    settings = runs.settings_hash(config.settings("study") | {"audit": "quick"})
    queue = PointQueue(run.root / FOLDER, f"{config.study}_{settings}", config.seed)
    queue.enqueue(list({point.name: point for point in named}.values()))
    queue.redo(lambda name: not points.read_record(points.directory(run.root, name)))
    if config.overwrite:
        queue.retry_failed()
    logging.info("%s", point_forecast.words(config, planned, images, parts))
    cache = str(audit_stage.cache_folder(config, run))

    def write() -> None:
        results = collect(config.study, study, planned, named, run.root)
        runs.write_json(run.root / FOLDER / RESULTS, results)
        study_report.write_page(results, run.root / FOLDER)

    work_through(
        queue,
        lambda point: points.run_point(
            with_epochs(config, point.overrides), run.root, point, lambda c: load(c, cache)
        ),
        # Nothing is sampled: the queue need not know what was found.
        lambda record: (0.0, 0.0),
        after_each=write,
    )
    write()


def named_points(config: Config, planned: Sequence[StudyPoint]) -> list[Point]:
    """A point for each place; places of the same settings share the first one's."""
    first: dict[str, Point] = {}
    named = []
    for place in planned:
        settings = runs.settings_hash(config.settings("study") | dict(place.overrides))
        named.append(first.setdefault(settings, points.point(config, place.overrides, place.label)))
    return named


def with_epochs(config: Config, overrides: Mapping[str, Any]) -> Config:
    """What all points have, with the task epochs of this one."""
    epochs = overrides.get("point_epochs", config.point_epochs)
    return dataclasses.replace(config, point_epochs=epochs)


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
    return public_data.load_parts(config, data.load_images(config, folder), folder)


def collect(
    name: str,
    study: Study,
    planned: Sequence[StudyPoint],
    named: Sequence[Point],
    root: pathlib.Path,
) -> dict[str, Any]:
    """The results of all points, finished or not."""
    records, audits, resamples = [], {}, {}
    for point in named:
        run = points.directory(root, point.name)
        waiting = {**points.described(point, run), "state": "waiting", "message": ""}
        records.append(points.read_record(run) or waiting)
        if records[-1]["state"] == FINISHED:
            folder = run.audit(points.VALIDATION)
            audits[point.name] = report.read_content(folder)
            resamples[point.name] = report.load_resamples(folder)
    kept = {name: found for name, found in resamples.items() if found}
    return study_results.assemble(name, study, planned, records, audits, kept)
