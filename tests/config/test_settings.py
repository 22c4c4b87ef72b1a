"""Settings: what is impossible is refused by name, and the flags say just what Config says."""

import dataclasses
import json
import pathlib

import numpy as np
import pytest
from absl import flags

from arl_tf.config import data_checks, flag_definitions, inheritance
from arl_tf.config import settings as settings
from arl_tf.config.scopes import marked
from arl_tf.config.settings import Config, audit_name
from arl_tf.models.pretrained import drawn_identity

OWN = {"dataset": "folder", "data_dir": "shapes"}
STUDY = {"stages": "study", "study": "data"}

FIELDS = dataclasses.fields(Config)


def parsed(*arguments: str) -> flags.FlagValues:
    values = flags.FlagValues()
    flag_definitions.define_flags(values)
    values(["program", *arguments])
    return values


def out_of_range() -> list[tuple[str, float, str]]:
    cases = []
    for field in FIELDS:
        step = 1 if isinstance(field.default, int) else 1e-3
        low, high = field.metadata["low"], field.metadata["high"]
        if low is not None:
            cases.append((field.name, low - step, f">= {low}"))
        if high is not None:
            cases.append((field.name, high + step, f"<= {high}"))
    return cases


def test_paths_and_numpy_scalars_are_taken_as_text_and_numbers():
    found = Config(
        workdir=pathlib.Path("runs/a"),
        seed=np.int64(3),
        lambda_pixel=np.float32(0.5),
        lambda_perceptual=np.float64(0.25),
        overwrite=np.True_,
    )
    assert found == Config(
        workdir="runs/a", seed=3, lambda_pixel=0.5, lambda_perceptual=0.25, overwrite=True
    )
    assert json.loads(json.dumps(dataclasses.asdict(found)))["seed"] == 3
    with pytest.raises(ValueError, match="--seed must be of type int, got"):
        Config(seed=np.float64(3))


@pytest.mark.parametrize(("name", "value", "range_text"), out_of_range())
def test_a_value_out_of_range_is_refused_with_flag_value_and_bound(name, value, range_text):
    with pytest.raises(ValueError, match="must be") as caught:
        Config(**{name: value})
    assert str(caught.value) == f"--{name} must be {range_text}, got {value}."


@pytest.mark.parametrize("field", [f for f in FIELDS if f.metadata["low"] is not None])
def test_every_bound_has_a_default_inside_it(field):
    low, high = field.metadata["low"], field.metadata["high"]
    assert low <= field.default and (high is None or field.default <= high)


@pytest.mark.parametrize("field", [f for f in FIELDS if f.metadata["choices"]])
def test_a_bad_choice_is_refused_with_the_choices_and_the_nearest(field):
    near = field.metadata["choices"][-1]
    with pytest.raises(ValueError, match=f"--{field.name} must be one of ") as caught:
        Config(**{field.name: near + "x"})
    message = str(caught.value)
    assert repr(near + "x") in message and f"Did you mean {near}?" in message
    assert ", ".join(field.metadata["choices"]) in message


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("field", [f for f in FIELDS if isinstance(f.default, float)])
def test_a_number_that_is_not_finite_is_refused(field, value):
    with pytest.raises(ValueError, match=f"--{field.name} must be a finite number, got {value}"):
        Config(**{field.name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("epochs", 1.0), ("epochs", "3"), ("epochs", True), ("mu", True), ("mu", "0.1"), ("cut", 1)],
)
def test_a_value_of_another_type_is_refused(name, value):
    with pytest.raises(ValueError, match=f"--{name} must be of type \\w+, got {value!r}"):
        Config(**{name: value})


def test_a_whole_number_is_taken_for_a_float():
    assert Config(lambda_pixel=2).lambda_pixel == 2.0


