"""Plots are the same bytes each time, take the page's colours and name no address."""

import re
import xml.etree.ElementTree as ET

import pytest
from matplotlib.textpath import TextPath
from reports import report_content

from arl_tf.report import plots

PLOTS = (
    plots.leakage_scale,
    plots.similarity_scale,
    plots.bits_scale,
    plots.loss_curves,
)


@pytest.mark.parametrize("draw", PLOTS)
def test_plot_is_the_same_bytes_each_time_and_takes_the_pages_colours(draw):
    content = report_content(0.3)
    drawn = draw(content)
    assert drawn == draw(content)
    assert drawn.startswith('<svg role="img" aria-label="')
    assert "currentColor" in drawn
    assert not any(color in drawn for color in plots.PAGE_COLORS)
    # No black text, which a dark page would swallow.
    assert "#000000" not in drawn
    assert "http" not in drawn


@pytest.mark.parametrize("draw", PLOTS)
def test_plot_is_whole_and_takes_the_pages_width(draw):
    root = ET.fromstring(draw(report_content(0.3)))
    assert root.tag == "svg"
    assert "width" not in root.attrib
    assert "viewBox" in root.attrib


@pytest.mark.parametrize("draw", PLOTS)
def test_labels_left_of_an_axis_are_not_cut_off(draw):
    content = report_content(0.3)
    content["leakage"]["face_similarity_2"] = content["leakage"]["face_similarity"]
    for label in ET.fromstring(draw(content)).iter("text"):
        style = label.attrib.get("style", "")
        found = re.search(r"([\d.]+)px", style)
        if found is None:  # A power of ten, of several pieces, below the axis.
            continue
        size = float(found[1])
        if "rotate(-90)" in label.attrib.get("transform", "").replace(" ", ""):
            # A rotated label reaches to the left by the height of its letters.
            assert float(re.search(r"translate\(([\d.]+)", label.attrib["transform"])[1]) >= size
        elif "text-anchor: end" in style:
            width = TextPath((0, 0), label.text, size=size).get_extents().width
            assert float(label.attrib["x"]) >= width, label.text


def test_labels_stay_text():
    drawn = plots.leakage_scale(report_content(0.3))
    texts = [element.text for element in ET.fromstring(drawn).iter("text")]
    assert "Face similarity" in texts
    assert "unprotected" in "".join(re.findall(r">([^<]*)<", drawn))


def test_scale_says_leakage_and_interval_to_who_does_not_see_it():
    drawn = plots.leakage_scale(report_content(0.3))
    assert "Leakage by face similarity: 30 % (25 to 35 %)" in drawn


def test_leakage_has_no_scale_where_it_is_unknown():
    assert plots.leakage_scale(report_content()) == ""


def test_face_similarity_stands_among_floors_reference_and_yardsticks():
    drawn = plots.similarity_scale(report_content(0.3))
    for words in (
        "this code 0.500",
        "the task output alone 0.200",
        "an unprotected code 0.800",
        "two photos of one person 0.750",
        "two strangers 0.050",
        "a photo and its blurred copy 0.850",
    ):
        assert words in drawn
    content = report_content()
    del content["yardsticks"]
    drawn = plots.similarity_scale(content)
    assert "unprotected" not in drawn and "strangers" not in drawn


def test_bits_are_said_with_their_names_and_unknown_ones_left_out():
    content = report_content(0.3)
    content["codes"] |= {"rate_bits": None, "capacity_bits": 2048.0, "task_decision_bits": 4}
    drawn = plots.bits_scale(content)
    assert "this code at most 2,048" in drawn
    assert "its yes/no decisions 4" in drawn
    assert "the picture itself 98,304" in drawn
    assert "one person among all people 33" in drawn
    assert "as it is used" not in drawn


def test_scale_leaves_out_measures_without_a_leakage():
    content = report_content(0.3)
    for measure in ("reid_rank1", "reid_other_photo_rank1"):
        content["leakage"][measure] = {"value": None, "ci95": None}
    drawn = plots.leakage_scale(content)
    assert "Rank 1" not in drawn
    assert "Rank 5" in drawn


def test_curves_show_trained_attackers_alone():
    drawn = plots.loss_curves(report_content())
    assert ">decoder<" in drawn
    assert ">linear<" not in drawn
    content = report_content()
    content["attacks"] = content["attacks"][1:]
    assert plots.loss_curves(content) == ""


def test_descriptions_are_escaped():
    drawn = plots.inlined("<svg viewBox='0 0 1 1'></svg>", 'a "quoted" <word>')
    assert 'aria-label="a &quot;quoted&quot; &lt;word&gt;"' in drawn
