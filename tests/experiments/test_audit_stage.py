"""Audits through the command line: external encoders, recorded codes, references, killed audits."""

import dataclasses
import json

import numpy as np
import pytest
from conftest import run_main

from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders import audited
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.config.settings import Config
from arl_tf.data import image_sets, splits
from arl_tf.data.faces import generation
from arl_tf.experiments import audited_encoders, audits, experiment, references, run_directory
from arl_tf.experiments.experiment import Experiment

SMALL = (
    "--stages=audit",
    "--audit=quick",
    "--attacker_width=4",
    "--attacker_depth=0",
    "--attacker_steps=8",
    "--bootstrap_samples=100",
    "--perceptual_layers=block1",
)


def read_report(workdir):
    return json.loads((workdir / "audit" / "report.json").read_text())


def write_codes(path, count=64, **changes):
    batch = generation.generate_faces(count, 32, seed=7)
    arrays = {
        "codes": batch.images[:, ::8, ::8].astype(np.float32) / 255,
        "images": batch.images,
        "labels": batch.attributes,
        "identities": batch.identities,
        "names": np.array(generation.ATTRIBUTE_NAMES),
        **changes,
    }
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


@pytest.mark.slow
@pytest.mark.release
def test_recorded_codes_are_audited_with_a_reference_trained_for_them(tmp_path):
    codes = write_codes(tmp_path / "codes.npz")
    workdir = tmp_path / "run"
    flags = (*SMALL, f"--codes={codes}", f"--workdir={workdir}")
    finished = run_main(*flags)
    assert finished.returncode == 0, finished.stderr[-3000:]
    report = read_report(workdir)
    assert report["codes"]["shape"] == [4, 4, 3]
    names = {attack["name"] for attack in report["attacks"]}
    assert names == {"linear", "retrieval", "decoder", "fused", "amplified"}
    assert len(report["utility"]["attributes"]) == len(generation.ATTRIBUTE_NAMES)
    assert any("white-box" in text for text in report["not_tested"])
    assert "Left out" in (workdir / "audit" / "report.html").read_text()
    assert not [p for p in workdir.rglob("*") if "unfinished" in p.name]
    settings = json.loads((workdir / "config.json").read_text())["settings"]
    assert settings["image_size"] == 32
    again = run_main(
        "--stages=audit",
        f"--workdir={workdir}",
        "--overwrite",
        "--reference=auto",
        "--warmup_epochs=1",
        "--steps_per_epoch=2",
    )
    assert again.returncode == 0, again.stderr[-3000:]
    # The attacks on the codes were finished; only the reference's were left to run.
    assert again.stderr.count("Attack 1 of ") == 1
    referenced = read_report(workdir)
    assert referenced["worst"] == report["worst"]
    assert "/reference_" in referenced["reference"]["workdir"]
    assert {a["name"] for a in referenced["attacks"]} == names


@pytest.mark.slow
def test_recorded_codes_without_labels_and_identities_are_audited(tmp_path):
    codes = write_codes(tmp_path / "codes.npz", labels=None, identities=None, names=None)
    workdir = tmp_path / "run"
    # It would attack the task output, too, if there were one.
    flags = (*SMALL, "--attackers=linear", f"--codes={codes}", f"--workdir={workdir}")
    finished = run_main(*flags)
    assert finished.returncode == 0, finished.stderr[-3000:]
    report = read_report(workdir)
    assert report["utility"]["mean_mcc"]["value"] is None
    assert report["floors"]["task_output"]["ssim"]["value"] is None
    assert report["codes"]["linkage_auc"]["value"] is None
    assert report["floor_attacks"] == []


