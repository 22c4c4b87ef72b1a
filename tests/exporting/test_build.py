"""What leaves the run directory: names, numbers and bytes of the exported models."""

import errno
import hashlib
import json
import math
import os
import pathlib
import resource
import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tiny_models import NAMES, SIZE, as_bytes, attributes, build_models, contents, pictures, proof

from arl_tf.data import image_sets, preprocessing
from arl_tf.data.pictures import decoding
from arl_tf.exporting import build, saved_models, tflite, warmup
from arl_tf.metrics import equivalence
from arl_tf.metrics.decisions import Decisions, from_json
from arl_tf.models.code_layers import QuantisedCode
from arl_tf.models.fingerprint import weights_hash
from arl_tf.utils import publishing

PROVENANCE = {"config_sha256": "00ff", "git_revision": None, "audit": {"reid_rank1": 0.125}}

DECISIONS = Decisions(np.linspace(-1, 1, len(NAMES)).astype(np.float32), 1.5)


def run_export(models, export_dir, **changes):
    arguments = {
        "image_size": SIZE,
        "attribute_names": NAMES,
        "proof": proof(),
        "export_dir": export_dir,
        "provenance": PROVENANCE,
        "decisions": DECISIONS,
    }
    return build.export_models(models.encoder, models.task_head, **(arguments | changes))


def artefact_values(saved_model_dir):
    """The arrays that a SavedModel's variable files store, without the object graph's own."""
    reader = tf.train.load_checkpoint(str(saved_model_dir / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if "CHECKPOINTABLE" not in name]
    return [reader.get_tensor(name) for name in names]


def sorted_bytes(arrays):
    return sorted((np.asarray(array).shape, np.asarray(array).tobytes()) for array in arrays)


def described(specs):
    return {name: (spec.dtype.name, tuple(spec.shape)) for name, spec in specs.items()}


@pytest.fixture(scope="module")
def models():
    return build_models()


@pytest.fixture(scope="module")
def differences():
    """How far the SavedModels of `exported` are from Keras, by comparison."""
    return {}


@pytest.fixture(scope="module")
def exported(models, differences, tmp_path_factory):
    build_saved_models = build.build_saved_models

    def recording(*arguments):
        differences.update(build_saved_models(*arguments))
        return differences

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "build_saved_models", recording)
        return run_export(models, tmp_path_factory.mktemp("run") / "export")


@pytest.fixture(scope="module")
def signatures(exported):
    encoder = tf.saved_model.load(str(exported.encoder_dir))
    task_head = tf.saved_model.load(str(exported.task_head_dir))
    # The signatures hold weak references to their models.
    return types.SimpleNamespace(
        models=(encoder, task_head), encoder=encoder.signatures, task_head=task_head.signatures
    )


@pytest.fixture
def fast_tflite(monkeypatch):
    """Spares a test that is not about TFLite the conversions."""
    monkeypatch.setattr(tflite, "convert_and_check", lambda *_: (b"not converted", {}))


@pytest.fixture
def fast_export(exported, differences, monkeypatch, fast_tflite):
    """Spares a test that is about publishing the SavedModels, too: they are copied."""

    def copying(*arguments):
        built, folders = arguments[2:]
        shutil.copytree(exported.encoder_dir, built / folders["encoder"])
        shutil.copytree(exported.task_head_dir, built / folders["task_head"])
        return differences

    monkeypatch.setattr(build, "build_saved_models", copying)


@pytest.fixture
def earlier(exported, tmp_path, fast_tflite):
    """A folder that holds an export, version 1."""
    return shutil.copytree(exported.manifest_path.parent, tmp_path / "export")


def test_paths_follow_tf_servings_layout(exported):
    folder = exported.manifest_path.parent
    assert exported.version == 1
    assert exported.encoder_dir == folder / "saved_model" / "encoder" / "1"
    assert exported.task_head_dir == folder / "saved_model" / "task_head" / "1"
    assert [path.name for path in exported.tflite_files] == [
        "encoder_float32.tflite",
        "encoder_float16.tflite",
        "encoder_int8.tflite",
    ]
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "saved_model",
        "tflite",
    ]
    assert sorted(path.name for path in (folder / "saved_model" / "task_head").iterdir()) == ["1"]


