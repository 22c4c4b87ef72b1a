"""Conditions: how they are read, and which end of an interval they are held against."""

import json

import pytest
from reports import report_content

from arl_tf.config import audit_figures, conditions
from arl_tf.config.conditions import Condition, check_conditions, parse_conditions
from arl_tf.metrics import reconstruction

FIGURES = {
    "face_similarity": {"value": 0.24, "ci95": [0.22, 0.26]},
    "mean_mcc": {"value": 0.41, "ci95": [0.39, 0.43]},
    "leakage.face_similarity": {"value": 0.2, "ci95": [0.15, 0.2]},
    "leakage.feature_similarity": {"value": 0.05, "ci95": None},
    "leakage.psnr": {"value": None, "ci95": None},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("face_similarity<=0.25", Condition("face_similarity", 0.25)),
        (" mean_mcc >= 0.4 ", Condition("mean_mcc", 0.4)),
        ("leakage.reid_rank1<=1e-1", Condition("leakage.reid_rank1", 0.1)),
        ("mean_mcc>=0.95*reference", Condition("mean_mcc", 0.95, of_reference=True)),
        ("mean_mcc>=reference", Condition("mean_mcc", 1.0, of_reference=True)),
        ("mean_mcc>=0.5 * 0.8", Condition("mean_mcc", 0.4)),
        ("psnr<=-.5", Condition("psnr", -0.5)),
    ],
)
def test_condition_is_read_as_written(text, expected):
    assert parse_conditions(text) == (expected,)


def test_conditions_are_separated_by_commas_and_keep_their_order():
    read = parse_conditions("mean_mcc>=0.4, face_similarity<=0.25,")
    assert [condition.measure for condition in read] == ["mean_mcc", "face_similarity"]
    assert parse_conditions("") == ()


@pytest.mark.parametrize("text", ["face_similarity<=0.25", "mean_mcc>=0.95*reference"])
def test_condition_in_words_reads_as_itself(text):
    (condition,) = parse_conditions(text)
    assert str(condition) == text
    assert parse_conditions(str(condition)) == (condition,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("face_similarity<0.25", "can't be read"),
        ("face_similarity=0.25", "can't be read"),
        ("face_similarity<=", "can't be read"),
        ("face_similarity<=nan", "can't be read"),
        ("face_similarity<=0.25 and more", "can't be read"),
        ("mean_mcc>=reference*0.95", "can't be read"),
        ("mean_mc>=0.4", "unknown measure 'mean_mc'"),
        ("face_similarity>=0.25", "asks for a worse code: face_similarity takes <="),
        ("mean_mcc<=0.4", "asks for a worse code: mean_mcc takes >="),
        ("mean_mcc>=1e999", "finite number"),
    ],
)
def test_condition_that_makes_no_sense_is_refused(text, message):
    with pytest.raises(ValueError, match="The condition") as refused:
        parse_conditions(text)
    assert message in str(refused.value)
    assert text in str(refused.value)


def outcome(text, figures=FIGURES, reference=None):
    (found,) = check_conditions(parse_conditions(text), figures, reference)
    return found


def test_attackers_gain_is_held_against_the_high_end_of_its_interval():
    found = outcome("face_similarity<=0.25")
    assert (found.value, found.compared, found.holds) == (0.24, 0.26, False)
    assert outcome("face_similarity<=0.26").holds


def test_utility_is_held_against_the_low_end_of_its_interval():
    found = outcome("mean_mcc>=0.4")
    assert (found.value, found.compared, found.holds) == (0.41, 0.39, False)
    assert outcome("mean_mcc>=0.39").holds


def exact(value):
    """An estimate whose interval is its value; undefined for None."""
    return {"value": value, "ci95": None if value is None else [value, value]}


def two_judges(first, second):
    return {"face_similarity": exact(first), "face_similarity_2": exact(second)}


@pytest.mark.parametrize(
    ("first", "second", "measure", "holds"),
    [
        (0.2, 0.3, "face_similarity_2", False),
        (0.3, 0.2, "face_similarity", False),
        (0.2, 0.24, "face_similarity_2", True),
        (0.2, None, "face_similarity", True),
    ],
)
def test_condition_on_face_similarity_is_held_against_the_worse_of_both_judges(
    first, second, measure, holds
):
    found = outcome("face_similarity<=0.25", two_judges(first, second))
    assert (found.measure, found.holds) == (measure, holds)
    assert f"{measure} is" in found.words


def test_share_of_the_reference_is_that_of_the_same_judge():
    # By the first judge a half of the reference's, by the second nine tenths.
    found = outcome("face_similarity<=0.6*reference", two_judges(0.2, 0.18), two_judges(0.4, 0.2))
    assert (found.measure, found.bound) == ("face_similarity_2", pytest.approx(0.12))


