"""kill -9 and a full disk while files are built and published: the same export ends whole."""

import json
import shutil

import pytest
from faults import TINY, Fault, finish, finish_tiny_run, read_json, stop, unfinished

from arl_tf.utils import publishing

BUILD = "arl_tf.exporting.saved_models:save_encoder"
PUBLISH = "arl_tf.utils.publishing:publish"
# What is not the same in every version, or is new in each.
OF_ONE_VERSION = ("version", "files", "provenance")


def places(disk):
    """In a build, and between its renames: two SavedModels, a TFLite file, the manifest."""
    return {
        "no room for a SavedModel": disk.full(BUILD),
        "between the two SavedModels": Fault("os:replace", call=2, since=PUBLISH),
        "all but the manifest published": Fault("os:replace", call=3, after=True, since=PUBLISH),
    }


@pytest.mark.slow
@pytest.mark.release
def test_an_export_interrupted_at_every_turn_ends_whole(made_once, small_disk):
    whole, run = made_once("tiny_run", finish_tiny_run) / "run", small_disk.folder / "run"
    shutil.copytree(whole, run)
    shutil.rmtree(run / "export")
    stages = read_json(run / "stages.json")
    del stages["export"]
    (run / "stages.json").write_text(json.dumps(stages))
    flags = (*TINY, f"--workdir={run}", "--stages=export")
    for place, fault in places(small_disk).items():
        stop(fault, *flags)
        small_disk.make_room()
        assert "export" not in read_json(run / "stages.json"), place
    finish(*flags)
    assert "export" in read_json(run / "stages.json")
    manifest, expected = (read_json(each / "export" / "manifest.json") for each in (run, whole))
    # Every file that the manifest names is there as it says.
    assert manifest["files"].items() <= publishing.describe_files(run / "export").items()
    lite = "tflite/encoder_float32.tflite"
    assert manifest["files"][lite] == expected["files"][lite]
    for name in ("encoder", "task_head"):
        assert (run / "export" / "saved_model" / name / str(manifest["version"])).is_dir()
    for name in OF_ONE_VERSION:
        del manifest[name], expected[name]
    assert manifest == expected
    assert not unfinished(run)