def test_both_models_and_the_manifest_name_the_encoder(exported, signatures, models):
    found = json.loads(exported.manifest_path.read_text())["encoder_sha256"]
    assert found == weights_hash(models.encoder)
    mark = saved_models.ENCODER_MARK + found
    for served in (signatures.encoder, signatures.task_head):
        assert [name for name in served if name.startswith(saved_models.ENCODER_MARK)] == [mark]
    code = tf.random.stateless_normal((3, *models.encoder.output_shape[1:]), [0, 1])
    by_name, usual = (signatures.task_head[name](code=code) for name in (mark, "serving_default"))
    np.testing.assert_array_equal(by_name["logits"], usual["logits"])


def test_encoder_signatures_are_the_contracts(signatures, models):
    code = {"code": ("float32", models.encoder.output_shape)}
    for name in ("serving_default", "encode"):
        signature = signatures.encoder[name]
        assert described(signature.structured_input_signature[1]) == {
            "image": ("uint8", (None, SIZE, SIZE, 3))
        }
        assert described(signature.structured_outputs) == code
    signature = signatures.encoder["encode_bytes"]
    assert described(signature.structured_input_signature[1]) == {
        "image_bytes": ("string", (None,))
    }
    assert described(signature.structured_outputs) == code
    signature = signatures.encoder["encode_to_bytes"]
    assert described(signature.structured_input_signature[1]) == {
        "image_bytes": ("string", (None,))
    }
    assert described(signature.structured_outputs) == {"code_bytes": ("string", (None,))}


def test_task_head_signatures_are_the_contracts(signatures, models):
    signature = signatures.task_head["serving_default"]
    assert described(signature.structured_input_signature[1]) == {
        "code": ("float32", models.task_head.input_shape)
    }
    outputs = {
        name: (dtype, (None, len(NAMES)))
        for name, dtype in (("logits", "float32"), ("probability", "float32"), ("decision", "bool"))
    }
    assert described(signature.structured_outputs) == outputs
    signature = signatures.task_head["read_bytes"]
    assert described(signature.structured_input_signature[1]) == {"code_bytes": ("string", (None,))}
    assert described(signature.structured_outputs) == outputs


@pytest.mark.parametrize("count", [1, 2, 5])
def test_reloaded_models_equal_keras_at_any_batch_size(signatures, models, count):
    images = pictures(count)
    code = models.encoder(images.astype(np.float32) / 255, training=False)
    logits = models.task_head(code, training=False)
    loaded = signatures.encoder["serving_default"](image=tf.constant(images))["code"]
    outputs = signatures.task_head["serving_default"](code=loaded)
    assert np.abs(loaded - code).max() < 1e-5
    assert np.abs(outputs["logits"] - logits).max() < 1e-5
    assert np.abs(outputs["probability"] - DECISIONS.probability(logits.numpy())).max() < 1e-5


def test_encode_bytes_takes_mixed_formats_and_sizes_as_training_does(signatures, models):
    wide, tall, exact = pictures(1, 40)[0][:23], pictures(1, 51)[0][:, :30], pictures(1)[0]
    files = [
        as_bytes(wide, "PNG"),
        as_bytes(tall, "JPEG"),
        as_bytes(tall, "PNG", "L"),
        as_bytes(wide, "JPEG", "L"),
        as_bytes(wide, "PNG", "RGBA"),
        as_bytes(exact, "PNG"),
        as_bytes(exact[:5, :5], "PNG"),
    ]
    prepared = [preprocessing.preprocess(decoding.decode_image(file), SIZE) for file in files]
    by_hand = models.encoder(image_sets.to_float(tf.stack(prepared)), training=False)
    code = signatures.encoder["encode_bytes"](image_bytes=tf.constant(files))["code"]
    assert np.abs(code - by_hand).max() < 1e-5


def test_encode_bytes_of_a_png_equals_encode(signatures):
    images = pictures(3)
    files = tf.constant([as_bytes(image, "PNG") for image in images])
    code = signatures.encoder["encode_bytes"](image_bytes=files)["code"]
    expected = signatures.encoder["serving_default"](image=tf.constant(images))["code"]
    assert np.abs(code - expected).max() < 1e-6


def test_encode_bytes_refuses_bytes_that_are_no_image(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError):
        signatures.encoder["encode_bytes"](image_bytes=tf.constant([b"no image"]))