@pytest.mark.parametrize(
    ("values", "named"),
    [
        ({"stages": ""}, ["--stages", "''", "train, audit, export"]),
        ({"stages": "train,adit"}, ["--stages", "train,adit", "train, audit, export"]),
        ({"workdir": " "}, ["--workdir", "' '", "name the run directory"]),
        ({"dataset": "celebA"}, ["--dataset", "celebA", "tfds:NAME"]),
        ({"dataset": "tfds:"}, ["--dataset", "tfds:", "tfds:NAME"]),
        ({"dataset": "celeba"}, ["--dataset=celeba", "--data_dir=DIR", "got none"]),
        ({"data_dir": "photos"}, ["--data_dir", "photos", "add --dataset=celeba"]),
        ({"seed": data_checks.RESERVED_FACES_SEED}, ["--seed=730515811", "take another"]),
        ({"image_size": 100}, ["--image_size", "100", "try 96"]),
        ({"image_size": 33}, ["--image_size", "33", "try 32"]),
        (
            {"private_fraction": 0.8, "public_fraction": 0.2},
            ["--private_fraction=0.8", "--public_fraction=0.2", "leave at least 0.01"],
        ),
        (
            {"private_images": 5000, "public_images": 1000},
            ["--private_images=5000", "--public_images=1000", "--num_faces=6000", "draw more"],
        ),
        (
            {"num_faces": 100, "images_per_identity": 30},
            ["--num_faces=100", "--images_per_identity=30", "4 people", "fewer of each"],
        ),
        ({"defence": "none", "warmup_epochs": 0}, ["--defence=none", "--warmup_epochs", "0"]),
        ({"epochs": 0}, ["--defence=perceptual", "--epochs", "0", "--defence=none"]),
        ({"lambda_perceptual": 0}, ["--defence=perceptual", "--lambda_perceptual", "got 0"]),
        ({"defence": "pixel", "lambda_pixel": 0.0}, ["--defence=pixel", "--lambda_pixel"]),
        ({"defence": "both", "lambda_pixel": 0.0}, ["--defence=both", "--lambda_pixel"]),
        ({"defence": "both", "lambda_perceptual": 0.0}, ["both", "--lambda_perceptual"]),
        ({"perceptual_layers": " , "}, ["--perceptual_layers=' , '", "leave it empty"]),
        ({"defence": "none", "perceptual_layers": ","}, ["--perceptual_layers=','"]),
        ({"protected_attributes": "Male"}, ["--protected_attributes=Male", "--task_attributes"]),
        (
            {"protected_attributes": "Male", "task_attributes": "Male,Young"},
            ["--protected_attributes and --task_attributes both name Male", "there to tell"],
        ),
        (
            {"private_attributes": "Young", "task_attributes": "Male,Young"},
            ["--private_attributes and --task_attributes both name Young", "can't hide"],
        ),
        ({"code_noise": 1e-4}, ["--code_noise", "0.001", "0.0001"]),
        (
            {"stages": "study", "study": "adversary", "defence": "none"},
            ["--study=adversary", "--defence=none"],
        ),
        (
            {
                "stages": "sweep",
                "sweep": "code_noise=1|2",
                "target": "mean_mcc>=0.4",
                "channel_noise": 0.5,
            },
            ["--target=mean_mcc>=0.4", "--channel_noise=0.5"],
        ),
        (
            {**OWN, "task_kind": "regression", "require": "mean_mcc>=0.3"},
            ["--require=mean_mcc>=0.3", "--task_kind=regression", "utility"],
        ),
        (
            {**OWN, "task_kind": "single_label", "require": "mae<=3"},
            ["--require=mae<=3", "--task_kind=single_label", "utility"],
        ),
        (
            {**OWN, "task_kind": "regression", "identity_measures": "on", **STUDY},
            ["--stages=study", "--task_kind=regression", "--stages=sweep"],
        ),
        (
            {**OWN, "task_kind": "regression", "identity_measures": "on", "stages": "bench"},
            ["--stages=bench", "--task_kind=regression", "--stages=sweep"],
        ),
        (
            {**OWN, "stages": "bench"},
            ["--stages=bench", "--identity_measures=auto", "--dataset=folder", "one by one"],
        ),
    ],
)
def test_an_impossible_combination_is_refused_with_flag_value_and_remedy(values, named):
    with pytest.raises(ValueError, match="--") as caught:
        Config(**values)
    assert [part for part in named if part not in str(caught.value)] == []


@pytest.mark.parametrize(
    "values",
    [
        {"private_fraction": 0.053, "public_fraction": 0.937},
        {"private_fraction": 0.98, "public_fraction": 0.98, "public_images": 100},
        {"dataset": "tfds:celeb_a", "seed": data_checks.RESERVED_FACES_SEED},
        {"dataset": "celeba", "data_dir": "photos", "private_images": 160_000},
        {"defence": "none", "epochs": 0, "lambda_pixel": 0.0, "lambda_perceptual": 0.0},
        {"defence": "pixel", "lambda_perceptual": 0.0},
        {"num_faces": 100, "images_per_identity": 20},
    ],
)
def test_an_unusual_but_possible_combination_is_taken(values):
    assert {name: getattr(Config(**values), name) for name in values} == values


@pytest.mark.parametrize(
    ("defence", "weights"),
    [("none", (0, 0)), ("pixel", (3, 0)), ("perceptual", (0, 5)), ("both", (3, 5))],
)
def test_a_defence_leaves_only_its_own_weights(defence, weights):
    config = Config(defence=defence, lambda_pixel=3.0, lambda_perceptual=5.0)
    assert config.privacy_weights == weights


