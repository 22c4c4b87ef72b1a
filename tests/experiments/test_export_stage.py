"""The export stage: the gate in a run, and the images that files are proved on."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from conftest import run_main
from reports import report_content

from arl_tf.config import settings as settings
from arl_tf.config.settings import Config
from arl_tf.data import image_sets, splits
from arl_tf.experiments import export_stage, run_directory, stages
from arl_tf.experiments.experiment import Experiment


@pytest.fixture
def run(smoke_copy):
    """A copy of the finished smoke run."""
    return run_directory.RunDirectory(smoke_copy)


def manifest_of(run):
    return json.loads((run.export / "manifest.json").read_text())


def export_again(run, *flags):
    return run_main("--stages=export", "--overwrite", f"--workdir={run.root}", *flags)


def test_default_run_passes_the_gate_and_says_so(run):
    gate = manifest_of(run)["gate"]
    assert gate == {
        "passed": True,
        "allowed_unaudited": False,
        "obstacle": None,
        "conditions": [],
    }


def test_an_export_is_current_until_encoder_settings_gate_or_files_are_others(run, monkeypatch):
    config = Config(**run_directory.recorded_settings(run))
    whole = Experiment(config, run, None, None)
    assert export_stage.is_current(whole)
    assert not export_stage.is_current(whole.with_settings(calibration_images=17))
    assert not export_stage.is_current(whole.with_settings(require="mean_mcc>=-1"))
    with pytest.raises(ValueError, match="psnr<=1 is missed"):
        export_stage.is_current(whole.with_settings(require="psnr<=1"))
    with monkeypatch.context() as patched:
        patched.setattr(export_stage.report_files, "read_figures", lambda folder: {"worst": 1})
        assert not export_stage.is_current(whole)
    with monkeypatch.context() as patched:
        patched.setattr(export_stage.fingerprint, "weights_hash", lambda encoder: "other")
        unaudited = whole.with_settings(allow_unaudited=True)
        assert not export_stage.is_current(unaudited)
    next(run.export.glob("tflite/*.tflite")).unlink()
    assert not export_stage.is_current(whole)
    (run.export / "manifest.json").write_text("{")
    assert not export_stage.is_current(whole)
    (run.export / "manifest.json").unlink()
    assert not export_stage.is_current(whole)


def test_missed_requirement_is_refused_by_its_figures_and_leaves_the_earlier_export(run):
    before = manifest_of(run)
    refused = export_again(run, "--require=psnr<=1,accuracy>=0")
    assert refused.returncode == 2
    worst = json.loads((run.audit("test") / "report.json").read_text())["worst"]["psnr"]
    assert f"psnr<=1 is missed: psnr is {worst['value']:.3f}" in refused.stderr
    assert f"{worst['ci95'][1]:.3f}" in refused.stderr
    assert "accuracy" not in refused.stderr.split("is not exported:")[1]
    assert "Traceback" not in refused.stderr
    assert manifest_of(run) == before
    assert [path.name for path in (run.export / "saved_model" / "encoder").iterdir()] == ["1"]


@pytest.fixture(scope="module")
def exported_again(smoke_run, tmp_path_factory):
    """(run, finished process) of a second export, without a flagfile, whose gate is not passed."""
    run = run_directory.RunDirectory(tmp_path_factory.mktemp("again") / "run")
    shutil.copytree(smoke_run[0], run.root)
    finished = export_again(
        run,
        "--require=psnr<=1",
        "--allow_unaudited",
        "--tflite_precisions=float32,float32",
        "--calibration_images=16",
    )
    assert finished.returncode == 0, finished.stderr[-2000:]
    return run, finished


@pytest.mark.slow
def test_a_later_export_needs_no_flagfile_and_leaves_the_earlier_version(exported_again):
    encoders = exported_again[0].export / "saved_model" / "encoder"
    assert (encoders / "2" / "saved_model.pb").exists()
    assert (encoders / "1" / "saved_model.pb").exists()


@pytest.mark.slow
def test_who_exports_all_the_same_is_told_of_in_the_manifest(exported_again):
    run, finished = exported_again
    gate = manifest_of(run)["gate"]
    assert (gate["passed"], gate["allowed_unaudited"]) == (False, True)
    assert gate["conditions"][0]["condition"] == "psnr<=1"
    assert gate["conditions"][0]["holds"] is False
    assert "exported although psnr<=1 is missed" in finished.stderr


@pytest.mark.slow
def test_precision_that_is_named_twice_is_exported_once(exported_again):
    run, _ = exported_again
    assert list(manifest_of(run)["tflite"]) == ["float32"]
    assert [path.name for path in (run.export / "tflite").iterdir()] == ["encoder_float32.tflite"]


def test_run_without_an_audit_of_t_is_refused(run):
    shutil.rmtree(run.audit("test"))
    refused = export_again(run)
    assert refused.returncode == 2
    assert "without an audit of T; add audit to --stages" in refused.stderr


def test_audit_of_other_weights_does_not_vouch_for_these(run):
    path = run.audit("test") / "report.json"
    content = json.loads(path.read_text())
    content["provenance"]["encoder_sha256"] = "0" * 64
    path.write_text(json.dumps(content))
    refused = export_again(run)
    assert refused.returncode == 2
    assert "audit is of another encoder" in refused.stderr


def test_manifest_has_the_audits_figures_and_the_settings_hash(run):
    provenance = manifest_of(run)["provenance"]
    report = json.loads((run.audit("test") / "report.json").read_text())
    assert provenance["audit"]["worst"] == report["worst"]
    assert provenance["audit"]["mean_mcc"] == report["utility"]["mean_mcc"]
    config = settings.from_mapping(run_directory.recorded_settings(run))
    assert provenance["settings_sha256"] == run_directory.settings_hash(
        config.stage_settings("export")
    )


@pytest.mark.parametrize(
    ("asked", "split", "refused"),
    [
        ("train,audit,export", "test", False),
        ("train,audit,export", "validation", True),
        ("train,export", "test", True),
        ("audit,export", "test", False),
        ("export", "test", True),
        ("train,audit", "validation", False),
    ],
)
def test_export_that_would_lack_its_audit_is_refused_before_training(
    tmp_path, monkeypatch, asked, split, refused
):
    config = Config(stages=asked, audit_split=split)
    run, todo = run_directory.RunDirectory(tmp_path), list(config.stage_names)
    monkeypatch.setattr(stages, "check_training_settings", lambda *given: None)
    monkeypatch.setattr(stages.checkpoints, "require_player", lambda path: None)
    check = stages.check_prerequisites
    if refused:
        with pytest.raises(ValueError, match="without an audit of T"):
            check(config, run, todo)
        config = dataclasses.replace(config, allow_unaudited=True)
    check(config, run, todo)


def test_codes_that_are_divided_among_servers_are_not_exported_even_if_unaudited_ones_are(tmp_path):
    config = Config(stages="train,audit,export", defence="distributed", allow_unaudited=True)
    with pytest.raises(ValueError, match=r"among 4 servers.* use --stages=train,audit"):
        export_stage.check(config, run_directory.RunDirectory(tmp_path), ["export"])


def test_files_are_proved_on_no_image_of_t_and_calibrated_on_public_ones(tmp_path):
    config = Config(num_faces=240, image_size=32)
    images = image_sets.load_images(config, tmp_path)
    parts = splits.split_by_identity(images.identities, config)
    proof = export_stage.proof_of(images, parts, calibration_images=20)
    pixels = {row: images.images[row].tobytes() for row in range(len(images.images))}

    def among(batch, *names):
        allowed = {pixels[row] for name in names for row in parts.parts()[name]}
        return all(image.tobytes() in allowed for image in batch)

    assert among(proof.samples, "public_validation")
    assert among(proof.calibration, "public_train")
    assert among(proof.validation, "private_validation", "public_validation")
    assert not among(proof.validation, "public_validation")
    assert len(proof.calibration) == 20
    assert len(proof.validation) == len(parts.private_validation) + len(parts.public_validation)


def test_attributes_of_the_proof_are_those_of_its_images(tmp_path):
    config = Config(num_faces=240, image_size=32)
    images = image_sets.load_images(config, tmp_path)
    parts = splits.split_by_identity(images.identities, config)
    proof = export_stage.proof_of(images, parts, calibration_images=20)
    rows = np.concatenate([parts.private_validation, parts.public_validation])
    np.testing.assert_array_equal(proof.attributes, images.attributes[rows])


def test_spread_rows_are_distinct_and_reach_both_ends():
    rows = np.arange(100, 200)
    chosen = export_stage.evenly_spread(rows, 7)
    assert len(set(chosen)) == 7
    assert (chosen[0], chosen[-1]) == (100, 199)
    np.testing.assert_array_equal(export_stage.evenly_spread(rows, 500), rows)


def with_report(root, content):
    """A run directory with such an audit of T."""
    run = run_directory.RunDirectory(root)
    run.audit("test").mkdir(parents=True)
    (run.audit("test") / "report.json").write_text(json.dumps({"verdict": "", **content}))
    return run


def test_own_figures_are_those_of_the_reference_s_own_audit(tmp_path):
    run = with_report(tmp_path, report_content())
    figures = export_stage.own_figures({"reference": {"workdir": str(run.root)}})
    assert figures["mean_mcc"] == report_content()["utility"]["mean_mcc"]


@pytest.mark.parametrize("content", [{"reference": None}, {"reference": {"workdir": "gone"}}])
def test_reference_that_is_not_there_has_no_figures_of_its_own(content):
    assert export_stage.own_figures(content) is None


def test_gate_compares_with_what_the_same_attackers_found_in_the_reference(tmp_path, monkeypatch):
    content, own = report_content(0.3), report_content()
    # The reference has since met an attacker that this code never met.
    own["worst"]["face_similarity"] = {"attack": "strongest", "value": 0.95, "ci95": [0.9, 1.0]}
    own["utility"]["mean_mcc"] = {"value": 0.6, "ci95": [0.5, 0.7]}
    reference = with_report(tmp_path / "reference", own)
    content["reference"]["workdir"] = str(reference.root)
    run = with_report(tmp_path / "run", content)
    sha256 = content["provenance"]["encoder_sha256"]
    monkeypatch.setattr(export_stage.fingerprint, "weights_hash", lambda encoder: sha256)

    def judged():
        config = Config(require="face_similarity<=0.7*reference,mean_mcc>=0.5*reference")
        return export_stage.judge_run(config, run, None).outcomes

    face, mcc = judged()
    assert (face.compared, face.bound, face.holds) == (0.6, pytest.approx(0.7 * 0.8), False)
    assert (mcc.bound, mcc.holds) == (pytest.approx(0.3), True)
    shutil.rmtree(reference.root)
    face, mcc = judged()
    assert face.bound == pytest.approx(0.7 * 0.8)
    assert not mcc.holds and "its own report is not there, or has no mean_mcc" in mcc.words


@pytest.mark.parametrize("split", ["test", "validation"])
def test_export_is_redone_after_a_new_audit_of_t_and_of_nothing_else(tmp_path, split):
    run = run_directory.RunDirectory(tmp_path)
    before = Config(audit_split=split)
    for stage in ("train", "audit", "export"):
        run_directory.mark_finished(
            run, stages.stage_key(before, stage), before.stage_settings(stage)
        )
    assert stages.stages_to_do(before, run) == []
    run_directory.forget_finished(run, stages.stage_key(before, "audit"))
    redone = ["audit", "export"] if split == "test" else ["audit"]
    assert stages.stages_to_do(before, run) == redone
    stages.forget(before, run, ["audit"])
    assert ("export" in run_directory.finished_stages(run)) is (split == "validation")


def test_audit_of_several_codes_has_a_folder_of_its_own_and_leaves_the_export_alone(tmp_path):
    run = run_directory.RunDirectory(tmp_path)
    single, several = Config(stages="audit"), Config(stages="audit", codes_per_photo=16)
    on_validation = dataclasses.replace(several, audit_split="validation")
    assert [run.audit(c.audit_name).name for c in (single, several, on_validation)] == [
        "audit",
        "audit_16_codes",
        "audit_validation_16_codes",
    ]
    for stage in ("train", "audit", "export"):
        run_directory.mark_finished(
            run, stages.stage_key(single, stage), single.stage_settings(stage)
        )
    assert stages.stages_to_do(several, run) == ["audit"]
    stages.forget(several, run, ["audit"])
    assert {"audit_test", "export"} <= set(run_directory.finished_stages(run))


def test_training_anew_removes_every_audit_of_the_old_encoder(tmp_path):
    run = run_directory.RunDirectory(tmp_path)
    run_directory.mark_finished(run, "train", {})
    for name in ("test", "validation", "16_codes"):
        run.audit(name).mkdir()
        run_directory.mark_finished(run, f"audit_{name}", {})
    stages.forget(Config(overwrite=True), run, ["train"])
    assert not list(tmp_path.glob("audit*"))
    assert run_directory.finished_stages(run) == {}