def test_code_bytes_are_the_codes_values_and_read_the_same(signatures):
    files = tf.constant([as_bytes(image, "PNG") for image in pictures(3)])
    code = signatures.encoder["encode_bytes"](image_bytes=files)["code"]
    found = signatures.encoder["encode_to_bytes"](image_bytes=files)["code_bytes"]
    assert found.numpy().tolist() == [row.tobytes() for row in code.numpy().astype("<f4")]
    expected = signatures.task_head["serving_default"](code=code)
    outputs = signatures.task_head["read_bytes"](code_bytes=found)
    for name, values in expected.items():
        np.testing.assert_array_equal(outputs[name], values)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content[:-4], "must hold float32"),
        (lambda content: content + content, "must hold float32"),
        (lambda content: b"", "must hold float32"),
        (lambda content: b"\xff" * len(content), "must hold finite values"),
    ],
    ids=["short", "double", "empty", "NaN"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_bytes_that_are_no_code_are_refused_in_any_place(
    signatures, models, change, message, place
):
    contents = [np.zeros(models.encoder.output_shape[1:], "<f4").tobytes()] * 2
    contents[place] = change(contents[place])
    with pytest.raises(tf.errors.InvalidArgumentError, match=message):
        signatures.task_head["read_bytes"](code_bytes=tf.constant(contents))


def test_encoder_artefact_holds_each_encoder_variable_once_and_nothing_else(exported, models):
    found = artefact_values(exported.encoder_dir)
    assert sorted_bytes(found) == sorted_bytes(models.encoder.variables)
    external = sorted_bytes([*models.decoder.variables, *models.task_head.variables])
    assert not set(sorted_bytes(found)) & set(external)


def test_task_head_artefact_holds_each_head_variable_once_and_nothing_else(exported, models):
    found = artefact_values(exported.task_head_dir)
    assert sorted_bytes(found) == sorted_bytes(models.task_head.variables)
    external = sorted_bytes([*models.decoder.variables, *models.encoder.variables])
    assert not set(sorted_bytes(found)) & set(external)


def test_attribute_names_are_an_asset_of_the_task_head(exported, signatures):
    path = exported.task_head_dir / "assets" / "attributes.txt"
    assert path.read_text(encoding="utf-8").splitlines() == list(NAMES)
    asset = signatures.models[1].attributes.asset_path.numpy().decode()
    assert os.path.samefile(asset, path)


def test_task_head_decides_at_its_thresholds_and_gives_calibrated_probabilities(exported, models):
    codes = np.random.default_rng(0).normal(size=(20, *models.encoder.output_shape[1:]))
    head = tf.saved_model.load(str(exported.task_head_dir)).signatures["serving_default"]
    found = {
        name: value.numpy() for name, value in head(code=tf.constant(codes, tf.float32)).items()
    }
    assert found["decision"].dtype == bool and 0 < found["decision"].mean() < 1
    np.testing.assert_array_equal(found["decision"], found["logits"] > DECISIONS.thresholds)
    expected = 1 / (1 + np.exp(-found["logits"] / 1.5))
    np.testing.assert_allclose(found["probability"], expected, rtol=1e-5)


def test_manifest_and_asset_of_the_task_head_hold_thresholds_and_temperature(exported):
    asset = exported.task_head_dir / "assets" / "decisions.json"
    manifest = json.loads(exported.manifest_path.read_text())
    for content in (json.loads(asset.read_text()), manifest["decisions"]):
        found = from_json(content, NAMES)
        assert found.temperature == 1.5
        np.testing.assert_array_equal(found.thresholds, DECISIONS.thresholds)


def test_manifest_tells_every_comparison_beside_its_bound(exported):
    manifest = json.loads(exported.manifest_path.read_text())
    found = manifest["parity"]
    assert found == exported.parity
    assert found["samples"] == 5
    assert found["saved_model"].pop("bound") == 1e-5
    assert set(found["saved_model"]) == {
        f"{output}_{batch}"
        for output in (
            *("encode", "encode_bytes", "encode_to_bytes"),
            *("logits", "probability", "decision"),
            *("read_bytes_logits", "read_bytes_probability", "read_bytes_decision"),
        )
        for batch in ("one", "all")
    }
    assert all(0 <= error <= 1e-5 for error in found["saved_model"].values())
    for precision in ("float32", "float16"):
        figures = found["tflite"][precision]
        assert 0 < figures["relative_error"] <= figures["bound"]
    int8 = found["tflite"]["int8"]
    assert int8["cosine_bound"] <= int8["cosine"] < 1
    assert int8["mean_mcc_of_keras"] - int8["mean_mcc"] <= int8["mean_mcc_loss_bound"]


def test_manifest_sends_int8_to_the_cpu_alone(exported):
    files = json.loads(exported.manifest_path.read_text())["tflite"]
    assert files["int8"] == {"file": "tflite/encoder_int8.tflite", "delegates": ["cpu"]}
    assert files["float32"]["delegates"] == files["float16"]["delegates"] == ["cpu", "gpu"]


def test_manifest_states_the_interface(exported, models):
    manifest = json.loads(exported.manifest_path.read_text())
    shape = models.encoder.output_shape[1:]
    assert manifest["format"] == 2
    assert manifest["version"] == exported.version
    assert manifest["attribute_names"] == list(NAMES)
    assert manifest["image_size"] == SIZE
    assert manifest["preprocessing"]["resize"]["size"] == [SIZE, SIZE]
    assert manifest["code"] == {
        "shape": list(shape),
        "dtype": "float32",
        "bytes": 4 * math.prod(shape),
        "levels": None,
        "outer": None,
        "noise": None,
    }
    assert manifest["gate"] is None
    assert manifest["versions"] == {"tensorflow": tf.__version__, "keras": keras.__version__}
    assert manifest["provenance"] == PROVENANCE


def test_manifest_lists_every_file_with_its_hash_and_size(exported):
    folder = exported.manifest_path.parent
    files = json.loads(exported.manifest_path.read_text())["files"]
    expected = {
        path.relative_to(folder).as_posix(): {
            "bytes": len(path.read_bytes()),
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in folder.rglob("*")
        if path.is_file() and path != exported.manifest_path
    }
    assert files == expected


def test_version_grows_past_the_highest_of_both_models_and_old_ones_stay(
    models, earlier, fast_export
):
    first = earlier / "saved_model" / "encoder" / "1"
    before = contents(first)
    (earlier / "saved_model" / "task_head" / "7").mkdir()
    second = run_export(models, earlier)
    assert second.version == 8
    assert second.encoder_dir.name == second.task_head_dir.name == "8"
    assert contents(first) == before
    assert json.loads(second.manifest_path.read_text())["version"] == 8


def fail_once_at(monkeypatch, target):
    """Lets the first renaming to `target` fail; the later one that undoes it works."""
    replace, pending = os.replace, [target]

    def failing_replace(source, destination):
        if destination in pending:
            pending.remove(destination)
            raise OSError("injected")
        replace(source, destination)

    monkeypatch.setattr(publishing.os, "replace", failing_replace)


def test_export_that_fails_at_its_last_step_leaves_the_previous_one(
    models, earlier, fast_export, monkeypatch
):
    before = contents(earlier)
    monkeypatch.setattr(tflite, "convert_and_check", lambda *_: (b"newer", {}))
    fail_once_at(monkeypatch, earlier / "manifest.json")
    with pytest.raises(build.ExportError, match="as it was: injected"):
        run_export(models, earlier)
    assert contents(earlier) == before


def test_first_export_that_fails_at_its_last_step_leaves_no_folder(
    models, tmp_path, fast_export, monkeypatch
):
    fail_once_at(monkeypatch, tmp_path / "export" / "manifest.json")
    with pytest.raises(build.ExportError, match="as it was: injected"):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


def test_failed_conversion_leaves_the_previous_export(models, earlier, fast_export, monkeypatch):
    before = contents(earlier)

    def interrupted(*_):
        raise KeyboardInterrupt("injected")

    monkeypatch.setattr(tflite, "convert_and_check", interrupted)
    with pytest.raises(KeyboardInterrupt, match="injected"):
        run_export(models, earlier)
    assert contents(earlier) == before


def test_leftovers_of_a_killed_export_are_removed(models, tmp_path, fast_export):
    leftover = tmp_path / publishing.UNFINISHED / "built" / "saved_model" / "encoder" / "9"
    leftover.mkdir(parents=True)
    assert run_export(models, tmp_path).version == 1
    assert not (tmp_path / publishing.UNFINISHED).exists()


@pytest.mark.parametrize("alone", ["encoder", "task_head"])
def test_version_that_a_killed_export_left_without_its_other_model_goes_with_the_next(
    models, earlier, fast_export, alone
):
    saved = earlier / "saved_model"
    shutil.copytree(saved / alone / "1", saved / alone / "2")
    # Not of a killed export: a newer pair is there.
    (saved / alone / "0").mkdir()
    assert run_export(models, earlier).version == 3
    expected = {"encoder": {"1", "3"}, "task_head": {"1", "3"}}
    expected[alone] |= {"0"}
    for name, versions in expected.items():
        assert {folder.name for folder in (saved / name).iterdir()} == versions


@pytest.mark.slow
@pytest.mark.parametrize(
    ("saver", "player", "message"),
    [
        ("save_encoder", "encoder", "encode: differs .* by [0-9.]+"),
        ("save_task_head", "task_head", "logits: differs .* by [0-9.]+"),
    ],
)
def test_saved_model_that_differs_from_keras_is_refused(
    models, tmp_path, fast_tflite, monkeypatch, saver, player, message
):
    save, other = getattr(saved_models, saver), getattr(build_models(seed=1), player)
    monkeypatch.setattr(saved_models, saver, lambda _, *rest, **more: save(other, *rest, **more))
    with pytest.raises(build.ExportError, match=message):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


@pytest.mark.slow
def test_encode_bytes_that_prepares_otherwise_is_refused(
    models, tmp_path, fast_tflite, monkeypatch
):
    decode = decoding.decode_image
    monkeypatch.setattr(decoding, "decode_image", lambda one: decode(one)[::-1])
    with pytest.raises(build.ExportError, match="encode_bytes: differs"):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


@pytest.mark.slow
def test_codes_that_are_not_numbers_are_refused(tmp_path, fast_tflite):
    models = build_models()
    models.encoder.get_layer("bottleneck").bias.assign(np.full(4, np.nan, np.float32))
    with pytest.raises(build.ExportError, match="by nan"):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


@pytest.mark.slow
def test_refused_tflite_file_takes_the_whole_export_back(models, tmp_path, monkeypatch):
    monkeypatch.setattr(tflite, "convert", lambda *_: b"tiny")
    with pytest.raises(build.ExportError, match="can't hold"):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 32}, "encoder's input is .*expected"),
        ({"attribute_names": NAMES[:2]}, "task head's output is .*expected"),
        ({"attribute_names": ("a", "b", "a")}, "must differ"),
        ({"attribute_names": ("a", "b", "c\nd")}, "one line each"),
        ({"proof": proof(samples=pictures(0))}, "samples is empty"),
        ({"proof": proof(calibration=pictures(0))}, "calibration is empty"),
        (
            {"proof": proof(samples=pictures().astype(np.float32))},
            "type of samples is float32, expected uint8",
        ),
        ({"proof": proof(samples=pictures(2, 8))}, "image of samples is .*expected"),
        ({"proof": proof(attributes=attributes(19))}, "attributes is .19, 3., expected .20, 3."),
        ({"provenance": {"audit": math.nan}}, "provenance can't be written as JSON"),
        ({"provenance": {"when": object()}}, "provenance can't be written as JSON"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_before_anything_is_written(
    models, tmp_path, changes, message
):
    with pytest.raises(ValueError, match=message):
        run_export(models, tmp_path / "export", **changes)
    assert contents(tmp_path) == {}


def test_encoder_that_shares_variables_with_the_task_head_is_refused(tmp_path):
    dense = layers.Dense(3, name="shared")
    image, code = keras.Input((SIZE, SIZE, 3)), keras.Input((3,))
    encoder = keras.Model(image, dense(layers.GlobalAveragePooling2D()(image)))
    shared = types.SimpleNamespace(encoder=encoder, task_head=keras.Model(code, dense(code)))
    with pytest.raises(ValueError, match="share 2 variables"):
        run_export(shared, tmp_path / "export")
    assert contents(tmp_path) == {}


def full_disk(*_, **__):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def half_written(path, content):
    """What a file's writer leaves on a disk that fills up."""
    with open(path, "wb") as file:
        file.write(content[: len(content) // 2])
    full_disk()


def fill_disk_at_file(monkeypatch):
    monkeypatch.setattr(pathlib.Path, "write_bytes", half_written)


def fill_disk_at_manifest(monkeypatch):
    monkeypatch.setattr(
        pathlib.Path, "write_text", lambda path, text, **_: half_written(path, text.encode())
    )


def fill_disk_at_saved_model(monkeypatch):
    def fails(module, path, **_):
        pathlib.Path(path).mkdir(parents=True)
        (pathlib.Path(path) / "saved_model.pb").write_text("half")
        raise tf.errors.ResourceExhaustedError(None, None, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fails)


@pytest.mark.parametrize("fill", [fill_disk_at_file, fill_disk_at_manifest])
def test_full_disk_leaves_the_earlier_version_served_and_nothing_half_written(
    models, earlier, fast_export, monkeypatch, fill
):
    check_full_disk(models, earlier, monkeypatch, fill)


@pytest.mark.slow
def test_disk_that_fills_up_in_a_saved_model_leaves_the_earlier_version_served(
    models, earlier, monkeypatch
):
    check_full_disk(models, earlier, monkeypatch, fill_disk_at_saved_model)


def check_full_disk(models, earlier, monkeypatch, fill):
    before = contents(earlier)
    with monkeypatch.context() as patch:
        fill(patch)
        with pytest.raises(build.ExportError, match=r"Nothing was exported.*No space left"):
            run_export(models, earlier)
    assert contents(earlier) == before
    assert run_export(models, earlier).version == 2


def test_write_that_the_kernel_refuses_leaves_nothing_behind(models, tmp_path, fast_tflite):
    """A limit on file sizes: the nearest to a full disk that a test can have for real."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(build.ExportError, match=r"Nothing was exported.*File too large"):
            run_export(models, tmp_path / "export")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert contents(tmp_path) == {}


def test_precision_that_is_no_longer_asked_for_is_withdrawn(models, earlier, fast_export):
    run_export(models, earlier, precisions=["float32"])
    assert [path.name for path in (earlier / "tflite").iterdir()] == ["encoder_float32.tflite"]
    files = json.loads((earlier / "manifest.json").read_text())["files"]
    assert [name for name in files if name.startswith("tflite/")] == [
        "tflite/encoder_float32.tflite"
    ]


def test_every_signature_has_warm_up_requests_that_run_and_give_its_codes(exported, signatures):
    for folder, loaded in (
        (exported.encoder_dir, signatures.encoder),
        (exported.task_head_dir, signatures.task_head),
    ):
        runs = warmup.run_requests(folder)
        logs = warmup.read_requests(folder)
        # The name that tells the encoder is for reading, not for calling.
        called = {name for name in loaded if not name.startswith(saved_models.ENCODER_MARK)}
        assert {name for name, _ in runs} == called
        assert len(runs) == len(logs) == len(called) * len(warmup.BATCHES)
    encoded = dict(warmup.run_requests(exported.encoder_dir))
    images = warmup.drawn_faces(SIZE)
    by_hand = signatures.encoder["encode"](image=tf.constant(images))["code"]
    for name in ("serving_default", "encode", "encode_bytes"):
        np.testing.assert_allclose(encoded[name]["code"], by_hand, atol=1e-6)
    code = saved_models.bytes_to_code(encoded["encode_to_bytes"]["code_bytes"], by_hand.shape[1:])
    np.testing.assert_allclose(code, by_hand, atol=1e-6)


def two_level_models():
    # Values near 0 take the other sign where float16 rounds: how many depends on the weights.
    keras.utils.set_random_seed(0)
    image = keras.Input((SIZE, SIZE, 3), name="image")
    features = layers.Conv2D(4, 3, 2, padding="same", name="conv")(image)
    encoder = keras.Model(image, QuantisedCode(2)(features))
    code = keras.Input(encoder.output_shape[1:], name="code")
    logits = layers.Dense(len(NAMES))(layers.GlobalAveragePooling2D()(code))
    return types.SimpleNamespace(encoder=encoder, task_head=keras.Model(code, logits))


@pytest.mark.slow
def test_code_of_two_levels_is_compared_value_by_value(tmp_path):
    models = two_level_models()
    # Not all values: int8 rounds before the sign.
    result = run_export(models, tmp_path, precisions=["float32", "float16"])
    for figures in result.parity["tflite"].values():
        assert figures["equal_share"] >= equivalence.EQUAL_SHARE
    code = json.loads(result.manifest_path.read_text())["code"]
    assert (code["levels"], code["outer"]) == (2, 1.0)
