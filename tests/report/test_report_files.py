"""What report.py writes says what the audit found, whole or not at all."""

import html
import json

import numpy as np
import pytest
from PIL import Image
from reports import COUNT, audit_report

from arl_tf.report import image_grid, report_files, verdict


def test_report_json_is_the_audit_with_its_verdict_and_nothing_unfinished_stays(tmp_path):
    found = audit_report()
    report_files.write_report(found, tmp_path, embed_originals=True)
    written = json.loads((tmp_path / "report.json").read_text())
    assert written.pop("verdict") == verdict.verdict(found.content)
    assert written.pop("untold") == verdict.untold(found.content)
    assert written == found.content
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]


def test_report_that_cannot_be_json_is_refused_and_the_old_one_stays(tmp_path):
    report_files.write_report(audit_report(), tmp_path, embed_originals=True)
    before = (tmp_path / "report.json").read_text()
    broken = audit_report()
    broken.content["codes"]["linkage_auc"] = {"value": float("nan"), "ci95": None}
    with pytest.raises(ValueError):
        report_files.write_report(broken, tmp_path, embed_originals=True)
    assert (tmp_path / "report.json").read_text() == before


def test_wall_has_the_worst_protected_first_and_a_row_for_every_reconstruction():
    found = audit_report()
    without = report_files.wall_of(found, None)
    with_reference = report_files.wall_of(found, found.pictures["decoder"])
    width = image_grid.LABEL_WIDTH + COUNT * image_grid.TILE
    assert without.shape == (4 * image_grid.TILE, width, 3)
    assert with_reference.shape[0] == 5 * image_grid.TILE


def test_wall_shows_the_code_s_own_attack_beside_a_worse_one_on_the_task_output():
    found = audit_report()
    found.content["worst"]["face_similarity"]["attack"] = "task_output/decoder"
    wall = report_files.wall_of(found, None)
    assert wall.shape[0] == 4 * image_grid.TILE
    own = max(found.content["attacks"], key=lambda each: each["face_similarity"]["value"])["name"]
    rows = [
        found.originals,
        found.pictures[own],
        found.pictures["task_output/decoder"],
        found.pictures["mean_image"],
    ]
    order = report_files.spread_rows(
        found.per_image["task_output/decoder"]["face_similarity"], report_files.PICTURED
    )
    expected = image_grid.image_grid({str(place): each[order] for place, each in enumerate(rows)})
    side = image_grid.LABEL_WIDTH
    np.testing.assert_array_equal(wall[:, side:], expected[:, side:])


def test_reconstructions_survive_the_round_trip_to_the_next_report(tmp_path):
    found = audit_report()
    assert report_files.load_reconstructions(tmp_path) is None
    report_files.write_report(found, tmp_path, embed_originals=True)
    np.testing.assert_array_equal(
        report_files.load_reconstructions(tmp_path), found.pictures["decoder"]
    )


def test_page_and_wall_lie_beside_the_report(tmp_path):
    found = audit_report()
    report_files.write_report(found, tmp_path, embed_originals=True)
    page = html.unescape((tmp_path / "report.html").read_text())
    page = page.replace("\N{NO-BREAK SPACE}", " ")
    assert all(sentence in page for sentence in verdict.sentences(found.content))
    with Image.open(tmp_path / "reconstructions.png") as wall:
        np.testing.assert_array_equal(np.asarray(wall), report_files.wall_of(found, None))


def test_saved_measures_are_those_of_attacks_on_code_and_task_output(tmp_path):
    found = audit_report()
    report_files.write_report(found, tmp_path, embed_originals=True)
    with np.load(tmp_path / "measures.npz") as saved:
        assert saved["attacks"].tolist() == ["decoder", "linear", "task_output/decoder"]
        assert not any("mean_image" in name for name in saved.files)
        np.testing.assert_array_equal(saved["linear/psnr"], found.per_image["linear"]["psnr"])
        assert str(saved["test_hash"]) == "hash"


def test_figures_for_an_export_are_the_reports(tmp_path):
    assert report_files.read_figures(tmp_path) is None
    found = audit_report(leakage=0.37)
    report_files.write_report(found, tmp_path, embed_originals=True)
    figures = report_files.read_figures(tmp_path)
    assert figures["leakage"] == found.content["leakage"]
    assert figures["worst"] == found.content["worst"]
    assert figures["mean_mcc"] == found.content["utility"]["mean_mcc"]
    assert figures["verdict"] == report_files.read_content(tmp_path)["verdict"]
