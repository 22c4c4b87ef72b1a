"""Whether a folder can be written is known before any work."""

import os
import pathlib

import pytest

from arl_tf.utils import files


def test_a_folder_that_is_there_or_can_be_made_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in (tmp_path, tmp_path / "a" / "b", pathlib.Path("relative/x")):
        files.check_can_be_written("workdir", folder)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", ["", "/run"])
def test_a_file_in_its_place_or_above_it_is_named(tmp_path, below):
    file = tmp_path / "notes.txt"
    file.touch()
    folder = pathlib.Path(f"{file}{below}")
    with pytest.raises(ValueError, match="expected a folder") as caught:
        files.check_can_be_written("cache_dir", folder)
    assert str(caught.value).startswith(f"--cache_dir={folder}: {file} is a file")


def test_a_folder_without_permission_is_named(tmp_path, monkeypatch):
    # Root may write everywhere: the system's answer stands in.
    monkeypatch.setattr(os, "access", lambda path, mode: pathlib.Path(path) != tmp_path)
    with pytest.raises(ValueError, match=f"--workdir={tmp_path}/a/b: {tmp_path} can't be written"):
        files.check_can_be_written("workdir", tmp_path / "a" / "b")
