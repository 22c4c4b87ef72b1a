"""A study's page holds its findings, figures and failures, and names no address."""

import re
import xml.etree.ElementTree as ET

import pytest
from PIL import Image
from study_examples import PLACES, study_content

from arl_tf.experiments.sweeps import study_report
from arl_tf.report import plots


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    written = tmp_path_factory.mktemp("study")
    study_report.write_page(study_content(), written)
    return written


@pytest.fixture(scope="module")
def page(folder):
    return (folder / "report.html").read_text()


def text_of(page, element):
    found = re.search(rf'id="{element}">(.*?)</(?:p|ul|table)>', page, re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", found[1]))


def lines_of(results, panel):
    """Label -> values, of the lines that a legend names or that are drawn of several points."""
    axes = study_report.study_figure(results, "#000000").axes[panel]
    return [line for line in axes.lines if line.get_marker() == "o" and len(line.get_xdata())]


def test_the_first_finding_is_the_verdict_and_the_others_a_list(page):
    found = [finding["words"].replace("'", "&#39;") for finding in study_content()["findings"]]
    assert found[0] in page[page.index('id="verdict"') : page.index('id="findings"')]
    assert found[1] in page[page.index('id="findings"') : page.index("</ul>")]


def test_every_finished_point_has_a_row_with_its_figures(page):
    table = text_of(page, "points")
    for point in study_content()["points"][:5]:
        assert point["label"] in table
        assert f"{point['figures']['leakage.face_similarity']['value']:.2f}" in table
    assert "8,192" in table and "12.0" in table


def test_a_failed_point_is_listed_with_its_reason_escaped(page):
    assert "32 channels: pooled" in text_of(page, "unfinished")
    assert "ValueError: &lt;no&gt; &amp; why" in page


def test_the_page_needs_no_network(page):
    assert "http" not in page
    assert not re.search(r'(?:src|href)="(?!data:|#)', page)


def test_a_study_with_nothing_finished_has_a_page_that_says_so(tmp_path):
    study_report.write_page(study_content(finished=0), tmp_path)
    page = (tmp_path / "report.html").read_text()
    assert "0 of 6 points are finished: too few for a finding." in page


def test_plot_files_are_a_whole_svg_and_a_picture(folder):
    assert ET.parse(folder / "study.svg").getroot().tag.endswith("svg")
    with Image.open(folder / "study.png") as picture:
        assert min(picture.size) > 400
    assert not list(folder.glob("unfinished*"))


def test_each_panel_draws_each_line_s_values_at_their_places():
    first, second = lines_of(study_content(), 1)
    assert list(first.get_xdata()) == [0, 1, 2] and list(second.get_xdata()) == [0, 1]
    assert list(first.get_ydata()) == pytest.approx([0.1, 0.2, 0.3])
    assert list(second.get_ydata()) == pytest.approx([0.4, 0.5])


@pytest.mark.parametrize(("is_ordered", "style"), [(True, "-"), (False, "None")])
def test_points_are_joined_only_where_places_have_an_order(is_ordered, style):
    lines = lines_of(study_content(is_ordered=is_ordered), 0)
    assert {line.get_linestyle() for line in lines} == {style}


def test_places_and_series_are_named_and_the_page_s_colours_taken():
    results = study_content()
    drawn = study_report.page_plot(
        study_report.study_figure(results, plots.INK), results["question"]
    )
    texts = {element.text for element in ET.fromstring(drawn).iter("text")}
    assert {*PLACES, "8 channels", "32 channels", "Mean MCC"} <= texts
    assert plots.INK not in drawn and "#000000" not in drawn
