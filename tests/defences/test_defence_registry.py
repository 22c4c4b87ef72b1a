"""Names and numbers of defences: the same everywhere, and refused where they don't fit."""

import dataclasses

import pytest

from arl_tf.config import defences as names
from arl_tf.config.flag_definitions import flag_help
from arl_tf.config.inheritance import inherited
from arl_tf.config.settings import Config
from arl_tf.defences import registry
from arl_tf.defences.definition import Choice
from arl_tf.experiments import audited_encoders, train_stage


def test_the_flag_s_names_are_those_of_the_registry():
    assert [registry.NONE, *registry.METHOD, *registry.DEFENCES] == names.DEFENCES
    assert (names.NONE, names.METHOD) == (registry.NONE, registry.METHOD)
    assert [n for n in names.DEFENCES if registry.trains_decoders(n)] == names.WITH_DECODERS
    field = Config.__dataclass_fields__["defence"]
    assert all(name in flag_help(field) for name in registry.DEFENCES)


@pytest.mark.parametrize("name", registry.DEFENCES)
def test_every_defence_protects_by_something_and_its_defaults_are_in_range(name):
    defence = registry.DEFENCES[name]
    assert defence.loss or defence.layers or defence.shares
    assert defence.source and defence.strength.words
    found = registry.choice_of(name)
    assert found.strength == defence.strength.default
    assert found.bound == (defence.bound.default if defence.bound else 0)


def test_numbers_that_are_given_are_taken():
    assert registry.choice_of("ssim_hinge", 3.0, 0.5) == Choice("ssim_hinge", 3.0, 0.5)
    assert registry.choice_of("nopeek", 0.25) == Choice("nopeek", 0.25)
    for name in (registry.NONE, *registry.METHOD):
        assert registry.choice_of(name) is None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("nopeak",), ["no defence 'nopeak'", "Did you mean nopeek?"]),
        (("dropout", 1.5), ["--defence_strength", "[0.01, 0.99]", "got 1.5", "Probability"]),
        (("ssim_hinge", 1.0, 2.0), ["--defence_bound", "ssim_hinge", "got 2"]),
        (("nopeek", 1.0, 0.5), ["--defence=nopeek takes no --defence_bound", "0.5"]),
        (("distributed", 2.5), ["--defence_strength", "whole number", "got 2.5", "servers"]),
    ],
)
def test_numbers_that_do_not_fit_are_refused(given, words):
    with pytest.raises(ValueError) as error:
        registry.choice_of(*given)
    assert all(word in str(error.value) for word in words)


@pytest.mark.parametrize("defence", ["none", "pixel", "perceptual", "both"])
@pytest.mark.parametrize("name", ["defence_strength", "defence_bound"])
def test_numbers_without_a_published_defence_are_refused(defence, name):
    with pytest.raises(ValueError, match=rf"--{name}=2 .* got --defence={defence}"):
        Config(defence=defence, **{name: 2.0})


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"defence": "dropout", "defence_strength": 2.0}, "--defence_strength"),
        ({"defence": "noise", "code_channels": 0}, "--code_channels >= 1"),
        ({"defence": "noise", "code_noise": 0.5}, "leave out --code_noise=0.5"),
        ({"defence": "laplace", "code_levels": 2}, "leave out --code_levels=2"),
        ({"defence": "fisher", "deterministic": True}, "--deterministic"),
        ({"defence": "distributed", "code_channels": 3}, "--code_channels >= 4, got 3"),
    ],
)
def test_impossible_settings_are_refused_before_data_are_read(settings, words):
    with pytest.raises(ValueError, match=words):
        train_stage.check(Config(**settings), run=None, todo=[])


@pytest.mark.parametrize(
    "settings",
    [
        {"defence": "noise", "code_levels": 2},
        {"defence": "nopeek", "code_noise": 0.5, "code_levels": 4},
        {"defence": "bottleneck", "code_channels": 0},
    ],
)
def test_what_goes_together_is_taken(settings):
    train_stage.check(Config(**settings), run=None, todo=[])


def test_only_distributed_divides_codes_into_as_many_shares_as_there_are_servers():
    divided = {name: registry.shares_of(registry.choice_of(name)) for name in registry.DEFENCES}
    assert {name for name, shares in divided.items() if shares > 1} == {"distributed"}
    assert registry.shares_of(registry.choice_of("distributed", 6.0)) == 6
    assert registry.shares_of(None) == 1


def test_an_unknown_defence_and_a_study_of_no_adversary_are_refused():
    with pytest.raises(ValueError, match=r"--defence must be one of none, .*Did you mean nopeek"):
        Config(defence="nopeak")
    with pytest.raises(ValueError, match="--defence=nopeek"):
        Config(stages="study", study="adversary", defence="nopeek")
    Config(stages="study", study="adversary", defence="ssim_hinge")


def test_a_resumed_run_keeps_the_defence_and_its_numbers():
    config = Config(defence="ssim_hinge", defence_strength=2.0, defence_bound=0.4)
    found = inherited(dataclasses.asdict(config), {}, {"stages": "train"})
    assert [found[n] for n in ("defence", "defence_strength", "defence_bound")] == [
        "ssim_hinge",
        2.0,
        0.4,
    ]
    # A finished training is not continued with another strength.
    assert config.stage_settings("train")["defence_strength"] == 2.0


def test_a_report_says_the_defence_with_its_numbers():
    config = Config(defence="nopeek", defence_strength=0.5)
    assert audited_encoders.protection(config) == ["--defence=nopeek", "--defence_strength=0.5"]


def test_a_protected_run_is_no_reference():
    assert not Config(defence="noise").is_unprotected