@pytest.mark.parametrize(
    "text",
    [
        "leakage.face_similarity<=0.1",
        "leakage.face_similarity_2<=0.1",
        "leakage.identity_embedding<=0.1",
        "leakage.embedding_rank1<=0.1",
        "face_similarity<=0.1",
        "utility>=0.01",
    ],
)
def test_figure_without_an_interval_was_not_measured(text):
    (condition,) = parse_conditions(text)
    found = outcome(text, {condition.measure: {"value": 0.05, "ci95": None}})
    assert (found.value, found.compared, found.holds) == (0.05, None, False)
    assert found.words == (
        f"{text} is missed: {condition.measure} is 0.050, but has no interval: it may be anything"
    )


def test_bits_are_computed_and_need_no_interval():
    figures = {"capacity_bits": {"value": 60.0, "ci95": None}}
    assert outcome("capacity_bits<=60", figures).holds


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (
            exact(None),
            "the second judge measured the pictures, but has no figure of"
            " leakage.face_similarity_2",
        ),
        (
            {"value": 0.03, "ci95": None},
            "leakage.face_similarity_2 is 0.030, but has no interval: it may be anything",
        ),
    ],
)
def test_second_judge_that_measured_the_pictures_must_have_the_leakage_too(second, words):
    figures = {
        **two_judges(0.2, 0.3),
        "leakage.face_similarity": {"value": 0.02, "ci95": [0.0, 0.08]},
        "leakage.face_similarity_2": second,
    }
    found = outcome("leakage.face_similarity<=0.1", figures)
    assert not found.holds
    assert found.words == f"leakage.face_similarity<=0.1 is missed: {words}"
    # Where it measured nothing, the first judge's counts alone.
    alone = {**figures, "face_similarity_2": exact(None), "leakage.face_similarity_2": exact(None)}
    assert outcome("leakage.face_similarity<=0.1", alone).holds


def test_leakage_by_the_worse_judge_is_as_uncertain_as_the_less_certain_one():
    figures = {
        **two_judges(0.2, 0.3),
        "leakage.face_similarity": exact(0.02),
        "leakage.face_similarity_2": exact(0.4),
    }
    assert conditions.by_worse_judge(figures) == exact(0.4)
    for value, expected in ((None, None), (0.01, 0.02)):
        figures["leakage.face_similarity_2"] = {"value": value, "ci95": None}
        assert conditions.by_worse_judge(figures) == {"value": expected, "ci95": None}


@pytest.mark.parametrize("measure", ["leakage.psnr", "reid_rank1"])
def test_figure_that_was_not_measured_meets_no_condition(measure):
    found = outcome(f"{measure}<=1e9")
    assert (found.compared, found.holds) == (None, False)
    assert "no figure" in found.words


def test_share_of_the_reference_is_a_share_of_its_value():
    reference = {"mean_mcc": {"value": 0.4, "ci95": [0.1, 0.9]}}
    found = outcome("mean_mcc>=0.95*reference", reference=reference)
    assert found.bound == pytest.approx(0.38)
    assert found.holds
    assert not outcome("mean_mcc>=reference", reference=reference).holds


def test_share_of_an_unknown_reference_is_missed():
    found = outcome("mean_mcc>=0.95*reference")
    assert (found.bound, found.holds) == (None, False)
    assert "reference's figure is not known" in found.words


def test_words_say_where_the_reference_lacks_a_figure():
    figures = {"linkage_auc": exact(0.6), **FIGURES}
    attacked = outcome("linkage_auc<=0.9*reference", figures).words
    assert attacked.endswith(
        "this audit has no linkage_auc of the reference by the attackers of this code"
    )
    useful = outcome("mean_mcc>=0.9*reference", figures).words
    assert useful.endswith("its own report is not there, or has no mean_mcc")


def test_reference_counts_by_the_attackers_that_this_code_met():
    content, own = report_content(0.3), report_content()
    # Its own audit has since met an attacker that finds more.
    own["worst"]["face_similarity"] = {"attack": "strongest", **exact(0.95)}
    own["utility"]["mean_mcc"] = exact(0.6)
    found = audit_figures.reference_figures(content, audit_figures.report_figures(own))
    assert found["face_similarity"] is content["reference"]["worst"]["face_similarity"]
    assert found["face_similarity"]["value"] == 0.8
    assert (found["mean_mcc"], found["utility"]) == (exact(0.6), exact(0.6))
    assert found["capacity_bits"]["value"] == 2048
    # Figures of its own attackers: the audit says nothing of them.
    assert not {"linkage_auc", "protected_gain", "leakage.face_similarity"} & set(found)
    alone = audit_figures.reference_figures(content)
    assert "mean_mcc" not in alone and alone["face_similarity"]["value"] == 0.8
    assert audit_figures.reference_figures({"reference": None}, found) == {}


