"""The candidate match in words: who holds what, how often it is found, beside what."""

from reports import audit_report, report_content

from arl_tf.metrics.utility import estimate
from arl_tf.report import candidates, html_page, summary, verdict

ONE = "one code of a photo"


def without_rates(section):
    return {
        way: {"way": None, **estimate(None)} if way == "best" else estimate(None)
        for way in section["code"]
    }


def test_holder_of_the_photo_confirms_it_and_the_sentence_has_all_comparisons():
    said = candidates.match_sentences(report_content(), ONE)
    assert said.startswith("Whoever has the photo can confirm it from one code of a photo: among 5")
    assert "comes first in 100 % of the cases" in said
    assert "(a degraded copy of the photo: 80 %, the task output alone: 60 %, an" in said
    assert "With another photo of the person instead" in said
    # The best picture finds more than codes that are compared.
    words = "(by the best picture: 50 %, the task output alone: 25 %, a guess: 24.0 %)"
    assert f"in 30 % of the cases {words}" in said
    content = report_content()
    content["worst"]["reid_other_photo_rank1"]["value"] = 0.2
    assert "in 30 % of the cases (the task output" in candidates.match_sentences(content, ONE)


def test_number_of_candidates_that_fit_is_said_where_it_is_known():
    content = report_content()
    assert "narrows" not in candidates.match_sentences(content, ONE)
    sets = {
        source: {"likely": {"value": value, "ci95": None}}
        for source, value in (("code", 12.34), ("task_output", 1500.0), ("unprotected", None))
    }
    content["codes"]["candidate_match"]["exact"]["fitting"] = sets
    assert (
        ". A code narrows the candidates down to 12.3 on average, with 95 % certainty (the task"
        " output alone: 1,500.0). With another photo"
    ) in candidates.match_sentences(content, ONE)
    # The right candidate is among them less often than they promise.
    low, high = ({"value": 0.64, "ci95": [0.61, top]} for top in (0.67, 0.95))
    sets["task_output"]["covered"] = low
    assert (
        "with 95 % certainty (the task output alone: 1,500.0, but there the likelihood is not"
        " calibrated)."
    ) in candidates.match_sentences(content, ONE)
    sets["code"]["covered"] = low
    said = candidates.match_sentences(content, ONE)
    assert (
        "certainty" not in said
        and (
            "down to 12.3 on average, but the likelihood is not calibrated: in only 64 % of the"
            " cases the right one is among these (the task output alone: 1,500.0, not calibrated"
            " either)."
        )
        in said
    )
    sets["code"]["covered"] = high
    assert "12.3 on average, with 95 % certainty" in candidates.match_sentences(content, ONE)
    sets["code"]["likely"]["value"] = None
    assert "narrows" not in candidates.match_sentences(content, ONE)


def test_photo_that_is_seldom_found_is_not_called_confirmed():
    content = report_content()
    content["codes"]["candidate_match"]["exact"]["code"]["best"]["value"] = 0.3
    assert "can look for it with 16 codes" in candidates.match_sentences(
        content, "16 codes of a photo"
    )


def test_verdict_says_it_and_an_older_report_does_not():
    content = report_content(leakage=0.37)
    assert "Whoever has the photo can confirm it" in verdict.verdict(content)
    del content["codes"]["candidate_match"]
    assert "Whoever has the photo" not in verdict.verdict(content)
    assert list(candidates.table(content)) == []
    assert summary.candidate_rows(content) == []


def test_recorded_codes_have_the_sentence_on_the_person_only():
    content = report_content()
    found = content["codes"]["candidate_match"]
    for section in (found["exact"], *found["degraded"].values()):
        section["code"] = section["task_output"] = without_rates(section)
    said = candidates.match_sentences(content, ONE)
    assert said.startswith("With another photo of the person") and "confirm" not in said
    assert [row[0] for row in candidates.table(content)] == [
        "another photo of the person, not this one"
    ]


def test_table_has_a_row_for_each_case_with_every_way_and_comparison():
    rows = {name: (cells, chance) for name, cells, chance in candidates.table(report_content())}
    assert list(rows) == [
        "the photo itself",
        "a copy, shifted",
        "a copy, all of it",
        "another photo of the person, not this one",
    ]
    cells, chance = rows["a copy, shifted"]
    assert [estimate["value"] for _, estimate in cells] == [*[0.9] * 6, 0.5, 0.97]
    assert chance == 0.2


def test_table_of_an_older_audit_has_no_figures_for_ways_that_it_did_not_try():
    content = report_content()
    del content["codes"]["candidate_match"]["exact"]["code"]["informed_4"]
    _, cells, _ = next(candidates.table(content))
    values = {words: estimate["value"] for words, estimate in cells}
    assert values[candidates.COLUMNS["informed_4"]] is None
    assert values[candidates.COLUMNS["informed_1"]] == 1


def test_summary_row_sets_the_photo_beside_copies_and_other_photos():
    (row,) = summary.candidate_rows(report_content())
    figures = [found["value"] for found in (row.code, row.task_output, row.unprotected)]
    assert figures == [1, 0.6, 0.98]
    assert row.compare.startswith("another photo of the person: 30 %; a degraded copy: 80 %; a ")


def test_page_has_the_table():
    page = html_page.render(audit_report(), embed_originals=True, reference_pictures=None)
    assert 'id="candidates"' in page and "a copy, shifted" in page
