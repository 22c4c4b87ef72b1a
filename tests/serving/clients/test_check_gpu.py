"""The GPU check: what proves that a GPU ran a file, and what is refused."""

import pathlib
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tiny_models import build_models, proof

from arl_tf.exporting import tflite
from arl_tf.models import architectures, backbones
from serving import check_gpu

ADAPTER_LINE = (
    "I0000 00:00:17 22063 environment.cc:532] Selected adapter: SwiftShader Device (Subzero),"
    " arch=swiftshader, vendor=google, backend=Vulkan, adapterType=CPU / Software"
)
SIZE = 32


def as_file(path, encoder, precision="float32", images=None):
    """An encoder as a .tflite file."""
    path.write_bytes(tflite.convert(encoder, precision, images or proof()))
    return path


def last_layer_model(layer):
    image = keras.Input((SIZE, SIZE, 3), name="image")
    return keras.Model(image, layer(layers.Conv2D(4, 3, 2, name="conv")(image)))


@pytest.fixture(scope="module")
def swiftshader():
    """The software driver's description; skips where it is not installed."""
    try:
        return check_gpu.find_swiftshader()
    except ValueError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def small_file(tmp_path_factory):
    """An encoder at its last cut, which holds all operations of the earlier ones."""
    encoder, _ = architectures.build_encoder_and_task_head(
        "small", image_size=SIZE, cut="pooled", code_channels=8, num_attributes=2
    )
    return as_file(tmp_path_factory.mktemp("gpu") / "small.tflite", encoder)


@pytest.mark.slow
def test_small_encoder_delegates_wholly_to_a_named_adapter_and_keeps_its_codes(
    swiftshader, small_file
):
    found = check_gpu.check_file(small_file, vulkan_icd=swiftshader, runs=2)
    assert "SwiftShader" in found.adapter
    assert "vendor=google" in found.adapter
    assert found.software
    assert found.relative_error < 1e-5
    assert found.gpu_milliseconds > 0
    assert found.cpu_milliseconds > 0


@pytest.mark.slow
@pytest.mark.release
@pytest.mark.parametrize("name", sorted(backbones.PRETRAINED))
def test_pretrained_backbone_delegates_wholly_at_its_last_cut(swiftshader, tmp_path, name):
    encoder, _ = architectures.build_encoder_and_task_head(
        name, image_size=64, cut="pooled", code_channels=8, num_attributes=2
    )
    path = as_file(tmp_path / f"{name}.tflite", encoder)
    found = check_gpu.check_file(path, vulkan_icd=swiftshader, num_images=1, runs=1)
    assert found.relative_error < 1e-3


@pytest.mark.slow
def test_float16_file_delegates_too(swiftshader, tmp_path):
    path = as_file(tmp_path / "half.tflite", build_models().encoder, "float16")
    found = check_gpu.check_file(path, vulkan_icd=swiftshader, num_images=1, runs=1)
    assert found.relative_error < 1e-5


@pytest.mark.slow
def test_operation_that_the_accelerator_lacks_fails_and_does_not_fall_back(swiftshader, tmp_path):
    encoder = last_layer_model(layers.Lambda(lambda code: tf.cumsum(code, -1)))
    path = as_file(tmp_path / "cumulative.tflite", encoder)
    with pytest.raises(check_gpu.CheckError, match="The GPU did not run the file"):
        check_gpu.check_file(path, vulkan_icd=swiftshader, num_images=1, runs=1)


@pytest.mark.slow
def test_command_prints_the_adapter_the_difference_and_the_latency(swiftshader, small_file, capsys):
    arguments = [str(small_file), "--software", "--runs=1", "--images=1"]
    assert check_gpu.main(arguments) == 0
    printed = capsys.readouterr().out
    for word in ("SwiftShader", "software adapter", "every operation delegated", " ms (median"):
        assert word in printed


def test_int8_file_is_refused_with_the_reason(tmp_path, capsys):
    path = as_file(tmp_path / "int8.tflite", build_models().encoder, "int8", proof())
    assert check_gpu.main([str(path)]) == 2
    refused = capsys.readouterr().err
    assert "holds integers" in refused
    assert "computes other codes" in refused
    assert "float32 or float16 file for GPUs" in refused


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "there is no such file"), (b"no model at all", "is no .tflite file")],
)
def test_file_that_is_no_model_is_refused(tmp_path, capsys, content, message):
    path = tmp_path / "file.tflite"
    if content is not None:
        path.write_bytes(content)
    assert check_gpu.main([str(path)]) == 2
    assert message in capsys.readouterr().err


