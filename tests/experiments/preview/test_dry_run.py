"""--dry_run tells what a command would do, writes nothing, and refuses what the command would."""

import re
import types

import numpy as np
import pytest

from arl_tf.attacks import registry
from arl_tf.config.settings import Config
from arl_tf.experiments import stages
from arl_tf.experiments.preview import dry_run, estimates
from arl_tf.experiments.run_directory import RunDirectory

TINY = {"num_faces": 240, "image_size": 32, "code_channels": 8, "decoder_width": 4}


@pytest.fixture
def one_phase(monkeypatch):
    """Steps are not timed: the graph of an adversarial step takes seconds to build."""
    phases = [estimates.PhaseTime("task", 3, 10, 0.5)]
    monkeypatch.setattr(estimates, "timed_phases", lambda *_: phases)


def run(folder, **values):
    stages.run_stages(Config(workdir=str(folder), dry_run=True, **values), RunDirectory(folder))


@pytest.mark.slow
def test_a_dry_run_times_a_step_of_every_phase(tmp_path, capsys):
    run(tmp_path / "run", **TINY)
    shown = re.sub(" +", " ", capsys.readouterr().out)
    for phase in ("task", "adversary", "adversarial"):
        assert re.search(rf"\n {phase} [0-9]+ epochs of [0-9]+ steps [0-9.]+ s a step", shown)


def test_a_dry_run_shows_settings_shapes_and_estimates_and_writes_nothing(
    tmp_path, capsys, one_phase
):
    run(tmp_path / "run", **TINY)
    shown = re.sub(" +", " ", capsys.readouterr().out)
    assert "--num_faces=240 default 6000" in shown
    assert "images 240 of 60 people, 32 pixels wide" in shown
    assert "code 4 x 4 x 8, 512 B in float32" in shown
    assert "3 epochs of 10 steps 0.500 s a step about 15 s" in shown
    assert "trainings of the attackers" in shown
    assert "--dry_run" not in shown
    assert not list(tmp_path.iterdir())


def test_a_defence_that_trains_no_decoder_has_none_and_no_g_among_its_networks(
    tmp_path, capsys, one_phase
):
    shown = {}
    for defence in ("both", "noise", "nopeek", "none"):
        run(tmp_path / "run", **TINY, defence=defence, stages="train")
        shown[defence] = re.sub(" +", " ", capsys.readouterr().out)
    fought = [name for name, text in shown.items() if "\n decoder " in text]
    assert fought == [name for name, text in shown.items() if "perceptual network g" in text]
    assert fought == ["both"]
    activations = {
        name: re.search(r"activations of a step of \d+ images (.*)\n", text)[1]
        for name, text in shown.items()
    }
    assert len(set(activations.values())) == 1  # All are of the phase that `one_phase` names.
    state = {
        name: re.search(r"weights, gradients, moments (.*)\n", text)[1]
        for name, text in shown.items()
    }
    assert state["both"] != state["none"] == state["nopeek"]


def test_a_dry_run_refuses_what_the_run_would(tmp_path):
    with pytest.raises(ValueError, match="--task_attributes names Nose"):
        run(tmp_path / "run", task_attributes="Nose", num_faces=60)
    with pytest.raises(ValueError, match="No folder nowhere/img_align_celeba"):
        run(tmp_path / "run", dataset="celeba", data_dir="nowhere")
    with pytest.raises(ValueError, match="without an audit of T; add audit"):
        run(tmp_path / "run", stages="train,export")
    assert not list(tmp_path.iterdir())


def test_points_of_a_sweep_are_counted():
    images = types.SimpleNamespace(attribute_names=("a",), other_attribute_names=())
    config = Config(stages="sweep", sweep="mu=0|1;code_noise=0|1|2")
    assert len(dry_run.planned_trials(config, images)) == 6
    sampled = Config(stages="sweep", sweep="lambda_pixel=0.1..10", sweep_trials=9)
    chosen = [point.overrides["lambda_pixel"] for point in dry_run.planned_trials(sampled, images)]
    assert len(set(chosen)) == 9 and all(0.1 <= value <= 10 for value in chosen)


def test_points_of_a_bench_are_its_trials_and_its_choices_with_further_seeds():
    config = Config(stages="bench", bench_defences="none,noise", bench_trials=4, bench_seeds=3)
    points = dry_run.planned_trials(config, None)
    # 1 + 4 trials; two choices of noise and the one of none, each with two more seeds.
    assert len(points) == len({point.name for point in points}) == 5 + 3 * 2


@pytest.mark.parametrize(
    "stage",
    [
        {"stages": "sweep", "sweep": "code_noise=0..2", "sweep_trials": 3},
        {
            "stages": "bench",
            "bench_defences": "none,noise",
            "bench_trials": 2,
            "audit": "standard",
        },
    ],
)
def test_points_that_are_searched_for_have_a_time(tmp_path, capsys, one_phase, stage):
    run(tmp_path / "run", **TINY, **stage)
    shown = re.sub(" +", " ", capsys.readouterr().out)
    assert re.search(r"\n points [0-9]+\n all points very roughly [0-9]", shown)
    is_bench = stage["stages"] == "bench"
    assert ("audits on T by the attackers of level standard, not counted" in shown) is is_bench


def test_attackers_of_recorded_codes_and_their_time_are_told(tmp_path, capsys, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {
        "codes": rng.normal(size=(80, 4, 4, 2)).astype(np.float32),
        "images": rng.integers(0, 256, (80, 32, 32, 3), np.uint8),
    }
    np.savez(tmp_path / "codes.npz", **arrays)
    asked = []
    monkeypatch.setattr(estimates, "attacker_speed", lambda *of: asked.append(of) or 1e6)
    codes = str(tmp_path / "codes.npz")
    run(tmp_path / "run", stages="audit", codes=codes, image_size=32, attackers="linear,decoder")
    shown = re.sub(" +", " ", capsys.readouterr().out)
    assert "attackers 2, named by --attackers" in shown
    assert re.search(r"trainings of the attackers very roughly [0-9]", shown)
    ((_, code_shape, image_size, _),) = asked
    assert (code_shape, image_size) == ((4, 4, 2), 32)


def test_attackers_of_an_encoder_in_a_file_are_told_without_loading_it():
    config = Config(stages="audit", encoder_tflite="x.tflite", audit="standard")
    (attackers, time) = dry_run.external_audit_rows(config)
    count = len(registry.attackers_of("standard"))
    assert attackers == ("attackers", f"{count} of level standard")
    assert "told when the audit begins" in time[1]


def test_data_are_counted_without_their_pixels():
    images, parts = dry_run.counted_data(Config(**TINY))
    assert images.images.size == 0 and len(images.names) == 240
    assert sum(map(len, parts.parts().values())) == 240
    assert np.intersect1d(parts.private_train, parts.test).size == 0
