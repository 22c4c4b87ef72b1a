"""The revision is that of arl_tf's own checkout, or none; nothing about git stops a run."""

import subprocess

import pytest

from arl_tf.utils import revision


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "repository" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").touch()
    for command in (
        ["init", "-q"],
        ["add", "package/__init__.py"],
        ["-c", "user.name=x", "-c", "user.email=x@y", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=folder.parent, check=True)
    return folder


def test_a_checkout_has_a_revision_and_says_when_it_was_changed(checkout):
    clean = revision.git_revision(checkout)
    assert clean and "dirty" not in clean
    (checkout / "__init__.py").write_text("changed")
    assert revision.git_revision(checkout) == f"{clean}-dirty"


def test_without_git_there_is_none(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert revision.git_revision(checkout) is None


def test_outside_a_repository_there_is_none(tmp_path):
    (tmp_path / "__init__.py").touch()
    assert revision.git_revision(tmp_path) is None


def test_a_repository_that_git_does_not_trust_has_none(checkout, monkeypatch):
    monkeypatch.setattr(revision, "git", lambda *_: None)
    assert revision.git_revision(checkout) is None


def test_a_package_installed_within_another_repository_has_not_its_revision(checkout):
    installed = checkout.parent / "site-packages" / "arl_tf"
    installed.mkdir(parents=True)
    (installed / "__init__.py").touch()
    assert revision.git_revision(installed) is None


def test_a_hook_s_variables_do_not_name_another_repository(checkout, monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert revision.git_revision(checkout)


def test_a_git_that_hangs_is_given_up(checkout, monkeypatch):
    def hangs(command, **_):
        raise subprocess.TimeoutExpired(command, 1)

    monkeypatch.setattr(revision.subprocess, "run", hangs)
    assert revision.git_revision(checkout) is None


def test_a_package_of_another_name_has_no_version():
    assert revision.version("no-such-package-anywhere") is None
    assert set(revision.provenance()) == {"versions", "python", "git_revision"}