def test_stages_run_in_their_own_order_and_once():
    assert Config(stages=" export, train,train,").stage_names == ("train", "export")
    assert Config().stage_names == ("train", "audit", "export")
    everything = "attackers,export,audit,train"
    assert Config(stages=everything).stage_names == ("train", "audit", "export", "attackers")


def test_perceptual_layers_are_names_or_none():
    assert Config().perceptual_layer_names is None
    assert Config(perceptual_layers="a, b").perceptual_layer_names == ("a", "b")


def test_a_stage_depends_on_the_groups_before_it_and_never_on_the_run():
    config = Config()
    groups = {field.name: field.metadata["group"] for field in FIELDS}
    train, audit = set(config.stage_settings("train")), set(config.stage_settings("audit"))
    assert {groups[name] for name in train} == {"data", "model", "train"}
    assert {groups[name] for name in audit - train} == {"audit"} and train < audit
    export = set(config.stage_settings("export"))
    assert {groups[name] for name in export - train} == {"export"} and train < export
    sweep = set(config.stage_settings("sweep"))
    assert {groups[name] for name in sweep - audit} == {"sweep"} and audit < sweep
    assert set(inheritance.inheritable_names()) == audit | export | sweep | set(
        marked(Config, "compared", value=False)
    )
    assert config.stage_settings("train")["image_size"] == config.image_size


def recorded(**changes):
    return settings.as_dict(Config(**changes))


def test_audit_takes_over_what_earlier_stages_used_but_not_whom_another_audit_chose():
    of_training = recorded(stages="train", attackers="linear", attacker_steps=9, epochs=7)
    found = inheritance.inherited(of_training, {}, {"stages": "audit"})
    assert (found["attackers"], found["attacker_steps"], found["epochs"]) == ("linear", 9, 7)
    look = recorded(
        stages="audit", audit_split="validation", attackers="linear", channel_noise=2.0, epochs=7
    )
    found = inheritance.inherited(look, {}, {"stages": "audit"})
    assert not set(marked(Config, "one_audit")) & set(found)
    assert found["epochs"] == 7
    # One that was killed goes on as it was begun.
    again = inheritance.inherited(look, {}, {"stages": "audit", "audit_split": "validation"})
    assert again["attackers"] == "linear"


def test_finished_audit_is_asked_for_again_with_its_own_settings():
    of_test = Config(attackers="retrieval", attacker_steps=9).stage_settings("audit")
    look = recorded(stages="audit", audit_split="validation", attackers="linear", epochs=7)
    found = inheritance.inherited(look, {"audit_test": of_test}, {"stages": "audit"})
    assert (found["attackers"], found["attacker_steps"]) == ("retrieval", 9)
    several = inheritance.inherited(
        look, {"audit_test": of_test}, {"stages": "audit", "codes_per_photo": 4}
    )
    assert "attackers" not in several


@pytest.mark.parametrize("name", ["sweep", "study"])
def test_what_is_to_be_varied_needs_the_stage_that_varies_it(name):
    value = {"sweep": "code_noise=1|2", "study": "tasks"}[name]
    with pytest.raises(ValueError, match=f"--{name}=.* needs --stages={name}, got --stages=train"):
        flag_definitions.check_given({name: value, "stages": "train"})
    flag_definitions.check_given({name: value, "stages": name})


def test_a_config_survives_the_way_through_a_mapping():
    config = Config(epochs=9, dataset="tfds:celeb_a")
    values = settings.as_dict(config)
    assert list(values) == [field.name for field in FIELDS]
    assert settings.from_mapping(values) == config


def test_settings_of_another_version_are_refused_by_name():
    with pytest.raises(ValueError, match=r"Unknown settings colour, epoch: .*version"):
        settings.from_mapping({"epochs": 3, "epoch": 3, "colour": 1})


def test_a_config_can_not_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().epochs = 3


@pytest.mark.parametrize("field", FIELDS)
def test_every_setting_has_help_that_is_a_sentence(field):
    text = field.metadata["help"]
    assert len(text) > 15 and text.endswith(".") and text[0].isupper()


def test_flags_carry_config_s_defaults_and_help():
    values = parsed()
    for field in FIELDS:
        assert values[field.name].value == field.default
        assert values[field.name].help.startswith(field.metadata["help"])
        for choice in field.metadata["choices"] or ():
            assert choice in values[field.name].help
    assert "Range: >= 32 and <= 512." in values["image_size"].help
    assert "Range: >= 0." in values["mu"].help


