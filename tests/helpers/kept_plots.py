"""The plots of report.html, drawn once for the same content: many tests write the same page.

A plot follows from report.json's content alone, as tests/report/test_plots.py shows on plots that
are drawn anew.
"""

import functools
import json

import pytest

from arl_tf.report import plots

DRAWN = ("leakage_scale", "similarity_scale", "bits_scale", "loss_curves")


def keep(patch: pytest.MonkeyPatch) -> None:
    """From now on this process draws each plot once for the same content."""
    for name in DRAWN:
        patch.setattr(plots, name, drawn_once(getattr(plots, name)))


def drawn_once(draw):
    drawn = {}

    @functools.wraps(draw)
    def kept(content):
        key = json.dumps(content, sort_keys=True, default=str)
        if key not in drawn:
            drawn[key] = draw(content)
        return drawn[key]

    return kept
