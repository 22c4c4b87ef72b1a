"""Who takes part in a bench, and what each is trained with."""

import dataclasses

import pytest

from arl_tf.config.settings import Config
from arl_tf.defences import registry
from arl_tf.defences.definition import Defence, Number
from arl_tf.experiments.benches import contestants

CONFIG = Config(stages="bench")
KNOWN = contestants.all_contestants(CONFIG)


def test_every_registered_defence_takes_part_beside_the_methods_own():
    own = {"none", "pixel", "perceptual", "both", "toward_mean"}
    assert set(KNOWN) == {*registry.DEFENCES, *own, "priced_noise", "priced_noise_distilled"}
    names = {contestant.name for contestant in contestants.chosen_contestants(CONFIG)}
    assert names == set(KNOWN) - {"contrastive"}
    assert "--private_attributes" in contestants.left_out(CONFIG)["contrastive"]


def test_a_defence_that_somebody_registers_takes_part(monkeypatch):
    own = Defence("mine", Number("Share.", 0.5, 0.1, 1.0, (0.2, 0.8)))
    monkeypatch.setitem(registry.DEFENCES, "mine", own)
    found = contestants.all_contestants(CONFIG)["mine"]
    assert (found.weakest, found.strongest) == (0.2, 0.8)


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_every_strength_is_within_the_defences_own_range(name):
    contestant = KNOWN[name]
    if not contestant.setting:
        assert contestant.overrides(0.1) == contestant.overrides(0.9)
        return
    values = [contestant.strength(position) for position in (0, 0.3, 0.5, 1)]
    assert values == sorted(set(values)) and values[0] > 0
    if name in registry.DEFENCES:
        for value in values:
            assert registry.choice_of(name, value).strength == value


def test_the_range_is_logarithmic_around_the_default():
    noise = KNOWN["noise"]
    assert [noise.strength(p) for p in (0, 0.5, 1)] == [0.0333, 1.0, 30.0]
    # The default of --lambda_perceptual, and its part of configs/celeba_small.cfg.
    settings = KNOWN["both"].overrides(0.5)
    assert (settings["lambda_perceptual"], settings["lambda_pixel"]) == (0.02, 2.0)


@pytest.mark.parametrize("name", sorted(set(KNOWN) - {"contrastive"}))
def test_nothing_of_another_defence_is_left_in_a_contestant(name):
    # A command that protects in every way: each contestant has its own protection alone.
    loaded = dataclasses.replace(
        CONFIG,
        **{"code_noise": 2.0, "lambda_rate": 1e-3, "decoders": 3, "objective": "hinge"},
    )
    plain = contestants.all_contestants(CONFIG)[name]
    same = contestants.all_contestants(loaded)[name]
    changed = [dataclasses.replace(c, **plain.overrides(0.5)) for c in (CONFIG, loaded)]
    assert plain == same and changed[0] == changed[1]
    assert changed[0].is_unprotected == (name == "none")


def test_who_fights_no_decoders_trains_the_encoder_for_as_many_epochs():
    config = dataclasses.replace(CONFIG, point_epochs=2, epochs=5)
    for contestant in contestants.chosen_contestants(config):
        found = dataclasses.replace(config, **contestant.overrides(0.5))
        fight = 0 if found.defence == "none" else found.epochs
        assert found.point_epochs + fight == 7


def test_an_unknown_defence_is_named_with_the_nearest():
    with pytest.raises(ValueError, match=r"no defence 'nopeak'.*Did you mean nopeek\?"):
        contestants.chosen_contestants(dataclasses.replace(CONFIG, bench_defences="noise,nopeak"))


def test_a_defence_twice_or_one_that_is_impossible_is_refused():
    with pytest.raises(ValueError, match="has a name twice"):
        contestants.chosen_contestants(dataclasses.replace(CONFIG, bench_defences="noise,noise"))
    with pytest.raises(ValueError, match=r"=contrastive can't take part.*--private_attributes"):
        contestants.chosen_contestants(dataclasses.replace(CONFIG, bench_defences="contrastive"))


def test_noise_is_left_out_where_the_code_is_not_normalised():
    left = contestants.left_out(dataclasses.replace(CONFIG, code_channels=0))
    assert {"noise", "laplace", "priced_noise"} <= set(left)
    assert "nopeek" not in left
