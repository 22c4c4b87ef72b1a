"""Figures and attackers as people read them."""

import pytest
from reports import report_content

from arl_tf.attacks import registry
from arl_tf.report import utility_words, wording


@pytest.mark.parametrize(
    ("late_gain", "words"), [(None, ""), (0.0099, "yes"), (-0.2, "yes"), (0.031, "no: 3.1 %")]
)
def test_attacker_has_converged_below_one_percent(late_gain, words):
    assert wording.converged({"late_gain": late_gain}) == words


def test_notes_say_what_an_attacker_is_and_how_far_its_seeds_lie_apart():
    attack = {"settings": {"words": "a decoder"}}
    assert wording.attack_notes(attack) == "a decoder"
    attack["seeds"] = {"count": 3, "face_similarity": {"lowest": 0.3, "highest": 0.34}}
    assert wording.attack_notes(attack) == ("a decoder; 3 seeds: face similarity 0.300 to 0.340")
    assert wording.attack_notes({"settings": {}}) == ""


def test_notes_of_an_attack_on_the_task_output_name_it_in_place_of_the_code():
    attack = {
        "name": "task_output/linear",
        "settings": {"words": "a map from the code to pixels; the pictures of task_output/code"},
        "knew": {"words": "the codes of 52 public images"},
    }
    assert wording.attack_notes(attack) == (
        "a map from the task output to pixels; the pictures of task_output/code; it knew the task"
        " outputs of 52 public images"
    )
    assert "the code to pixels" in wording.attack_notes({**attack, "name": "linear"})


def test_gaps_are_training_against_fresh_attackers():
    content = report_content()
    assert ("face_similarity", 0.3, 0.5) in wording.training_gaps(content)
    content["training_adversary"] = None
    assert wording.training_gaps(content) == []


@pytest.mark.parametrize(
    ("value", "interval", "words"),
    [
        (0.571, [0.512, 0.628], "57 % (51 to 63 %)"),
        (0.04, [-0.012, 0.1], "4 % (0 to 10 %)"),
        (-0.003, [-0.02, 0.014], "0 % (0 to 1 %)"),
        (0.97, [0.93, 1.02], "97 % (93 to 100 %)"),
        (0.2, None, "20 %"),
    ],
)
def test_share_of_cases_stays_within_0_and_100_percent(value, interval, words):
    assert wording.percent({"value": value, "ci95": interval}) == words
    assert wording.share(value) == words.partition(" (")[0]


@pytest.mark.parametrize(
    ("value", "interval", "share", "figure"),
    [
        (0.571, [0.512, 0.628], "57 % (51 to 63 %)", "57 % (51 to 63 %)"),
        (1.1, [0.9, 1.3], "110 % (90 to 130 %)", "110 % (90 to 130 %)"),
        (0.04, [-0.012, 0.1], "4 % (0 to 10 %)", "0.04 (-0.01 to 0.10)"),
        (-0.004, [-0.031, 0.02], "0 % (0 to 2 %)", "0.00 (-0.03 to 0.02)"),
        (-0.05, None, "0 %", "-0.05"),
    ],
)
def test_leakage_below_0_is_a_plain_number_and_never_a_negative_share(
    value, interval, share, figure
):
    leakage = {"value": value, "ci95": interval}
    assert (wording.leaked(leakage), wording.leakage_figure(leakage)) == (share, figure)


def test_undefined_figures_are_dashes():
    assert wording.format_estimate({"value": None, "ci95": None}) == "–"


def test_mean_mcc_names_how_many_attributes_it_is_over_and_which_are_left_out():
    utility = {
        "attributes": dict.fromkeys(("Smiling", "Male", "Bald")),
        "mean_mcc": {"value": 0.3, "ci95": [0.2, 0.4]},
        "mean_mcc_two_classes": {"value": 0.45, "ci95": [0.3, 0.6]},
        "one_class": ["Bald"],
    }
    name, found = utility_words.headline(utility)
    assert (name, found["value"]) == ("mean MCC over 2 of 3 attributes", 0.45)
    said = utility_words.one_class_words(utility)
    assert "Bald" in said and "in mean_mcc: 0.300 [0.200, 0.400]" in said
    utility["one_class"] = []
    assert utility_words.headline(utility) == ("mean MCC", utility["mean_mcc"])
    assert utility_words.one_class_words(utility) == ""


@pytest.mark.parametrize("attack", [*registry.ATTACKERS, "task_output/retrieval", "a user's own"])
def test_every_attack_s_pictures_have_a_reading(attack):
    short, long = wording.reading(report_content(), attack)
    assert short and long.endswith(".")
    assert ("somebody else" in short) == attack.endswith("retrieval")


def test_names_may_be_broken_at_underscores_slashes_and_full_stops_and_at_last_anywhere():
    assert wording.breakable("Narrow_Eyes") == "Narrow_<wbr>Eyes"
    assert wording.breakable("/a.b") == "/<wbr>a.<wbr>b"
    assert wording.breakable("x" * 13) == "x" * 12 + "<wbr>x"
    assert wording.breakable("<b>") == "&lt;b&gt;"


def test_what_no_decoder_makes_is_not_read_as_a_decoder_s():
    content = report_content()
    of_decoders = wording.reading(content, "decoder")
    read_so = {n for n in registry.ATTACKERS if wording.reading(content, n) == of_decoders}
    assert {name.split("_")[0] for name in read_so} == {"decoder", "attention"}
    assert wording.reading(content, "decoder@1") == of_decoders


@pytest.mark.parametrize("name", ["grey", "mapper", "task_output/kernels", "a user's own"])
def test_nothing_is_said_of_how_a_registered_attacker_works(name):
    short, long = wording.reading(report_content(), name)
    assert short == "an attacker's picture" and "none of this program's own attackers" in long


def test_flags_are_marked_whole_and_all_else_is_escaped():
    found = wording.with_whole_flags("a <b> (--reference=auto trains one), --code_noise=1, 5 %")
    assert found == (
        "a &lt;b&gt; (<span class=flag>--reference=auto</span> trains one),"
        " <span class=flag>--code_noise=1</span>, 5\N{NO-BREAK SPACE}%"
    )


def test_a_user_s_attacker_gets_no_words_of_an_attacker_that_is_called_alike(monkeypatch):
    monkeypatch.setattr(registry, "ATTACKERS", dict(registry.ATTACKERS))
    content = report_content()
    of_ours = wording.reading(content, "kernel")
    for name in ("kernel_of_mine", "my_retrieval"):
        registry.ATTACKERS[name] = registry.ATTACKERS["linear"]
        assert wording.reading(content, name) != of_ours
        assert wording.reading(content, name) == wording.reading(content, "of_nobody_s_kind")
        assert not wording.is_retrieval(name)
    assert wording.is_retrieval("retrieval") and wording.is_retrieval("task_output/retrieval")
