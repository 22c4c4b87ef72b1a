"""Files appear together, or not at all."""

import os
import pathlib
import shutil

import pytest
from tiny_models import contents

from arl_tf.utils import publishing

PUBLISHED = ("saved_model/encoder/2", "saved_model/task_head/2", "tflite/a.tflite", "manifest.json")


@pytest.mark.parametrize("target", PUBLISHED)
@pytest.mark.parametrize("is_first", [False, True])
def test_publishing_that_fails_anywhere_puts_everything_back(
    tmp_path, monkeypatch, target, is_first
):
    built, replaced, export_dir = (tmp_path / name for name in ("built", "replaced", "export"))
    replaced.mkdir()
    for folder, text in ((built, "new"), (export_dir, "old")):
        for path in PUBLISHED:
            version_file = "1/saved_model.pb" if folder == export_dir else "2/saved_model.pb"
            file = folder / (path.replace("/2", "/" + version_file))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    if is_first:
        shutil.rmtree(export_dir)
        export_dir.mkdir()
    before = contents(export_dir)
    fail_once_at(monkeypatch, export_dir / target)
    with pytest.raises(OSError, match="injected"):
        publishing.publish(
            [pathlib.Path(path) for path in PUBLISHED],
            built=built,
            replaced=replaced,
            export_dir=export_dir,
        )
    assert contents(export_dir) == before


def fail_once_at(monkeypatch, target):
    """Lets the first renaming to `target` fail; the later one that undoes it works."""
    replace, pending = os.replace, [target]

    def failing_replace(source, destination):
        if destination in pending:
            pending.remove(destination)
            raise OSError("injected")
        replace(source, destination)

    monkeypatch.setattr(publishing.os, "replace", failing_replace)


def test_files_that_are_gone_are_put_back_where_publishing_fails(tmp_path, monkeypatch):
    built, replaced, export_dir = (tmp_path / name for name in ("built", "replaced", "export"))
    for folder in (built, replaced, export_dir):
        folder.mkdir()
    (built / "new").write_text("new")
    (export_dir / "gone").write_text("old")
    before = contents(export_dir)
    arguments = {"built": built, "replaced": replaced, "export_dir": export_dir}
    gone = [pathlib.Path("gone"), pathlib.Path("never_there")]
    fail_once_at(monkeypatch, export_dir / "new")
    with pytest.raises(OSError, match="injected"):
        publishing.publish([pathlib.Path("new")], gone=gone, **arguments)
    assert contents(export_dir) == before
    publishing.publish([pathlib.Path("new")], gone=gone, **arguments)
    assert contents(export_dir) == {"new": b"new"}
