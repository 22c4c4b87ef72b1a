"""What report.py writes says what the audit found, whole or not at all."""

import json

import numpy as np
import pytest
from reports import COUNT, audit_report

from arl_tf import picture_wall, report, report_html, report_plots, report_words


def test_report_json_is_the_audit_with_its_verdict_and_nothing_unfinished_stays(tmp_path):
    found = audit_report()
    report.write_report(found, tmp_path, embed_originals=True)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written.pop("verdict") == report_words.verdict(found.content)
    assert written == found.content
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]


def page_of(found, **settings):
    settings = {"embed_originals": True, "reference_pictures": None, **settings}
    return report_html.render(found, **settings)


def test_html_says_the_verdict_the_figures_and_what_was_not_tested():
    found = audit_report(leakage=0.37)
    page = page_of(found)
    assert f'id="verdict">{report_words.verdict(found.content)}<' in page
    for text in ("0.370", "decoder", "not tested thing", "assumed thing", "warned thing", "runs/x"):
        assert text in page


def originals_in(page, found):
    return sum(report_html.data_uri(image) in page for image in found.originals)


def test_html_embeds_no_original_unless_told_to_and_says_what_it_left_out():
    found = audit_report()
    assert originals_in(page_of(found), found) == COUNT
    page = page_of(found, embed_originals=False)
    assert originals_in(page, found) == 0
    assert f"Left out: the {COUNT} original test photos" in page
    assert "--report_originals" in page


def test_reconstruction_that_is_as_good_as_a_withheld_original_is_withheld_too():
    found = audit_report()
    found.per_image["decoder"]["psnr"][:2] = 45.0
    shown = report_html.wall_entries(found, True, None)
    assert all(entry["attack"] for entry in shown)
    entries = report_html.wall_entries(found, False, found.originals)
    hidden = [entry for entry in entries if entry["withheld"]]
    assert len(hidden) == 2
    assert not any(entry["attack"] or entry["reference"] or entry["original"] for entry in hidden)
    assert "2 reconstructions that are as good as their original" in page_of(
        found, embed_originals=False
    )


def test_html_needs_no_network():
    page = page_of(audit_report(leakage=0.4))
    assert "http" not in page
    assert 'src="data:image/jpeg;base64,' in page


def test_names_are_escaped():
    found = audit_report()
    found.content["warnings"].append("<script>alert(1)</script>")
    assert "<script>alert" not in page_of(found)


def test_report_that_cannot_be_json_is_refused_and_the_old_one_stays(tmp_path):
    report.write_report(audit_report(), tmp_path, embed_originals=True)
    before = (tmp_path / "report.json").read_text()
    broken = audit_report()
    broken.content["codes"]["linkage_auc"] = {"value": float("nan"), "ci95": None}
    with pytest.raises(ValueError):
        report.write_report(broken, tmp_path, embed_originals=True)
    assert (tmp_path / "report.json").read_text() == before


def test_wall_has_the_worst_protected_first_and_a_row_for_every_reconstruction():
    found = audit_report()
    without = report.wall_of(found, None)
    with_reference = report.wall_of(found, found.pictures["decoder"])
    width = picture_wall.LABEL_WIDTH + COUNT * picture_wall.TILE
    assert without.shape == (4 * picture_wall.TILE, width, 3)
    assert with_reference.shape[0] == 5 * picture_wall.TILE


def test_shown_images_are_the_worst_and_a_spread_of_the_rest_in_order():
    similarity = np.random.default_rng(0).random(2000)
    rows = picture_wall.shown_rows(similarity, 96)
    assert len(rows) == len(set(rows.tolist())) == 96
    assert (np.diff(similarity[rows]) <= 0).all()
    # The worst hundredth of 2000 is all there; the best protected, too.
    assert set(rows) >= set(np.argsort(-similarity)[:20])
    assert rows[-1] == similarity.argmin()
    assert len(picture_wall.shown_rows(similarity[:5], 96)) == 5


def test_reconstructions_survive_the_round_trip_to_the_next_report(tmp_path):
    found = audit_report()
    assert report.load_reconstructions(tmp_path) is None
    report.write_report(found, tmp_path, embed_originals=True)
    np.testing.assert_array_equal(report.load_reconstructions(tmp_path), found.pictures["decoder"])


def test_plots_are_the_same_bytes_each_time_and_take_the_pages_colour():
    content = audit_report(leakage=0.3).content
    for draw in (report_plots.leakage_scale, report_plots.loss_curves):
        drawn = draw(content)
        assert drawn == draw(content)
        assert drawn.startswith('<svg role="img" aria-label="')
        assert "currentColor" in drawn
        assert report_plots.INK not in drawn


def test_scale_without_a_reference_is_in_face_similarity():
    drawn = report_plots.leakage_scale(audit_report().content)
    assert "task output alone" in drawn
    assert "unprotected" not in drawn