def test_reference_is_found_by_the_embeddings_that_attacks_on_this_code_predict():
    def section(*found, **more):
        attacks = [
            {"name": name, "unprotected": {"reid_rank1": estimate(value)}} for name, value in found
        ]
        return {"attacks": attacks, **more}

    def rank1(*sections):
        networks = dict(enumerate(sections))
        content = {**report_content(0.3), "identity_attacks": {"networks": networks}}
        return audit_figures.reference_figures(content)["embedding_rank1"]["value"]

    both = ("ridge", 0.5), ("fusion", 0.9)
    assert rank1(section(*both, left_out=[])) == 0.9
    assert rank1(section(*both, left_out=["fusion"])) == rank1(section(*both)) == 0.5
    assert rank1(section(*both, left_out=[]), section(("ridge", 0.7), left_out=[])) == 0.7
    assert rank1(section(*both, left_out=[]), section(("ridge", None), left_out=[])) is None
    assert rank1() is None


def test_words_tell_the_figure_and_the_end_that_counted():
    assert outcome("face_similarity<=0.25").words == (
        "face_similarity<=0.25 is missed: face_similarity is 0.240, the high end of its interval"
        " 0.260"
    )
    assert outcome("leakage.face_similarity<=0.5").words == (
        "leakage.face_similarity<=0.5 holds: leakage.face_similarity is 0.200"
    )


def network(cosine, rank1):
    gains = {"cosine": cosine, "reid_rank1": rank1}
    return {"leakage": gains, "worst": {"code": {m: {**each} for m, each in gains.items()}}}


def estimate(value, high=None):
    return {"value": value, "ci95": high and [0.0, high]}


def test_figures_of_embeddings_are_those_of_the_network_that_sees_more_at_the_cautious_end():
    networks = {
        "dlib": network(estimate(0.2, 0.5), estimate(0.1, 0.2)),
        "sface": network(estimate(0.3, 0.4), estimate(0.15, 0.18)),
        "blind": network(estimate(None), estimate(None)),
    }
    content = {**report_content(), "identity_attacks": {"networks": networks}}
    content["codes"] = {**content["codes"], "capacity_bits": 60.0}
    figures = audit_figures.report_figures(content)
    assert figures["leakage.identity_embedding"] == estimate(0.2, 0.5)
    assert figures["embedding_rank1"]["value"] == 0.1
    assert figures["leakage.embedding_rank1"]["value"] == 0.1
    for text, holds in (
        ("leakage.identity_embedding<=0.45", False),
        ("leakage.identity_embedding<=0.5", True),
        ("embedding_rank1<=0.19", False),
        ("embedding_rank1<=0.2", True),
        ("capacity_bits<=60", True),
        ("capacity_bits<=59", False),
    ):
        (found,) = conditions.check_conditions(parse_conditions(text), figures)
        assert found.holds is holds, text


@pytest.mark.parametrize("unsure", [estimate(None), estimate(0.01)])
def test_network_that_measured_the_code_must_have_the_leakage_too(unsure):
    networks = {
        "dlib": network(estimate(0.02, 0.05), estimate(0.02, 0.05)),
        "sface": network(estimate(0.6, 0.7), estimate(0.6, 0.7)),
    }
    networks["sface"]["leakage"] = {"cosine": unsure, "reid_rank1": unsure}
    content = {**report_content(), "identity_attacks": {"networks": networks}}
    figures = audit_figures.report_figures(content)
    for measure in ("leakage.identity_embedding", "leakage.embedding_rank1"):
        found = outcome(f"{measure}<=0.1", figures)
        assert (found.value, found.compared, found.holds) == (unsure["value"], None, False)


@pytest.mark.parametrize("measure", ["leakage.identity_embedding", "embedding_rank1"])
@pytest.mark.parametrize("section", ["older", "no faces"])
def test_audit_without_attacks_on_identity_has_no_figure_of_theirs(measure, section):
    content = {**report_content(), "identity_attacks": {"networks": {}}}
    if section == "older":
        del content["identity_attacks"]
    condition = parse_conditions(f"{measure}<=1")
    (found,) = conditions.check_conditions(condition, audit_figures.report_figures(content))
    assert not found.holds
    assert found.words == f"{measure}<=1 is missed: the audit has no figure for it"


def test_attack_measures_are_those_of_reconstructions():
    assert conditions.ATTACK_MEASURES == reconstruction.MEASURES


def test_report_holds_a_figure_for_every_measure(smoke_run):
    workdir, _ = smoke_run
    content = json.loads((workdir / "audit" / "report.json").read_text())
    figures = audit_figures.report_figures(content)
    assert set(figures) == set(conditions.DIRECTIONS)
    assert figures["face_similarity"] is content["worst"]["face_similarity"]
    assert figures["mean_mcc"] is content["utility"]["mean_mcc"]
    assert figures["leakage.ssim"] is content["leakage"]["ssim"]
