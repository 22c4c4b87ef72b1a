"""Who leaks least: the answer and its sentence."""

from arl_tf.experiments.benches.answers import OPTIONAL, QUESTIONS, answer, questions

UNKNOWN = {"value": None, "ci95": None}


def entry(name, value, half=0.05, *, state="finished", kept=True):
    found = UNKNOWN if value is None else {"value": value, "ci95": [value - half, value + half]}
    final = {"state": state, "kept_on_test": kept, "figures": {"leakage": found}}
    return {"name": name, "finals": {"0.97": final}}


def asked(*entries):
    return answer(0.97, "leakage", entries)


def test_the_winner_is_named_with_its_interval_and_the_next():
    found = asked(entry("noise", 0.4), entry("priced", 0.2), entry("nopeek", 0.9))
    assert (found["least"], found["is_sure"], found["overlapping"]) == ("priced", True, [])
    assert found["words"] == (
        "At 97 % of the unprotected utility priced leaks least: the leakage of face similarity is"
        " 0.20 (0.15 to 0.25); next is noise with 0.40 (0.35 to 0.45)."
    )


def test_overlapping_intervals_have_no_winner():
    found = asked(entry("noise", 0.28), entry("priced", 0.2), entry("nopeek", 0.9))
    assert (found["least"], found["is_sure"], found["overlapping"]) == ("priced", False, ["noise"])
    assert found["words"] == (
        "At 97 % of the unprotected utility there is no winner: the leakage of face similarity is"
        " lowest for priced, 0.20 (0.15 to 0.25), which can't be told from noise 0.28 (0.23 to"
        " 0.33): the intervals overlap."
    )


def test_intervals_that_touch_overlap_and_one_without_interval_is_never_beaten():
    assert not asked(entry("a", 0.25, 0.25), entry("b", 0.75, 0.25))["is_sure"]
    bare = entry("b", 0.9)
    bare["finals"]["0.97"]["figures"]["leakage"] = {"value": 0.9, "ci95": None}
    found = asked(entry("a", 0.2), bare)
    assert not found["is_sure"]
    assert "b 0.90 (no interval): intervals overlap or are not known" in found["words"]


def test_who_missed_the_utility_on_t_or_is_not_done_can_not_win():
    found = asked(
        entry("broken", 0.0, kept=False),
        entry("waiting", 0.1, state="unfinished"),
        entry("noise", 0.4),
        entry("nopeek", 0.9),
    )
    assert found["least"] == "noise" and found["missed"] == ["broken", "waiting"]


def test_one_alone_wins_nothing_and_nobody_is_no_answer():
    assert "only noise kept it" in asked(entry("noise", 0.4))["words"]
    assert not asked(entry("noise", 0.4))["is_sure"]
    found = asked(entry("noise", None))
    assert found["least"] is None and "there is no answer:" in found["words"]
    assert "there is no answer yet" in asked(entry("noise", None, state="waiting"))["words"]


def test_a_defence_that_failed_is_said_and_is_not_waited_for():
    broken = entry("broken", None, state="failed", kept=False)
    found = asked(broken, entry("noise", 0.4), entry("priced", 0.2))
    assert (found["least"], found["is_sure"], found["failed"]) == ("priced", True, ["broken"])
    assert found["missed"] == [] and "so far" not in found["words"]
    assert found["words"].endswith("Not compared, because trainings or audits failed: broken.")
    nobody = asked(broken)["words"]
    assert "there is no answer:" in nobody and "failed: broken." in nobody


def test_while_others_wait_the_answer_is_of_those_measured_so_far_and_not_sure():
    waiting = entry("nopeek", None, state="unfinished", kept=False)
    found = asked(waiting, entry("noise", 0.4), entry("priced", 0.2))
    assert found["least"] == "priced" and not found["is_sure"]
    assert found["words"].startswith(
        "At 97 % of the unprotected utility, of those measured so far, priced leaks least: "
    )
    overlapping = asked(waiting, entry("noise", 0.21), entry("priced", 0.2))
    assert "of those measured so far, there is no winner" in overlapping["words"]


def test_the_order_of_the_defences_does_not_matter():
    entries = [entry("noise", 0.4), entry("priced", 0.2), entry("nopeek", 0.9)]
    assert asked(*entries) == asked(*entries[::-1])
    equal = [entry("b", 0.4), entry("a", 0.4), entry("c", 0.4, kept=False), entry("d", 0.1)]
    assert asked(*equal) == asked(*equal[::-1])


def test_what_no_audit_measured_is_not_asked_for():
    entries = [entry("noise", 0.4), entry("priced", 0.2)]
    assert set(questions(entries)) == set(QUESTIONS) - set(OPTIONAL)
    figures = entries[1]["finals"]["0.97"]["figures"]
    figures["leakage.identity_embedding"] = {"value": 0.3, "ci95": [0.2, 0.4]}
    assert set(questions(entries)) == set(QUESTIONS) - {"protected_gain"}
    # An older audit lacks the figure: its defence is not compared.
    found = answer(0.97, "leakage.identity_embedding", entries)
    assert found["least"] == "priced" and not found["is_sure"]
    assert "the leakage of the embedding that attackers predict is 0.30" in found["words"]
