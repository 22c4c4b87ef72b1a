"""report.html says what the audit found, shows no original unasked and needs no network."""

import re

import numpy as np
import pytest
from reports import COUNT, audit_report

from arl_tf.report import html_page, wording


def page_of(found, **settings):
    return html_page.render(
        found, **{"embed_originals": True, "reference_pictures": None, **settings}
    )


def originals_in(page, found):
    return sum(html_page.data_uri(image) in page for image in found.originals)


def test_page_says_the_verdict_the_figures_and_what_was_not_tested():
    found = audit_report(leakage=0.37)
    page = page_of(found)
    assert f'id="verdict">{wording.verdict(found.content)}<' in page
    for text in ("0.370", "decoder", "not tested thing", "assumed thing", "warned thing", "runs/x"):
        assert text in page


def test_page_has_a_row_for_every_attacker_with_its_tail_time_and_convergence():
    found = audit_report(leakage=0.37)
    found.content["attacks"][1]["late_gain"] = 0.05
    table = re.search(r'<table class="attackers".*?</table>', page_of(found), re.DOTALL)[0]
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    decoder = next(row for row in rows if "<code>decoder</code>" in row)
    for text in ("what decoder is", "0.700", "black-box", "<td>1</td>", "<td>yes</td>"):
        assert text in decoder
    assert "no: 5.0 %" in next(row for row in rows if "<code>linear</code>" in row)
    assert any("<code>task_output/<wbr>decoder</code>" in row for row in rows)


@pytest.mark.parametrize(
    ("section", "value"),
    [("training_adversary", None), ("floor_attacks", []), ("warnings", [])],
)
def test_page_does_without_what_an_audit_may_lack(section, value):
    found = audit_report()
    found.content[section] = value
    assert "</html>" in page_of(found)


def test_page_does_without_labels_task_output_and_probes():
    found = audit_report()
    nothing = {"value": None, "ci95": None}
    content = found.content
    content["utility"] = {
        **dict.fromkeys(("mean_mcc", "accuracy", "roc_auc"), nothing),
        "attributes": {},
        "undefined_mcc": [],
    }
    content["floors"]["task_output"] = dict.fromkeys(content["floors"]["task_output"], nothing)
    content["codes"] |= {"identity_probe": None, "attribute_probe": {}}
    content["codes"]["linkage"]["cosine"]["task_output"] = None
    del found.pictures["task_output"]
    page = page_of(found)
    assert "Unknown: there are no labels" in page
    assert "without the code" in page
    assert "Who is it?" not in page


def test_page_sets_trainings_adversary_beside_the_worst_fresh_attacker():
    gaps = re.search(r'<table id="gaps">.*?</table>', page_of(audit_report()), re.DOTALL)[0]
    face = next(row for row in gaps.split("<tr>") if "Face similarity" in row)
    assert re.findall(r"<td>([\d.]+)</td>", face) == ["0.300", "0.500", "0.200"]


def test_page_embeds_no_original_unless_told_to_and_says_what_it_left_out():
    found = audit_report()
    assert originals_in(page_of(found), found) == COUNT
    page = page_of(found, embed_originals=False)
    assert originals_in(page, found) == 0
    assert f"Left out: the {COUNT} original test photos" in page
    assert "--report_originals" in page


@pytest.mark.parametrize("kind", ["decoder", "task_output", "reference"])
def test_picture_that_is_as_good_as_a_withheld_original_is_withheld_too(kind):
    found = audit_report()
    found.pictures["reference"] = found.pictures["linear"]
    given = found.pictures[kind]
    given[:2] = found.originals[:2]
    settings = {"embed_originals": False, "reference_pictures": found.pictures["reference"]}
    page = page_of(found, **settings)
    assert originals_in(page, found) == 0
    assert "and 2 pictures that are as good as their original or a public photo" in page
    assert page.count("as good as a photo: withheld") == 2
    assert all(html_page.data_uri(image) in page for image in given[2:])
    # Who may see the originals may see everything.
    assert "withheld" not in page_of(found, **settings | {"embed_originals": True})


def test_public_photographs_that_were_only_found_are_withheld_like_originals():
    found = audit_report()
    found.pictures["retrieval"] = found.pictures["linear"]
    found.content["worst"]["face_similarity"]["attack"] = "retrieval"
    found.per_image["retrieval"] = found.per_image["linear"]
    page = page_of(found, embed_originals=False)
    assert page.count("as good as a photo: withheld") == COUNT
    assert not any(html_page.data_uri(image) in page for image in found.pictures["linear"])
    assert "withheld" not in page_of(found, embed_originals=True)


def test_picture_is_near_above_30_db():
    original = np.full((4, 4, 3), 100, np.uint8)
    # An error of e everywhere gives 20 lg(255 / e): 30.07 dB for 8, 29.05 dB for 9.
    assert html_page.is_near(original + 8, original)
    assert not html_page.is_near(original + 9, original)


def test_wall_has_the_worst_protected_first_and_its_true_ranks():
    found = audit_report(count=130)
    found.content["tail"]["images"] = 2
    entries = html_page.wall_entries(found, True, None)
    assert len(entries) == 96
    similarities = [entry["similarity"] for entry in entries]
    assert similarities == sorted(similarities, reverse=True)
    assert [entry["rank"] for entry in entries[:12]] == list(range(1, 13))
    assert entries[-1]["rank"] == 130
    assert [entry["in_tail"] for entry in entries].index(False) == 2


def test_wall_shows_the_floor_and_the_reference_beside_the_attack():
    found = audit_report()
    entries = html_page.wall_entries(found, True, found.pictures["linear"])
    assert [tile["caption"] for tile in entries[0]["tiles"]] == [
        "original",
        "from the code",
        "from the task output",
        "unprotected code",
    ]


def test_page_needs_no_network():
    page = page_of(audit_report(leakage=0.4))
    assert "http" not in page
    addresses = re.findall(r'\b(?:src|href)="([^"]*)"', page)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    assert not re.search(r"@import|<link rel=\"stylesheet|fetch\(", page)


def test_names_are_escaped():
    found = audit_report()
    found.content["warnings"].append("<script>alert(1)</script>")
    assert "<script>alert" not in page_of(found)


def test_nested_facts_become_rows():
    facts = {"seed": 1, "versions": {"keras": "3"}, "layers": ["a", "b"]}
    assert html_page.flattened(facts) == [
        ("seed", "1"),
        ("versions.keras", "3"),
        ("layers", "a, b"),
    ]