def test_held_out_attributes_are_those_that_the_task_leaves_out():
    given = flag_definitions.given_flags(parsed("--held_out_attributes=Male, Young"))
    assert given == {"task_attributes": "-Male,-Young"}
    with pytest.raises(ValueError, match="held_out_attributes=Male and --task_attributes=Smiling"):
        flag_definitions.given_flags(
            parsed("--held_out_attributes=Male", "--task_attributes=Smiling")
        )


def test_given_flags_are_those_that_were_named():
    given = flag_definitions.given_flags(
        parsed("--epochs=9", "--nooverwrite", "--cut", "late", "--mu=1")
    )
    assert given == {"epochs": 9, "overwrite": False, "cut": "late", "mu": 1.0}
    assert flag_definitions.given_flags(parsed()) == {}


def test_flagfiles_nest_and_the_last_value_wins(tmp_path):
    inner, outer = tmp_path / "inner.cfg", tmp_path / "outer.cfg"
    inner.write_text("# shared\n--epochs=3\n--batch_size=16\n--cut=late\n")
    outer.write_text(f"--flagfile={inner}\n--batch_size=8\n")
    given = flag_definitions.given_flags(parsed(f"--flagfile={outer}", "--cut=early"))
    assert given == {"epochs": 3, "batch_size": 8, "cut": "early"}


def test_a_misspelt_flag_is_refused_with_a_hint():
    with pytest.raises(flags.UnrecognizedFlagError, match=r"lambda_pixl.*Did you mean") as caught:
        parsed("--lambda_pixl=3")
    assert "lambda_pixel" in str(caught.value)


@pytest.mark.parametrize("argument", ["--epochs=many", "--mu=x", "--overwrite=maybe"])
def test_a_flag_of_another_type_is_refused_by_name(argument):
    name = argument[2:].split("=")[0]
    with pytest.raises(flags.IllegalFlagValueError, match=f"flag --{name}"):
        parsed(argument)


def test_flags_that_are_not_a_number_are_refused_by_config():
    given = flag_definitions.given_flags(parsed("--mu=nan"))
    with pytest.raises(ValueError, match="--mu must be a finite number, got nan"):
        settings.from_mapping(given)


def test_the_reserved_seed_is_the_one_that_the_judge_of_identity_is_fitted_on():
    assert drawn_identity.RESERVED_SEED == data_checks.RESERVED_FACES_SEED


def test_several_codes_of_a_photo_are_refused_where_a_file_holds_one():
    with pytest.raises(ValueError, match="holds one code of each photo"):
        Config(stages="audit", codes="x.npz", codes_per_photo=4)
    Config(stages="audit", codes="x.npz", codes_per_photo=4, channel_noise=0.5)
    with pytest.raises(ValueError, match="--stages=sweep needs the audit of single codes"):
        Config(stages="sweep", sweep="mu=0|1", codes_per_photo=4)


def test_a_share_is_refused_where_codes_are_not_a_run_s_own_and_in_later_stages():
    with pytest.raises(ValueError, match="--audit_share=1 is of the codes of an encoder that arl"):
        Config(stages="audit", codes="x.npz", audit_share=1)
    with pytest.raises(ValueError, match="--stages=export needs the audit of whole codes"):
        Config(stages="export", audit_share=1)


@pytest.mark.parametrize(
    ("given", "name"),
    [
        (("test", 1, 0), "test"),
        (("validation", 1, 0), "validation"),
        (("test", 1, 2), "share2"),
        (("validation", 16, 2), "validation_share2_16_codes"),
    ],
)
def test_an_audit_is_named_by_what_it_is_of(given, name):
    assert audit_name(*given) == name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code_levels": 1}, "code_levels=1 leaves one value"),
        ({"code_levels": 2, "code_channels": 0}, "code_levels=2 needs a normalised code"),
        ({"code_noise": 1.0, "code_channels": 0}, "code_noise=1.0 needs a normalised code"),
        ({"lambda_rate": 1e-4}, "it needs --code_noise > 0, got 0"),
        ({"code_noise": 1.0, "deterministic": True}, "repeatable noise is no protection"),
    ],
)
def test_codes_that_can_not_be_bounded_so_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Config(**changes)


def test_only_a_code_without_adversary_and_bounds_is_unprotected():
    assert Config(defence="none").is_unprotected
    for changes in ({"code_noise": 1.0}, {"code_levels": 2}, {"defence": "pixel"}):
        assert not Config(**{"defence": "none"} | changes).is_unprotected


@pytest.mark.parametrize("name", ["label_columns", "group_column"])
def test_columns_of_a_table_are_refused_for_an_npz_file(name):
    with pytest.raises(ValueError, match=f"--{name}=patient names a column of a metadata.csv"):
        Config(dataset="numpy", data_dir="x.npz", **{name: "patient"})
