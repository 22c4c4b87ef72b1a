"""Several trainings side by side: spread, the worst one to quote, absolute figures beside."""

import copy
import json

import pytest
from reports import report_content

from arl_tf import summary
from arl_tf.report import trainings


def reports(*changes):
    """Run -> report, one for each (mean MCC, face similarity of the worst, leakage)."""
    found = {}
    for number, (mcc, similarity, leakage) in enumerate(changes):
        content = copy.deepcopy(report_content(leakage))
        content["verdict"] = "said"
        content["utility"]["mean_mcc"]["value"] = mcc
        content["worst"]["face_similarity"]["value"] = similarity
        content["provenance"]["encoder_sha256"] = str(number)
        found[f"runs/{number}"] = content
    return found


THREE = reports((0.4, 0.3, 0.1), (0.3, 0.5, 0.2), (0.5, 0.4, 0.6))


def test_worst_training_is_the_lowest_utility_and_the_highest_gain_of_attackers():
    found = {row.words: row for row in trainings.rows(THREE)}
    mcc, face = found["mean MCC of the task"], found["face similarity, worst attack"]
    assert (mcc.run, mcc.worst["value"]) == ("runs/1", 0.3)
    assert (face.run, face.worst["value"]) == ("runs/1", 0.5)
    assert found["leakage of face similarity"].run == "runs/2"
    assert mcc.mean == pytest.approx(0.4)
    # Deviations -.1, 0, .1 of three: sqrt(.02 / 2).
    assert face.deviation == pytest.approx(0.1)


def test_absolute_figures_of_both_judges_stand_beside_the_leakage():
    found = copy.deepcopy(THREE)
    for content in found.values():
        content["worst"]["face_similarity_2"] = {"value": 0.45, "ci95": [0.4, 0.5]}
    table = trainings.markdown(found)
    assert "| mean MCC of the task | **0.300 [0.400, 0.420]** | `runs/1` | 0.400 | 0.100 |" in table
    assert "## Face similarity on one scale" in table
    assert "## Face similarity, second judge on one scale" in table
    for words in ("the mean image", "two strangers", "an unprotected code", "two photos of one"):
        assert f"| {words}" in table


def test_figure_that_one_training_lacks_is_left_out():
    found = copy.deepcopy(THREE)
    found["runs/1"]["leakage"]["face_similarity"]["value"] = None
    assert "leakage of face similarity" not in [row.words for row in trainings.rows(found)]


def test_what_stands_beside_the_headline_and_what_embeddings_find_have_rows_of_their_own():
    found = copy.deepcopy(THREE)
    for error, content in zip((0.02, 0.05, 0.01), found.values(), strict=True):
        content["utility"]["mean_mcc_at_0"] = {"value": 0.3 + error, "ci95": None}
        content["utility"]["calibration"]["error"] = error
        content["codes"]["capacity_bits"] = 100 * error + 50
        network = content["identity_attacks"]["networks"]["drawn_faces"]
        network["worst"]["code"]["reid_rank1"] = {"attack": "ridge", "value": error, "ci95": None}
        network["leakage"] = {**network["leakage"], "cosine": {"value": 2 * error, "ci95": None}}
    rows = {row.words: row for row in trainings.rows(found)}
    at_0, bits = rows["mean MCC at thresholds of 0"], rows["bits of a code at most"]
    # The lowest MCC is the worst; of errors, gains and bits the highest.
    assert (at_0.run, at_0.worst["value"]) == ("runs/2", 0.31)
    for words, value in (
        ("calibration error (ECE)", 0.05),
        ("leakage of the identity embedding", 0.1),
        ("rank 1 by predicted embedding", 0.05),
    ):
        assert (rows[words].run, rows[words].worst["value"]) == ("runs/1", value)
    assert bits.run == "runs/1"
    assert "| bits of a code at most | **55** | `runs/1` | 53 | 2 | 52, 55, 51 |" in (
        trainings.markdown(found)
    )
    del found["runs/0"]["identity_attacks"]
    words = [row.words for row in trainings.rows(found)]
    assert "leakage of the identity embedding" not in words and "bits of a code at most" in words


def test_fewer_than_three_trainings_are_no_ground_for_a_claim():
    two = dict(list(THREE.items())[:2])
    assert "Fewer than 3 trainings: no claim" in trainings.markdown(two)
    assert "no claim" not in trainings.markdown(THREE)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda other: other["provenance"].update(encoder_sha256="0"), "are the same training"),
        (lambda other: other.update(level="quick"), "the level of --audit is 'standard' in the"),
        (lambda other: other["measured_on"].update(images=9), "number of images is 5"),
        (lambda other: other["attacks"].pop(), "the list of attackers is"),
    ],
)
def test_reports_that_do_not_compare_are_refused(change, message):
    found = copy.deepcopy(THREE)
    change(found["runs/1"])
    with pytest.raises(ValueError, match=message):
        trainings.markdown(found)


def test_command_reads_run_directories_and_writes_the_table(tmp_path, capsys):
    for run, content in THREE.items():
        folder = tmp_path / run / "audit"
        folder.mkdir(parents=True)
        (folder / "report.json").write_text(json.dumps(content))
    runs = [str(tmp_path / run) for run in THREE]
    out = tmp_path / "table.md"
    # The folder of an audit does as well.
    assert summary.main([*runs[:2], f"{runs[2]}/audit", f"--out={out}"]) == 0
    assert out.read_text() == capsys.readouterr().out
    assert "# 3 trainings" in out.read_text()


def test_command_says_in_one_line_what_is_wrong(tmp_path, capsys):
    assert summary.main([str(tmp_path), str(tmp_path)]) == summary.USAGE_ERROR
    assert "holds no audit of T; run --stages=audit" in capsys.readouterr().err
