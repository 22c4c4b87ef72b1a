"""The trade-off's plot: well-formed, numbered as the table, with references and floors."""

import xml.etree.ElementTree as ElementTree

import pytest
from PIL import Image
from sweeps import failed, results

from arl_tf.experiments.sweeps import sweep_plot, sweep_results

EMPTY = sweep_results.assemble([failed("a")], {}, {})


def texts(figure):
    drawn = [text.get_text() for axes in figure.axes for text in axes.texts]
    return drawn + [text.get_text() for text in figure.texts]


def test_points_have_the_numbers_of_the_pages_table_and_unknown_ones_none():
    assert {n: p["name"] for n, p in sweep_plot.plotted(results()).items()} == {
        1: "useful",
        2: "safe",
        3: "beaten",
    }


def test_plot_names_points_front_floors_and_reference():
    words = "\n".join(texts(sweep_plot.front_figure(results(), sweep_plot.OF_FILES)))
    for text in (
        "1  label of useful  (on the front)",
        "3  label of beaten",
        "task output alone\n128 bits",
        "unprotected\n8 × 8 × 32",
        "← mean image at -0.33",
    ):
        assert text in words
    assert "label of unknown" not in words and "label of impossible" not in words


def test_intervals_are_drawn_from_end_to_end():
    figure = sweep_plot.front_figure(results(), sweep_plot.OF_FILES)
    lines = [list(line.get_xdata()) for line in figure.axes[0].lines]
    assert any(line == pytest.approx([0.48, 0.52]) for line in lines if len(line) == 2)


@pytest.mark.parametrize("found", [results(), EMPTY], ids=["full", "empty"])
def test_inline_svg_is_well_formed_and_labelled(found):
    root = ElementTree.fromstring(sweep_plot.inline_svg(found))
    assert root.tag.endswith("svg")
    assert "Mean MCC against leakage" in root.get("aria-label")


def test_files_are_whole_and_nothing_else_is_left(tmp_path):
    figure = sweep_plot.front_figure(results(), sweep_plot.OF_FILES)
    sweep_plot.write_files(figure, tmp_path, "front")
    assert {path.name for path in tmp_path.iterdir()} == {"front.svg", "front.png"}
    assert ElementTree.parse(tmp_path / "front.svg").getroot().tag.endswith("svg")
    with Image.open(tmp_path / "front.png") as picture:
        assert picture.width > 600


def test_points_that_differ_in_one_setting_are_labelled_by_its_values():
    points = {
        1: {"label": "lambda_rate=0.1", "settings": {"lambda_rate": 0.1}, "on_front": True},
        2: {"label": "lambda_rate=0.2", "settings": {"lambda_rate": 0.2}, "on_front": False},
    }
    labels, lines = sweep_plot.labelling(points)
    assert labels == {1: "0.1", 2: "0.2"}
    assert lines == ["labels: lambda_rate; filled: on the front; lines: 95 % intervals"]
    points[2]["settings"]["code_noise"] = 1.0
    labels, lines = sweep_plot.labelling(points)
    assert labels == {1: "1", 2: "2"}
    assert lines == ["1  lambda_rate=0.1  (on the front)", "2  lambda_rate=0.2"]
