"""Plots for report.html as SVG inside the page: drawn by matplotlib, coloured by the page's CSS."""

import html
import io
import re
from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from arl_tf.report import scale
from arl_tf.report.wording import (
    MEASURE_NAMES,
    PERSON_BITS,
    YARDSTICK_NAMES,
    format_estimate,
    has_faces,
    headline,
    headline_words,
    leakage_figure,
    shown_measures,
    yardstick,
)

# Text stays text, and the same report gives the same bytes.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "arl_tf", "font.family": "sans-serif"}
# Colours that nobody else uses, for the page to replace by its own.
INK, ACCENT = "#123456", "#123457"
PAGE_COLORS = {INK: "currentColor", ACCENT: "var(--accent)"}
CURVES = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#882255")
# Inches, and points: narrow, so that the text is as large as the page's where a phone shows all of
# the plot.
WIDTH, TEXT = 4.2, 9


def leakage_scale(content: Mapping[str, Any]) -> str:
    """From 'no more than the task tells' to 'unprotected', with this encoder on it.

    Empty where the leakage of the headline measure is not known.
    """
    leakage, kind = content["leakage"], headline(content)
    if leakage[kind]["value"] is None:
        return ""
    others = [name for name in shown_measures(content) if name != kind]
    names = [kind] + [name for name in others if leakage[name]["value"] is not None]
    figure = Figure(figsize=(WIDTH, 1.1 + 0.26 * len(names)))
    axes = figure.add_axes((0.48, 0.3, 0.46, 0.68))
    draw_estimates(axes, [(MEASURE_NAMES[name], leakage[name]) for name in names])
    for end in (0, 1):
        axes.axvline(end, color=INK, lw=1, ls=":")
    lowest, highest = axes.get_xlim()
    axes.set_xlim(min(-0.12, lowest), max(1.12, highest))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0\nno more than\nthe task tells", "¼", "½", "¾", "1\nunprotected"])
    return svg(
        figure,
        axes,
        f"Leakage by {headline_words(content)}: {leakage_figure(leakage[kind])}, on a scale from"
        " 0, no more than the task tells, to 1, unprotected; the other measures below it",
    )


def similarity_scale(content: Mapping[str, Any]) -> str:
    """The headline measure of the worst attack among floors, reference and yardsticks.

    From the mean image down to two photos of one person; a blurred copy comes last.
    """
    kind, words = headline(content), headline_words(content)
    names = scale.step_names(content)
    similarity = {names[name]: found for name, found in scale.steps(content, kind).items()}
    similarity[YARDSTICK_NAMES["blurred_copy"]] = yardstick(content, "blurred_copy", kind)
    known = [(name, found) for name, found in similarity.items() if found["value"] is not None]
    finding = next(row for row, (name, _) in enumerate(known) if name == scale.STEPS["code"])
    height = 0.7 + 0.26 * len(known)
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.46, 0.52 / height, 0.5, 1 - 0.54 / height))
    draw_estimates(axes, known, finding)
    lowest, _ = axes.get_xlim()
    axes.set_xlim(min(-0.05, lowest), 1.03)
    axes.set_xlabel(f"{words} (1: the same picture)")
    said = ", ".join(f"{name} {format_estimate(found)}" for name, found in known)
    return svg(figure, axes, f"{words.capitalize()}: {said}")


