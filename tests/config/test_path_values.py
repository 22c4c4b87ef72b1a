"""Paths as people write them: ~ is expanded, slips are refused by flag, real names are taken."""

import dataclasses
import pathlib

import pytest

from arl_tf.config import settings
from arl_tf.config.path_values import clean_path
from arl_tf.config.settings import Config


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    return tmp_path


def test_home_is_expanded_and_other_paths_stay_as_they_are(here):
    assert clean_path("workdir", "~/runs/x") == f"{here}/home/runs/x"
    assert clean_path("workdir", "~") == f"{here}/home"
    assert clean_path("workdir", "~root/x").startswith("/") and "~" not in clean_path("x", "~root")
    for same in (
        "",
        "runs/x",
        "/data/My Photos",
        "runs/a~b",
        "./~",
        "runs/lr=[1e-3] *?",
        "Bob's x",
    ):
        assert clean_path("workdir", same) == same


SLIPS = [
    ("gs://bucket/run", "gs:// is not supported"),
    ("s3://bucket", "s3:// is not supported"),
    ("file:///data", "file:// is not supported"),
    ('"quoted"', "quotes"),
    ("'/data/celeba'", "quotes"),
    ("\u201cruns/x\u201d", "quotes"),
    ("runs/x  # where it goes", "comment"),
    ("runs/x #1", "comment"),
    ("runs/x ", "blank"),
    (" runs/x", "blank"),
    ("~/runs/x ", "blank"),
    ("$HOME/x", "variables"),
    ("~/$RUN", "variables"),
    ("${DATA}/celeba", "variables"),
    ("$(pwd)/x", "variables"),
    ("%USERPROFILE%/x", "variables"),
    ("~nobody_of_that_name/x", "there is no user 'nobody_of_that_name'"),
    ("--stages=train", "the value before it is missing"),
    ("host:/data", "another machine"),
    (r"C:\data", "another system"),
    ("C:/data", "another system"),
    (r"my\ folder", "another system"),
    ("runs/x\nrm", "control character"),
    ("runs/\udcff", "not UTF-8"),
    ("runs/x // where it goes", "comment"),
    ("=runs/x", "with one ="),
    ("\ufeffruns/x", "can't be seen ('\\ufeff')"),
    ("runs/a\u202eb", "can't be seen"),
    ("runs/" + "x" * 256, "more than 255 bytes"),
    ("/".join(["\u00e9" * 100] * 21), "all of it 4095"),
]


@pytest.mark.parametrize(("text", "words"), SLIPS, ids=[repr(text) for text, _ in SLIPS])
def test_what_can_only_be_a_slip_is_refused_by_flag_and_value(text, words):
    with pytest.raises(ValueError, match="--data_dir=") as caught:
        clean_path("data_dir", text)
    assert words in str(caught.value)


@pytest.mark.parametrize("below", ["", "/new"])
def test_links_that_lead_nowhere_are_refused_and_others_followed(here, below):
    (here / "circle").symlink_to("circle")
    (here / "dangling").symlink_to("gone")
    (here / "real").mkdir()
    (here / "link").symlink_to("real")
    for name in ("circle", "dangling"):
        with pytest.raises(ValueError, match=f"{name} is a link to .*, where nothing is"):
            clean_path("workdir", name + below)
    assert clean_path("workdir", "link" + below) == "link" + below


def test_joiners_of_words_are_no_slip():
    assert clean_path("workdir", "runs/\u0645\u06cc\u200c\u062e") == "runs/\u0645\u06cc\u200c\u062e"


@pytest.mark.parametrize("name", ['"quoted"', "photos #3", "a $x", r"a\b", "x "])
def test_what_is_really_called_so_is_taken_with_what_is_below_it(here, name):
    (here / name).mkdir()
    assert clean_path("data_dir", name) == name
    assert clean_path("data_dir", f"{here / name}/new") == f"{here / name}/new"
    with pytest.raises(ValueError, match="variables"):
        clean_path("data_dir", f"{here / name}/$NEW")


@pytest.mark.parametrize("name", settings.path_names())
def test_every_path_setting_is_cleaned_when_a_config_is_built(here, name):
    needs = {
        "data_dir": {"dataset": "celeba"},
        "public_data_dir": {"public_dataset": "celeba"},
        "attacker_data_dir": {"attacker_dataset": "celeba"},
        "codes": {"stages": "audit"},
        "encoder_saved_model": {"stages": "audit"},
        "encoder_tflite": {"stages": "audit"},
        "weights": {"encoder": "resnet50"},
        "task_head_saved_model": {"stages": "audit", "encoder_tflite": "x"},
    }.get(name, {})
    assert getattr(Config(**needs, **{name: "~/x"}), name) == f"{here}/home/x"
    with pytest.raises(ValueError, match=f"--{name}='x': quotes"):
        Config(**needs, **{name: "'x'"})


def test_settings_whose_names_say_path_are_marked_as_paths():
    endings = ("dir", "_saved_model", "_tflite")
    named = {f.name for f in dataclasses.fields(Config) if f.name.endswith(endings)}
    others = {"codes", "reference", "warm_start", "weights", "distil_from"}
    others |= {"encode_from", "encode_to", "noise_key"}
    assert named | others == set(settings.path_names())


def test_the_word_auto_is_no_path():
    assert Config(reference="auto").reference == "auto"
    assert pathlib.Path(Config().workdir) == pathlib.Path("runs/default")
