"""A study's page: the finding in a sentence, a plot, a table."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl_tf.config.conditions import EMBEDDING_LEAKAGE, EMBEDDING_RANK1
from arl_tf.experiments.sweeps import sweep_plot
from arl_tf.experiments.sweeps.study_results import has_interval
from arl_tf.experiments.sweeps.trials import FINISHED
from arl_tf.report import plots
from arl_tf.report.html_page import page_template
from arl_tf.report.plots import CURVES, INK
from arl_tf.report.utility_words import BESIDE_HEADLINE
from arl_tf.utils import files

PAGE = "report.html"
COLUMNS = {
    "mean_mcc": "Mean MCC",
    **BESIDE_HEADLINE,
    "leakage.face_similarity": "Leakage of face similarity",
    "face_similarity": "Face similarity, worst attacker",
    "decoder.face_similarity": "Face similarity, new decoder",
    "task_output.face_similarity": "Face similarity, task output",
    "reid_rank1": "Rank 1",
    EMBEDDING_LEAKAGE: "Leakage of the identity embedding",
    EMBEDDING_RANK1: "Rank 1 by predicted embedding",
    "wanted.code": "Later tasks, from the code: MCC",
    "wanted.task_output": "Later tasks, from the task output",
    "wanted.unprotected": "Later tasks, from an unprotected code",
    "wanted.gain": "Later tasks, gain in MCC",
    "protected_mean.code": "Protected attributes, from the code: MCC",
    "protected_mean.task_output": "Protected attributes, from the task output",
    "protected_mean.gain": "Protected attributes, gain in MCC",
}
WIDTH, PANEL, MARGIN = 6.4, 2.3, 1.25


def write_page(results: Mapping[str, Any], folder: pathlib.Path) -> None:
    """Writes report.html, study.svg and study.png.

    Args:
        results: study.json's content.
        folder: where to.
    """
    finished = [point for point in results["points"] if point["state"] == FINISHED]
    counted = {"all": results["points"], "finished": finished}
    sweep_plot.write_files(study_figure(results, sweep_plot.OF_FILES.ink), folder, "study")
    figure = study_figure(results, INK)
    page = page_template("study.html").render(
        results=results,
        finished=finished,
        encoders={state: number_of_encoders(rows) for state, rows in counted.items()},
        unfinished=[point for point in results["points"] if point["state"] != FINISHED],
        columns={name: COLUMNS[name] for name in results["columns"]},
        plot=page_plot(figure, results["question"]),
    )
    files.write_text(folder / PAGE, page)


def number_of_encoders(rows: Sequence[Mapping[str, Any]]) -> int:
    """How many points rows are of: rows of the same settings are of one encoder."""
    return len({row["name"] for row in rows})


def page_plot(figure: Figure, question: str) -> str:
    """The plot as an element of a page; the last panel is styled with the figure."""
    *others, last = figure.axes
    for axes in others:
        axes.set_facecolor("none")
        axes.spines[["top", "right"]].set_visible(False)
    return plots.svg(figure, last, f"{question} The figures of the table, as a plot")


def study_figure(results: Mapping[str, Any], ink: str) -> Figure:
    """A panel for each of the study's two figures, a line for each series."""
    places = list(dict.fromkeys(point["x"] for point in results["points"]))
    series = list(dict.fromkeys(point["series"] for point in results["points"]))
    height = 2 * PANEL + MARGIN
    figure = Figure(figsize=(WIDTH, height))
    for row, name in enumerate(results["figures"]):
        bottom = MARGIN + (1 - row) * PANEL
        axes = figure.add_axes((0.11, bottom / height, 0.86, (PANEL - 0.25) / height))
        for number, line in enumerate(series):
            draw_series(axes, results, name, line, places, CURVES[number % len(CURVES)])
        style_panel(axes, COLUMNS[name], places, ink, is_last=row == 1)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncols=4, frameon=False, fontsize=8, labelcolor=ink
    )
    return figure


def draw_series(
    axes: Axes, results: Mapping[str, Any], name: str, series: str, places: list[str], color: str
) -> None:
    """One series' values with their intervals, in order of place."""
    points = [
        point
        for point in results["points"]
        if point["series"] == series and point["state"] == FINISHED and has_interval(point, name)
    ]
    at = [places.index(point["x"]) for point in points]
    style = {"marker": "o", "ms": 4, "color": color, "ls": "-" if results["is_ordered"] else ""}
    axes.plot(at, [point["figures"][name]["value"] for point in points], **style)
    axes.plot([], [], label=series, **style)
    for place, point in zip(at, points, strict=True):
        axes.plot([place] * 2, point["figures"][name]["ci95"], color=color, lw=1, alpha=0.6)


def style_panel(axes: Axes, name: str, places: list[str], ink: str, *, is_last: bool) -> None:
    """Names on the axes; places below the last panel alone."""
    axes.set_ylabel(name, fontsize=8, color=ink)
    axes.set_xticks(range(len(places)))
    axes.set_xticklabels(
        places if is_last else [], rotation=30, ha="right", rotation_mode="anchor", fontsize=8
    )
    axes.tick_params(colors=ink, labelcolor=ink)
    axes.spines[:].set_color(ink)
    axes.set_xlim(-0.4, len(places) - 0.6)