@pytest.mark.slow
def test_exported_encoder_is_audited_as_an_external_one_and_told_as_the_run_s_own(
    smoke_run, tmp_path
):
    exported = smoke_run[0] / "export" / "saved_model"
    workdir = tmp_path / "run"
    finished = run_main(
        "--flagfile=configs/smoke.cfg",
        "--stages=audit",
        f"--encoder_saved_model={exported / 'encoder'}",
        f"--task_head_saved_model={exported / 'task_head'}",
        "--trust_encoder",
        f"--workdir={workdir}",
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    own, external = read_report(smoke_run[0]), read_report(workdir)
    assert external["utility"]["mean_mcc"]["value"] == pytest.approx(
        own["utility"]["mean_mcc"]["value"], abs=0.02
    )
    for mine, other in zip(own["attacks"], external["attacks"], strict=True):
        assert mine["name"] == other["name"]
        assert other["ssim"]["value"] == pytest.approx(mine["ssim"]["value"], abs=0.05)
    assert external["training_adversary"] is None
    assert own["training_adversary"] is not None


@pytest.mark.slow
@pytest.mark.parametrize("float_form", [False, True])
def test_codes_of_a_tflite_file_get_a_report_of_their_own(smoke_run, tmp_path, float_form):
    exported = smoke_run[0] / "export"
    workdir = tmp_path / "run"
    lent = [f"--encoder_saved_model={exported / 'saved_model' / 'encoder'}"] if float_form else []
    finished = run_main(
        "--flagfile=configs/smoke.cfg",
        "--stages=audit",
        f"--encoder_tflite={exported / 'tflite' / 'encoder_int8.tflite'}",
        f"--task_head_saved_model={exported / 'saved_model' / 'task_head'}",
        "--trust_encoder",
        f"--workdir={workdir}",
        *lent,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    own, coarse = read_report(smoke_run[0]), read_report(workdir)
    audited = coarse["provenance"]["audited"]
    assert "encoder_int8.tflite" in audited
    assert ("gradients of its float form" in audited) is float_form
    assert ("black-box only" in audited) is not float_form
    assert any("white-box" in text for text in coarse["not_tested"]) is not float_form
    assert coarse["provenance"]["encoder_sha256"] != own["provenance"]["encoder_sha256"]
    assert coarse["codes"]["shape"] == own["codes"]["shape"]
    for mine, other in zip(own["attacks"], coarse["attacks"], strict=True):
        assert mine["name"] == other["name"]
        assert other["ssim"]["value"] == pytest.approx(mine["ssim"]["value"], abs=0.05)


def test_external_codes_are_not_audited_into_a_trained_run(smoke_copy, tmp_path):
    codes = write_codes(tmp_path / "codes.npz")
    before = read_report(smoke_copy)
    refused = run_main(
        "--stages=audit", f"--codes={codes}", f"--workdir={smoke_copy}", "--overwrite"
    )
    assert refused.returncode == 2
    assert "another --workdir" in refused.stderr
    assert read_report(smoke_copy) == before


def test_a_quick_audit_attacks_some_people_with_a_sixth_of_the_steps_and_keeps_them_apart():
    quick, standard = (
        audits.audit_settings(Config(audit=level, attacker_steps=600))
        for level in ("quick", "standard")
    )
    assert (quick.target_images, quick.attacker.steps) == (200, 100)
    assert (standard.target_images, standard.attacker.steps) == (0, 600)
    # What is stored of one level's decoders is not taken for the other's.
    assert quick.attack_identity != standard.attack_identity


def audited_encoder_of(shape):
    return AuditedEncoder("toy", "hash", shape, Channel(), encoder=lambda x: x)


def test_reference_of_protected_runs_is_shared_whatever_only_their_defence_needs():
    config = Config(defence="perceptual", lambda_perceptual=0.5, epochs=9, workdir="a")
    other = Config(defence="both", objective="hinge", decoder_width=8, workdir="b")
    settings = [
        references.reference_settings(each, audited_encoder_of((8, 8, 32))).stage_settings("audit")
        for each in (config, other)
    ]
    assert settings[0] == settings[1]
    assert settings[0]["defence"] == "none"
    longer = dataclasses.replace(config, warmup_epochs=99)
    assert (
        references.reference_settings(longer, audited_encoder_of((8, 8, 32))).stage_settings(
            "audit"
        )
        != settings[0]
    )


@pytest.mark.parametrize(
    ("shape", "cut"), [((16, 16, 4), "early"), ((4, 4, 7), "late"), ((9,), "pooled")]
)
def test_reference_of_external_codes_has_their_shape(shape, cut):
    config = Config(stages="audit", codes="x.npz")
    found = references.reference_settings(config, audited_encoder_of(shape))
    assert (found.cut, found.code_channels) == (cut, shape[-1])


def test_shape_that_no_cut_has_is_refused_with_the_remedy():
    config = Config(stages="audit", codes="x.npz")
    with pytest.raises(ValueError, match="--reference=DIR"):
        references.reference_settings(config, audited_encoder_of((64, 64, 3)))


def test_reference_needs_a_warm_up_to_be_trained_in():
    config = Config(warmup_epochs=0)
    with pytest.raises(ValueError, match="--warmup_epochs"):
        references.reference_settings(config, audited_encoder_of((8, 8, 32)))


def test_reference_of_recorded_codes_is_attacked_as_recorded_too():
    drawn = generation.generate_faces(8, 32, seed=1).images
    frozen = audited.as_recorded(
        AuditedEncoder("toy", "h", (3,), Channel(), encoder=lambda x: x[:, 0, 0].astype("f4")),
        drawn,
    )
    assert frozen.encoder is None


def test_task_attributes_part_the_data_set_s(tmp_path):
    config = Config(num_faces=60, image_size=32, task_attributes="Smiling,Male")
    images = image_sets.load_images(config, tmp_path)
    assert set(images.attribute_names) == {"Smiling", "Male"}
    assert len(images.other_attribute_names) == len(generation.ATTRIBUTE_NAMES) - 2
    assert images.attributes.shape == (60, 2)
    assert images.other_attributes.shape == (60, len(generation.ATTRIBUTE_NAMES) - 2)
    smiling = generation.ATTRIBUTE_NAMES.index("Smiling")
    everything = image_sets.load_images(dataclasses.replace(config, task_attributes=""), tmp_path)
    np.testing.assert_array_equal(
        images.attributes[:, images.attribute_names.index("Smiling")],
        everything.attributes[:, smiling],
    )
    assert everything.other_attribute_names == ()
    assert splits.names_hash(images.names) == splits.names_hash(everything.names)


def test_a_subject_is_described_by_all_that_protects_it():
    plain = Config(defence="none")
    assert audited_encoders.protection(plain) == ["--defence=none"]
    noisy = dataclasses.replace(plain, code_noise=1.0, lambda_rate=5e-5, code_levels=2)
    assert audited_encoders.protection(noisy) == [
        "--defence=none",
        "--code_noise=1",
        "--lambda_rate=5e-05",
        "--code_levels=2",
    ]


@pytest.mark.parametrize(
    ("defence", "share", "words"),
    [
        ("noise", 1, "needs codes that are divided.*got --defence=noise"),
        ("distributed", 4, "have 3 shares; expected from 1 to 3"),
    ],
)
def test_a_share_that_is_not_there_is_refused_before_data_are_read(defence, share, words):
    given = {"defence_strength": 3.0} if defence == "distributed" else {}
    config = Config(stages="audit", defence=defence, audit_share=share, **given)
    with pytest.raises(ValueError, match=words):
        audited_encoders.check_share(config)
    audited_encoders.check_share(dataclasses.replace(config, audit_share=0))


def test_other_data_set_is_read_only_for_an_audit_whose_attackers_take_it(tmp_path):
    run = run_directory.RunDirectory(tmp_path)
    other = {"attacker_dataset": "faces", "num_faces": 60, "image_size": 32}
    for without in (
        Config(audit="quick", **other),
        Config(audit="standard", attackers="linear,decoder", **other),
        Config(audit="standard", image_size=32),
    ):
        assert experiment.load_other_images(Experiment(without, run, None, None)) is None
    assert not run.root.joinpath("cache").exists()
    asked = Config(audit="standard", **other)
    read = experiment.load_other_images(Experiment(asked, run, None, None))
    assert read.shape == (60, 32, 32, 3)
