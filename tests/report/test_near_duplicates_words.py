"""Several shots of a photo on the page: a row for what the attacker has, columns that are known."""

import pytest
from reports import audit_report, report_content

from arl_tf.report import html_page, near_duplicates_words

NOTHING = {"value": None, "ci95": None}


def way(words, face, leakage):
    found = {name: {"value": 0.1, "ci95": [0.0, 0.2]} for name in near_duplicates_words.COLUMNS}
    found |= {"face_similarity": face, "face_similarity_2": NOTHING}
    shares = dict.fromkeys(near_duplicates_words.COLUMNS, leakage)
    return {"words": words, "held_out_error": 0.1, **found, "leakage": shares}


def shots(face, missing=""):
    share = {"value": 0.456, "ci95": [0.4, 0.5]}
    return {
        "shots": 16,
        "changes": "cut a little",
        "public_images": 2000,
        "ways": {} if missing else {"own_noise": way("the mean of all codes", face, share)},
        "missing": missing,
    }


def content_of(found):
    content = report_content()
    content["codes"]["near_duplicates"] = found
    return content


def test_row_has_every_known_figure_and_the_leakage_of_face_similarity():
    found = content_of(shots({"value": 0.3, "ci95": None}))
    ((held, cells),) = near_duplicates_words.rows(found)
    assert held == "the mean of all codes"
    assert [words for words, _, _ in cells] == [
        "Face similarity",
        "Feature similarity",
        "Rank 1",
        "Leakage of face similarity",
    ]


def test_without_faces_the_leakage_is_that_of_feature_similarity():
    ((_, cells),) = near_duplicates_words.rows(content_of(shots(NOTHING)))
    assert cells[-1][0] == "Leakage of feature similarity"


@pytest.mark.parametrize("codes", [{}, {"near_duplicates": None}])
def test_without_shots_and_in_older_audits_there_is_nothing(codes):
    assert list(near_duplicates_words.rows({"codes": codes})) == []
    assert not near_duplicates_words.section({"codes": codes})


def test_page_has_the_table_or_says_why_not():
    found = audit_report(leakage=0.3)
    for given, said in (
        (shots({"value": 0.3, "ci95": None}), "taken as 16 shots: cut a little"),
        (shots(NOTHING, missing="it is a file"), "Not measured: it is a file."),
        (None, "</html>"),
    ):
        found.content["codes"]["near_duplicates"] = given
        page = html_page.render(found, embed_originals=False, reference_pictures=None)
        assert said in page
        assert ('id="near_duplicates_table"' in page) is bool(given and given["ways"])
