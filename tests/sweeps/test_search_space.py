"""What a sweep varies: read from text, refused by name, combined."""

import pytest

from arl_tf.config.settings import Config
from arl_tf.experiments.sweeps import search_space
from arl_tf.experiments.sweeps.search_space import Choices, Range


def test_values_have_the_types_of_their_settings():
    space = search_space.parse_space("lambda_pixel=0.5|1; code_levels=0|2;objective=hinge")
    assert space == {
        "lambda_pixel": Choices((0.5, 1.0)),
        "code_levels": Choices((0, 2)),
        "objective": Choices(("hinge",)),
    }
    assert [type(value) for value in space["lambda_pixel"].values] == [float, float]
    assert [type(value) for value in space["code_levels"].values] == [int, int]


def test_range_is_logarithmic_where_it_begins_above_zero():
    space = search_space.parse_space("lambda_pixel=0.1..10;code_noise=0..2")
    assert space == {"lambda_pixel": Range(0.1, 10.0), "code_noise": Range(0.0, 2.0)}
    assert space["lambda_pixel"].is_logarithmic and not space["code_noise"].is_logarithmic


def test_range_of_an_integer_setting_has_integer_ends():
    ends = search_space.parse_space("decoder_steps=1..4")["decoder_steps"]
    assert (ends.low, ends.high) == (1, 4) and isinstance(ends.low, int)


def test_grid_holds_every_combination_the_last_setting_fastest():
    space = search_space.parse_space("code_noise=0|1;decoder_steps=1|2|3")
    assert search_space.grid(space) == [
        {"code_noise": noise, "decoder_steps": steps} for noise in (0.0, 1.0) for steps in (1, 2, 3)
    ]


def test_grid_of_a_range_is_refused_with_the_remedy():
    space = search_space.parse_space("code_noise=0..1")
    with pytest.raises(ValueError, match=r"code_noise a range.*--sweep_trials=N"):
        search_space.grid(space)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no setting"),
        (" ; ", "names no setting"),
        ("code_noise", "'code_noise' can't be read"),
        ("code_noise=", "can't be read"),
        ("code_noise=0;code_noise=1", "names code_noise twice"),
        ("code_nois=1", "Did you mean code_noise"),
        ("zzzz=1", "'zzzz', which is no setting of model or training. One of: "),
        ("code_noise=0|x", "takes values of type float, got 'x'"),
        ("code_noise=1|1.0", "has a value twice"),
        ("code_levels=2.5", "takes values of type int, got '2.5'"),
        ("code_noise=1..1", "is empty; expected LOW..HIGH with LOW < HIGH"),
        ("code_noise=1..", "takes values of type float, got ''"),
        ("objective=a..b", "objective is no number and has no range"),
        ("objective=no_such", "objective"),
        ("code_noise=-1", "code_noise"),
    ],
)
def test_what_can_not_be_swept_is_refused_by_name(text, words):
    with pytest.raises(ValueError, match=words.replace(".", r"\.")):
        search_space.parse_space(text)


@pytest.mark.parametrize("name", ["warm_start", "workdir", "batch", "attacker_steps", "sweep"])
def test_settings_of_other_groups_can_not_be_swept(name):
    with pytest.raises(ValueError, match=f"names '{name}'"):
        search_space.parse_space(f"{name}=1")


def test_every_sweepable_setting_takes_its_own_default():
    for name, field in search_space.sweepable_fields().items():
        if field.default not in ("", None):
            assert search_space.parse_value(field, str(field.default)) == getattr(Config(), name)