def test_log_without_an_adapter_proves_nothing():
    with pytest.raises(check_gpu.CheckError, match="names no adapter"):
        check_gpu.adapter_of("INFO: Created TensorFlow Lite XNNPACK delegate for CPU.")


def test_adapter_is_read_from_the_accelerators_log():
    found = check_gpu.adapter_of(f"INFO: begins\n{ADAPTER_LINE}\nINFO: ends")
    assert found["name"] == "SwiftShader Device (Subzero)"
    assert (found["vendor"], found["backend"]) == ("google", "Vulkan")
    assert found["kind"] == "CPU / Software"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("adapter", "software"), [("adapterType=CPU / Software", True), ("adapterType=GPU", False)]
)
def test_software_adapter_is_told_from_a_gpu(monkeypatch, small_file, adapter, software):
    run_elsewhere(monkeypatch, ADAPTER_LINE.replace("adapterType=CPU / Software", adapter))
    assert check_gpu.check_file(small_file, runs=1).software is software


def run_elsewhere(monkeypatch, log, change=0.0, accelerated=True):
    """Lets the file's own CPU codes, changed, stand for those of a GPU."""

    def run(arguments, icd):
        path, images, result, *_ = arguments
        codes, _ = check_gpu.run_on_cpu(
            check_gpu.open_file(pathlib.Path(path)), np.load(images), runs=1
        )
        np.savez(result, codes=codes + change, milliseconds=np.ones(1), accelerated=accelerated)
        return log

    monkeypatch.setattr(check_gpu, "run_on_gpu", run)


@pytest.mark.parametrize("change", [0.1, np.nan])
def test_other_codes_than_the_cpus_are_an_error(monkeypatch, small_file, change):
    run_elsewhere(monkeypatch, ADAPTER_LINE, change)
    with pytest.raises(check_gpu.CheckError, match="differ from the CPU's"):
        check_gpu.check_file(small_file, runs=1)


def test_file_that_is_accelerated_in_part_is_an_error(monkeypatch, small_file):
    run_elsewhere(monkeypatch, ADAPTER_LINE, accelerated=False)
    with pytest.raises(check_gpu.CheckError, match="not every operation runs"):
        check_gpu.check_file(small_file, runs=1)


@pytest.mark.parametrize(
    ("returncode", "message"), [(-4, r"killed by SIGILL"), (1, r"exit code 1")]
)
def test_crash_of_the_driver_is_told_and_survived(monkeypatch, small_file, returncode, message):
    log = "INFO: nothing\nERROR: [delegate.cc:1] No adapters found\nINFO: nothing more"
    finished = types.SimpleNamespace(returncode=returncode, stderr=log)
    monkeypatch.setattr(check_gpu.subprocess, "run", lambda *_, **__: finished)
    with pytest.raises(check_gpu.CheckError, match=message) as told:
        check_gpu.check_file(small_file, runs=1)
    assert str(told.value).endswith("ERROR: [delegate.cc:1] No adapters found")


def test_missing_swiftshader_names_the_package_that_has_it(monkeypatch, capsys, small_file):
    monkeypatch.setattr(check_gpu, "SWIFTSHADER", ("/nowhere/vk_swiftshader_icd.json",))
    assert check_gpu.main([str(small_file), "--software"]) == 2
    assert "chromium-common" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["--runs=0", "--images=0"])
def test_counts_below_one_are_refused(small_file, capsys, wrong):
    assert check_gpu.main([str(small_file), wrong]) == 2
    assert "must be >= 1" in capsys.readouterr().err


@pytest.mark.slow
def test_noisy_encoder_delegates_wholly_with_its_noise_as_an_input(swiftshader, tmp_path):
    encoder, _ = architectures.build_encoder_and_task_head(
        "small",
        image_size=SIZE,
        cut="middle",
        code_channels=4,
        num_attributes=2,
        bounds=architectures.CodeBounds(noise=1.0, levels=4),
    )
    path = as_file(tmp_path / "noisy.tflite", encoder)
    found = check_gpu.check_file(path, vulkan_icd=swiftshader, runs=1)
    assert found.relative_error < 1e-5


def test_two_drivers_are_refused(small_file, capsys):
    with pytest.raises(SystemExit) as caught:
        check_gpu.main([str(small_file), "--software", f"--vulkan_icd={small_file}"])
    assert caught.value.code == 2
    assert "--vulkan_icd: not allowed with argument --software" in capsys.readouterr().err
