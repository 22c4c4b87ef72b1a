"""The verdict says who can do what with a code, and grades nothing that it can't know."""

import re

import pytest
from reports import report_content

from arl_tf.auditing.remarks import DROPPED_SEEN
from arl_tf.report import verdict

NOTHING = {"best": {"value": None, "ci95": None}}
UNMEASURED = {"code": NOTHING, "task_output": NOTHING, "unprotected": NOTHING, "chance": 0.2}
# As the audit writes it where nothing could be measured.
UNMEASURED_CANDIDATES = {
    "candidates": 5,
    "exact": UNMEASURED,
    "degraded": {"together": UNMEASURED},
    "other_photo": UNMEASURED,
}


def white_box(content):
    """The audit as if an attacker had used the inside of the encoder."""
    content["attacks"][1]["knowledge"] = "white-box"
    return content


def strong(content):
    """The audit with all that 'strong protection' asks for: photographs have two judges."""
    content["measured_on"]["faces"] = "photographs"
    content["worst"]["face_similarity_2"] = {"attack": "decoder", "value": 0.4, "ci95": None}
    content["leakage"]["face_similarity_2"] = content["leakage"]["face_similarity"]
    return white_box(content)


def test_verdict_begins_with_who_can_do_what_beside_the_yardsticks():
    said = verdict.verdict(report_content(leakage=0.37))
    assert said.startswith(
        "In the worst case (a decoder's picture, named decoder; the worst of 3 attackers, 1 of them"
        " on the task output), whoever gets one code of a photo and knows the codes of other"
        " photos can make a picture of the face with a similarity of 0.50 to the original (two"
        " photos of one person: 0.75, two strangers: 0.05, a photo and its blurred copy: 0.85)."
    )
    assert "By the best picture, the right person among the 5 test images is found in 50 %" in said
    assert "(the task output alone: 20 %, a guess: 28.0 %)" in said
    assert said.endswith("The task reaches a mean MCC of 0.410.")


def test_verdict_says_that_retrieval_finds_somebody_else_s_picture_and_makes_none():
    content = report_content(leakage=0.37)
    content["worst"]["face_similarity"]["attack"] = "retrieval"
    said = verdict.verdict(content)
    assert "can find a public picture of somebody else whose face has a similarity of 0.50" in said
    assert "a public picture of somebody else, named retrieval;" in said
    content["measured_on"] |= {"faces": "photographs", "identities_known": False}
    assert "can find a public photo whose face has" in verdict.verdict(content)


def test_verdict_says_in_words_when_the_worst_attack_is_on_the_task_output():
    content = report_content(leakage=0.37)
    content["worst"]["face_similarity"]["attack"] = "task_output/decoder"
    assert (
        "(a decoder's picture, named decoder, from the task output computed from the code; the"
        " worst of 3 attackers, 1 of them on the task output), whoever" in verdict.verdict(content)
    )


def test_verdict_says_when_the_worst_attacker_has_the_encoder():
    content = report_content(leakage=0.37)
    content["attacks"][0]["knowledge"] = "white-box"
    assert "whoever gets one code of a photo and has the encoder can" in verdict.verdict(content)
    content["codes"]["codes_per_photo"] = 16
    assert "whoever gets 16 codes of a photo and has" in verdict.verdict(content)


def test_verdict_gives_leakage_its_interval_the_attacker_and_a_grade():
    said = verdict.verdict(white_box(report_content(leakage=0.37)))
    assert "gives away 37 % (32 to 42 %) of what an unprotected code gives away beyond" in said
    assert "beyond the task output (leakage of face similarity). This is some protection." in said


def test_verdict_says_that_nothing_was_found_beyond_the_task_output():
    content = report_content(leakage=0.0)
    content["leakage"]["face_similarity"] = {"value": 0.0, "ci95": [0.0, 0.03]}
    said = verdict.verdict(strong(content))
    assert "no more from the code than from the task output computed from it: 0 % (0 to 3" in said
    assert "This is strong protection against these attackers." in said


def test_a_grade_counts_predicted_embeddings_too():
    content = strong(report_content(leakage=0.02))
    assert "This is strong protection" in verdict.verdict(content)
    network = content["identity_attacks"]["networks"]["drawn_faces"]
    network["leakage"] = {"cosine": {"value": 0.13, "ci95": [0.1, 0.16]}}
    assert "This is good protection" in verdict.verdict(content)


def test_protection_is_not_claimed_where_attackers_of_the_level_were_left_out():
    content = white_box(report_content(leakage=0.02))
    content["not_tested"] = ["attackers of this level that --attackers leaves out: decoder, map"]
    said = verdict.verdict(content)
    assert (
        "These may get more: attackers of this level that --attackers leaves out: decoder" in said
    )
    assert "does not show that the code is protected" in said and "protection against" not in said


