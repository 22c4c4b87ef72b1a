"""The benchmark of a GPU: its table, its refusal, a short measurement with a CPU in its place."""

import dataclasses
import json
import sys

import numpy as np
import pytest
import tensorflow as tf

from arl_tf import bench
from arl_tf.experiments.speed import gpu
from arl_tf.experiments.speed.gpu import CPU, GPU, Found, Row
from arl_tf.training import callbacks

FOUND = Found(
    "Test GPU",
    (
        Row(CPU, "float32", False, 80.0, 800.0, 0.5),
        Row(GPU, "float32", False, 4.0, 16000.0, 0.49, 2048.0),
        Row(GPU, "float32", True, failure="no ptxas"),
    ),
    2e-3,
    3e-7,
)


def test_the_table_has_the_speed_up_and_what_failed():
    lines = gpu.table(FOUND)
    assert lines[0] == "GPU: Test GPU"
    assert lines[2].split() == ["CPU", "float32", "no", "80.00", "800", "1.00", "0.500", "-"]
    assert lines[3].split() == ["GPU", "float32", "no", "4.00", "16000", "20.00", "0.490", "2048"]
    assert lines[4].split(maxsplit=3) == ["GPU", "float32", "yes", "failed: no ptxas"]
    assert "2.0e-03" in lines[-2] and "3.0e-07" in lines[-1]


def test_json_has_null_where_nothing_was_measured():
    found = bench.without_nan(dataclasses.asdict(FOUND))
    assert found["rows"][2]["step_ms"] is None and found["rows"][1]["step_ms"] == 4.0
    json.dumps(found, allow_nan=False)


def test_without_a_gpu_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [])
    monkeypatch.setattr(sys, "argv", ["bench", "--gpu"])
    with pytest.raises(SystemExit) as ended:
        bench.console()
    assert ended.value.code == 2
    assert "pip install 'tensorflow[and-cuda]'" in capsys.readouterr().err


def test_gpu_and_growth_exclude_each_other(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--gpu", "--growth"])
    with pytest.raises(SystemExit):
        bench.console()
    assert "give one of them" in capsys.readouterr().err


def test_a_failed_way_has_the_first_line_of_its_reason_or_its_kind():
    assert gpu.reason(tf.errors.InternalError(None, None, "no ptxas\nat line 3")) == "no ptxas"
    assert gpu.reason(callbacks.TrainingDiverged("loss is nan.\nLower it.")) == "loss is nan."
    assert gpu.reason(ValueError()) == "ValueError"


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_training_is_timed_and_its_failure_told(monkeypatch):
    settings = dataclasses.replace(
        gpu.SETTINGS, num_faces=300, image_size=32, warmup_epochs=1, epochs=1, batch_size=8,
        decoder_warmup_epochs=0, steps_per_epoch=2, decoder_width=4,
        perceptual_layers="block1",
    )  # fmt: skip
    monkeypatch.setattr("arl_tf.experiments.speed.training_steps.STEPS", 1)
    steps, train = [], gpu.train.train

    def second_fails(used, *others):
        steps.append(used.precision)
        if len(steps) == 2:
            raise tf.errors.InternalError(None, None, "out of luck\nand more")
        if len(steps) == 3:
            raise callbacks.TrainingDiverged("the loss is nan")
        train(used, *others)

    monkeypatch.setattr(gpu.train, "train", second_fails)
    ways = tuple((CPU, name, False) for name in ("float32", "mixed_float16", "mixed_bfloat16"))
    found = gpu.measure(settings, ways, CPU)
    first, second, third = found.rows
    assert steps == ["float32", "mixed_float16", "mixed_bfloat16"]
    assert first.step_ms > 0 and first.images_per_second > 0 and -1 <= first.mean_mcc <= 1
    assert np.isnan(first.peak_mib) and not first.failure
    assert second.failure == "out of luck" and np.isnan(second.step_ms)
    assert third.failure == "the loss is nan" and np.isnan(third.step_ms)
    assert (found.code_difference, found.exact_code_difference) == (0, 0)
