"""A bench's page: what it says of a finished and of an unfinished bench."""

import copy
import json

import pytest
from bench_examples import FakeBench

from arl_tf.experiments.benches import bench_report, final_results

write_page = bench_report.write_page


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patched:
        return FakeBench(patched)(tmp_path_factory.mktemp("bench"), bench_utility="0.97,0.6")


@pytest.fixture
def results(finished):
    return copy.deepcopy(finished)


def page(results, folder):
    write_page(results, folder)
    return (folder / "report.html").read_text()


def test_the_page_has_the_answer_a_plot_and_a_table_for_each_utility(results, tmp_path):
    # What a defence says of itself is text, not markup.
    results["defences"][1]["source"] = "<b>nobody</b>"
    results["defences"][2]["trials"][0]["message"] = "ValueError: no & why"
    results["progress"]["is_complete"] = False
    text = page(results, tmp_path)
    assert results["answers"][0]["words"] in text.replace("&#39;", "'").replace(
        "\N{NO-BREAK SPACE}", " "
    )
    assert text.count("<table") >= 2 and "<svg" in text
    assert "Chosen to keep 97&nbsp;%" in text and "Chosen to keep 60&nbsp;%" in text
    assert "&lt;b&gt;nobody" in text and "laplace 1.0: ValueError: no &amp; why" in text
    assert "The bench is not complete" in text and "contrastive" in text
    assert {path.name for path in tmp_path.iterdir()} >= {"bench.svg", "bench.png"}


def test_rows_are_ordered_by_leakage_and_those_without_figures_come_last(results):
    results["defences"][1]["finals"]["0.97"]["figures"] = {}
    names = [row["name"] for row in bench_report.table(results, 0.97)]
    assert names == ["laplace", "none", "noise"]
    # Numbers are those of the plot, in the order of the bench.
    assert [row["number"] for row in bench_report.table(results, 0.97)] == [3, 1, 2]


def test_drawn_faces_have_no_column_and_no_panel_of_a_second_judge(results):
    assert "leakage.face_similarity_2" not in bench_report.shown_columns(results)
    panels = bench_report.bench_figure(results, "black").axes
    assert [axes.get_xlabel() for axes in panels] == [
        bench_report.PANELS[name]
        for name in (
            "leakage.face_similarity",
            "leakage.reid_rank1",
            "leakage.identity_embedding",
            "candidate_match",
            "protected_gain",
        )
    ]


def figures_of_all(results):
    return [each["figures"] for entry in results["defences"] for each in entry["finals"].values()]


def test_the_table_has_the_attacks_on_identity_and_protected_attributes_where_measured(
    results, tmp_path
):
    text = page(results, tmp_path)
    assert "Leakage of the predicted embedding" in text and "Gain on protected attributes" in text
    for figures in figures_of_all(results):
        if figures:
            figures["leakage.identity_embedding"] = {"value": 0.77, "ci95": [0.75, 0.79]}
            figures["protected_gain"] = {"value": None, "ci95": None}
    text = page(results, tmp_path)
    assert "0.77<small>0.75 to 0.79" in text and "Gain on protected attributes" not in text


def test_results_of_versions_without_these_figures_have_a_page(results, tmp_path):
    for figures in figures_of_all(results):
        for name in ("leakage.identity_embedding", "protected_gain"):
            figures.pop(name, None)
    text = page(results, tmp_path)
    assert "Leakage of the predicted embedding" not in text and "<table" in text


def test_codes_that_nothing_bounds_have_a_dash_for_their_bits(results, tmp_path):
    bits = 'data-label="Bits">'
    assert f"{bits}2,048<" in page(results, tmp_path)
    codes = {"shape": [8, 8, 4], "bytes": 1024, "capacity_bits": 8192.0}
    known = final_results.code_facts({**codes, "bounded_by": "noise"})
    unknown = final_results.code_facts({**codes, "bounded_by": "32-bit numbers"})
    assert known["capacity_bits"] == 8192 and "capacity_bits" not in unknown
    for entry in results["defences"]:
        for final in entry["finals"].values():
            final["codes"] = unknown
    text = page(results, tmp_path)
    assert text.count(f"{bits}–<") == text.count(bits) > 0


@pytest.mark.slow
def test_a_bench_that_was_killed_at_any_point_has_a_page(monkeypatch, tmp_path):
    bench = FakeBench(monkeypatch)
    monkeypatch.setattr(bench_report, "write_page", write_page)
    for place in ("noise 5.48", "none", "laplace 2.34"):
        # The trial of 'none' is done by then: that is its audit on T, as the last one is.
        bench.killed_at = place
        with pytest.raises(KeyboardInterrupt):
            bench(tmp_path, bench_utility="0.97")
    assert "The bench is not complete" in (tmp_path / "bench" / "report.html").read_text()
    bench(tmp_path, bench_utility="0.97")
    assert "The bench is not complete" not in (tmp_path / "bench" / "report.html").read_text()


def test_a_page_without_any_figure_says_so(monkeypatch, tmp_path):
    bench = FakeBench(monkeypatch)
    bench.fails = ("noise 1",)
    with pytest.raises(ValueError, match="None of the 1 trials of the bench"):
        bench(tmp_path, bench_defences="noise", bench_trials=1)
    results = json.loads((tmp_path / "bench" / "bench.json").read_text())
    text = page(results, tmp_path)
    assert "All trials failed." in text and "noise 1.0: ValueError: no" in text


def test_an_audit_that_failed_is_said_on_top_and_in_its_row(monkeypatch, tmp_path):
    bench = FakeBench(monkeypatch)
    bench.fails_on_t = ("noise 1",)
    few = {"bench_defences": "none,noise", "bench_trials": 1, "bench_utility": "0.9"}
    text = page(bench(tmp_path, **few), tmp_path)
    assert "1 of 2 audits on T failed" in text and "The bench is not complete" not in text
    assert "1 of 1 trainings or their audits failed: it is not compared." in text