@pytest.mark.parametrize(
    "codes",
    [
        {"bounded_by": "noise"},
        {"bounded_by": "the channel's noise"},
        {"noisy": True},
        {"channel": {"noise": 1.0}},
    ],
)
@pytest.mark.parametrize("leakage", [-0.24, 0.02, 0.37])
def test_noisy_code_is_not_called_protected_by_attackers_who_were_not_told_the_noise(
    codes, leakage
):
    content = white_box(report_content(leakage))
    content["codes"] |= codes
    said = verdict.verdict(content)
    assert "not told the noise of the codes, so these figures are too low" in said
    assert "does not show that the code is protected" in said
    assert "protection" not in said


def test_recorded_codes_are_not_called_protected_because_their_noise_is_unknown():
    content = white_box(report_content(leakage=0.02))
    content["codes"]["noisy"] = None
    for attack in content["attacks"]:
        attack["knew"] = {"noise": "unknown", "words": "codes"}
    said = verdict.verdict(content)
    assert "unknown whether these codes have noise" in said and "protection" not in said
    assert "does not show that the code is protected" in said


def test_noisy_code_is_graded_where_an_attacker_was_told_the_noise():
    content = strong(report_content(leakage=0.02))
    content["codes"]["noisy"] = True
    content["attacks"][1]["knew"] = {"noise": "asked", "words": "much"}
    said = verdict.verdict(content)
    assert "not told" not in said and "This is strong protection against these" in said


def test_strong_protection_is_said_beside_the_candidate_match_alone():
    assert verdict.grade_of(strong(report_content(leakage=0.05))).startswith("strong")
    for missing in (None, UNMEASURED_CANDIDATES):
        content = strong(report_content(leakage=0.05))
        content["codes"]["candidate_match"] = missing
        assert verdict.grade_of(content).startswith("good")
        assert (
            "not called strong, because nobody measured whether a candidate photo can be confirmed."
        ) in verdict.verdict(content)


def test_faces_judged_once_are_not_called_strongly_protected_and_other_images_need_no_judge():
    content = white_box(report_content(leakage=0.05))
    said = verdict.verdict(content)
    assert "This is good protection" in said
    assert "not called strong, because only one judge of identity measured the pictures." in said
    content["measured_on"]["faces"] = "none"
    assert "This is strong protection" in verdict.verdict(content)


def test_protection_is_not_claimed_where_nobody_left_dropped_values_out():
    content = strong(report_content(leakage=0.02))
    content["not_tested"] = [DROPPED_SEEN]
    said = verdict.verdict(content)
    assert "Not tested: pictures, searches" in said and "protection against" not in said
    assert "does not show that the code is protected" in said


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (None, "good"),
        ({"value": None, "ci95": None}, "good"),
        ({"value": 0.03, "ci95": [0.0, 0.1]}, "strong"),
        ({"value": 0.03, "ci95": [0.0, 0.11]}, "good"),
        ({"value": 0.6, "ci95": [0.5, 0.7]}, "weak"),
        ({"value": 0.03, "ci95": None}, "too uncertain"),
    ],
)
def test_grade_is_by_the_judge_who_finds_more(second, words):
    content = strong(report_content(leakage=0.05))
    content["leakage"]["face_similarity_2"] = second
    content["worst"]["face_similarity_2"] = second or {"value": None, "ci95": None}
    assert verdict.grade_of(content).startswith(words)


def test_second_judge_that_measured_and_knows_no_leakage_leaves_no_grade():
    content = strong(report_content(leakage=0.05))
    content["worst"]["face_similarity_2"] = {"value": 0.3, "ci95": [0.2, 0.4]}
    content["leakage"]["face_similarity_2"] = {"value": None, "ci95": None}
    assert not verdict.claims_protection(content)
    assert verdict.grade_of(content) == "too uncertain for a grade"
    said = verdict.verdict(content)
    assert "Only one judge" not in said and "protection against" not in said
    assert "The leakage by the second judge of identity is unknown, because by this judge" in said
    assert "Face similarities by this judge: this code 0.30." in said


def test_first_judge_that_knows_no_leakage_leaves_no_grade_to_the_second():
    content = strong(report_content(leakage=0.05))
    content["leakage"]["face_similarity"] = {"value": None, "ci95": None}
    content["leakage"]["face_similarity_2"] = {"value": 0.03, "ci95": [0.0, 0.05]}
    assert verdict.grade_of(content) == "too uncertain for a grade"


def test_network_that_measured_and_knows_no_leakage_leaves_no_grade():
    content = strong(report_content(leakage=0.05))
    network = content["identity_attacks"]["networks"]["drawn_faces"]
    network["leakage"] = {"cosine": {"value": None, "ci95": None}}
    assert verdict.grade_of(content) == "too uncertain for a grade"


