"""A report on images of no faces: no figure of identity, no word of faces, feature similarity."""

import numpy as np
import pytest
from reports import audit_report

from arl_tf.metrics import utility
from arl_tf.metrics.reconstruction import FACE, FACE_2, FEATURE, OTHER_PHOTO, RANKS
from arl_tf.report import html_page, plots, report_files, summary, tensorboard, terminal, verdict

OF_IDENTITY = (FACE, FACE_2, OTHER_PHOTO, *RANKS)


def blank(found):
    """Nested content without the figures of identity networks."""
    if isinstance(found, list):
        return [blank(each) for each in found]
    if not isinstance(found, dict):
        return found
    nothing = {"attack": None, **utility.estimate(None)}
    return {name: nothing if name in OF_IDENTITY else blank(each) for name, each in found.items()}


@pytest.fixture(params=[None, 0.4], ids=["no_reference", "reference"])
def report(request):
    made = audit_report(request.param)
    content = blank(made.content)
    content["measured_on"]["faces"] = "none"
    content["judges"], content["identity_attacks"] = [], {"networks": {}}
    for point in [*content["learning_curve"]["points"], content["learning_curve"]["last_doubling"]]:
        point[FEATURE] = {"value": 0.25, "ci95": [0.2, 0.3]}
    for measured in made.per_image.values():
        for name in OF_IDENTITY:
            measured[name][:] = np.nan
    made.content.clear()
    made.content.update(content)
    return made


def test_the_verdict_goes_by_feature_similarity_and_says_why(report):
    said = verdict.verdict(report.content)
    assert "make a picture with a feature similarity of 0.50 to the original" in said
    assert "not taken to be of faces, so the measures of identity are off" in said
    assert "right person" not in said and "face similarity" not in said
    if report.content["reference"]:
        assert "(leakage of feature similarity)" in said
        assert "40 %" in said
    else:
        assert "leakage of the code is unknown" in said


def test_page_and_pictures_are_made_and_speak_of_images_and_groups(report):
    page = html_page.render(report, embed_originals=False, reference_pictures=None)
    text = page.partition('id="words"')[0]
    assert "The worst-protected images come first, by the feature similarity" in text
    assert "1. feature similarity 0." in text and "Are two codes of the same group?" in text
    assert "worst-protected faces" not in text and "identity network" not in text
    glossary = page.partition('id="words"')[2].partition("</dl>")[0]
    assert "The groups under attack" in glossary and "person" not in glossary
    assert "identity network" not in glossary
    assert report_files.wall_of(report, None).dtype == np.uint8
    assert report_files.worst_attack(report) == "decoder"


def test_the_terminal_and_tensorboard_have_the_figures_that_there_are(report):
    shown = terminal.headline(report.content)
    assert "compare: same group" in shown and "person" not in shown.partition("Warning")[0]
    assert "feat. sim." in shown and "face sim." not in shown and "rank 1" not in shown
    figures = tensorboard.compared_figures(report.content)
    assert figures["under_attack/worst_face_similarity"] is None
    assert figures["under_attack/worst_ssim"] == 0.5
    assert "feature similarity" in tensorboard.markdown(report.content).lower()


def test_the_summary_says_what_was_not_measured(report):
    rows = summary.summary_rows(report.content)
    assert rows[0].measure == "feature similarity: 1 is the same picture"
    assert rows[0].code["value"] == 0.5
    assert not any("person" in row.question for row in rows)
    assert "not taken to be of faces" in summary.not_measured(report.content)[0]
    assert summary.data_words(report.content).startswith("Data: images")


def test_the_plots_are_of_feature_similarity(report):
    assert "Feature similarity: " in plots.similarity_scale(report.content)
    drawn = plots.leakage_scale(report.content)
    assert ("Leakage by feature similarity: 40 %" in drawn) == bool(report.content["reference"])
