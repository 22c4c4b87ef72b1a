"""A sweep's results for people: sweep.html, the plot's files, TensorBoard's HParams."""

import pathlib
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api as hparams

from arl_tf.config.conditions import EMBEDDING_LEAKAGE, EMBEDDING_MEASURES, EMBEDDING_RANK1
from arl_tf.experiments.sweeps import sweep_plot
from arl_tf.experiments.sweeps.sweep_results import LEAKAGE, UNKNOWN, UTILITY
from arl_tf.experiments.sweeps.trials import FINISHED
from arl_tf.report.html_page import page_template
from arl_tf.report.utility_words import BESIDE_HEADLINE
from arl_tf.utils import files

PAGE = "sweep.html"
METRICS = {"sweep/utility": UTILITY, "sweep/leakage": LEAKAGE}
COLUMNS = {
    LEAKAGE: "Leakage of face similarity, by the worse judge",
    "leakage.reid_rank1": "Leakage of rank 1",
    "face_similarity": "Face similarity",
    "reid_rank1": "Rank 1",
    EMBEDDING_LEAKAGE: "Leakage of the identity embedding",
    EMBEDDING_RANK1: "Rank 1 by predicted embedding",
}


def write_page(
    results: Mapping[str, Any], folder: pathlib.Path, choice: Mapping[str, Any] | None
) -> None:
    """Writes front.svg, front.png and sweep.html.

    Args:
        results: sweep.json's content.
        folder: where to.
        choice: chosen.json's content; None where nothing was chosen.
    """
    sweep_plot.write_files(sweep_plot.front_figure(results, sweep_plot.OF_FILES), folder, "front")
    finished = [point for point in results["points"] if point["state"] == FINISHED]
    page = page_template("sweep.html").render(
        results=results,
        summary=summary(results),
        finished=finished,
        unfinished=[point for point in results["points"] if point["state"] != FINISHED],
        columns=shown_columns(results, finished),
        beside=BESIDE_HEADLINE,
        utility_name=sweep_plot.name_of(results),
        plot=sweep_plot.inline_svg(results),
        choice=choice,
    )
    files.write_text(folder / PAGE, page)


def shown_columns(
    results: Mapping[str, Any], finished: Sequence[Mapping[str, Any]]
) -> dict[str, str]:
    """Figure -> heading; those that only some audits have are left out where none has them."""
    optional = {**BESIDE_HEADLINE, **dict.fromkeys(EMBEDDING_MEASURES)}
    every = {UTILITY: capital(sweep_plot.name_of(results)), **BESIDE_HEADLINE, **COLUMNS}
    return {
        name: words
        for name, words in every.items()
        if name not in optional
        or any(point["figures"].get(name, UNKNOWN)["value"] is not None for point in finished)
    }


def summary(results: Mapping[str, Any]) -> str:
    """The sweep in a few sentences."""
    points = results["points"]
    finished = [point for point in points if point["state"] == FINISHED]
    failed = sum(point["state"] == "failed" for point in points)
    front = [point for point in finished if point["on_front"]]
    words = f"{len(finished)} of {len(points)} points are finished"
    words += f", {failed} failed" if failed else ""
    if not front:
        return f"{words}."
    least = min(front, key=lambda point: point["figures"][LEAKAGE]["value"])
    most = max(front, key=lambda point: point["figures"][UTILITY]["value"])
    name = sweep_plot.name_of(results)
    reach = place(least, name)
    if len(front) > 1:
        reach = f"from {reach} to {place(most, name)}"
    on_front = "1 point is" if len(front) == 1 else f"{len(front)} points are"
    return f"{words}. {on_front} on the front: {reach}. {cost_words(results['cost'])}".strip()


def place(point: Mapping[str, Any], utility_name: str) -> str:
    """A point's place on the plot."""
    return (
        f"a leakage of {figure(point, LEAKAGE)} (face similarity"
        f" {figure(point, 'face_similarity')}, {utility_name} {figure(point, UTILITY)})"
    )


def capital(words: str) -> str:
    """Words with a capital in front."""
    return words[0].upper() + words[1:]


def cost_words(cost: Mapping[str, Any]) -> str:
    """What the sweep cost beside full runs; empty where no point has a whole time."""
    if cost["ratio"] is None:
        return ""
    return (
        f"The {cost['points']} points whose time is known took {cost['sweep_seconds'] / 60:.0f}"
        f" min, {cost['ratio']:.2f} of the time of as many full runs (training alone:"
        f" {cost['training_ratio']:.2f})."
    )


def figure(point: Mapping[str, Any], name: str) -> str:
    """A figure's value in words."""
    return f"{point['figures'][name]['value']:.3f}"


def write_hyper_parameters(results: Mapping[str, Any], logs: pathlib.Path) -> None:
    """TensorBoard's HParams: every finished point as a run of its own below `logs`."""
    shutil.rmtree(logs, ignore_errors=True)
    finished = [point for point in results["points"] if point["state"] == FINISHED]
    names = sorted({name for point in finished for name in point["settings"]})
    with tf.summary.create_file_writer(str(logs)).as_default(step=0):
        hparams.hparams_config(
            hparams=[hparams.HParam(name) for name in names],
            metrics=[
                hparams.Metric("sweep/utility", display_name="utility (validation)"),
                hparams.Metric("sweep/leakage", display_name="leakage of face similarity"),
            ],
        )
    for point in finished:
        with tf.summary.create_file_writer(str(logs / point["name"])).as_default(step=0):
            hparams.hparams(point["settings"], trial_id=point["name"])
            for tag, name in METRICS.items():
                value = point["figures"][name]["value"]
                if value is not None:
                    tf.summary.scalar(tag, value)