def test_verdict_says_what_the_second_judge_finds_or_that_there_was_one_only():
    content = report_content(leakage=0.05)
    assert "Only one judge of identity measured these pictures." in verdict.verdict(content)
    content["leakage"]["face_similarity_2"] = {"value": 0.2, "ci95": [0.1, 0.3]}
    content["worst"]["face_similarity_2"] = {"value": 0.35, "ci95": None}
    said = verdict.verdict(content)
    assert "By the second judge of identity the leakage is 20 % (10 to 30 %)" in said
    assert "Face similarities by this judge: this code 0.35." in said and "Only one" not in said


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.04, "gives away 4 % (0 to 9 %) of what"), (-0.03, "output computed from it: -0.03 (-0.06")],
)
def test_no_verdict_has_a_negative_share(value, words):
    content = report_content(leakage=0.05)
    found = {"value": value, "ci95": [value - 0.05 + 0.02 * (value < 0), 0.09]}
    content["leakage"] = dict.fromkeys(content["leakage"], found) | {"face_similarity_2": found}
    content["worst"]["face_similarity_2"] = {"value": 0.35, "ci95": None}
    said = verdict.verdict(content)
    assert words in said and not re.search(r"-[0-9.]+ %", said)


def test_leakage_stands_beside_the_six_absolute_figures():
    assert (
        "on one scale: the mean image 0.10, two strangers 0.05, the task output alone 0.20, this"
        " code 0.50, an unprotected code 0.80, two photos of one person 0.75."
    ) in verdict.verdict(report_content(leakage=0.37))
    assert "on one scale" not in verdict.verdict(report_content())


def test_quick_attackers_prove_no_protection_and_the_verdict_says_why():
    content = white_box(report_content(leakage=0.02))
    content["level"] = "quick"
    said = verdict.verdict(content)
    assert "Only the attackers of the level quick were tried" in said
    assert "strong protection" not in said and "does not show that the code is protected" in said


def test_attackers_who_did_not_see_the_encoder_prove_no_protection():
    said = verdict.verdict(report_content(leakage=0.05))
    assert "No attacker used the inside of the encoder" in said
    assert "strong protection" not in said and "does not show that the code is protected" in said


def test_judges_who_confuse_people_prove_no_protection():
    content = white_box(report_content(leakage=0.02))
    assert "confuses people" not in verdict.verdict(content)
    content["judges"][0]["originals"]["auc"] = {"value": 0.7, "ci95": [0.6, 0.8]}
    said = verdict.verdict(content)
    assert "A judge of identity confuses people in the photos themselves" in said
    assert "strong protection" not in said and "does not show that the code is protected" in said


def test_leak_is_a_leak_whoever_found_it():
    content = report_content(leakage=0.95)
    content["codes"]["noisy"] = True
    said = verdict.verdict(content)
    assert "This is no protection to speak of." in said
    assert "does not show that the code is protected" not in said


@pytest.mark.parametrize(
    ("value", "ci95", "words"),
    [
        (0.05, [0.0, 0.09], "strong protection"),
        # The value alone would be strong; the true leakage may be higher.
        (0.05, [0.0, 0.2], "good protection"),
        (0.3, [0.2, 0.45], "some protection"),
        (0.6, [0.5, 0.7], "weak protection"),
        (0.95, [0.8, 1.1], "no protection"),
        # The best of values says little where its interval is unknown.
        (0.05, None, "too uncertain for a grade"),
    ],
)
def test_grade_is_by_the_upper_end_of_the_interval(value, ci95, words):
    assert verdict.grade({"value": value, "ci95": ci95}).startswith(words)


def test_verdict_names_the_floor_where_leakage_is_unknown():
    said = verdict.verdict(report_content())
    assert "The task output alone gives a similarity of 0.20. The leakage of the code is" in said
    assert "unknown, because there is no audit of an unprotected encoder" in said


def test_verdict_says_when_the_reference_is_no_better_than_the_floor():
    content = report_content(leakage=0.37)
    content["leakage"]["face_similarity"] = {"value": None, "ci95": None}
    said = verdict.verdict(content)
    assert "unknown, because the unprotected encoder gives away no more than that" in said


def test_verdict_counts_attackers_properly():
    content = report_content(leakage=0.37)
    content |= {"attacks": content["attacks"][:1], "floor_attacks": []}
    assert "(a decoder's picture, named decoder; the only attacker)" in verdict.verdict(content)


def test_verdict_does_without_labels_and_without_yardsticks():
    content = report_content(leakage=0.37)
    content["utility"]["mean_mcc"] = {"value": None, "ci95": None}
    # As an older audit's report.json.
    for section, keys in (
        (content, ("yardsticks",)),
        (content["utility"], ("one_class", "mean_mcc_two_classes")),
        (content["measured_on"], ("chance_rank1", "identities_known", "faces")),
        (content["codes"], ("noisy",)),
    ):
        for key in keys:
            del section[key]
    said = verdict.verdict(content)
    assert "MCC" not in said and "two strangers" not in said


def test_verdict_says_over_how_many_attributes_the_mean_mcc_is():
    content = report_content(leakage=0.37)
    names = [f"a{number}" for number in range(40)]
    content["utility"] |= {
        "attributes": {name: {"mcc": 0.4, "accuracy": 0.9, "positives": 3} for name in names},
        "one_class": ["a3", "a7"],
        "mean_mcc_two_classes": {"value": 0.45, "ci95": [0.4, 0.5]},
    }
    assert "a mean MCC over 38 of 40 attributes of 0.450" in verdict.verdict(content)
