"""sweep.html says what the sweep found and needs no network; HParams hold its points."""

import re

import pytest
from sweeps import failed, results
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from arl_tf.experiments.sweeps import sweep_report, sweep_results

CHOICE = {
    "target": "face_similarity<=0.25",
    "point": "safe",
    "label": "label of safe",
    "promise": "The target is NOT met on the test images (T): so much.",
    "on_validation": ["it held"],
    "points_audited_on_test": 2,
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    sweep_report.write_page(results(), folder, CHOICE)
    return (folder / "sweep.html").read_text()


def row_of(page, label):
    return next(row for row in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if label in row)


def test_page_is_whole_and_asks_nothing_of_a_network(page):
    assert page.rstrip().endswith("</html>") and "<svg" in page
    loaded = re.findall(r'(?:src|href)="([^"#]*)"', page)
    assert all(address.startswith("data:") for address in loaded)
    assert "@import" not in page and "url(http" not in page


def test_every_finished_point_has_a_row_with_its_figures_and_standing(page):
    safe = row_of(page, "2. label of safe")
    for text in ("chosen; on the front", "0.400", "0.200", "0.180 to 0.220", "8,192", "2,048"):
        assert text in safe
    assert "certainly worse" in row_of(page, "3. label of beaten")
    assert "leakage too uncertain to compare" in row_of(page, "4. label of unknown")


def test_table_gives_mcc_at_0_calibration_and_what_embeddings_find_where_it_was_measured(page):
    safe, alone = row_of(page, "2. label of safe"), row_of(page, "its task output alone")
    for text in (
        '"Mean MCC at thresholds of 0">0.380<small>0.370 to 0.390',
        '"Calibration error (ECE)">0.020',
    ):
        assert text in safe and text in alone
    assert '"Leakage of the identity embedding">0.500<small>0.450 to 0.550' in safe
    assert '"Leakage of the identity embedding">0 by definition' in alone
    assert '"Rank 1 by predicted embedding">' in safe
    point = {"figures": {"mean_mcc_at_0": {"value": 0.3, "ci95": None}}}
    columns = sweep_report.shown_columns(results(), [point])
    assert "mean_mcc_at_0" in columns and "face_similarity" in columns
    assert not {"calibration_error", "embedding_rank1"} & set(columns)


def test_page_says_what_the_attackers_of_how_many_points_did_not_have(page):
    listed = re.search(r'<ul class="warnings" id="untold".*?</ul>', page, re.DOTALL)[0]
    assert "1 of 4 finished points: The attackers were not told the noise" in listed
    assert "4 of 4 finished points: No attacker used the inside of the encoder" in listed


def test_points_without_figures_are_listed_with_their_reason(page):
    listed = re.search(r'<ul id="unfinished">.*?</ul>', page, re.DOTALL)[0]
    assert "label of impossible" in listed and "can&#39;t be" in listed


def test_page_says_whether_the_target_is_met_and_how_often_t_was_audited(page):
    assert (
        "face_similarity&lt;=0.25" in page
        and "The target is NOT met on the test images (T)" in page
    )
    assert "2 points of this sweep have been audited on the test images (T)" in page


def test_summary_gives_both_ends_of_the_front_and_the_cost():
    words = sweep_report.summary(results())
    assert words.startswith("4 of 5 points are finished, 1 failed. 2 points are on the front: ")
    for place in ("from a leakage of 0.200 (face similarity", "to a leakage of 0.500 (face simil"):
        assert place in words
    assert "mean MCC 0.400) to" in words and "mean MCC 0.600)." in words
    # Shared 100 + trainings 40 + audits 20 + reference 20, beside 300 s more.
    assert "4 points whose time is known took 3 min, 0.38 of the time of as many full runs" in words


def test_page_of_a_sweep_in_which_all_failed_says_so(tmp_path):
    sweep_report.write_page(sweep_results.assemble([failed("a")], {}, {}), tmp_path, None)
    page = (tmp_path / "sweep.html").read_text()
    assert "0 of 1 points are finished, 1 failed." in page and 'id="choice"' not in page


def test_hyper_parameters_hold_a_run_for_each_point_and_no_value_for_an_unknown(tmp_path):
    for _ in range(2):
        sweep_report.write_hyper_parameters(results(), tmp_path / "sweep")
    folders = {path.name for path in (tmp_path / "sweep").iterdir() if path.is_dir()}
    assert folders == {"useful", "safe", "beaten", "unknown"}
    for name, tags in (
        ("safe", {"sweep/utility", "sweep/leakage"}),
        ("unknown", {"sweep/utility"}),
    ):
        events = EventAccumulator(str(tmp_path / "sweep" / name))
        events.Reload()
        assert tags <= set(events.Tags()["tensors"]) | set(events.Tags()["scalars"])
        assert len(list((tmp_path / "sweep" / name).glob("events*"))) == 1
    assert "sweep/leakage" not in events.Tags()["tensors"]
