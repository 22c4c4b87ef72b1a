"""The trade-off as a plot: mean MCC against leakage, with front, floors and reference."""

import io
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl_tf import report_plots, runs
from arl_tf.points import FINISHED
from arl_tf.report_plots import ACCENT, INK, STYLE
from arl_tf.sweep_results import LEAKAGE, UTILITY, estimate_ends

# For files of their own, which have no page to take colours from.
FILE_COLORS = {INK: "#1a1a1a", ACCENT: "#0b5cad"}
WIDTH, PLOT_HEIGHT, LINE = 6.4, 4.0, 0.17
Point = Mapping[str, Any]


def front_figure(results: Mapping[str, Any]) -> Figure:
    """Every finished point with its intervals, numbered as in the list below the plot."""
    points = [point for point in results["points"] if point["state"] == FINISHED]
    height = PLOT_HEIGHT + LINE * (len(points) + 1)
    figure = Figure(figsize=(WIDTH, height))
    below = LINE * (len(points) + 1) + 0.55
    axes = figure.add_axes((0.11, below / height, 0.86, (height - below - 0.1) / height))
    draw_references(axes, results["references"])
    for number, point in enumerate(points, 1):
        draw_point(axes, number, point)
    draw_front(axes, [point for point in points if point["on_front"]])
    axes.set_xlabel("leakage of face similarity (validation)")
    axes.set_ylabel("mean MCC (validation)")
    axes.margins(0.06)
    for number, point in enumerate(points, 1):
        figure.text(
            0.11,
            (below - 0.55 - LINE * number) / height,
            f"{number}  {point['label']}{'  (on the front)' if point['on_front'] else ''}",
            fontsize=7.5,
            color=INK,
            va="bottom",
        )
    return figure


def value_of(point: Point, name: str) -> float:
    """A figure of a point, or of a reference."""
    return point["figures"][name]["value"]


def draw_point(axes: Axes, number: int, point: Point) -> None:
    """A point with its 95 % intervals: filled on the front, open elsewhere."""
    x, y = value_of(point, LEAKAGE), value_of(point, UTILITY)
    color = ACCENT if point["on_front"] else INK
    axes.plot(estimate_ends(point, LEAKAGE), [y, y], color=color, lw=1, alpha=0.5)
    axes.plot([x, x], estimate_ends(point, UTILITY), color=color, lw=1, alpha=0.5)
    axes.plot(x, y, "o", color=color, ms=6, fillstyle="full" if point["on_front"] else "none")
    annotate(axes, str(number), (x, y), (4, 4), color)


def draw_front(axes: Axes, front: Sequence[Point]) -> None:
    """The border of what the points reach: steps from one front point to the next."""
    reached = sorted((value_of(p, LEAKAGE), value_of(p, UTILITY)) for p in front)
    if reached:
        axes.step(*zip(*reached, strict=True), where="post", color=ACCENT, lw=1.2)


def draw_references(axes: Axes, references: Mapping[str, Any]) -> None:
    """The unprotected encoders, at a leakage of 1 by definition, and the floors."""
    axes.axvline(0, color=INK, lw=1, ls=":")
    axes.axvline(1, color=INK, lw=1, ls=":")
    for found in references.values():
        value = value_of(found, UTILITY)
        axes.plot([1, 1], estimate_ends(found, UTILITY), color=INK, lw=1, alpha=0.5)
        axes.plot(1, value, "s", color=INK, ms=6)
        shape = " × ".join(map(str, found["shape"]))
        annotate(axes, f"unprotected, {shape}", (1, value), (-6, 7), INK, ha="right")
    if references:
        draw_task_output(axes, max(references.values(), key=lambda r: value_of(r, UTILITY)))


def draw_task_output(axes: Axes, reference: Mapping[str, Any]) -> None:
    """What sends the task output instead of a code; and where the mean image lies."""
    value, bits = value_of(reference, UTILITY), reference["task_output_bits"]
    axes.plot(0, value, "D", color=INK, ms=6)
    words = "task output alone" + (f", {bits:,} bits" if bits else "")
    annotate(axes, words, (0, value), (6, 7), INK)
    side = reference["mean_image_leakage"]
    words = f"mean image at {side:.2f}"
    axes.annotate(
        f"← {words}" if side < -0.05 else words,
        (0.02, 0.02),
        xycoords="axes fraction",
        fontsize=7.5,
        color=INK,
    )


def annotate(
    axes: Axes, text: str, at: tuple[float, float], offset: tuple[int, int], color: str, ha="left"
) -> None:
    """Small words beside a point."""
    axes.annotate(text, at, offset, textcoords="offset points", fontsize=7.5, color=color, ha=ha)


def inline_svg(results: Mapping[str, Any]) -> str:
    """The plot as an element of a page, in the page's colours."""
    figure = front_figure(results)
    best = [point["label"] for point in results["points"] if point.get("on_front")]
    words = "; ".join(best) or "no point is finished"
    description = f"Mean MCC against leakage of face similarity. On the front: {words}"
    return report_plots.svg(figure, figure.axes[0], description)


def write_files(figure: Figure, folder: pathlib.Path, name: str) -> None:
    """Writes NAME.svg and NAME.png on white, by rename."""
    axes = figure.axes[0]
    axes.spines[["top", "right"]].set_visible(False)
    figure.patch.set_facecolor("white")
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    for color, of_file in FILE_COLORS.items():
        drawn = drawn.replace(color, of_file)
    runs.write_text(folder / f"{name}.svg", drawn)
    unfinished = folder / f"unfinished_{name}.png"
    figure.savefig(unfinished, format="png", dpi=150)
    unfinished.replace(folder / f"{name}.png")
