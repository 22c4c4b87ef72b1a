"""One run of everything through the command line, and what the command line refuses."""

import json
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT, run_main
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from arl_tf.metrics.reconstruction import MEASURES
from arl_tf.training import checkpoints

CONTRACT_FILES = (
    "config.json",
    "splits.json",
    "stages.json",
    "metrics.jsonl",
    "checkpoints/encoder.keras",
    "checkpoints/task_head.keras",
    "checkpoints/decoder.keras",
    "audit/report.json",
    "audit/report.html",
    "audit/reconstructions.png",
    "export/manifest.json",
    "export/saved_model/encoder/1/saved_model.pb",
    "export/saved_model/task_head/1/saved_model.pb",
    "export/saved_model/task_head/1/assets/attributes.txt",
    "export/tflite/encoder_float32.tflite",
    "export/saved_model/encoder/1/assets.extra/tf_serving_warmup_requests",
    "export/saved_model/task_head/1/assets.extra/tf_serving_warmup_requests",
    "export/tflite/encoder_float16.tflite",
    "export/tflite/encoder_int8.tflite",
)


def read_report(workdir):
    return json.loads((workdir / "audit" / "report.json").read_text())


def test_smoke_run_leaves_the_whole_run_directory_and_nothing_unfinished(smoke_run):
    workdir, _ = smoke_run
    missing = [name for name in CONTRACT_FILES if not (workdir / name).is_file()]
    assert not missing
    unfinished = [p for p in workdir.rglob("*") if "unfinished" in p.name or p.suffix == ".tmp"]
    assert not unfinished


def test_run_ends_by_saying_where_its_results_lie_and_the_figures_beside_their_floors(smoke_run):
    workdir, finished = smoke_run
    end = finished.stdout[-6000:]
    for path in ("audit/report.html", "audit/reconstructions.png", "export/saved_model/encoder"):
        assert str(workdir / path) in end
    assert f"tensorboard --logdir {workdir}/logs" in end
    for row in ("Utility: mean MCC", "attack: decoder", "floor: task output", "floor: mean image"):
        assert row in end


def test_report_keeps_its_contract(smoke_run):
    report = read_report(smoke_run[0])
    assert set(report["utility"]) >= {"mean_mcc", "accuracy", "roc_auc", "attributes"}
    assert set(report["floors"]) == {"mean_image", "task_output"}
    sections = [*report["floors"].values(), *report["attacks"], report["worst"], report["leakage"]]
    for section in sections:
        for measure in MEASURES:
            assert {"value", "ci95"} <= set(section[measure])
    for attack in report["attacks"]:
        assert attack["knowledge"] in ("black-box", "white-box")
        assert {"name", "settings", "seconds"} <= set(attack)
    assert report["codes"]["shape"] == [4, 4, 8]
    assert report["codes"]["bytes"] == 4 * 4 * 8 * 4
    assert all(report["leakage"][measure]["value"] is None for measure in MEASURES)


def test_config_json_holds_every_setting_and_the_versions(smoke_run):
    recorded = json.loads((smoke_run[0] / "config.json").read_text())
    assert recorded["settings"]["attacker_steps"] == 36
    assert recorded["settings"]["deterministic"] is True
    assert {"tensorflow", "keras"} <= set(recorded["versions"])
    assert "git_revision" in recorded


def test_exported_encoder_and_head_compute_what_the_trained_models_do(smoke_run):
    workdir, _ = smoke_run
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    encoder = checkpoints.load_player(workdir / "checkpoints" / "encoder.keras")
    head = checkpoints.load_player(workdir / "checkpoints" / "task_head.keras")
    code = encoder.predict(images.astype(np.float32) / 255.0, verbose=0)
    served = tf.saved_model.load(str(workdir / "export" / "saved_model" / "encoder" / "1"))
    served_head = tf.saved_model.load(str(workdir / "export" / "saved_model" / "task_head" / "1"))
    served_code = served.signatures["serving_default"](image=tf.constant(images))["code"]
    np.testing.assert_allclose(served_code, code, atol=1e-5)
    outputs = served_head.signatures["serving_default"](code=served_code)
    np.testing.assert_allclose(outputs["logits"], head.predict(code, verbose=0), atol=1e-5)


def test_tensorboard_shows_losses_measures_pictures_and_hyper_parameters(smoke_run):
    logs = smoke_run[0] / "logs"
    training = EventAccumulator(str(logs), size_guidance={"tensors": 0}).Reload()
    tags = set(training.Tags()["tensors"])
    assert {
        "train/task_loss",
        "train/privacy_loss",
        "train/reconstruction_loss",
        "train/images_per_second",
        "train/protector_learning_rate",
        "eval/mean_mcc",
        "eval/adversary_psnr",
        "eval/original_above_reconstruction",
    } <= tags
    attacked = EventAccumulator(str(logs / "audit_test")).Reload()
    assert {
        "audit/figures",
        "under_attack/pictures",
        "under_attack/worst_face_similarity",
        "_hparams_/session_start_info",
    } <= set(attacked.Tags()["tensors"])


