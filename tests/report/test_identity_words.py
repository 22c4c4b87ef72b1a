"""What the pages say of attacks on identity, and that older audits go without."""

import copy

from reports import report_content

from arl_tf.report import identity_words, summary, tensorboard, verdict


def without_attacks():
    content = report_content(0.3)
    del content["identity_attacks"]
    return content


def test_sentence_has_the_worst_figure_beside_task_output_unprotected_code_and_chance():
    said = identity_words.finding_words(report_content(0.3))
    assert (
        "finds the right person among the test images, with the photo itself among them, in 40 % of"
        " the cases (the task output alone: 30 %, an unprotected code: 80 %, a guess: 28.0 %)"
    ) in said
    assert said.endswith(
        "leakage of the predicted embedding, by its cosine in the network for drawn faces: 30 % (25"
        " to 35 %)"
    )
    assert f"{said}." in verdict.sentences(report_content(0.3))


def test_sentence_has_the_leakage_by_the_network_that_finds_most():
    content = report_content(0.3)
    ((name, network),) = content["identity_attacks"]["networks"].items()
    more = copy.deepcopy(network)
    more["worst"]["code"]["reid_rank1"]["value"] = 0.1
    more["leakage"]["cosine"] = {"value": 0.31, "ci95": [0.29, 0.4]}
    more["left_out"] = ["fusion"]
    content["identity_attacks"]["networks"] = {name: network, "sface": more}
    assert identity_words.finding_words(content).endswith(
        "by its cosine in SFace, without fusion: 31 % (29 to 40 %)"
    )


def test_sentence_leaves_out_what_was_not_measured():
    content = report_content()
    said = identity_words.finding_words(content)
    assert "unprotected" not in said and "leakage" not in said
    assert identity_words.finding_words(without_attacks()) == ""


def other_photo(content, value):
    """The audit with such figures of the rank by another photo."""
    for found in content["identity_attacks"]["networks"]["drawn_faces"]["worst"].values():
        found["reid_other_photo_rank1"] = {"attack": "ridge", "value": value, "ci95": None}
    return content


def test_sentence_says_how_often_another_photo_of_the_person_is_found():
    said = identity_words.finding_words(other_photo(report_content(0.3), 0.07))
    assert (
        "; without it, by another photo of the person, in 7 % (the task output alone: 7 %, an"
        " unprotected code: 7 %); leakage"
    ) in said
    row = summary.embedding_row(other_photo(report_content(0.3), 0.07))
    assert "with the photo itself among them" in row.measure
    assert row.compare == "a guess: 28.0 %; without it, by another photo of the person: 7 %"


def test_audit_that_has_no_rank_by_another_photo_is_told_without():
    older = report_content(0.3)
    network = older["identity_attacks"]["networks"]["drawn_faces"]
    for found in (network["worst"], *network["attacks"]):
        for source in ("code", "task_output", "unprotected"):
            del found[source]["reid_other_photo_rank1"]
    for content in (older, other_photo(report_content(0.3), None)):
        assert "another photo" not in identity_words.finding_words(content)
        assert summary.embedding_row(content).compare == "a guess: 28.0 %"
        (table,) = identity_words.tables(content)
        assert table.rows[-1][2]["code"]["reid_other_photo_rank1"]["value"] is None
        assert "rank 1, other photo" in tensorboard.markdown(content)


def test_network_that_finds_most_people_counts():
    content = report_content(0.3)
    networks = content["identity_attacks"]["networks"]
    networks["other"] = report_content(0.3)["identity_attacks"]["networks"]["drawn_faces"]
    networks["other"]["worst"]["code"]["reid_rank1"]["value"] = 0.9
    assert identity_words.best_network(content) == "other"
    assert "90 % of the cases" in identity_words.finding_words(content)
    row = summary.embedding_row(content)
    assert (row.code["value"], row.is_share) == (0.9, True)
    assert "by other" in row.measure


def test_summary_has_a_row_and_older_audits_none():
    questions = [row.question for row in summary.summary_rows(report_content(0.3))]
    assert sum("without a picture" in question for question in questions) == 1
    questions = [row.question for row in summary.summary_rows(without_attacks())]
    assert not any("without a picture" in question for question in questions)


def test_tables_end_with_the_worst_and_stand_in_tensorboard():
    (table,) = identity_words.tables(report_content(0.3))
    assert [row[0] for row in table.rows] == ["ridge", "fusion", "worst"]
    assert table.rows[-1][2]["code"]["cosine"]["value"] == 0.4
    text = tensorboard.markdown(report_content(0.3))
    assert "compared by the network for drawn faces" in text
    assert "| ridge | 0.300 [0.200, 0.400] | 0.300 [0.200, 0.400] |" in text
    assert "predicted" not in tensorboard.markdown(without_attacks()).partition("| |")[2]
