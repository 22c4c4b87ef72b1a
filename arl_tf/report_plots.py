"""Plots for report.html as SVG inside the page: drawn by matplotlib, coloured by the page's CSS."""

import io
import re
from collections.abc import Mapping
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from arl_tf.leakage import FLOORS
from arl_tf.report_words import MEASURE_NAMES
from arl_tf.rulers import MEASURES

# Text stays text, and the same report gives the same bytes.
STYLE = {"svg.fonttype": "none", "svg.hashsalt": "arl_tf", "font.family": "sans-serif"}
# A grey that nobody else uses, for the page to replace by its own colour of text.
INK = "#123456"
BARS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999933", "#882255")


def leakage_scale(content: Mapping[str, Any]) -> str:
    """From 'no more than the task tells' to 'unprotected', with this encoder on it.

    Without a reference the scale is in face similarity, from the mean image upwards.
    """
    if content["leakage"]["face_similarity"]["value"] is None:
        return similarity_scale(content)
    shown = [name for name in MEASURES if content["leakage"][name]["value"] is not None]
    figure = Figure(figsize=(8, 0.7 + 0.42 * len(shown)))
    axes = figure.add_axes((0.2, 0.28, 0.75, 0.68))
    for row, name in enumerate(reversed(shown)):
        leakage = content["leakage"][name]
        strong = name == "face_similarity"
        low, high = leakage["ci95"] or [leakage["value"]] * 2
        axes.plot([low, high], [row, row], color=BARS[0], lw=9 if strong else 5, alpha=0.4)
        axes.plot(leakage["value"], row, "o", color=BARS[0], ms=9 if strong else 6)
    for position in (0, 1):
        axes.axvline(position, color=INK, lw=1, ls=":")
    values = [content["leakage"][name]["ci95"] or [0, 1] for name in shown]
    axes.set_xlim(min(-0.1, np.min(values) - 0.05), max(1.1, np.max(values) + 0.05))
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    axes.set_xticklabels(["0\nno more than\nthe task tells", "¼", "½", "¾", "1\nunprotected"])
    axes.set_yticks(range(len(shown)))
    axes.set_yticklabels([MEASURE_NAMES[name] for name in reversed(shown)])
    return svg(
        figure, axes, "Leakage of each measure, on a scale from the task output to no protection"
    )


def similarity_scale(content: Mapping[str, Any]) -> str:
    """Face similarity of floors and worst attack on one line: leakage is unknown."""
    points = [
        (words, content["floors"][name]["face_similarity"], color)
        for name, words, color in zip(
            FLOORS, ("mean image", "task output alone"), (BARS[2], BARS[1]), strict=True
        )
        if content["floors"][name]["face_similarity"]["value"] is not None
    ]
    points.append(("this code", content["worst"]["face_similarity"], BARS[0]))
    figure = Figure(figsize=(8, 1.8))
    axes = figure.add_axes((0.2, 0.3, 0.75, 0.66))
    for row, (_, estimate, color) in enumerate(points):
        low, high = estimate["ci95"] or [estimate["value"]] * 2
        axes.plot([low, high], [row, row], color=color, lw=8, alpha=0.4)
        axes.plot(estimate["value"], row, "o", color=color, ms=8)
    axes.set_yticks(range(len(points)))
    axes.set_yticklabels([words for words, _, _ in points])
    axes.set_xlim(-0.1, 1.05)
    axes.set_xlabel("face similarity (1: the same face)")
    return svg(figure, axes, "Face similarity from the mean image, the task output and this code")


def loss_curves(content: Mapping[str, Any]) -> str:
    """Held-out loss of every trained attacker over its training, as a share of its first value."""
    trained = [a for a in content["attacks"] if len(a["held_out_loss"]) > 1]
    if not trained:
        return ""
    figure = Figure(figsize=(8, 3.2))
    axes = figure.add_axes((0.09, 0.16, 0.6, 0.8))
    for number, attack in enumerate(trained):
        losses = np.array(attack["held_out_loss"])
        share = np.linspace(0, 1, len(losses))
        style = "-" if number < len(BARS) else "--"
        axes.plot(
            share, losses / losses[0], style, color=BARS[number % len(BARS)], label=attack["name"]
        )
    axes.set_xlabel("share of the training")
    axes.set_ylabel("held-out loss / first")
    legend = axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1), frameon=False, fontsize=8)
    for text in legend.get_texts():
        text.set_color(INK)
    return svg(figure, axes, "Held-out loss of each attacker over its training")


def svg(figure: Figure, axes: Any, description: str) -> str:
    """The figure as an <svg> element that takes the page's colour and width."""
    axes.set_facecolor("none")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for spine in axes.spines.values():
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelcolor=INK)
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    figure.patch.set_alpha(0)
    buffer = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    drawn = buffer.getvalue()
    drawn = drawn[drawn.index("<svg") :].replace(INK, "currentColor")
    # The page names no address, not even those of vocabularies; HTML needs none of them.
    drawn = re.sub(r'\sxmlns(:\w+)?="[^"]*"', "", drawn)
    drawn = re.sub(r"<metadata>.*?</metadata>", "", drawn, flags=re.S)
    drawn = drawn.replace("xlink:href", "href")
    drawn = re.sub(r'<svg ([^>]*?)width="[\d.]+pt" height="[\d.]+pt"', r"<svg \1", drawn, count=1)
    return drawn.replace("<svg ", f'<svg role="img" aria-label="{description}" ', 1)