def test_finished_stages_are_not_redone(smoke_copy):
    workdir = smoke_copy
    before = (workdir / "audit" / "report.json").stat().st_mtime_ns
    again = run_main("--flagfile=configs/smoke.cfg", f"--workdir={workdir}", "--deterministic")
    assert again.returncode == 0
    assert "Stage 'audit' is finished" in again.stderr
    assert (workdir / "audit" / "report.json").stat().st_mtime_ns == before
    assert not (workdir / "export" / "saved_model" / "encoder" / "2").exists()


def test_other_settings_on_a_finished_run_are_refused_by_name(smoke_copy):
    refused = run_main("--stages=train", f"--workdir={smoke_copy}", "--epochs=7")
    assert refused.returncode == 2
    assert "--epochs=2 (now: 7)" in refused.stderr
    assert "--overwrite" in refused.stderr


def test_audit_with_settings_that_contradict_the_training_is_refused(smoke_copy):
    workdir = smoke_copy
    before = (workdir / "config.json").read_text()
    refused = run_main(
        "--stages=audit", f"--workdir={workdir}", "--audit_split=validation", "--mu=0.7"
    )
    assert refused.returncode == 2
    assert "was trained with --mu=0.1 (now: 0.7)" in refused.stderr
    assert (workdir / "config.json").read_text() == before


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--lamda_pixel=1"], "Did you mean: lambda_pixel"),
        (["--data_dir=gs://bucket"], "gs:// is not supported"),
        (["--dataset=celeba"], "--dataset=celeba needs --data_dir=DIR"),
        (["--dataset=celeba", "--data_dir=nowhere"], "No folder nowhere/img_align_celeba"),
        (
            ["--stages=trian"],
            "train, audit, export, attackers, sweep, study, bench, doctor, encode; got 'trian'",
        ),
        (["--image_size=50"], "--image_size must be a multiple of 32, got 50; try 64"),
        (["stray"], "Unexpected argument 'stray'"),
        (["--stages=audit"], "run it with --stages=train first"),
        (["--reference=nowhere"], "--reference=nowhere holds no audit/measures.npz"),
        (["--audit=fast"], "--audit must be one of quick, standard, full; got 'fast'"),
        (["--stages=audit", "--codes=nowhere.npz"], "nowhere.npz"),
        (["--codes=nowhere.npz"], "nowhere.npz"),
        (["--encoder_saved_model=x"], "needs --stages=audit"),
        (["--stages=audit", "--encoder_saved_model=nowhere"], "nowhere"),
        (["--attacker_data_dir=x"], "needs --attacker_dataset"),
        (["--channel_levels=4"], "--channel_clip > 0"),
        (["--codes_per_photo=0"], "--codes_per_photo must be >= 1"),
        (
            ["--codes_per_photo=4"],
            "is for an audit; --stages=export needs the audit of single codes",
        ),
        (
            ["--stages=audit", "--codes=nowhere.npz", "--codes_per_photo=4"],
            "nowhere.npz",
        ),
        (["--task_attributes=Nose", "--num_faces=60"], "--task_attributes names Nose"),
        (["--stages=train,export"], "without an audit of T; add audit to --stages"),
        (["--audit_split=validation"], "without an audit of T; add audit to --stages"),
        (["--require=face_similarity<0.2"], "--require: The condition 'face_similarity<0.2'"),
        (["--tflite_precisions=int4"], "--tflite_precisions must name some of float32, float16"),
        (["--encoder_tflite=x"], "needs --stages=audit"),
        (["--stages=audit", "--encoder_tflite=nowhere"], "--encoder_tflite=nowhere: there is no"),
        (["--perceptual_layers=block99"], "efficientnet_lite0 has no layer 'block99'; one of"),
    ],
)
def test_wrong_flags_end_with_a_message_and_leave_nothing(tmp_path, flags, message):
    workdir = tmp_path / "run"
    refused = run_main(f"--workdir={workdir}", *flags)
    assert refused.returncode != 0
    assert message in refused.stderr + refused.stdout
    assert "Traceback" not in refused.stderr
    assert not workdir.exists()


@pytest.mark.parametrize(
    ("module", "function", "words"),
    [("main", "console", "The flags used most:"), ("bench", "main", "--data_dir")],
)
def test_help_is_answered_without_tensorflow_and_with_exit_code_0(module, function, words):
    code = (
        f"import sys; from arl_tf import {module}; sys.argv = ['arl_tf', '--help']\n"
        f"try:\n    {module}.{function}()\n"
        "finally:\n    print({'tensorflow', 'keras', 'matplotlib'} & set(sys.modules))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert shown.returncode == 0 and words in shown.stdout
    assert shown.stdout.endswith("set()\n")


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.cfg")), ids=lambda p: p.name)
def test_every_config_file_parses_and_says_how_to_run_it(path):
    text = path.read_text()
    assert text.startswith("#")
    if path.name != "base.cfg":
        for word in (
            "python -m arl_tf.main --flagfile=configs/",
            "Hardware:",
            "Time:",
            "Expected:",
        ):
            assert word in text, word
    checked = run_main(f"--flagfile={path}", "--data_dir=anywhere", "--only_check_args")
    assert checked.returncode == 0, checked.stderr
