"""Damaged files of a run, and files of others: named with the remedy, or made again."""

import functools
import json
import re

import numpy as np
import pytest
from conftest import ROOT
from reports import report_content

from arl_tf.auditing import measures_file
from arl_tf.auditing.attack_store import AttackStore
from arl_tf.auditing.caches import code_cache
from arl_tf.auditing.encoders import external, saved_model_io, tflite_encoder
from arl_tf.data import celeba_folder, image_cache, splits
from arl_tf.experiments import run_directory
from arl_tf.experiments.run_directory import RunDirectory
from arl_tf.experiments.sweeps import study, sweep, trials
from arl_tf.experiments.sweeps.trial_queue import TrialQueue
from arl_tf.experiments.sweeps.trials import Trial
from arl_tf.report import report_files
from arl_tf.utils import run_files

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1234567\n"
DAMAGES = {
    "empty": b"",
    "pointer": POINTER.encode(),
    "binary": bytes(range(256)) * 4,
    "json list": b"[1, 2]",
    "json text": b'"text"',
    "external json": b'{"name": "package", "version": "1.0"}',
    "cut json": b'{"settings": {"seed": 1,',
    "deep json": b"[" * 100_000,
    "UTF-16": '{"settings": {}}'.encode("utf-16"),
    "cut zip": b"PK\x03\x04" + bytes(60),
}


