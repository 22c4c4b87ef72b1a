"""A bench's page: the answer in a sentence, a plot, a table for each utility."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl_tf.config.conditions import EMBEDDING_LEAKAGE, PROTECTED_GAIN
from arl_tf.experiments.sweeps import study_report, sweep_plot
from arl_tf.report.html_page import page_template
from arl_tf.report.plots import CURVES, INK
from arl_tf.report.utility_words import BESIDE_HEADLINE
from arl_tf.utils import files

PAGE = "report.html"
MCC = "mean_mcc"
# Figure -> axis of its panel.
PANELS = {
    "leakage.face_similarity": "leakage of face similarity, first judge",
    "leakage.face_similarity_2": "leakage of face similarity, second judge",
    "leakage.reid_rank1": "leakage of rank 1",
    EMBEDDING_LEAKAGE: "leakage of the predicted embedding, worse network",
    "candidate_match": "codes whose photo is found among candidates",
    PROTECTED_GAIN: "largest gain on protected attributes, in MCC",
}
COLUMNS = {
    "kept": "Utility kept",
    MCC: "Mean MCC",
    **BESIDE_HEADLINE,
    "leakage": "Leakage, worse judge",
    "leakage.face_similarity": "Leakage, first judge",
    "leakage.face_similarity_2": "Leakage, second judge",
    "leakage.reid_rank1": "Leakage of rank 1",
    EMBEDDING_LEAKAGE: "Leakage of the predicted embedding",
    "candidate_match": "Photo found",
    PROTECTED_GAIN: "Gain on protected attributes",
}
MARKS = ("o", "s", "^", "D")
WIDTH, PANEL, SPACE = 5.4, 2.5, 0.62


def write_page(results: Mapping[str, Any], folder: pathlib.Path) -> None:
    """Writes report.html, bench.svg and bench.png.

    Args:
        results: bench.json's content.
        folder: where to.
    """
    sweep_plot.write_files(bench_figure(results, sweep_plot.OF_FILES.ink), folder, "bench")
    question = "Who leaks least for a given utility?"
    page = page_template("bench.html").render(
        results=results,
        question=question,
        tables={f"{u:g}": table(results, u) for u in results["protocol"]["utility"]},
        columns=shown_columns(results),
        failed=failed_trials(results),
        plot=plot(results, question),
    )
    files.write_text(folder / PAGE, page)


def plot(results: Mapping[str, Any], question: str) -> str:
    """The plot as an element of the page; empty where nothing is measured yet."""
    if not shown_columns(results):
        return ""
    return study_report.page_plot(bench_figure(results, INK), question)


def table(results: Mapping[str, Any], utility: float) -> list[dict[str, Any]]:
    """Rows of one utility: who leaks least comes first, those without figures last."""
    key = f"{utility:g}"
    rows = [
        {**entry, "number": number, "final": entry["finals"][key]}
        for number, entry in enumerate(results["defences"], 1)
    ]
    return sorted(rows, key=lambda row: leaked(row["final"]))


def leaked(final: Mapping[str, Any]) -> tuple[bool, float]:
    """What orders the rows."""
    value = final["figures"].get("leakage", {}).get("value")
    return value is None, value or 0.0


def shown_columns(results: Mapping[str, Any]) -> dict[str, str]:
    """The columns that have a figure: drawn faces have one judge."""
    figures = [found["figures"] for found in finals_of(results)]
    return {
        name: words
        for name, words in COLUMNS.items()
        if any(each.get(name, {}).get("value") is not None for each in figures)
    }


def finals_of(results: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Every choice of every defence."""
    return [found for entry in results["defences"] for found in entry["finals"].values()]


def failed_trials(results: Mapping[str, Any]) -> list[str]:
    """Trials and audits that failed, with their reasons."""
    trials = [
        (f"{entry['name']} {trial['strength'] or ''}".strip(), trial)
        for entry in results["defences"]
        for trial in entry["trials"]
    ]
    runs = [
        (f"{entry['name']}, audit on T, seed {run['seed']}", run)
        for entry in results["defences"]
        for found in entry["finals"].values()
        for run in found["runs"]
    ]
    said = [f"{name}: {each['message']}" for name, each in trials + runs if each["message"]]
    return list(dict.fromkeys(said))


def bench_figure(results: Mapping[str, Any], ink: str) -> Figure:
    """A panel for each figure that is known: mean MCC against it, numbered as in the table."""
    known = shown_columns(results)
    panels = [name for name in PANELS if name in known] or [next(iter(PANELS))]
    height = (PANEL + SPACE) * len(panels) + 0.3
    figure = Figure(figsize=(WIDTH, height))
    for row, name in enumerate(panels):
        bottom = height - (row + 1) * (PANEL + SPACE) + SPACE - 0.05
        axes = figure.add_axes((0.13, bottom / height, 0.84, (PANEL - 0.1) / height))
        draw_panel(axes, results, name, ink)
    utilities = results["protocol"]["utility"]
    for place, utility in enumerate(utilities):
        mark = MARKS[place % len(MARKS)]
        style = {"marker": mark, "ls": "", "color": CURVES[place % len(CURVES)], "ms": 5}
        figure.axes[0].plot([], [], label=f"chosen to keep {100 * utility:g} %", **style)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="lower center", ncols=2, frameon=False, fontsize=8, labelcolor=ink
    )
    return figure


def draw_panel(axes: Axes, results: Mapping[str, Any], name: str, ink: str) -> None:
    """Every choice with its intervals, and the unprotected encoder as a square."""
    utilities = results["protocol"]["utility"]
    for number, entry in enumerate(results["defences"], 1):
        for place, utility in enumerate(utilities):
            figures = entry["finals"][f"{utility:g}"]["figures"]
            style = (MARKS[place % len(MARKS)], CURVES[place % len(CURVES)])
            draw_choice(axes, figures, name, str(number), style)
    unprotected = results["reference"]["figures"].get(MCC, {}).get("value")
    if unprotected is not None:
        axes.axhline(unprotected, color=ink, lw=1, ls=":")
    axes.set_xlabel(PANELS[name], fontsize=8, color=ink)
    axes.set_ylabel("mean MCC", fontsize=8, color=ink)
    axes.tick_params(colors=ink, labelcolor=ink, labelsize=8)
    axes.spines[:].set_color(ink)
    axes.margins(0.08)


def draw_choice(
    axes: Axes,
    figures: Mapping[str, Any],
    name: str,
    number: str,
    style: Sequence[str],
) -> None:
    """One choice: a mark, its number, and two intervals; nothing where a figure is not known."""
    leaked, kept = (figures.get(each, {}) for each in (name, MCC))
    if leaked.get("value") is None or kept.get("value") is None:
        return
    (mark, color), x, y = style, leaked["value"], kept["value"]
    axes.plot(leaked["ci95"] or [x, x], [y, y], color=color, lw=1, alpha=0.5)
    axes.plot([x, x], kept["ci95"] or [y, y], color=color, lw=1, alpha=0.5)
    axes.plot(x, y, mark, color=color, ms=5)
    sweep_plot.annotate(axes, number, (x, y), (4, 3), color)
