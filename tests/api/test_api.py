"""`import arl_tf`: lazy names, runs for scripts, registration of a user's own attackers."""

import importlib.metadata
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from conftest import ROOT

import arl_tf
from arl_tf.api import runs
from arl_tf.attacks import registry
from arl_tf.attacks.evidence import AttackResult
from arl_tf.experiments import stages
from arl_tf.models import code_layers, losses
from arl_tf.training import checkpoints


def test_the_import_starts_without_tensorflow():
    code = (
        "import sys, arl_tf; dir(arl_tf);"
        " print('tensorflow' in sys.modules, 'keras' in sys.modules)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert finished.stdout.split() == ["False", "False"]


@pytest.mark.parametrize("name", arl_tf.__all__)
def test_every_name_of_the_api_is_there_with_a_docstring(name):
    assert getattr(arl_tf, name).__doc__
    assert name in dir(arl_tf)


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(AttributeError, match=r"no attribute 'audits'.*audit"):
        arl_tf.audits  # noqa: B018


def test_export_stays_a_function_when_the_exporting_package_is_imported():
    import arl_tf.exporting.build

    assert callable(arl_tf.export) and arl_tf.exporting.build


def test_a_run_is_loaded_with_players_attributes_and_report(smoke_run):
    run = arl_tf.load_run(smoke_run[0])
    image = np.zeros((1, *run.encoder.input_shape[1:]), np.float32)
    logits = run.task_head(run.encoder(image))
    assert logits.shape[1] == len(run.attributes) > 0
    assert run.report["utility"]["mean_mcc"] and run.settings["dataset"] == "faces"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_no_seed_decides_the_noise_of_a_loaded_run_s_encoder(tmp_path):
    image = keras.Input((8, 8, 3))
    noisy = keras.Model(image, code_layers.NoisyCode(1.0)(image))
    for name in ("encoder", "task_head"):
        checkpoints.save_player(noisy, checkpoints.player_path(tmp_path / "checkpoints", name))
    tf.random.set_seed(7)
    encoder = arl_tf.load_run(tmp_path).encoder
    encoder.export(tmp_path / "exported", verbose=False)
    pixels = tf.zeros((1, 8, 8, 3))
    models = [tf.saved_model.load(tmp_path / "exported") for _ in range(2)]
    served = [model.serve(pixels) for model in models]
    assert (served[0].numpy() != served[1].numpy()).any()


def test_train_and_export_refuse_arguments_that_are_no_settings(tmp_path):
    with pytest.raises(TypeError, match=r"train\(\) takes no epoch. Did you mean: epochs"):
        arl_tf.train(tmp_path / "run", epoch=3)
    with pytest.raises(TypeError, match=r"export\(\) takes no colour"):
        arl_tf.export(tmp_path / "run", colour=1)
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_trained_again(smoke_copy, monkeypatch):
    # Its settings of TensorFlow would hold for this process and all later tests.
    monkeypatch.setattr(stages, "prepare_tensorflow", pytest.fail)
    before = (smoke_copy / "metrics.jsonl").read_bytes()
    run = arl_tf.train(smoke_copy)
    assert run.folder == smoke_copy
    assert (smoke_copy / "metrics.jsonl").read_bytes() == before
    with pytest.raises(ValueError, match="epochs"):
        arl_tf.train(smoke_copy, epochs=77)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(ValueError, match="not trained to its end; run"):
        arl_tf.load_run(tmp_path)
    with pytest.raises(ValueError, match=r"there is no .*absent: check the path"):
        arl_tf.load_run(tmp_path / "absent")


def test_drawn_faces_are_the_same_for_the_same_arguments():
    one, same, other = (arl_tf.datasets.faces(8, 32, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.images, same.images)
    assert (one.images != other.images).any()
    assert one.attributes.shape == (8, len(one.attribute_names))
    assert list(one.identities) == [0, 0, 0, 0, 1, 1, 1, 1]


def test_an_attacker_of_one_s_own_is_run_with_the_others(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "ATTACKERS", dict(registry.ATTACKERS))

    def grey(evidence, options, *, name, start=None):
        shape = evidence.pairs.images.shape[1:]
        held_out = np.full((len(evidence.pairs.held_out_codes), *shape), 0.5, np.float32)
        pictures = np.full((len(evidence.target_codes), *shape), 0.5, np.float32)
        return AttackResult(name, "black-box", {}, 0.0, (1.0,), pictures, held_out)

    arl_tf.register_attacker("grey", grey, level="quick")
    assert "grey" in registry.attackers_of("quick")
    faces = arl_tf.datasets.faces(64, 32, seed=1)
    result = arl_tf.audit(
        lambda images: images[:, ::16, ::16].astype(np.float32),
        faces.images[:48],
        faces.images[48:],
        attackers="grey",
        drawn_faces=True,
        bootstrap_samples=100,
        seed=np.int64(3),
    )
    assert [attack["name"] for attack in result.content["attacks"]] == ["grey"]
    result.save(tmp_path / "audit")
    saved = json.loads((tmp_path / "audit/report.json").read_text())
    assert json.loads(json.dumps(result.content)) == saved
    with pytest.raises(ValueError, match="already"):
        arl_tf.register_attacker("linear", grey)
    with pytest.raises(ValueError, match="level must be"):
        arl_tf.register_attacker("other", grey, level="slow")
    # As a cell of a notebook that is run again.
    arl_tf.register_attacker("grey", grey, level="quick")


@pytest.mark.parametrize("name", ["task_output/x", "mine@2", "", "a,b", "a b", "-x", "1st", 3])
def test_names_that_would_be_read_as_something_else_are_refused(name):
    for register in (
        lambda: arl_tf.register_attacker(name, len),
        lambda: arl_tf.register_defence(name, loss=len),
        lambda: arl_tf.register_defence(name, len),
    ):
        with pytest.raises(ValueError, match="letters, digits, _ and -"):
            register()


def test_names_of_combined_attacks_are_taken():
    with pytest.raises(ValueError, match="already"):
        arl_tf.register_attacker("fused", len)


@pytest.mark.parametrize("what", ["loss", "layers", "observe"])
def test_a_part_of_a_defence_that_is_no_function_is_refused(what):
    with pytest.raises(TypeError, match=f"{what} must be a function, got int"):
        arl_tf.register_defence("mine", **{what: 3})


def test_a_privacy_term_of_one_s_own_is_a_form_of_the_objective(monkeypatch):
    monkeypatch.setattr(losses, "FORMS", dict(losses.FORMS))
    arl_tf.register_defence("halved", lambda distance, margin: -0.5 * distance)
    objective = losses.PrivacyObjective("halved", 1.0, 0.0)
    assert objective.loss(2.0, 0.0) == -1.0
    with pytest.raises(ValueError, match="already"):
        arl_tf.register_defence("negative", lambda distance, margin: distance)


@pytest.mark.parametrize(
    "other",
    [
        {"loss": len},
        {"layers": len},
        {"observe": len},
        {"strength": 2.0},
        {"bound": 0.0},
        {"adversary": True},
    ],
)
def test_a_privacy_term_takes_nothing_of_a_defence(monkeypatch, other):
    monkeypatch.setattr(losses, "FORMS", dict(losses.FORMS))
    with pytest.raises(ValueError, match=f"takes no {next(iter(other))}:"):
        arl_tf.register_defence("halved", lambda distance, margin: distance, **other)
    assert "halved" not in losses.FORMS


def test_run_directories_are_named_as_people_write_them(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert runs.run_at("~/runs/x").root == tmp_path / "runs" / "x"
    assert runs.run_at(tmp_path / "lr=[1e-3]").root == tmp_path / "lr=[1e-3]"
    with pytest.raises(ValueError, match="--workdir=gs://bucket/x: gs:// is not supported"):
        runs.run_at("gs://bucket/x")


def test_an_attacker_that_could_not_run_is_refused():
    with pytest.raises(TypeError, match="run must be a function, got NoneType"):
        arl_tf.register_attacker("mine", None)
    with pytest.raises(ValueError, match=r"Evidence has no foo; needs may name pairs, "):
        arl_tf.register_attacker("mine", print, needs=("foo",))
    assert "mine" not in registry.ATTACKERS


@pytest.mark.parametrize("name", ["count", "images_per_identity"])
def test_a_number_of_faces_below_one_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} must be .* got 0"):
        arl_tf.datasets.faces(**{"count": 4, "image_size": 32, name: 0})


def test_the_version_is_that_of_the_distribution():
    assert arl_tf.__version__ == importlib.metadata.version("arl_tf")


def test_train_is_one_stage_and_takes_no_others(tmp_path):
    with pytest.raises(TypeError, match="train\\(\\) takes no stages"):
        arl_tf.train(tmp_path, stages="train,audit")
    assert not list(tmp_path.iterdir())
