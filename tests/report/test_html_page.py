"""report.html says what the audit found, shows no original unasked and needs no network."""

import html
import re

import numpy as np
import pytest
from reports import COUNT, audit_report

from arl_tf.report import html_page, verdict, wording

SPACE = "\N{NO-BREAK SPACE}"


def page_of(found, **settings):
    """The page, with plain spaces between numbers and units."""
    return html_page.render(
        found, **{"embed_originals": True, "reference_pictures": None, **settings}
    ).replace(SPACE, " ")


def originals_in(page, found):
    return sum(html_page.data_uri(image) in page for image in found.originals)


def test_page_says_the_verdict_the_figures_and_what_was_not_tested():
    found = audit_report(leakage=0.37)
    page = page_of(found)
    box = re.search(r'<div class="verdict" id="verdict">(.*?)</div>', page, re.DOTALL)[1]
    said = [html.unescape(text) for text in re.findall(r"<p>(.*?)</p>", box)]
    assert said == verdict.sentences(found.content)
    for text in ("0.370", "decoder", "not tested thing", "assumed thing", "warned thing", "runs/x"):
        assert text in page


def test_no_line_breaks_between_a_number_and_its_unit():
    assert wording.unbroken("95 % of 60 bits") == f"95{SPACE}% of 60{SPACE}bits"
    assert wording.unbroken("3 bitsy words, 1 d B, % 5") == "3 bitsy words, 1 d B, % 5"
    page = html_page.render(
        audit_report(leakage=0.37), embed_originals=True, reference_pictures=None
    )
    box = re.search(r'<div class="verdict" id="verdict">(.*?)</div>', page, re.DOTALL)[1]
    assert f"37{SPACE}%" in box
    # In a plot no line breaks.
    assert not re.search(r".*[0-9] %.*", re.sub(r"<svg.*?</svg>", "", page, flags=re.DOTALL))


def test_page_has_a_row_for_every_attacker_with_its_tail_time_and_convergence():
    found = audit_report(leakage=0.37)
    found.content["attacks"][1]["late_gain"] = 0.05
    table = re.search(r'<table class="cards attackers".*?</table>', page_of(found), re.DOTALL)[0]
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    decoder = next(row for row in rows if "<code>decoder</code>" in row)
    for text in ("what decoder is", "0.700", "black-box", '"Seconds">1<', '"Converged">yes<'):
        assert text in decoder
    assert "no: 5.0 %" in next(row for row in rows if "<code>linear</code>" in row)
    assert any("<code>task_<wbr>output/<wbr>decoder</code>" in row for row in rows)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.0, "< 0.1"), (0.04, "< 0.1"), (0.44, "0.4"), (1.0, "1"), (40.6, "41"), (1250.2, "1,250")],
)
def test_seconds_of_an_attacker_are_never_said_to_be_none(seconds, words):
    assert wording.seconds_words(seconds) == words


def test_page_folds_its_parts_on_a_phone_only():
    page = page_of(audit_report())
    parts = re.findall(r'<details class="part"( open)?>\n<summary><h2>(.*?)</h2>', page)
    assert all(is_open for is_open, _ in parts)
    assert [title for _, title in parts][:3] == [
        "The pictures",
        "Every attacker",
        "What else the code tells",
    ]
    # The verdict, the summary and the leakage are always shown.
    assert page.index("<h2>Leakage</h2>") < page.index('<details class="part"')


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
        "one_class": [],
    }
    content["floors"]["task_output"] = dict.fromkeys(content["floors"]["task_output"], nothing)
    content["codes"] |= {"identity_probe": None, "attribute_probe": {}}
    content["codes"]["linkage"]["cosine"]["task_output"] = None
    del found.pictures["task_output"]
    page = page_of(found)
    assert "No labels were given: utility was not measured." in page
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
        "from the task output alone",
        "unprotected code",
    ]


