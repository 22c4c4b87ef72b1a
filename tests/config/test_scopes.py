"""Each setting says its scope once: every list of names is derived from it."""

import dataclasses

import pytest

from arl_tf.config import scopes
from arl_tf.config.option import option
from arl_tf.config.settings import Config
from arl_tf.experiments import audits


def with_setting(**scope):
    """Config with a made-up setting `made_up`, whose default is 3."""
    made_up = option(3, "Made up.", group=scope.pop("group", "train"), **scope)
    return dataclasses.make_dataclass(
        "Made", [("made_up", int, made_up)], bases=(Config,), frozen=True
    )


@pytest.mark.parametrize(
    ("scope", "derived", "expected"),
    [
        ({"defence": True}, scopes.reference_values, 3),
        ({"audited_encoder": True}, scopes.reference_values, 3),
        ({"unprotected": 1}, scopes.reference_values, 1),
        ({"defence": True}, scopes.shared_encoder_values, 3),
        ({"unprotected": 1}, scopes.shared_encoder_values, 1),
        ({"ingredient": True}, scopes.no_defence_values, 3),
        ({"unprotected": 1}, scopes.no_defence_values, 1),
        ({"unprotected": 1}, scopes.unprotected_values, 1),
    ],
)
def test_a_made_up_setting_lands_in_each_derived_set_of_values(scope, derived, expected):
    assert derived(with_setting(**scope))["made_up"] == expected
    assert "made_up" not in derived(with_setting())


@pytest.mark.parametrize(
    ("mark", "value"),
    [
        ("attack_identity", True),
        ("one_audit", True),
        ("compared", False),
        ("shared", "audit"),
        ("shared", "model"),
    ],
)
def test_a_made_up_setting_lands_in_each_derived_list_of_names(mark, value):
    assert "made_up" in scopes.marked(with_setting(**{mark: value}), mark, value=value)
    assert "made_up" not in scopes.marked(with_setting(), mark, value=value)


def test_what_decides_an_attack_is_part_of_a_stored_attack_s_name():
    marked = with_setting(attack_identity=True)(made_up=5)
    assert audits.audit_settings(marked).attack_identity["made_up"] == 5
    assert "made_up" not in audits.audit_settings(with_setting()()).attack_identity


def test_a_setting_that_protects_counts_against_unprotected():
    made = with_setting(unprotected=1)
    assert not made(defence="none", made_up=2).is_unprotected
    assert made(defence="none", made_up=1).is_unprotected


def test_a_finished_stage_refuses_another_value_of_compared_settings_alone():
    assert "made_up" in with_setting()().stage_settings("train")
    assert "made_up" not in with_setting(compared=False)().stage_settings("train")


def test_the_unprotected_reference_has_no_defence_and_no_channel():
    found = scopes.reference_values(Config)
    assert found["defence"] == "none" and found["code_noise"] == 0 and found["channel_noise"] == 0
    assert found["reference"] == "" and found["lambda_perceptual"] == Config.lambda_perceptual
    assert "image_size" not in found and "attacker_steps" not in found


def test_a_mark_that_there_is_not_is_refused():
    with pytest.raises(TypeError, match="defense"):
        option(0, "Misspelt.", group="train", defense=True)
