"""SavedModels load from folders whose names are patterns to TensorFlow."""

import tempfile

import pytest
import tensorflow as tf
from conftest import ROOT

from arl_tf.utils import saved_model_loading


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Saves a model that returns a number; returns the function that does."""

    def save(folder, number):
        module = tf.Module()
        module.number = tf.Variable(float(number))
        module.run = tf.function(lambda: module.number + 0.0, input_signature=[])
        tf.saved_model.save(module, str(folder))

    return save


def number(folder):
    model = saved_model_loading.load(folder)
    return model.run().numpy()


@pytest.mark.parametrize("name", ["lr=[1e-3]", "a?b", "[x]*", r"a\b", "{a,b}"])
def test_a_folder_of_any_name_is_loaded(tmp_path, saved, name):
    saved(tmp_path / name / "1", 3)
    assert number(tmp_path / name / "1") == 3


def test_a_pattern_that_fits_another_folder_loads_its_own(tmp_path, saved):
    saved(tmp_path / "run1", 1)
    saved(tmp_path / "run*", 2)
    assert number(tmp_path / "run*") == 2


def test_relative_paths_are_loaded(tmp_path, saved, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "[x]", 4)
    assert number("[x]") == 4


def test_temporary_files_may_lie_in_a_folder_that_is_a_pattern(tmp_path, saved, monkeypatch):
    saved(tmp_path / "[x]", 5)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "[x]"))
    assert number(tmp_path / "[x]") == 5
    with saved_model_loading.plain_temporary_folders(), tempfile.TemporaryDirectory() as folder:
        assert not saved_model_loading.is_pattern(folder)
    assert tempfile.gettempdir() == str(tmp_path / "[x]")


def test_where_no_temporary_folder_will_do_the_setting_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "[x]"))
    monkeypatch.setattr(saved_model_loading, "PLAIN_ROOTS", (str(tmp_path / "nowhere"),))
    with pytest.raises(ValueError, match="set TMPDIR to a folder whose path has none of"):
        saved_model_loading.load(tmp_path / "[y]")


def test_a_missing_folder_is_told_as_tensorflow_tells_it(tmp_path):
    with pytest.raises(OSError, match="does not exist"):
        saved_model_loading.load(tmp_path / "[x]")


def test_nothing_else_loads_savedmodels_by_path():
    files = [*(ROOT / "arl_tf").rglob("*.py"), *(ROOT / "serving").rglob("*.py")]
    assert {f.name for f in files if "tf.saved_model.load(" in f.read_text()} == {
        "saved_model_loading.py"
    }
