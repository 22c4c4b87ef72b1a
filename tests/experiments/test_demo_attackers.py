"""The attackers stage: SavedModels are what was fitted, on X2 alone, and appear by rename."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from conftest import run_main
from reports import report_content

from arl_tf.attacks import decoder_attacks, noise_aware, shipped
from arl_tf.attacks.evidence import AttackerOptions, CodeNoise, Evidence, PublicPairs
from arl_tf.auditing import remarks
from arl_tf.auditing.channel import Channel
from arl_tf.auditing.encoders.audited import AuditedEncoder
from arl_tf.config.settings import Config
from arl_tf.data import image_sets, splits
from arl_tf.data.faces import generation
from arl_tf.experiments import attackers_facts, attackers_stage, audits, run_directory, stages
from arl_tf.experiments.attackers_stage import FOLDER
from arl_tf.experiments.experiment import Experiment
from arl_tf.exporting import saved_model_checks, saved_models, tflite_attack
from arl_tf.metrics.equivalence import ExportError
from arl_tf.report import report_files
from arl_tf.utils import files
from serving.server.validation import Limits
from serving.web import attackers

pytestmark = pytest.mark.slow

SETTINGS = AttackerOptions(
    width=4, depth=0, steps=8, batch_size=8, learning_rate=1e-3, mu=0.1, seed=3
)
SIDE = 8
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (120, SIDE, SIDE, 3)).astype(np.uint8)
CONFIG = Config(
    stages="attackers",
    num_faces=120,
    images_per_identity=1,
    image_size=32,
    attacker_width=4,
    attacker_depth=0,
    attacker_steps=8,
    attacker_batch_size=8,
)


def grid_code(images):
    """Codes [N, 4, 4, 3]: every other pixel, mixed and shifted."""
    mixing = np.float32([[0.5, 1, 0], [0, 2, 1], [1, 0, -30]])
    return images[:, :: images.shape[1] // 4, :: images.shape[2] // 4] @ mixing / 255 + 7


def logits(codes):
    """A toy task output [N, 2]."""
    return codes.reshape(len(codes), -1)[:, :2].astype(np.float32)


def vector_code(images):
    """Codes [N, 5]."""
    return grid_code(images).reshape(len(images), -1)[:, :5]


def evidence(encode):
    public, held_out = PICTURES[:100], PICTURES[100:]
    codes = encode(held_out)
    return Evidence(
        PublicPairs(encode(public), public, codes, held_out), codes[:0], lambda image: [image]
    )


def run_saved(attacker, codes, path):
    saved_models.save_attacker(attacker.model, path)
    attack = tf.saved_model.load(str(path)).signatures["serving_default"]
    return attack(code=tf.constant(codes))["reconstruction"].numpy()


@pytest.mark.parametrize("encode", [grid_code, vector_code])
def test_saved_linear_map_is_the_audits(encode, tmp_path):
    held = evidence(encode)
    codes = held.pairs.held_out_codes
    attacker = shipped.fit_linear(held, SETTINGS)
    audited = noise_aware.linear_attack(
        dataclasses.replace(held, target_codes=codes), SETTINGS, name="linear"
    )
    assert attacker.facts["rank"] is None
    np.testing.assert_allclose(
        run_saved(attacker, codes, tmp_path / "saved"), audited.reconstructions, atol=1e-5
    )
    assert attacker.held_out_loss == pytest.approx(audited.held_out_loss[0], rel=1e-4)
    assert attacker.facts["penalty"] == audited.settings["penalty"]


def noisy_evidence(encode):
    """Codes that tell all of their pictures, behind noise that differs from value to value."""
    rng = np.random.default_rng(1)
    pictures = PICTURES[:, ::2, ::2].repeat(2, axis=1).repeat(2, axis=2)
    means = encode(pictures).astype(np.float32)
    deviation = np.geomspace(0.05, 5, means[0].size).reshape(means[0].shape).astype(np.float32)
    codes = (means + deviation * rng.standard_normal(means.shape)).astype(np.float32)
    return Evidence(
        PublicPairs(codes[:100], pictures[:100], codes[100:], pictures[100:]),
        codes[100:],
        lambda image: [image],
        noise=CodeNoise(deviation, means[:100], answers=8),
    )


@pytest.mark.parametrize("rank", [None, 40])
def test_saved_linear_map_of_noisy_codes_knows_the_noise_as_the_audits(rank, tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "shipped_rank", lambda *shape: rank)
    held = noisy_evidence(grid_code)
    attacker = shipped.fit_linear(held, SETTINGS)
    audited = noise_aware.linear_attack(held, SETTINGS, name="linear")
    assert attacker.facts["noise_factor"] == audited.settings["noise_factor"]
    found = run_saved(attacker, held.target_codes, tmp_path / "saved")
    difference = np.abs(found - audited.reconstructions)
    assert difference.max() < 1e-5 if rank is None else difference.mean() < 0.01
    untold = shipped.fit_linear(dataclasses.replace(held, noise=None), SETTINGS)
    assert attacker.facts["held_out_pixel_loss"] < untold.facts["held_out_pixel_loss"]


class NoisyToy:
    """A toy encoder that draws noise for every code."""

    def __init__(self):
        self.rng = np.random.default_rng(2)

    def __call__(self, images):
        codes = grid_code(images.astype(np.float32))
        return codes + self.rng.standard_normal(codes.shape, np.float32)


def test_attackers_of_noisy_codes_ask_for_the_noise_those_of_the_task_output_do_not(
    drawn, tmp_path, monkeypatch
):
    audited_encoder = AuditedEncoder(
        "toy", "noisy", (4, 4, 3), Channel(), encoder=NoisyToy(), task_output=logits
    )
    monkeypatch.setattr(
        attackers_stage, "load_audited_encoder", lambda run, image_size: audited_encoder
    )
    run = run_directory.RunDirectory(tmp_path / "run")
    public = attackers_stage.public_images(Experiment(CONFIG, run, *drawn))
    targets = attackers_stage.find_targets(CONFIG, run, None, public)
    noise = targets["protected"].noise
    assert noise.answers == CONFIG.attacker_queries
    assert noise.deviation.mean() == pytest.approx(1, rel=0.1)
    assert targets["task_output"].noise is None


@pytest.mark.parametrize(
    "held", [evidence(grid_code), evidence(vector_code), noisy_evidence(grid_code)]
)
def test_saved_decoder_is_the_one_that_was_trained(held, tmp_path, monkeypatch):
    trained, train_attacker = [], decoder_attacks.train_attacker

    def train_and_keep(*args, **kwargs):
        trained.append(train_attacker(*args, **kwargs))
        return trained[0]

    monkeypatch.setattr(decoder_attacks, "train_attacker", train_and_keep)
    codes = held.pairs.held_out_codes
    attacker = shipped.fit_decoder(held, SETTINGS)
    expected = trained[0](codes)
    np.testing.assert_allclose(
        run_saved(attacker, codes, tmp_path / "saved"), expected, rtol=1e-5, atol=1e-6
    )
    assert attacker.held_out_loss == pytest.approx(min(trained[0].curve.held_out_loss), rel=1e-4)


@pytest.mark.parametrize("count", [12, 60])
def test_truncation_keeps_the_best_predictions_of_its_rank(count):
    inputs, kernel = RNG.normal(size=(count, 20)), RNG.normal(size=(20, 30))
    inputs *= np.geomspace(1, 1e-3, 20)
    first, second = shipped.truncated(inputs, kernel, 4)
    assert (first.shape, second.shape) == ((20, 4), (4, 30))
    left, values, right = np.linalg.svd(inputs @ kernel, full_matrices=False)
    best = (left[:, :4] * values[:4]) @ right[:4]
    np.testing.assert_allclose(inputs @ first @ second, best, atol=1e-9)


def test_full_rank_loses_nothing():
    inputs, kernel = RNG.normal(size=(60, 20)), RNG.normal(size=(20, 30))
    first, second = shipped.truncated(inputs, kernel, 256)
    np.testing.assert_allclose(first @ second, kernel, atol=1e-9)


@pytest.mark.parametrize(("inputs", "outputs"), [(2048, 12288), (8192, 12288), (8192, 150_528)])
def test_shipped_linear_map_stays_below_its_bytes(inputs, outputs):
    rank = shipped.shipped_rank(inputs, outputs)
    assert 1 <= rank <= shipped.LARGEST_RANK
    assert 4 * rank * (inputs + outputs) <= shipped.MOST_BYTES


def test_small_kernel_is_shipped_in_one_piece():
    assert shipped.shipped_rank(128, 12288) is None


def test_truncated_map_says_what_it_lost(monkeypatch):
    monkeypatch.setattr(shipped, "LARGEST_RANK", 2)
    attacker = shipped.fit_linear(evidence(grid_code), SETTINGS)
    assert attacker.facts["rank"] == 2
    kernels = [w.shape for w in attacker.model.weights if w.path.endswith("kernel")]
    assert kernels == [(48, 2), (2, SIDE * SIDE * 3)]
    lost, full = (attacker.facts[f"held_out_pixel_loss{end}"] for end in ("", "_of_full_rank"))
    assert 0 < full < lost


class Asked:
    """A toy encoder that notes every image it was asked about."""

    def __init__(self):
        self.images = []

    def __call__(self, images):
        self.images += [image.tobytes() for image in images]
        return grid_code(images.astype(np.float32))


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """(images, splits): procedural faces."""
    images = image_sets.load_images(CONFIG, tmp_path_factory.mktemp("cache"))
    return images, splits.split_by_identity(images.identities, CONFIG)


def toy_run(folder, drawn, patch):
    """(run directory, images, splits, encoder) whose encoder is a toy."""
    asked = Asked()
    audited_encoder = AuditedEncoder(
        "toy", "hash", (4, 4, 3), Channel(), encoder=asked, task_output=logits
    )
    patch.setattr(attackers_stage, "load_audited_encoder", lambda run, image_size: audited_encoder)
    patch.setattr(audits, "features", lambda config: lambda image: [image])
    return run_directory.RunDirectory(folder / "run"), *drawn, asked


@pytest.fixture
def toy(tmp_path, drawn, monkeypatch):
    return toy_run(tmp_path, drawn, monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory, drawn):
    """(run directory, splits) after the stage; for reading only.

    The audit found the linear map better than the decoder; there were attackers before.
    """
    with pytest.MonkeyPatch.context() as patch:
        run, images, parts, _ = toy_run(tmp_path_factory.mktemp("finished"), drawn, patch)
        write_report(run, linear=0.5, decoder=0.4, retrieval=0.9)
        (run.export / FOLDER / "unprotected" / "1").mkdir(parents=True)
        attackers_stage.run(Experiment(CONFIG, run, images, parts))
    return run, parts


def figure(value):
    return {"face_similarity": {"value": value, "ci95": [0, 1]}}


def worst_of(attacks):
    name = max(attacks, key=attacks.get)
    return {"face_similarity": {"attack": name, **figure(attacks[name])["face_similarity"]}}


def write_report(run, *, sha256="hash", channel=None, leakage=0.25, **similarities):
    """A report.json with the face similarities of attackers; half of them on the task output."""
    attacks = {name: value for name, value in similarities.items() if value is not None}
    files.write_json(
        run.audit("test") / "report.json",
        {
            **report_content(),
            "verdict": "",
            "provenance": {"encoder_sha256": sha256},
            "codes": {"channel": channel, "linkage_auc": None},
            "attacks": [{"name": name, **figure(value)} for name, value in similarities.items()],
            "floor_attacks": [
                {"name": f"task_output/{name}", **figure(value / 2)}
                for name, value in attacks.items()
            ],
            "floors": {"mean_image": figure(0.05), "task_output": figure(0.1)},
            "worst": worst_of(attacks),
            "measured_on": {"images": 36},
            "leakage": figure(leakage),
        },
    )
    settings = CONFIG.stage_settings("audit")
    run_directory.mark_finished(run, "audit_test", settings)


def facts_of(run):
    return json.loads((run.export / FOLDER / "attackers.json").read_text())


def test_without_an_audit_held_out_loss_decides_on_public_images_encoded_once_and_mirrored(toy):
    run, images, parts, asked = toy
    attackers_stage.run(Experiment(CONFIG, run, images, parts))
    learned = np.asarray(images.images[parts.public_train])
    held_out = np.asarray(images.images[parts.public_validation])
    # The first eight are asked about twice more: whether their codes differ each time.
    expected = [*learned, *learned[:, :, ::-1], *held_out, *learned[:8], *learned[:8]]
    assert sorted(asked.images) == sorted(image.tobytes() for image in expected)
    facts = facts_of(run)
    # Pixels of the toy code are there to be had linearly; a decoder of eight steps knows nothing.
    assert facts["attackers"]["protected"]["attack"] == "linear"
    assert facts["attackers"]["protected"]["chosen_by"] == "held-out loss"
    assert facts["attackers"]["protected"]["face_similarity"] is None
    assert facts["leakage"] is None


def check_choice(facts, attack, similarity):
    protected = facts["attackers"]["protected"]
    assert (protected["attack"], protected["face_similarity"]["value"]) == (attack, similarity)
    assert facts["leakage"]["value"] == 0.25
    assert protected["bytes"] > 0


def test_attacker_is_the_linear_map_where_the_audit_found_it_better(finished):
    check_choice(facts_of(finished[0]), "linear", 0.5)


def test_attacker_is_the_decoder_where_the_audit_found_it_better(toy):
    run, images, parts, _ = toy
    write_report(run, linear=0.4, decoder=0.5, retrieval=0.9)
    attackers_stage.run(Experiment(CONFIG, run, images, parts))
    check_choice(facts_of(run), "decoder", 0.5)


@pytest.mark.parametrize(
    ("report", "counts"),
    [
        ({"linear": 0.1, "decoder": 0.9}, True),
        ({"linear": 0.1, "decoder": 0.9, "sha256": "another encoder's"}, False),
        ({"linear": 0.1, "decoder": 0.9, "channel": {"noise": 1.0}}, False),
        ({"decoder": 0.9}, False),
        ({"linear": None, "decoder": 0.9}, False),
    ],
)
def test_audit_counts_where_it_has_both_attackers_on_this_encoders_codes(tmp_path, report, counts):
    run = run_directory.RunDirectory(tmp_path)
    write_report(run, **report)
    audited_encoder = AuditedEncoder("toy", "hash", (4, 4, 3), Channel())
    found = attackers_facts.similarities(attackers_facts.audit_of(run, audited_encoder))
    assert ({"linear", "decoder"} <= set(found)) is counts


def test_without_a_reference_nothing_attacks_an_unprotected_code(finished):
    run, _ = finished
    assert sorted(p.name for p in (run.export / FOLDER).iterdir()) == [
        "attackers.json",
        "protected",
        "task_output",
    ]
    assert facts_of(run)["leakage"]["value"] == 0.25


def test_task_output_is_attacked_by_the_same_attacker_with_its_own_figure(finished):
    run, _ = finished
    found = facts_of(run)["attackers"]
    assert [found[name]["attack"] for name in ("protected", "task_output")] == ["linear"] * 2
    assert found["task_output"]["face_similarity"]["value"] == 0.25
    attack = tf.saved_model.load(str(run.export / FOLDER / "task_output" / "1"))
    (asked,) = attack.signatures["serving_default"].structured_input_signature[1].values()
    assert asked.shape.as_list() == [None, 2]


def test_facts_repeat_floors_worst_attack_and_what_was_learned_from(finished):
    run, parts = finished
    facts = facts_of(run)
    assert {name: each["value"] for name, each in facts["floors"].items()} == {
        "mean_image": 0.05,
        "task_output": 0.1,
    }
    assert (facts["worst"]["value"], facts["worst"]["attackers"]) == (0.9, 6)
    assert facts["trained_on"]["photographs"] is False
    assert facts["trained_on"]["images"] == len(parts.private_train)
    rows = np.concatenate(list(parts.parts().values()))
    assert facts["trained_on"]["of_images"] == len(rows)


def test_facts_repeat_rank_1_and_the_audits_warnings_but_not_that_there_was_no_reference():
    content = report_content(0.5)
    content["warnings"] = ["too weak", f"{remarks.NO_REFERENCE} (--reference=auto trains one)."]
    facts = attackers_facts.audited_facts(content)
    assert facts["warnings"] == ["too weak"]
    pictures = {source: found["value"] for source, found in facts["rank1"]["pictures"].items()}
    assert pictures == {"code": 0.5, "task_output": 0.2, "unprotected": 0.8}
    assert set(facts["rank1"]["embeddings"]) == {"code", "task_output", "unprotected"}


def test_rank_1_of_the_unprotected_code_comes_from_the_references_own_audit():
    content, other = report_content(0.5), report_content(0.7)
    content["leakage"] = None
    for measured in (content, other):
        for network in measured["identity_attacks"]["networks"].values():
            network["worst"]["unprotected"]["reid_rank1"] = {"value": None, "ci95": None}
    alone = attackers_facts.audited_facts(content)["rank1"]
    beside = attackers_facts.audited_facts(content, other)["rank1"]
    assert alone["embeddings"]["unprotected"]["value"] is None
    of_other = attackers_facts.audited_facts(other)["rank1"]["embeddings"]["code"]
    assert beside["embeddings"]["unprotected"] == of_other
    assert beside["embeddings"]["code"] == alone["embeddings"]["code"]


def leakage_of(tmp_path, *, audited=True, reference=None, settings=None, **similarities):
    """Leakage of a run whose audit had no reference, beside a reference that was audited."""
    run, other = (run_directory.RunDirectory(tmp_path / name) for name in ("run", "reference"))
    content = unprotected = None
    if audited:
        write_report(run, leakage=None, linear=0.3, decoder=0.2)
        content = report_files.read_content(run.audit("test"))
    if similarities:
        write_report(other, leakage=None, **similarities)
        unprotected = report_files.read_content(other.audit("test"))
        run_directory.mark_finished(
            other, "audit_test", CONFIG.stage_settings("audit") | (settings or {})
        )
    return attackers_facts.measured_leakage(run, content, reference and other, unprotected)


def test_leakage_is_computed_where_the_audit_had_no_reference(tmp_path):
    # The floor is .1; retrieval was not let at the protected code, so it does not count.
    share, why = leakage_of(tmp_path, reference=True, linear=0.5, decoder=0.2, retrieval=0.9)
    assert share["value"] == pytest.approx((0.3 - 0.1) / (0.5 - 0.1))
    assert (share["ci95"], why) == (None, "")


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"audited": False}, "not audited on T"),
        ({}, "no unprotected encoder"),
        ({"reference": True}, "the unprotected encoder was not audited"),
        ({"reference": True, "linear": 0.5, "settings": {"mu": 0.7}}, "differently: --mu"),
        ({"reference": True, "linear": 0.1}, "no more than the floor"),
    ],
)
def test_unknown_leakage_comes_with_its_reason(tmp_path, case, why):
    share, found = leakage_of(tmp_path, **case)
    assert share is None
    assert why in found


def test_stage_ends_with_what_it_did(finished):
    run, _ = finished
    told = stages.summary(dataclasses.replace(CONFIG, workdir=str(run.root)), run)
    assert "Attacker on this encoder's code: linear, face similarity 0.500" in told
    assert "Attacker on the task output: linear, face similarity 0.250" in told
    assert "Leakage by face similarity: 25 %" in told
    assert f"--demo_attacker={run.export / FOLDER}" in told
    assert "No unprotected reference" not in told


def test_file_for_browsers_that_computes_something_else_is_refused(monkeypatch):
    encoder = keras.Sequential([keras.Input((SIDE, SIDE, 3)), keras.layers.AveragePooling2D(2)])
    attacker = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.UpSampling2D()])
    assert tflite_attack.convert_and_check(encoder, attacker, PICTURES[:2])[4:8] == b"TFL3"
    blank = tflite_attack.convert(encoder, keras.Sequential([attacker, keras.layers.ReLU(0.1)]))
    monkeypatch.setattr(tflite_attack, "convert", lambda *models: blank)
    with pytest.raises(ExportError, match="attack on the unprotected code: differs"):
        tflite_attack.convert_and_check(encoder, attacker, PICTURES[:2])


def test_attackers_replace_the_earlier_ones(finished):
    folder = finished[0].export / FOLDER
    assert not (folder / "unprotected").exists()
    assert attackers.load_attacker(folder).protected is not None


def test_failed_writing_leaves_the_earlier_attackers_and_nothing_else(toy, monkeypatch):
    run, images, parts, _ = toy
    write_report(run, linear=0.5, decoder=0.4)
    earlier = run.export / FOLDER / "protected" / "earlier"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("as it was")

    def fail(path, codes, expected):
        raise ExportError("injected")

    monkeypatch.setattr(saved_model_checks, "attacker_difference", fail)
    with pytest.raises(ExportError, match="injected"):
        attackers_stage.run(Experiment(CONFIG, run, images, parts))
    assert [path for path in run.export.rglob("*") if path.is_file()] == [earlier]


def test_saved_attacker_that_computes_something_else_is_refused(tmp_path):
    attacker = shipped.fit_linear(evidence(grid_code), SETTINGS)
    codes = grid_code(PICTURES[:4])
    expected = run_saved(attacker, codes, tmp_path / "saved")
    assert saved_model_checks.attacker_difference(tmp_path / "saved", codes, expected) <= 1e-5
    with pytest.raises(ExportError, match="attacker: differs"):
        saved_model_checks.attacker_difference(tmp_path / "saved", codes, expected + 1e-3)


def test_untrained_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"encoder\.keras: the run is not trained"):
        stages.check_prerequisites(CONFIG, run_directory.RunDirectory(tmp_path), ["attackers"])


@pytest.mark.parametrize(
    ("recorded", "message"),
    [
        (None, "holds no trained encoder"),
        ({"defence": "pixel"}, "must be unprotected"),
        ({"defence": "none", "cut": "early"}, "differs: --cut='early'"),
    ],
)
def test_reference_that_is_none_is_refused(tmp_path, recorded, message):
    reference = run_directory.RunDirectory(tmp_path / "reference")
    if recorded:
        reference.checkpoints.mkdir(parents=True)
        reference.player("encoder").touch()
        run_directory.mark_finished(
            reference, "train", {**CONFIG.stage_settings("train"), **recorded}
        )
    config = dataclasses.replace(CONFIG, reference=str(reference.root))
    with pytest.raises(ValueError, match=message):
        attackers_stage.check(config, None, [])


def test_demo_page_takes_the_attackers_of_a_run_and_its_reference(smoke_copy):
    workdir = smoke_copy
    run = run_directory.RunDirectory(workdir)
    finished = run_main("--stages=attackers", f"--workdir={workdir}", "--reference=auto")
    assert finished.returncode == 0, finished.stderr[-3000:]
    told = finished.stdout
    folder = workdir / "export" / "demo_attacker"
    assert f"--demo_attacker={folder}" in told
    assert "No unprotected reference" not in told
    assert facts_of(run)["leakage"]["value"] is not None
    loaded = attackers.load_attacker(folder)
    image = generation.generate_faces(1, 32, seed=5, images_per_identity=1).images
    encoder = tf.saved_model.load(str(workdir / "export" / "saved_model" / "encoder" / "1"))
    code = encoder.signatures["encode"](image=tf.constant(image))["code"].numpy()
    (other_code,) = loaded.unprotected_encoder.signature("encode").run({"image": image}).values()
    for attacker, each in ((loaded.protected, code), (loaded.unprotected, other_code)):
        (picture,) = attacker.signature("").run({"code": each}).values()
        assert (picture.shape, picture.dtype) == (image.shape, np.float32)
        assert picture.min() >= 0
        assert picture.max() <= 1
        assert attackers.attack(attacker, each, Limits()).startswith("data:image/png")
    assert set(loaded.findings["attackers"]) == {"protected", "unprotected", "task_output"}
    # What browsers run is the unprotected encoder and its attacker.
    in_browser = Interpreter(model_path=str(folder / "unprotected.tflite")).get_signature_runner()
    np.testing.assert_allclose(
        in_browser(image=image.astype(np.float32) / 255)["reconstruction"], picture, atol=0.01
    )
