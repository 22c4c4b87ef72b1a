"""Settings that can't act: typed ones are refused, those of flag files noted, others left alone."""

import logging
import re
import shlex

import pytest
from absl import flags
from documents import ROOT

from arl_tf.config import flag_definitions, flagfiles, idle, settings
from arl_tf.config.settings import Config

# What each case needs, and settings that meet it.
CASES = [
    ({"adversary_critic_weight": 0.1}, {"defence": "none"}, {"defence": "both"}),
    ({"decoders": 4}, {"defence": "none"}, {"defence": "pruning"}),
    ({"decoder_steps": 3}, {"defence": "noise"}, {"defence": "pixel"}),
    ({"decoder_restart_epochs": 2}, {"defence": "nopeek"}, {"defence": "ssim_hinge"}),
    ({"decoder_width": 8}, {"defence": "none"}, {"defence": "target_image"}),
    ({"objective": "toward_task"}, {"defence": "none"}, {"defence": "both"}),
    ({"objective": "hinge"}, {"defence": "target_image"}, {"defence": "both"}),
    ({"lambda_perceptual": 9.0}, {"defence": "target_image"}, {"defence": "perceptual"}),
    ({"lambda_pixel": 2.0}, {"defence": "perceptual"}, {"defence": "pixel"}),
    ({"hinge_margin_pixel": 0.1}, {"defence": "both"}, {"defence": "both", "objective": "hinge"}),
    ({"epochs": 9}, {"defence": "none"}, {"defence": "noise"}),
    ({"encoder_learning_rate": 1e-4}, {"defence": "none"}, {"defence": "noise"}),
    ({"warmup_learning_rate": 1e-4}, {"warmup_epochs": 0}, {"warmup_epochs": 1}),
    ({"noise_shares": "channel"}, {"code_noise": 1.0}, {"code_noise": 1.0, "lambda_rate": 1e-5}),
    ({"distil_weight": 0.5}, {}, {"distil_from": "runs/teacher"}),
    ({"head_width": 64}, {}, {"head_depth": 1}),
]


@pytest.mark.parametrize(("setting", "without", "beside"), CASES)
def test_a_setting_that_can_not_act_is_refused_where_it_is_typed(setting, without, beside):
    ((name, value),) = setting.items()
    config = Config(**{**setting, **without})
    with pytest.raises(ValueError, match=rf"^--{name}={value} can't act: it needs .*; got --"):
        idle.check(config, setting, setting)
    idle.check(Config(**{**setting, **beside}), setting, setting)
    # As in a run that goes on, or at its default.
    idle.check(config, (), ())
    idle.check(Config(**without), setting, setting)


def test_all_that_was_typed_in_vain_is_said_at_once():
    typed = {"decoders": 4, "objective": "toward_task"}
    config = Config(**typed, defence="none", lambda_pixel=0.0, epochs=0)
    with pytest.raises(ValueError, match=r"--decoders=4 .*--objective=toward_task "):
        idle.check(config, typed, typed)
    # 0 asks for nothing.
    idle.check(config, ("lambda_pixel", "epochs"), ("lambda_pixel", "epochs"))


@pytest.mark.parametrize(
    "stages",
    [{"stages": "sweep", "sweep": "defence=none|both"}, {"stages": "study", "study": "defence"}],
)
def test_stages_of_many_points_are_not_checked(stages):
    config = Config(**stages, defence="none", decoders=4)
    idle.check(config, ("decoders",), ("decoders",))


def test_settings_of_a_flag_file_are_noted_and_those_of_the_command_line_are_told_apart(caplog):
    line = ["--flagfile=configs/celeba_small.cfg", "--defence=none", "--data_dir", "DIR"]
    assert idle.typed_names([*line, "--nooverwrite", "--", "--mu=1"]) == {
        "flagfile",
        "defence",
        "data_dir",
        "nooverwrite",
        "overwrite",
    }
    config, given = read(line)
    with caplog.at_level(logging.INFO, logger="absl"):
        idle.check(config, given, idle.typed_names(line))
    assert (
        "flag file that do not act here: --decoder_width=16 --decoder_warmup_epochs=1 --obj"
        in caplog.text
    )
    line.append("--lambda_pixel=1.5")
    config, given = read(line)
    with pytest.raises(ValueError, match=r"--lambda_pixel=1.5 can't act: it needs --defence=pixel"):
        idle.check(config, given, idle.typed_names(line))


def test_weights_that_a_warm_start_replaces_are_noted(caplog):
    given = {"encoder": "resnet50", "weights": "imagenet", "warm_start": "runs/a"}
    with caplog.at_level(logging.INFO, logger="absl"):
        idle.check(Config(**given), given, given)
    assert "--weights=imagenet is not loaded" in caplog.text


def read(arguments):
    """The settings of a command line, and the names that it and its flag files give."""
    values = flags.FlagValues()
    flag_definitions.define_flags(values)
    values(["main", *flagfiles.expand(arguments)[0]])
    given = flag_definitions.given_flags(values)
    return settings.from_mapping(given), given


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.cfg")), ids=lambda p: p.name)
def test_commands_of_the_configs_type_nothing_in_vain(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    text = re.sub(r" \\\n#\s*", " ", path.read_text())
    for command in re.findall(r"^# +python -m arl_tf\.main (.*)$", text, re.M):
        config, given = read(shlex.split(command))
        idle.check(config, given, idle.typed_names(shlex.split(command)))
