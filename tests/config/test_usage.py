"""--help is short, --helpfull has every setting once and in the order of the work."""

import dataclasses

import pytest
from absl import app, flags

from arl_tf import main
from arl_tf.config import flag_definitions, usage
from arl_tf.config.settings import Config

FIELDS = dataclasses.fields(Config)


@pytest.fixture
def flag_values(monkeypatch):
    app.define_help_flags()
    values = flags.FlagValues()
    flag_definitions.define_flags(values)
    for name in usage.ABSL_FLAGS:
        values[name] = flags.FLAGS[name]
    monkeypatch.setattr(main.flags, "FLAGS", values)
    return values


def listed(text):
    return [
        line.strip()[2:].removeprefix("[no]") for line in text.splitlines() if line[:4] == "  --"
    ]


def test_help_shows_a_dozen_settings_and_examples():
    text = usage.help_text()
    assert listed(text) == ["flagfile", *usage.MOST_USED]
    assert len(usage.MOST_USED) == 12
    assert text.count("python -m arl_tf.main --") >= 3
    assert "--helpfull" in text and f"All {len(FIELDS)} flags" in text


def test_helpfull_lists_every_setting_once_under_its_topic(flag_values):
    text = usage.full_help_text(flag_values)
    assert sorted(listed(text)) == sorted(
        ["flagfile", *usage.ABSL_FLAGS, *(f.name for f in FIELDS)]
    )
    titles = [*usage.TOPICS.values(), usage.OTHERS]
    places = [text.index(f"\n{title}:\n") for title in titles]
    assert places == sorted(places)
    for field in FIELDS:
        section = text.split(f"\n{usage.TOPICS[field.metadata['topic']]}:\n")[1].split("\n\n")[0]
        assert field.name in listed(section)


def test_entries_say_range_choices_and_default(flag_values):
    text = " ".join(usage.full_help_text(flag_values).split())
    assert "Range: >= 32 and <= 512. Default: 64." in text
    assert "One of: none, pixel, perceptual, both, noise, laplace," in text
    assert "One of: negative, hinge, toward_mean, toward_task. Default: negative." in text
    assert "--[no]overwrite" in text


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--help"], "The flags used most"),
        (["-h"], "The flags used most"),
        (["-?"], "The flags used most"),
        (["help"], "The flags used most"),
        (["--helpshort"], "The flags used most"),
        (["--unknown=1", "--help"], "The flags used most"),
        (["--helpfull"], "Sweeps and studies:"),
        (["--helpxml"], "<?xml"),
        (["--version"], f"arl_tf {usage.installed('arl_tf')} (Python "),
    ],
)
def test_help_is_answered_with_exit_code_0(flag_values, capsys, arguments, shown):
    with pytest.raises(SystemExit) as ended:
        main.parse(["main.py", *arguments])
    assert not ended.value.code
    assert shown in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--lamda_pixel=1", "Unknown flag --lamda_pixel. Did you mean: lambda_pixel"),
        ("--batch-size=8", "Did you mean: batch_size"),
        ("--Workdir=x", "Did you mean: workdir"),
        ("--qqq=8", "Unknown flag --qqq. --helpfull lists all flags."),
        ("--epochs=many", "--epochs must be a whole number, got 'many'. See --helpfull."),
        ("--epochs=", "--epochs must be a whole number, got ''."),
        ("--mu=1,5", "--mu must be a number, got '1,5'"),
        ("--overwrite=maybe", "--overwrite must be true or false, got 'maybe'"),
        ("--workdir", "Missing value for flag --workdir. See"),
        ("--flagfile=nowhere.cfg", "--flagfile=nowhere.cfg: there is no such file"),
    ],
)
def test_what_can_not_be_read_ends_with_one_line_and_exit_code_2(
    flag_values, capsys, argument, said
):
    with pytest.raises(SystemExit) as ended:
        main.parse(["main.py", argument])
    assert ended.value.code == main.USAGE_ERROR
    message = capsys.readouterr().err.strip()
    assert message.startswith("arl_tf: ") and said in message and "\n" not in message


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("train", "Did you mean: --stages=train?"),
        ("epochs=3", "Did you mean: --epochs=3?"),
        ("\u2014epochs=3", "two plain hyphens"),
        ("Photos", "blanks in it need quotes"),
    ],
)
def test_a_stray_argument_is_answered_with_a_hint(text, hint):
    said = usage.stray_argument(text)
    assert said.startswith(f"Unexpected argument {text!r}") and hint in said