# Where a file lies in a run directory, and who reads it.
READERS = {
    "config.json": lambda path: run_directory.recorded_settings(RunDirectory(path.parent)),
    "splits.json": lambda path: splits.check_recorded_splits(path, {"parts": {}, "images": 1}),
    "audit/report.json": lambda path: report_files.read_content(path.parent),
    "audit/resamples.npz": lambda path: report_files.load_resamples(path.parent),
    "audit/measures.npz": lambda path: measures_file.load_measures(
        path, "reference", measures_file.Measured("hash")
    ),
    "study/study.json": lambda path: study.refuse_another_study("features", path),
    "encoder.tflite": tflite_encoder.read_file,
    "model/saved_model.pb": lambda path: saved_model_io.load_signature(
        saved_model_io.version_folder(path.parent), ("encode",), "image", np.uint8, "code"
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", READERS)
def test_damaged_file_is_named_in_one_line_with_the_remedy(tmp_path, name, damage):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(DAMAGES[damage])
    with pytest.raises(ValueError) as raised:
        READERS[name](path)
    words = str(raised.value)
    folder = name.split("/")[0] if name.startswith("model") else name
    assert str(tmp_path / folder) in words and "\n" not in words and len(words) < 700
    assert words.endswith(".") and words.count(". ") >= 1
    if damage == "pointer":
        assert "is a Git LFS pointer" in words
    if damage == "empty":
        assert "is empty" in words


@pytest.mark.parametrize("damage", ["empty", "pointer", "binary", "json list", "cut json"])
@pytest.mark.parametrize(
    ("name", "read"),
    [
        (
            "stages.json",
            lambda path: run_directory.finished_stages(RunDirectory(path.parent)),
        ),
        (
            "sweep/chosen.json",
            lambda path: sweep.read_choice(RunDirectory(path.parents[1])),
        ),
    ],
)
def test_damaged_json_of_any_keys_is_named(tmp_path, name, read, damage):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(DAMAGES[damage])
    with pytest.raises(ValueError, match=rf"{path} .*Delete it"):
        read(path)


@pytest.mark.parametrize("wrong", [None, [], {}, 5, "x", True])
@pytest.mark.parametrize(
    ("content", "key", "read"),
    [
        ({"attributes": ["a"]}, "attributes", run_directory.recorded_attributes),
        ({"task_kind": "multi_label"}, "task_kind", run_directory.recorded_task_kind),
    ],
)
def test_splits_of_another_form_are_refused_by_name(tmp_path, content, key, read, wrong):
    run = RunDirectory(tmp_path)
    run.splits.write_text(json.dumps(content | {key: wrong}))
    if wrong == [] and key == "attributes":
        assert read(run) == ()
        return
    with pytest.raises(run_files.UnreadableFileError, match=rf"{run.splits} .*Put back"):
        read(run)


@pytest.mark.parametrize("wrong", [None, [], 5, "x", {"value": "0.5"}, {"value": True}])
@pytest.mark.parametrize(
    "place", [("attacks", 0), ("attacks", 0, "psnr"), ("worst", "psnr"), ("leakage", "psnr")]
)
def test_report_of_another_form_is_refused_by_name(tmp_path, place, wrong):
    content = {**report_content(), "verdict": ""}
    assert checked(tmp_path, content)["attacks"]
    if wrong is None and place[-1] == "psnr":
        wrong = {}
    *way, last = place
    copied = json.loads(json.dumps(content))
    parent = functools.reduce(lambda found, key: found[key], way, copied)
    parent[last] = wrong
    with pytest.raises(run_files.UnreadableFileError, match=r"report\.json can't be read"):
        checked(tmp_path, copied)


def checked(folder, content):
    (folder / "report.json").write_text(json.dumps(content))
    return report_files.read_content(folder)


def test_nan_which_no_file_of_ours_holds_is_refused(tmp_path):
    (tmp_path / "x.json").write_text('{"a": NaN}')
    with pytest.raises(run_files.UnreadableFileError, match=r"x\.json is not JSON: it holds NaN"):
        run_files.read_json(tmp_path / "x.json", remedy="r")


@pytest.mark.parametrize("damage", ["pointer", "binary", "json list", "cut json"])
def test_damaged_json_lines_are_named(tmp_path, damage):
    path = tmp_path / "unreadable-00000.jsonl"
    path.write_bytes(b'{"reason": "a\xe2\x80\xa8b"}\n\n')
    assert run_files.read_json_lines(path, remedy="r", keys=("reason",)) == [{"reason": "a\u2028b"}]
    path.write_bytes(path.read_bytes() + DAMAGES[damage])
    if damage == "pointer":
        path.write_bytes(DAMAGES[damage])
    with pytest.raises(run_files.UnreadableFileError, match=rf"{path} "):
        run_files.read_json_lines(path, remedy="r", keys=("reason",))
    path.write_bytes(b"")
    assert run_files.read_json_lines(path, remedy="r", keys=("reason",)) == []


def test_folder_in_place_of_a_file_is_named(tmp_path):
    (tmp_path / "stages.json").mkdir()
    with pytest.raises(ValueError, match=r"stages\.json is a folder; expected a file"):
        run_directory.finished_stages(RunDirectory(tmp_path))


def test_byte_order_mark_is_no_damage(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}', encoding="utf-8-sig")
    assert run_files.read_json(path, remedy="", keys=("a",)) == {"a": 1}


def test_missing_keys_are_named_with_their_parents(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"worst": {"psnr": 1}, "codes": 2}')
    with pytest.raises(run_files.UnreadableFileError, match=r"no worst\.ssim, codes\.channel: "):
        run_files.read_json(path, remedy="r", keys=("worst.psnr", "worst.ssim", "codes.channel"))


def test_missing_array_is_named(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.zeros(2))
    with (
        pytest.raises(run_files.UnreadableFileError, match=r"x\.npz can't be read: it has no .*b"),
        run_files.open_arrays(tmp_path / "x.npz", remedy="r") as saved,
    ):
        saved["b"]


def test_damaged_pictures_of_a_reference_do_not_end_an_audit(tmp_path, caplog):
    np.savez(tmp_path / report_files.RECONSTRUCTIONS, other=np.zeros(2))
    assert report_files.load_reconstructions(tmp_path) is None
    assert "reconstructions.npz can't be read" in caplog.text
    assert "goes without these pictures" in caplog.text


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_attacks_and_codes_are_made_again(tmp_path, caplog, damage):
    store = AttackStore(tmp_path, "key")
    for path in (store.result_path("linear"), store.measures_path("linear"), tmp_path / "x.npy"):
        path.write_bytes(DAMAGES[damage])
    assert store.facts("linear") is None and store.measures("linear") is None
    assert store.load("linear") is None
    assert code_cache.read_kept(tmp_path / "x.npy", 3) is None
    warned = [record.getMessage() for record in caplog.records]
    assert len(warned) == 4 and all("again" in words for words in warned)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_index_of_prepared_images_counts_as_not_there(tmp_path, caplog, damage):
    index, pixels = tmp_path / "images.json", tmp_path / "images.u8"
    index.write_bytes(DAMAGES[damage])
    pixels.write_bytes(b"123")
    assert not image_cache.is_whole(index, pixels, 3)
    assert "images.json" in caplog.text and "prepared again" in caplog.text


def test_index_with_rows_that_are_no_numbers_counts_as_not_there(tmp_path):
    index = tmp_path / "images.json"
    index.write_text('{"rows": ["a", {}]}')
    (tmp_path / "images.u8").write_bytes(b"123")
    assert not image_cache.is_whole(index, tmp_path / "images.u8", 3)


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_notes_of_a_point_count_as_not_there(tmp_path, caplog, damage):
    run = RunDirectory(tmp_path)
    (tmp_path / trials.RECORD).write_bytes(DAMAGES[damage])
    assert trials.read_record(run) == {}
    assert "point.json" in caplog.text and "done again" in caplog.text


@pytest.mark.parametrize("damage", ["pointer", "binary", "cut"])
def test_damaged_list_of_points_is_named_with_the_remedy(tmp_path, damage):
    queue = TrialQueue(tmp_path, "points", 1)
    path = tmp_path / "optuna.db"
    if damage == "cut":
        queue.enqueue([Trial("a", "a", {})])
        path.write_bytes(path.read_bytes()[:5000])
    else:
        path.write_bytes(DAMAGES[damage])
    with pytest.raises(ValueError, match=r"optuna\.db .*Delete it: the points") as raised:
        queue.trials()
    assert "\n" not in str(raised.value)


def test_list_of_points_that_is_empty_begins_anew(tmp_path):
    (tmp_path / "optuna.db").write_bytes(b"")
    queue = TrialQueue(tmp_path, "points", 1)
    queue.enqueue([Trial("a", "a", {})])
    assert len(queue.trials()) == 1


def test_done_point_whose_record_is_gone_is_queued_again(tmp_path):
    queue = TrialQueue(tmp_path, "points", 1)
    queue.enqueue([Trial(name, name, {}) for name in "ab"])
    for _ in "ab":
        queue.finish(queue.claim(), {"message": ""}, (0.5, 0.5))
    queue.redo(lambda name: name == "b")
    queue.redo(lambda name: name == "b")
    claim = queue.claim()
    assert claim.point.name == "b"
    assert queue.claim() is None


@pytest.mark.parametrize("name", ["saved_model.pb", "variables/variables.index"])
def test_pointer_in_a_saved_model_is_named(tmp_path, name):
    for file in ("saved_model.pb", "variables/variables.index"):
        path = tmp_path / "1" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(POINTER if file == name else "something")
    with pytest.raises(ValueError, match=rf"{name} is a Git LFS pointer.*Fetch or export"):
        saved_model_io.version_folder(tmp_path)


def test_names_of_attributes_that_are_no_text_are_named(tmp_path):
    path = tmp_path / external.ATTRIBUTE_FILE
    path.parent.mkdir()
    path.write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(ValueError, match=r"attributes\.txt can't be read"):
        external.read_attribute_names(tmp_path)


def test_report_of_an_older_version_is_told_from_a_damaged_one(tmp_path):
    (tmp_path / "report.json").write_text(json.dumps({"utility": {}, "attacks": []}))
    with pytest.raises(ValueError, match=r"report\.json has no verdict, .*another version of"):
        report_files.read_content(tmp_path)


def test_index_file_that_is_a_pointer_is_named(tmp_path):
    path = tmp_path / "list_attr_celeba.txt"
    path.write_text(POINTER)
    with pytest.raises(ValueError, match=r"list_attr_celeba\.txt is a Git LFS pointer"):
        celeba_folder.read_lines(path)


def test_attributes_in_a_damaged_splits_file_are_named(tmp_path):
    (tmp_path / "splits.json").write_text("")
    with pytest.raises(ValueError, match=r"splits\.json is empty.*Put back an intact copy"):
        run_directory.recorded_attributes(RunDirectory(tmp_path))


def test_every_reader_of_a_run_file_goes_through_one_module():
    # Keras' settings and locks are no run's files: the command goes on, whatever they hold.
    own = {"auditing/encoders/recorded_codes.py", "utils/environment.py", "utils/run_lock.py"}
    package = ROOT / "arl_tf"
    others = {
        path.relative_to(package).as_posix()
        for path in package.rglob("*.py")
        if re.search(r"json\.loads?\([^\n]*(read_text|open)\(|np\.load\(", path.read_text())
    }
    assert others - own == {"utils/run_files.py"}
