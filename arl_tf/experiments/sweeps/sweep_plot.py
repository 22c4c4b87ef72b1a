"""The trade-off as a plot: utility against leakage, with front, floors and reference."""

import dataclasses
import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl_tf.experiments.sweeps.sweep_results import LEAKAGE, UTILITY, estimate_ends, is_known
from arl_tf.experiments.sweeps.trials import FINISHED
from arl_tf.report import plots
from arl_tf.report.plots import ACCENT, INK, STYLE
from arl_tf.utils import files

# Inches; and the size of small words.
WIDTH, PLOT_HEIGHT, LINE, FINE = 6.4, 3.6, 0.17, 7.5
Trial = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class Colors:
    """What a plot is drawn in."""

    ink: str = INK
    accent: str = ACCENT


# For files of their own, which have no page to take colours from.
OF_FILES = Colors("#1a1a1a", "#0b5cad")


def front_figure(results: Mapping[str, Any], colors: Colors) -> Figure:
    """Every point whose leakage is known, with its intervals, labelled as `labelling` says."""
    points = plotted(results)
    labels, lines = labelling(points)
    below = LINE * (len(lines) + 1) + 0.55
    height = PLOT_HEIGHT + below
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.11, below / height, 0.86, (PLOT_HEIGHT - 0.1) / height))
    draw_references(axes, results["references"], colors)
    by_leakage = sorted(points, key=lambda number: value_of(points[number], LEAKAGE))
    front = [number for number in by_leakage if points[number]["on_front"]]
    beaten = [number for number in by_leakage if not points[number]["on_front"]]
    for number, point in points.items():
        # The labels of neighbours stand on two sides: fewer meet.
        offset = (5, -9) if number in (*front[::2], *beaten[1::2]) else (5, 4)
        draw_point(axes, labels[number], point, colors, offset)
    draw_front(axes, [point for point in points.values() if point["on_front"]], colors)
    axes.set_xlabel("leakage of face similarity, by the worse judge (validation)")
    axes.set_ylabel(f"{name_of(results)} (validation)")
    axes.margins(0.06)
    for row, words in enumerate(lines, 1):
        at = (0.11, (below - 0.55 - LINE * row) / height)
        figure.text(*at, words, fontsize=FINE, color=colors.ink, va="bottom")
    return figure


def name_of(results: Mapping[str, Any]) -> str:
    """What the points' utility is; results of older versions are of attributes."""
    return results.get("utility_name", "mean MCC")


def plotted(results: Mapping[str, Any]) -> dict[int, Trial]:
    """Number in the page's table -> point, of those that can be drawn."""
    finished = [point for point in results["points"] if point["state"] == FINISHED]
    return {number: point for number, point in enumerate(finished, 1) if is_known(point)}


def labelling(points: Mapping[int, Trial]) -> tuple[dict[int, str], list[str]]:
    """What stands at each point, by its number, and the lines below the plot that explain it.

    Points that differ in one setting have its values as labels. Others have their numbers, and a
    line each.
    """
    varied = {name for point in points.values() for name in point["settings"]}
    if len(varied) == 1:
        (name,) = varied
        values = {number: f"{point['settings'].get(name)}" for number, point in points.items()}
        return values, [f"labels: {name}; filled: on the front; lines: 95 % intervals"]
    return {number: str(number) for number in points}, [
        f"{number}  {point['label']}{'  (on the front)' if point['on_front'] else ''}"
        for number, point in points.items()
    ]


def value_of(point: Trial, name: str) -> float:
    """A figure of a point, or of a reference."""
    return point["figures"][name]["value"]


def draw_point(
    axes: Axes, label: str, point: Trial, colors: Colors, offset: tuple[int, int]
) -> None:
    """A point with its 95 % intervals: filled on the front, open elsewhere."""
    x, y = value_of(point, LEAKAGE), value_of(point, UTILITY)
    color = colors.accent if point["on_front"] else colors.ink
    axes.plot(estimate_ends(point, LEAKAGE), [y, y], color=color, lw=1, alpha=0.5)
    axes.plot([x, x], estimate_ends(point, UTILITY), color=color, lw=1, alpha=0.5)
    axes.plot(x, y, "o", color=color, ms=6, fillstyle="full" if point["on_front"] else "none")
    annotate(axes, label, (x, y), offset, color)


def draw_front(axes: Axes, front: Sequence[Trial], colors: Colors) -> None:
    """The border of what the points reach: steps from one front point to the next."""
    reached = sorted((value_of(p, LEAKAGE), value_of(p, UTILITY)) for p in front)
    if reached:
        axes.step(*zip(*reached, strict=True), where="post", color=colors.accent, lw=1.2)


def draw_references(axes: Axes, references: Mapping[str, Any], colors: Colors) -> None:
    """The unprotected encoders, at a leakage of 1 by definition, and the floors."""
    for end in (0, 1):
        axes.axvline(end, color=colors.ink, lw=1, ls=":")
    for found in references.values():
        value = value_of(found, UTILITY)
        axes.plot([1, 1], estimate_ends(found, UTILITY), color=colors.ink, lw=1, alpha=0.5)
        axes.plot(1, value, "s", color=colors.ink, ms=6)
        shape = " × ".join(map(str, found["shape"]))
        annotate(axes, f"unprotected\n{shape}", (1, value), (6, -8), colors.ink)
    if references:
        best = max(references.values(), key=lambda reference: value_of(reference, UTILITY))
        draw_floors(axes, best, colors)
        # Room for the words beside the references.
        axes.plot(1.25, value_of(best, UTILITY), alpha=0)


def draw_floors(axes: Axes, reference: Mapping[str, Any], colors: Colors) -> None:
    """What sends the task output instead of a code; and where the mean image lies."""
    value, bits = value_of(reference, UTILITY), reference["task_output_bits"]
    axes.plot(0, value, "D", color=colors.ink, ms=6)
    words = "task output alone" + (f"\n{bits:,} bits" if bits else "")
    # Above: points that leak little stand beside it.
    annotate(axes, words, (0, value), (6, 5), colors.ink)
    side = reference["mean_image_leakage"]
    if side is not None:
        words = f"{'← ' if side < 0 else ''}mean image at {side:.2f}"
        axes.annotate(
            words, (0.015, 0.02), xycoords="axes fraction", fontsize=FINE, color=colors.ink
        )


def annotate(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[int, int], color: str
) -> None:
    """Small words beside a point; `offset` in typographic points."""
    axes.annotate(text, at, offset, textcoords="offset points", fontsize=FINE, color=color)


def inline_svg(results: Mapping[str, Any]) -> str:
    """The plot as an element of a page, in the page's colours."""
    figure = front_figure(results, Colors())
    best = [point["label"] for point in results["points"] if point.get("on_front")]
    words = "; ".join(best) or "no point is finished"
    name = name_of(results)
    description = (
        f"{name[0].upper()}{name[1:]} against leakage of face similarity. On the front: {words}"
    )
    return plots.svg(figure, figure.axes[0], description)


def write_files(figure: Figure, folder: pathlib.Path, name: str) -> None:
    """Writes NAME.svg and NAME.png on white, by rename."""
    for axes in figure.axes:
        axes.spines[["top", "right"]].set_visible(False)
    figure.patch.set_facecolor("white")
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    files.write_text(folder / f"{name}.svg", buffer.getvalue())
    unfinished = files.aside(folder / f"{name}.png")
    figure.savefig(unfinished, format="png", dpi=150)
    unfinished.replace(folder / f"{name}.png")
