"""What serving's commands share with arl_tf's: copies that stay equal, help, paths, Ctrl-C."""

import argparse
import signal
import subprocess
import sys

import pytest
import tensorflow as tf
from absl import flags
from conftest import ROOT

from arl_tf.utils import run_files
from serving import client_cli, load_test, local_server
from serving.common import files
from serving.server import servable
from serving.utils.path_argument import path_argument

COPIES = {
    "path_values": "config",
    "flagfiles": "config",
    "interruption": "utils",
    "saved_model_loading": "utils",
    "streams": "utils",
}


@pytest.mark.parametrize("name", COPIES)
def test_copies_are_equal_but_for_their_imports(name):
    """serving imports nothing of arl_tf: it is installed where arl_tf is not."""
    theirs = (ROOT / "arl_tf" / COPIES[name] / f"{name}.py").read_text()
    for package in ("config", "utils"):
        theirs = theirs.replace(f"arl_tf.{package}.", "serving.utils.")
    assert (ROOT / "serving" / "utils" / f"{name}.py").read_text() == theirs


def test_json_s_words_are_those_of_arl_tf():
    assert files.JSON_WORDS == run_files.JSON_WORDS


@pytest.fixture
def values(monkeypatch):
    made = flags.FlagValues()
    local_server.define_flags(made)
    monkeypatch.setattr(local_server.flags, "FLAGS", made)
    return made


def answered(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        local_server.parse(["local_server", *arguments])
    return ended.value.code, capsys.readouterr()


@pytest.mark.parametrize("word", ["--help", "-h", "help", "--helpshort"])
def test_help_shows_a_dozen_flags_and_examples(values, capsys, word):
    code, said = answered([word], capsys)
    assert not code
    assert said.out.count("\n  --") == len(local_server.MOST_USED) == 12
    assert "Examples:" in said.out and "Default: 8500." in said.out


def test_helpfull_shows_every_flag_by_topic(values, capsys):
    code, said = answered(["--helpfull"], capsys)
    assert not code
    listed = [name for names in local_server.TOPICS.values() for name in names]
    assert sorted(listed) == sorted(set(values) - {"enable_cors_support"})
    places = [said.out.index(f"\n{title}:\n") for title in local_server.TOPICS]
    assert places == sorted(places)


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("--model_bse_path=x", "Did you mean: model_base_path"),
        ("--rest-api-port=1", "Did you mean: rest_api_port"),
        ("--port=many", "--port must be a whole number, got 'many'"),
        ("--flagfile=nowhere", "--flagfile=nowhere: there is no such file"),
    ],
)
def test_a_wrong_flag_is_told_in_one_line(values, capsys, argument, words):
    code, said = answered([argument], capsys)
    assert code == 2
    assert said.err.startswith("serving.local_server: ") and words in said.err
    assert said.err.count("\n") == 1


def test_help_of_the_commands_needs_no_tensorflow():
    code = (
        "import sys; import serving.local_server, serving.client_cli, serving.load_test,"
        " serving.check_gpu; print({'tensorflow', 'keras'} & set(sys.modules))"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert said.stdout == "set()\n"


@pytest.mark.parametrize("name", local_server.PATHS)
def test_paths_of_the_server_are_cleaned(values, monkeypatch, tmp_path, name):
    monkeypatch.setenv("HOME", str(tmp_path))
    others = {"model_base_path": "x", "enable_batching": "true"}
    given = others | {name: "gs://bucket/x"}
    values(["local_server", *(f"--{key}={value}" for key, value in given.items())])
    with pytest.raises(ValueError, match=f"--{name}=gs://bucket/x: gs:// is not supported"):
        local_server.settings_from_flags(values)


def test_home_is_expanded_for_the_server(values, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    values(["local_server", "--model_base_path=~/models"])
    assert local_server.settings_from_flags(values).model_base_path == tmp_path / "models"


def test_paths_of_the_other_commands_are_cleaned(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    _, options = client_cli.parse(["encode", "a.jpg", "--tflite=~/e.tflite", "--save_code=~/c"])
    assert (options.tflite, options.save_code) == (tmp_path / "e.tflite", tmp_path / "c")
    _, options = load_test.parse(["--rest=127.0.0.1:1", "--saved_model=~/m"])
    assert options.saved_model == tmp_path / "m"
    with pytest.raises(SystemExit):
        client_cli.parse(["encode", "a.jpg", "--tflite='e.tflite'", "--save_code=c"])
    assert "quotes are part of the value here" in capsys.readouterr().err
    with pytest.raises(argparse.ArgumentTypeError, match="variables"):
        path_argument("file")("$MODELS/x.tflite")


def test_a_model_in_a_folder_of_any_name_is_served(tmp_path):
    module = tf.Module()
    module.number = tf.Variable(3.0)
    run = tf.function(lambda x: {"y": x + module.number}, input_signature=[tf.TensorSpec([])])
    path = tmp_path / "lr=[1e-3] *?" / "1"
    tf.saved_model.save(module, str(path), signatures=run.get_concrete_function())
    assert servable.load("encoder", 1, path).version == 1


def test_ctrl_c_while_the_server_is_starting_ends_with_one_line():
    # The import that takes longest stands in for TensorFlow's.
    code = (
        "import runpy, signal, sys, threading, types\n"
        # Tests that a shell runs in the background would hand on that Ctrl-C is ignored.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "class Waits:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'serving.server':\n"
        "            print('importing', flush=True)\n"
        "            threading.Event().wait()\n"
        "sys.meta_path.insert(0, Waits())\n"
        "sys.argv = ['local_server', '--model_base_path=x']\n"
        "runpy.run_module('serving.local_server', run_name='__main__')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "Loading TensorFlow and the models.\n"
    assert process.stdout.readline() == "importing\n"
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert error.strip() == ("serving.local_server: stopped by Ctrl-C; the server had not started.")
