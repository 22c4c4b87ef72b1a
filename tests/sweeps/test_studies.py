"""Every study's points are possible settings, and its comparisons are of points that it has."""

import dataclasses
import pathlib

import pytest
from absl import flags

from arl_tf.config import flag_definitions
from arl_tf.config import settings as settings
from arl_tf.config.choices import CUTS, STUDIES
from arl_tf.config.settings import Config
from arl_tf.data.faces import generation
from arl_tf.experiments.sweeps import studies

CONFIGS = pathlib.Path(__file__).parents[2] / "configs"
CELEBA = tuple(f"Attribute_{number}" for number in range(33)) + studies.TASK_ORDER
TASK_KINDS = {"near identity": ("Male", "Young"), "local": ("Smiling", "Eyeglasses")}


def planned(name, config=None, names=generation.ATTRIBUTE_NAMES):
    return studies.STUDIES[name].points(config or Config(), names)


def by_place(name, config=None, names=generation.ATTRIBUTE_NAMES):
    return {point.x: point.overrides for point in planned(name, config, names)}


def test_every_study_that_the_flag_offers_is_defined():
    assert tuple(studies.STUDIES) == STUDIES


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("names", [generation.ATTRIBUTE_NAMES, CELEBA])
def test_every_point_is_a_possible_config_with_a_label_of_its_own(name, names):
    points = planned(name, names=names)
    for point in points:
        dataclasses.replace(Config(), **point.overrides)
    assert len({point.label for point in points}) == len(points) > 4


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("names", [generation.ATTRIBUTE_NAMES, CELEBA])
def test_every_comparison_has_points_on_both_sides_of_one_line(name, names):
    points = planned(name, names=names)
    contrasts = studies.STUDIES[name].contrasts(points)
    assert contrasts
    for contrast in contrasts:
        matched = "series" if contrast.on == "x" else "x"
        first, last = (
            {getattr(point, matched) for point in points if getattr(point, contrast.on) == wanted}
            for wanted in (contrast.first, contrast.last)
        )
        assert first & last, contrast


def test_features_are_every_cut_with_both_widths():
    found = {(p.overrides["cut"], p.overrides["code_channels"]) for p in planned("features")}
    assert found == {(cut, channels) for cut in CUTS for channels in (8, 32)}


def test_tasks_have_1_5_10_and_all_attributes_and_two_kinds_of_two():
    found = by_place("tasks", names=CELEBA)
    named = {x: each["task_attributes"].split(",") for x, each in found.items()}
    assert [len(named[size]) for size in ("1", "5", "10")] == [1, 5, 10]
    assert named["all"] == [""]
    assert {kind: tuple(named[kind]) for kind in TASK_KINDS} == TASK_KINDS
    # A larger task asks for all that a smaller one asks for.
    assert set(named["1"]) < set(named["5"]) < set(named["10"]) < set(CELEBA)


def test_tasks_of_drawn_faces_name_only_what_they_have():
    for overrides in by_place("tasks").values():
        asked = filter(None, overrides["task_attributes"].split(","))
        assert set(asked) <= set(generation.ATTRIBUTE_NAMES)


def test_a_kind_of_task_that_the_data_lack_is_left_out():
    found = by_place("tasks", names=("Male", "Young", "Bald"))
    assert set(found) == {"1", "all", "near identity"}


def test_another_domain_is_studied_only_where_its_data_are_named():
    assert "other domain" not in by_place("data")
    config = Config(attacker_dataset="celeba", attacker_data_dir="elsewhere")
    assert by_place("data", config)["other domain"] == {
        "public_dataset": "celeba",
        "public_data_dir": "elsewhere",
    }


def test_sizes_of_x2_go_from_a_hundredth_to_the_whole():
    shares = [p.overrides["public_share"] for p in planned("data") if p.series == "X2"]
    assert shares == [0.01, 0.1, 0.3, 1.0]


def test_adversaries_grow_from_weak_to_strong_on_both_sides():
    points = planned("adversary", Config(decoder_width=16, attacker_width=16, attacker_steps=600))
    trained = [p.overrides["decoder_width"] for p in points if p.x == "weak attacker"]
    weakest = [p for p in points if p.series == "trained against weak"]
    assert trained == [8, 16, 32]
    assert [p.overrides["attacker_width"] for p in weakest] == [8, 16, 32]
    assert [p.overrides["attacker_steps"] for p in weakest] == [300, 600, 1200]


def test_every_ingredient_differs_from_what_it_was_added_to_by_itself_alone():
    config = Config(point_epochs=4, epochs=6)
    found = by_place("defence", config)
    changed = {
        name: {
            setting
            for setting in {*found[name], *found[base]}
            if found[name].get(setting) != found[base].get(setting)
        }
        for name, base in studies.ADDED_TO.items()
    }
    adversary = {"defence", "objective", "point_epochs"}
    noise = {"code_noise", "lambda_rate"}
    assert changed == {
        "hinge": adversary,
        "toward_mean": adversary,
        "toward_task": adversary,
        "+ ensemble": {"decoders"},
        "+ restarts": {"decoder_restart_epochs"},
        "+ 3 decoder steps": {"decoder_steps"},
        "sign code": {"code_levels"},
        "fixed noise": {"code_noise"},
        "learned noise": noise,
        "learned noise, sign": {"code_levels"},
        "learned noise, toward_mean": adversary,
    }


def test_all_ingredients_move_the_encoder_for_as_many_epochs():
    config = Config(point_epochs=4, epochs=6)
    for overrides in by_place("defence", config).values():
        adversarial = 0 if overrides["defence"] == "none" else config.epochs
        assert overrides["point_epochs"] + adversarial == 10


@pytest.mark.parametrize("defence", ["none", "pixel"])
def test_ingredients_do_not_depend_on_switches_of_the_base(defence):
    base = Config(defence=defence, code_levels=2, code_noise=1.0, lambda_rate=1e-4, decoders=2)
    found = by_place("defence", base)
    assert found["hinge"]["defence"] == ("both" if defence == "none" else defence)
    nothing = dataclasses.replace(base, **found["nothing more"])
    assert nothing.defence == "none" and not nothing.code_levels and not nothing.code_noise


@pytest.mark.parametrize("name", STUDIES)
@pytest.mark.parametrize("more", [["--data_dir=somewhere"], ["--dataset=faces"]])
def test_the_study_s_config_file_is_a_whole_command(name, more, monkeypatch):
    monkeypatch.chdir(CONFIGS.parent)
    values = flags.FlagValues()
    flag_definitions.define_flags(values)
    values(["arl_tf", f"--flagfile=configs/study_{name}.cfg", *more])
    given = settings.from_mapping(flag_definitions.given_flags(values))
    assert (given.stages, given.study) == ("study", name)
    header = (CONFIGS / f"study_{name}.cfg").read_text()
    assert f"--flagfile=configs/study_{name}.cfg" in header and "Time: " in header