def test_found_pictures_are_said_to_be_somebody_else_s_below_each_of_them():
    found = audit_report()
    found.pictures["retrieval"] = found.pictures["linear"]
    found.content["worst"]["face_similarity"]["attack"] = "retrieval"
    found.per_image["retrieval"] = found.per_image["linear"]
    words = "public picture of somebody else"
    for entry in html_page.wall_entries(found, True, None):
        notes = {tile["name"]: tile["note"] for tile in entry["tiles"]}
        assert notes["attack"] == words
        assert notes["original"] == ""
    page = page_of(found)
    assert page.count(f"<small>{words}</small>") == COUNT
    readings = re.search(r'<dl id="readings".*?</dl>', page, re.DOTALL)[0]
    assert "Nothing is reconstructed" in readings


def summary_rows(page):
    """Question -> the text of its row in the summary."""
    table = re.search(r'<table class="cards" id="summary">.*?</table>', page, re.DOTALL)[0]
    rows = re.findall(r'<tr><th scope="row">(.*?)<small>(.*?)</tr>', table, re.DOTALL)
    return {name: re.sub(r"<[^>]*>", " ", rest).replace("&nbsp;", " ") for name, rest in rows}


def test_summary_has_pictures_people_linkage_and_probes_beside_floors_and_yardsticks():
    rows = summary_rows(page_of(audit_report(leakage=0.37)))
    picture = rows["make a picture of the face"]
    for text in ("0.50", "0.20", "0.80", "two photos of one person: 0.75", "two strangers: 0.05"):
        assert text in picture
    person = rows["find the person among the 5 test images with such a picture"]
    for text in ("50 %", "20 %", "80 %", "another photo of the person: 75 %", "a guess: 28.0 %"):
        assert text in person
    assert "0.80" in rows["tell whether two codes are of the same person"]
    known = rows["name which of 20 known people it is"]
    assert "40 %" in known and "20 %" in known and "a guess: 5.0 %" in known
    assert "0.50" in rows["read an attribute that the task does not need (Young)"]


def test_summary_says_what_was_not_measured():
    found = audit_report()
    found.content["codes"] |= {"identity_probe": None, "attribute_probe": {}}
    page = page_of(found)
    assert len(summary_rows(page)) == 5
    assert "Whether known people can be named from a code was not measured" in page
    assert "attributes outside the task was not measured" in page


def test_page_says_what_the_data_were_and_when():
    found = audit_report()
    page = page_of(found)
    assert "faces drawn by arl_tf, no photographs" in page and "2026-11-25" in page
    assert "The figures say nothing about photographs of people." in page
    found.content["measured_on"] |= {"faces": "photographs"}
    found.content["provenance"]["settings"]["dataset"] = "celeba"
    page = page_of(found)
    assert "Data: photographs (celeba), 5 test images of 4 people." in page
    assert "faces drawn" not in page


def test_provenance_is_folded_and_words_are_explained():
    page = page_of(audit_report())
    box = r'<details id="provenance_box">(.*?)</details>'
    assert 'id="provenance"' in re.search(box, page, re.DOTALL)[1]
    glossary = page[page.index('<dl class="glossary">') :]
    for word in ("code", "face similarity", "floor", "leakage", "MCC", "public images"):
        assert re.search(rf"<dt>[^<]*{word}[^<]*</dt>", glossary)


def test_page_names_the_attributes_that_the_mean_mcc_leaves_out():
    found = audit_report()
    found.content["utility"] |= {
        "attributes": {
            name: {"mcc": 0.4, "mcc_at_0": 0.3, "accuracy": 0.9, "positives": 3}
            for name in ("Smiling", "Male", "Bald")
        },
        "thresholds": dict.fromkeys(("Smiling", "Male", "Bald"), 0.25),
        "one_class": ["Bald"],
        "undefined_mcc": ["Bald", "Male"],
    }
    words = re.search(r'id="utility_words">(.*?)</p>', page_of(found))[1]
    assert words.startswith("Mean MCC over 2 of 3 attributes 0.410")
    assert "the same value: Bald." in words
    assert "always gives the same answer for Male;" in words


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
    assert html_page.dotted_rows(facts) == [
        ("seed", "1"),
        ("versions.keras", "3"),
        ("layers", "a, b"),
    ]