def bits_scale(content: Mapping[str, Any]) -> str:
    """How many bits a code carries at most, and as it is used, beside picture and task output."""
    codes = content["codes"]
    side = content["measured_on"]["image_size"]
    rows = {
        "the picture itself": 8.0 * side * side * 3,
        "this code at most": codes["capacity_bits"],
        "this code as it is used": codes["rate_bits"],
        "the task output": codes["task_output_bits"],
        "its yes/no decisions": codes["task_decision_bits"],
        "one person among all people": float(PERSON_BITS) if has_faces(content) else 0.0,
    }
    known = {name: bits for name, bits in rows.items() if bits}
    figure = Figure(figsize=(WIDTH, 0.8 + 0.26 * len(known)))
    axes = figure.add_axes((0.46, 0.36, 0.48, 0.62))
    for row, (name, bits) in enumerate(known.items()):
        color = ACCENT if name.startswith("this code") else INK
        axes.plot([1, bits], [row, row], color=color, lw=5, alpha=0.4, solid_capstyle="butt")
        axes.annotate(
            f"{bits:,.0f}",
            (bits, row),
            xytext=(5, 0),
            textcoords="offset points",
            color=color,
            va="center",
            fontsize=TEXT,
        )
    axes.set_xscale("log")
    axes.minorticks_off()
    axes.set_xlim(1, 60 * max(known.values()))
    axes.set_yticks(range(len(known)))
    axes.set_yticklabels(known)
    axes.set_ylim(len(known) - 0.4, -0.6)
    axes.set_xlabel("bits")
    said = ", ".join(f"{name} {bits:,.0f}" for name, bits in known.items())
    return svg(figure, axes, f"Bits: {said}")


def draw_estimates(
    axes: Axes, named: Sequence[tuple[str, Mapping[str, Any]]], finding: int = 0
) -> None:
    """Intervals and values as rows, downwards; the finding's row is drawn strong."""
    for row, (_, estimate) in enumerate(named):
        low, high = estimate["ci95"] or [estimate["value"]] * 2
        color, size = (ACCENT, 9) if row == finding else (INK, 5)
        # Other ends of a line would make the interval look wider.
        axes.plot([low, high], [row, row], color=color, lw=size, alpha=0.4, solid_capstyle="butt")
        axes.plot(estimate["value"], row, "o", color=color, ms=size)
    axes.set_yticks(range(len(named)))
    axes.set_yticklabels([name for name, _ in named])
    axes.get_yticklabels()[finding].set_fontweight("bold")
    axes.set_ylim(len(named) - 0.4, -0.6)


def loss_curves(content: Mapping[str, Any]) -> str:
    """Held-out loss of every trained attacker over its training, as a share of its first value.

    Empty where no attacker was trained.
    """
    trained = [attack for attack in content["attacks"] if len(attack["held_out_loss"]) > 1]
    if not trained:
        return ""
    legend_inches = 0.2 * -(-len(trained) // 2)
    height = 2.9 + legend_inches
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.add_axes((0.16, (legend_inches + 0.6) / height, 0.81, 2.2 / height))
    for number, attack in enumerate(trained):
        losses = np.array(attack["held_out_loss"])
        axes.plot(
            np.linspace(0, 1, len(losses)),
            losses / losses[0],
            "-" if number < len(CURVES) else "--",
            color=CURVES[number % len(CURVES)],
            label=attack["name"],
        )
    axes.set_xlabel("share of the training")
    axes.set_ylabel("held-out loss / its first value")
    figure.legend(loc="lower center", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
    return svg(figure, axes, "Held-out loss of each attacker over its training")


def svg(figure: Figure, axes: Axes, description: str) -> str:
    """The figure as an <svg> element that takes the page's colours and width."""
    axes.set_facecolor("none")
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[:].set_color(INK)
    axes.tick_params(colors=INK, labelcolor=INK, labelsize=TEXT)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    axes.xaxis.label.set_fontsize(TEXT)
    axes.yaxis.label.set_fontsize(TEXT)
    figure.patch.set_visible(False)
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return inlined(buffer.getvalue(), description)


def inlined(document: str, description: str) -> str:
    """An SVG document as an element of a page.

    The page names no address, not even those of vocabularies, and HTML needs none of them.
    """
    drawn = document[document.index("<svg") :]
    drawn = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", drawn)
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.DOTALL)
    drawn = drawn.replace("xlink:href", "href")
    drawn = re.sub(r'(<svg [^>]*?)width="[\d.]+pt" height="[\d.]+pt"', r"\1", drawn, count=1)
    for color, of_page in PAGE_COLORS.items():
        drawn = drawn.replace(color, of_page)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{html.escape(description)}" ', 1)
