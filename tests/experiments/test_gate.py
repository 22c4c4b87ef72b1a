"""The privacy gate opens for an audit of this very encoder that meets every condition."""

import pytest

from arl_tf.config import conditions
from arl_tf.config.conditions import parse_conditions
from arl_tf.experiments import gate

CONDITIONS = parse_conditions("face_similarity<=0.25,mean_mcc>=0.4")


def estimate(value, low=None, high=None):
    return {"value": value, "ci95": None if low is None else [low, high]}


def audit(**changes):
    """report.json's content, as far as the gate reads it."""
    unknown = dict.fromkeys(conditions.ATTACK_MEASURES, estimate(None))
    return {
        "provenance": {"encoder_sha256": "abc"},
        "utility": {
            "mean_mcc": estimate(0.45, 0.41, 0.49),
            "accuracy": estimate(0.9),
            "roc_auc": estimate(0.9),
        },
        "worst": {**unknown, "face_similarity": estimate(0.2, 0.18, 0.24)},
        "floors": {"task_output": unknown},
        "leakage": unknown,
        "codes": {"linkage_auc": estimate(0.7), "channel": None},
        **changes,
    }


def judged(report, asked=CONDITIONS, sha256="abc", reference=None):
    return gate.judge(asked, report, sha256, reference)


def test_gate_opens_for_an_audit_that_meets_every_condition():
    found = judged(audit())
    assert found.passed
    assert found.words == ""
    assert [outcome.holds for outcome in found.outcomes] == [True, True]
    gate.require_passed(found, "the run", allow_unaudited=False)


def test_gate_reads_what_is_got_from_the_task_output_in_a_report_that_did_not_count_it():
    unknown = dict.fromkeys(conditions.ATTACK_MEASURES, estimate(None))
    floor = {**unknown, "face_similarity": estimate(0.382, 0.37, 0.39)}
    report = audit(
        worst={**unknown, "face_similarity": estimate(0.35, 0.34, 0.36)},
        floors={"task_output": floor},
    )
    found = judged(report, parse_conditions("face_similarity<=0.363"))
    assert not found.passed
    assert "face_similarity is 0.382" in found.words


def test_gate_opens_for_any_audit_where_nothing_is_required():
    assert judged(audit(), asked=()).passed


@pytest.mark.parametrize(
    ("report", "words"),
    [
        (None, "no audit of T"),
        (audit(provenance={"encoder_sha256": "old"}), "audit is of another encoder"),
        (
            audit(codes={"linkage_auc": estimate(0.7), "channel": {"noise": 0.1}}),
            "behind a channel",
        ),
    ],
)
@pytest.mark.parametrize("asked", [(), CONDITIONS])
def test_gate_stays_closed_without_an_audit_of_what_would_be_exported(report, words, asked):
    found = judged(report, asked)
    assert not found.passed
    assert words in found.words
    with pytest.raises(ValueError, match=r"the run is not exported.*--allow_unaudited"):
        gate.require_passed(found, "the run", allow_unaudited=False)


def test_gate_names_the_condition_that_is_missed_and_its_figure():
    worse = audit(utility={**audit()["utility"], "mean_mcc": estimate(0.45, 0.39, 0.5)})
    found = judged(worse)
    assert not found.passed
    with pytest.raises(ValueError, match=r"mean_mcc is 0.450, the low end of its interval 0.390"):
        gate.require_passed(found, "the run", allow_unaudited=False)
    assert "face_similarity" not in found.words


def test_share_of_the_reference_needs_the_reference():
    asked = parse_conditions("mean_mcc>=0.9*reference")
    assert not judged(audit(), asked).passed
    assert judged(audit(), asked, reference={"mean_mcc": estimate(0.45)}).passed
    assert not judged(audit(), asked, reference={"mean_mcc": estimate(0.46)}).passed


def test_who_says_so_goes_around_the_gate():
    gate.require_passed(judged(None), "the run", allow_unaudited=True)


@pytest.mark.parametrize(
    ("report", "allowed", "passed", "around"),
    [
        (audit(), False, True, False),
        (audit(), True, True, False),
        (None, True, False, True),
    ],
)
def test_manifest_tells_whether_the_gate_opened_or_was_gone_around(report, allowed, passed, around):
    told = judged(report).describe(allow_unaudited=allowed)
    assert (told["passed"], told["allowed_unaudited"]) == (passed, around)


def test_manifest_tells_every_condition_with_what_was_compared():
    told = judged(audit()).describe(allow_unaudited=False)["conditions"]
    assert told[0] == {
        "condition": "face_similarity<=0.25",
        "value": 0.2,
        "compared": 0.24,
        "bound": 0.25,
        "holds": True,
    }