def test_pictures_of_the_best_attack_on_the_code_are_shown_where_the_task_output_is_worst():
    found = audit_report()
    for section in (found.content["worst"], found.content["floors"]["task_output"]):
        section["face_similarity"]["attack"] = "task_output/decoder"
    tiles = html_page.wall_entries(found, True, None)[0]["tiles"]
    assert [tile["name"] for tile in tiles] == ["original", "attack", "task_output"]
    shown = {html_page.data_uri(picture) for picture in found.pictures["decoder"]}
    assert tiles[1]["caption"] == "from the code" and tiles[1]["picture"] in shown
    page = page_of(found)
    assert "Its pictures are those “from the task output alone”." in page
    readings = re.search(r'<dl id="readings".*?</dl>', page, re.DOTALL)[0]
    assert "the picture from the code." in readings
    assert "the picture from the task output." in readings


def test_column_that_is_empty_in_all_rows_is_left_out():
    found = audit_report()
    assert ">Converged</th>" in page_of(found)
    for attack in found.content["attacks"] + found.content["floor_attacks"]:
        attack["late_gain"] = None
    table = re.search(r'<table class="cards attackers".*?</table>', page_of(found), re.DOTALL)[0]
    assert "Converged" not in table
    rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
    assert len({len(re.findall(r"<t[hd][ >]", row)) for row in rows}) == 1


def test_photos_that_are_blurred_by_nothing_have_no_row():
    found = audit_report()
    assert "blurred by 1.5 pixels" in page_of(found)
    found.content["judges"][0]["blur_pixels"] = 0.04
    page = page_of(found)
    assert "blurred by 0.0 pixels" not in page and "The photos in the second row" not in page


def test_legend_explains_originals_that_are_left_out():
    page = page_of(audit_report(), embed_originals=False)
    readings = re.search(r'<dl id="readings".*?</dl>', page, re.DOTALL)[0]
    assert "<dt>original</dt>" in readings and "<code>--report_originals</code> shows" in readings


def test_page_shows_the_probe_that_the_summary_counts_and_every_other():
    found = audit_report()
    probes = {"linear": 0.1, "mlp": 0.2, "kernel": 0.31, "task_output_linear": 0.15}
    probes |= {"task_output_mlp": 0.05, "task_output_kernel": 0.42}
    found.content["codes"]["attribute_probe"] = {"Young": {"mcc": 0.42, **probes}}
    table = re.search(
        r'<table class="cards wide" id="probes">.*?</table>', page_of(found), re.DOTALL
    )[0]
    assert re.findall(r"<td [^>]*>(?:<b>)?([\d.]+)", table) == [
        "0.420",
        *(f"{value:.3f}" for value in probes.values()),
    ]
    assert "Task output: kernel" in table


def test_page_of_an_audit_without_kernel_probes_leaves_their_cells_empty():
    found = audit_report()
    found.content["codes"]["attribute_probe"] = {"Young": {"mcc": 0.5, "linear": 0.5, "mlp": 0.4}}
    table = re.search(
        r'<table class="cards wide" id="probes">.*?</table>', page_of(found), re.DOTALL
    )[0]
    assert '<td data-label="Code: kernel">–</td>' in table


def test_an_audit_on_validation_calls_its_images_validation_images_everywhere():
    found = audit_report(leakage=0.37)
    found.content["measured_on"]["split"] = "validation"
    page = page_of(found, embed_originals=False)
    text = " ".join(html.unescape(re.sub("<[^>]*>", "", page)).split())
    # Named once, as what these images are not.
    assert re.findall(r".{29}test (?:images?|photos?)\b.{4}", text) == [
        "by them, so they are not the test images (T)"
    ]
    for words in (
        "the right person among the 5 validation images is found",
        "finds the right person among the validation images, with",
        "find the person among the 5 validation images with such a picture",
        "most similar of all 5 validation images",
        f"Left out: the {COUNT} original validation photos",
        "had never seen the people of the validation images",
    ):
        assert words in text
    assert "<dt>validation images</dt>" in page
    assert "<dt>test images</dt>" in page_of(audit_report(leakage=0.37))
