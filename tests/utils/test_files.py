"""Whether a folder can be written is known before any work; what killed processes left goes."""

import errno
import os
import pathlib
import shutil

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


def test_what_killed_processes_left_half_written_goes_and_nothing_else(tmp_path):
    left = [files.aside(tmp_path / "pictures.npz").name, ".report.json.123.tmp"]
    kept = ["pictures.npz", ".report.json", "unfinished.npz", "unfinished_notes.txt", "a.tmp"]
    for name in (*left, *kept):
        (tmp_path / name).touch()
    (tmp_path / "unfinished_12_folder").mkdir()
    files.remove_unfinished(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [*kept, "unfinished_12_folder"]
    )
    files.remove_unfinished(tmp_path / "missing")


def test_names_of_files_that_are_written_aside_are_known_as_such(tmp_path, monkeypatch):
    named = []
    monkeypatch.setattr(pathlib.Path, "replace", lambda path, target: named.append(path.name))
    files.write_json(tmp_path / "a.json", 1)
    with files.replacing(tmp_path / "b.npz"):
        pass
    assert len(named) == 2 and all(map(files.UNFINISHED.fullmatch, named))


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG, errno.EROFS, errno.EDQUOT])
def test_errors_of_a_disk_are_known_also_where_a_library_wraps_them(number):
    error = OSError(number, os.strerror(number), "file")
    assert files.is_of_the_disk(error)
    assert files.is_of_the_disk(RuntimeError(f"can't flush (errno = {number}): {error}"))
    assert not files.is_of_the_disk(OSError(errno.ENOENT, os.strerror(errno.ENOENT), "file"))
    assert not files.is_of_the_disk(ValueError("too few images"))


def test_room_is_asked_of_the_disk_and_given_back(small_disk):
    free = shutil.disk_usage(small_disk.folder).free
    files.check_room(small_disk.folder, 1 << 20)
    assert not list(small_disk.folder.iterdir())
    with pytest.raises(OSError, match=r"(?i)no space left|file too large") as caught:
        files.check_room(small_disk.folder, free + (1 << 30))
    assert files.is_of_the_disk(caught.value) and str(small_disk.folder) in str(caught.value)
    assert not list(small_disk.folder.iterdir())
