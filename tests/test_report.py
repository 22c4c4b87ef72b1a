"""What report.py writes says what the audit found, whole or not at all."""

import json

import numpy as np
import pytest

from arl_tf import report, utility
from arl_tf.audit import AuditReport
from arl_tf.rulers import MEASURES

COUNT = 5


def estimates(value):
    return {measure: {"value": value, "ci95": [value - 0.1, value + 0.1]} for measure in MEASURES}


def audit_report(leakage=None):
    rng = np.random.default_rng(0)
    names = ("decoder", "task_output", "mean_image")
    content = {
        "utility": {
            "mean_mcc": {"value": 0.41, "ci95": [0.4, 0.42]},
            "accuracy": utility.estimate(0.9),
            "roc_auc": utility.estimate(None),
            "attributes": {"Smiling": {"mcc": 0.7, "accuracy": 0.9, "positives": 3}},
            "undefined_mcc": ["Bald"],
        },
        "floors": {"mean_image": estimates(0.1), "task_output": estimates(0.2)},
        "attacks": [
            {
                "name": "decoder",
                "knowledge": "black-box",
                "settings": {},
                "seconds": 1.0,
                "held_out_loss": [0.3, 0.2],
                **estimates(0.5),
            }
        ],
        "worst": {m: {"attack": "decoder", "value": 0.5, "ci95": [0.4, 0.6]} for m in MEASURES},
        "leakage": {m: utility.estimate(leakage) for m in MEASURES},
        "codes": {
            "linkage_auc": utility.estimate(0.8),
            "attribute_probe": {},
            "shape": [8, 8, 32],
            "bytes": 8192,
        },
        "reference": None,
        "measured_on": {"split": "test", "images": COUNT, "identities": 4, "attacker_images": 9},
    }
    return AuditReport(
        content=content,
        per_image={name: {m: rng.random(COUNT) for m in MEASURES} for name in names},
        reconstructions={name: rng.random((COUNT, 8, 8, 3)).astype(np.float32) for name in names},
        originals=rng.random((COUNT, 8, 8, 3)).astype(np.float32),
        names=tuple("abcde"),
        test_hash="hash",
    )


def test_report_json_is_the_audit_and_nothing_unfinished_stays(tmp_path):
    found = audit_report()
    report.write_report(found, tmp_path, provenance={"seed": 1}, embed_pictures=True)
    assert json.loads((tmp_path / "report.json").read_text()) == found.content
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]


def test_html_says_the_verdict_and_shows_pictures_of_drawn_faces_only(tmp_path):
    found = audit_report(leakage=0.37)
    report.write_report(found, tmp_path, provenance={}, embed_pictures=True)
    page = (tmp_path / "report.html").read_text()
    assert "a leakage of 0.370" in page
    assert '<img src="reconstructions.png"' in page
    report.write_report(found, tmp_path, provenance={}, embed_pictures=False)
    page = (tmp_path / "report.html").read_text()
    assert "<img" not in page
    assert "no picture of real people" in page


def test_html_needs_no_network_and_no_script(tmp_path):
    report.write_report(audit_report(), tmp_path, provenance={}, embed_pictures=True)
    page = (tmp_path / "report.html").read_text()
    assert "http" not in page
    assert "<script" not in page


def test_verdict_names_the_floor_where_leakage_is_unknown():
    assert "leakage unknown" in report.verdict(audit_report().content)
    assert "the task output alone gives 0.200" in report.verdict(audit_report().content)


def test_report_that_cannot_be_json_is_refused_and_the_old_one_stays(tmp_path):
    report.write_report(audit_report(), tmp_path, provenance={}, embed_pictures=True)
    before = (tmp_path / "report.json").read_text()
    broken = audit_report(leakage=float("nan"))
    with pytest.raises(ValueError):
        report.write_report(broken, tmp_path, provenance={}, embed_pictures=True)
    assert (tmp_path / "report.json").read_text() == before


def test_wall_has_the_worst_protected_first_and_a_row_for_every_reconstruction():
    found = audit_report()
    rows = report.pictured_rows(found)
    similarity = found.per_image["decoder"]["face_similarity"]
    assert (np.diff(similarity[rows]) <= 0).all()
    without = report.picture_wall(found, None)
    with_reference = report.picture_wall(found, found.reconstructions["decoder"])
    assert without.shape == (4 * report.TILE, report.LABEL_WIDTH + COUNT * report.TILE, 3)
    assert with_reference.shape[0] == 5 * report.TILE


def test_reconstructions_survive_the_round_trip_to_the_next_report(tmp_path):
    found = audit_report()
    assert report.load_reconstructions(tmp_path) is None
    report.write_report(found, tmp_path, provenance={}, embed_pictures=True)
    read = report.load_reconstructions(tmp_path)
    np.testing.assert_allclose(read, found.reconstructions["decoder"], atol=0.5 / 255 + 1e-6)


def test_headline_sets_the_attack_beside_its_floors():
    lines = report.headline(audit_report(leakage=0.37).content).splitlines()
    starts = (
        "utility",
        " ",
        "attack: decoder",
        "floor: from the task",
        "floor: no code",
        "leakage",
    )
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True))
    assert "0.370" in lines[-1]
