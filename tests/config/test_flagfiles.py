"""Flag files: what people write in them means what they meant, or is refused by file and line."""

import os

import pytest

from arl_tf.config import flagfiles


def expand(tmp_path, content, *after):
    file = tmp_path / "a.cfg"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return flagfiles.expand([f"--flagfile={file}", *after])[0]


@pytest.mark.parametrize(
    "content",
    [
        "# remark\n--epochs=3\n\n// another\n  --nooverwrite  \n--sweep=mu=0|1;cut=early|late\n",
        b"--epochs=3\r\n--nooverwrite\r\n--sweep=mu=0|1;cut=early|late\r\n",
        b"--epochs=3\r--nooverwrite\r--sweep=mu=0|1;cut=early|late",
        b"\xef\xbb\xbf--epochs=3\n--nooverwrite\n--sweep=mu=0|1;cut=early|late\n",
        "--epochs=3\r\n--nooverwrite\r\n--sweep=mu=0|1;cut=early|late\r\n".encode("utf-16"),
    ],
    ids=["remarks", "windows", "old mac", "byte order mark", "utf-16"],
)
def test_a_file_stands_in_place_of_its_flag(tmp_path, content):
    flags = ["--epochs=3", "--nooverwrite", "--sweep=mu=0|1;cut=early|late"]
    assert expand(tmp_path, content, "--epochs=9") == [*flags, "--epochs=9"]


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ('--workdir="x"', "leave them out"),
        ("--require='face_similarity<=0.2'", "leave them out"),
        ("--workdir=x  # where it goes", "a comment must be on its own line"),
        ("--epochs=3 # few", "a comment must be on its own line"),
        ("--overwrite # again", "a comment must be on its own line"),
        ("--epochs=3 // few", "a comment must be on its own line"),
        ("--epochs=3 ; few", "a comment must be on its own line"),
        ("--epochs 3", "write --epochs=3"),
        ("--epochs = 3", "write --epochs=3"),
        ("--epochs=3 \\", "leave the \\ out"),
        ("--epochs=3 --mu=1", "a line of its own"),
        ("epochs=3", "expected --name=value, got 'epochs=3'"),
        ("\u2014epochs=3", "expected --name=value"),
        ("python -m arl_tf.main --epochs=3", "expected --name=value"),
    ],
)
def test_a_line_that_is_no_flag_is_refused_by_file_line_and_remedy(tmp_path, line, remedy):
    with pytest.raises(ValueError, match=r"a\.cfg, line 2: ") as caught:
        expand(tmp_path, f"--seed=1\n{line}\n")
    assert remedy in str(caught.value)


def test_a_value_may_be_empty(tmp_path):
    assert expand(tmp_path, "--data_dir=\n") == ["--data_dir="]


def test_files_nest_from_the_working_directory_and_from_where_the_naming_file_lies(
    tmp_path, monkeypatch
):
    configs = tmp_path / "configs"
    configs.mkdir()
    (configs / "inner.cfg").write_text("--epochs=3\n")
    (configs / "outer.cfg").write_text("--flagfile=configs/inner.cfg\n--mu=1\n")
    (configs / "beside.cfg").write_text("--flagfile=inner.cfg\n")
    monkeypatch.chdir(tmp_path)
    assert flagfiles.expand(["--flagfile", "configs/outer.cfg"])[0] == ["--epochs=3", "--mu=1"]
    monkeypatch.chdir("/")
    assert flagfiles.expand([f"--flagfile={configs}/outer.cfg"])[0] == ["--epochs=3", "--mu=1"]
    assert flagfiles.expand([f"--flagfile={configs}/beside.cfg"])[0] == ["--epochs=3"]


def test_files_that_name_each_other_are_refused(tmp_path):
    (tmp_path / "b.cfg").write_text(f"--flagfile={tmp_path}/a.cfg\n")
    with pytest.raises(ValueError, match="name each other in a circle"):
        expand(tmp_path, f"--flagfile={tmp_path}/b.cfg\n")


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("nowhere.cfg", "there is no such file"),
        ("", "names no file"),
        ("gs://bucket/a.cfg", "gs:// is not supported"),
        (".", "is a folder"),
    ],
)
def test_a_file_that_can_not_be_read_is_refused_by_name(tmp_path, monkeypatch, argument, words):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="--flagfile") as caught:
        flagfiles.expand([f"--flagfile={argument}"])
    assert words in str(caught.value)


def test_a_pipe_is_read_as_a_shells_process_substitution_gives_it(tmp_path):
    reader, writer = os.pipe()
    os.write(writer, b"--epochs=3\n")
    os.close(writer)
    assert flagfiles.expand([f"--flagfile=/dev/fd/{reader}"])[0] == ["--epochs=3"]
    os.close(reader)


def test_lines_end_where_editors_end_them(tmp_path):
    assert expand(tmp_path, "--a=x\u2028y\x0bz\r--b=1\r\n--c=2") == [
        "--a=x\u2028y\x0bz",
        "--b=1",
        "--c=2",
    ]


def test_a_picture_is_no_flag_file(tmp_path):
    with pytest.raises(ValueError, match="is no text in UTF-8"):
        expand(tmp_path, b"\x89PNG\r\n\x1a\n\xff\xfe\x00")


def test_home_is_expanded_in_a_flag_files_name(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.cfg").write_text("--epochs=3\n")
    assert flagfiles.expand(["--flagfile=~/a.cfg"])[0] == ["--epochs=3"]


def test_a_flag_with_two_values_in_one_place_is_told_and_the_last_counts(tmp_path):
    file = tmp_path / "a.cfg"
    file.write_text("--epochs=3\n--mu=1\n--epochs=4\n")
    arguments, notes = flagfiles.expand([f"--flagfile={file}", "--mu=2"])
    assert arguments == ["--epochs=3", "--mu=1", "--epochs=4", "--mu=2"]
    assert len(notes) == 1
    assert "line 1" in notes[0] and "line 3" in notes[0]
    assert "the last counts: --epochs=4" in notes[0]
    assert flagfiles.expand(["--mu=1", "--mu=2"])[1] == [
        "--mu is given twice in the command line; the last counts: --mu=2"
    ]


def test_what_follows_two_hyphens_is_no_flag():
    assert flagfiles.expand(["--", "--flagfile=x"])[0] == ["--", "--flagfile=x"]
