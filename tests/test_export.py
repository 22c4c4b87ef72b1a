"""What leaves the run directory: names, numbers and bytes of the exported models."""

import hashlib
import io
import json
import math
import os
import pathlib
import shutil
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from keras import layers
from PIL import Image

from arl_tf import data, export, publishing, tflite

SIZE = 16
NAMES = ("Smiling", "Eyeglasses", "Wearing Hat")
PROVENANCE = {"config_sha256": "00ff", "git_revision": None, "audit": {"reid_rank1": 0.125}}


def build_models(seed=0):
    """A tiny encoder, task head and decoder; all variables random, moving statistics included."""
    image = keras.Input((SIZE, SIZE, 3), name="picture")
    features = layers.Conv2D(8, 3, 2, padding="same", use_bias=False, name="stem")(image)
    features = layers.ReLU(name="relu")(layers.BatchNormalization(name="stem_norm")(features))
    features = layers.Conv2D(4, 1, name="bottleneck")(features)
    code = layers.BatchNormalization(center=False, scale=False, name="code_norm")(features)
    encoder = keras.Model(image, code, name="encoder")
    head_input = keras.Input(code.shape[1:], name="code")
    pooled = layers.GlobalAveragePooling2D(name="pooled")(head_input)
    logits = layers.Dense(len(NAMES), name="logits")(layers.Dropout(0.5, name="dropout")(pooled))
    task_head = keras.Model(head_input, logits, name="task_head")
    decoded = layers.Conv2DTranspose(3, 3, 2, padding="same", name="up")(head_input)
    decoder = keras.Model(head_input, decoded, name="decoder")
    rng = np.random.default_rng(seed)
    for model in (encoder, task_head, decoder):
        for weight in model.weights:
            is_kernel = weight.path.endswith("kernel")
            values = (
                rng.normal(0, 0.4, weight.shape) if is_kernel else rng.uniform(0.5, 1, weight.shape)
            )
            weight.assign(values)
    return types.SimpleNamespace(encoder=encoder, task_head=task_head, decoder=decoder)


def pictures(count=5, size=SIZE):
    return np.random.default_rng(7).integers(0, 256, (count, size, size, 3), np.uint8)


def run_export(models, export_dir, **changes):
    arguments = {
        "image_size": SIZE,
        "attribute_names": NAMES,
        "samples": pictures(),
        "export_dir": export_dir,
        "provenance": PROVENANCE,
    }
    return export.export_models(models.encoder, models.task_head, **(arguments | changes))


def contents(folder):
    """Every file and folder below `folder`, hidden ones too, with what it holds."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
    }


def artefact_values(saved_model_dir):
    """The arrays that a SavedModel's variable files store, without the object graph's own."""
    reader = tf.train.load_checkpoint(str(saved_model_dir / "variables" / "variables"))
    names = [name for name in reader.get_variable_to_shape_map() if "CHECKPOINTABLE" not in name]
    return [reader.get_tensor(name) for name in names]


def sorted_bytes(arrays):
    return sorted((np.asarray(array).shape, np.asarray(array).tobytes()) for array in arrays)


def as_bytes(pixels, image_format, mode="RGB"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, image_format)
    return buffer.getvalue()


def described(specs):
    return {name: (spec.dtype.name, tuple(spec.shape)) for name, spec in specs.items()}


@pytest.fixture(scope="module")
def models():
    return build_models()


@pytest.fixture(scope="module")
def exported(models, tmp_path_factory):
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
    monkeypatch.setattr(tflite, "convert_and_check", lambda *_: (b"not converted", 0.0))


def test_paths_follow_tf_servings_layout(exported):
    folder = exported.manifest_path.parent
    assert exported.version == 1
    assert exported.encoder_dir == folder / "saved_model" / "encoder" / "1"
    assert exported.task_head_dir == folder / "saved_model" / "task_head" / "1"
    assert [path.name for path in exported.tflite_files] == [
        "encoder_float32.tflite",
        "encoder_float16.tflite",
    ]
    assert sorted(path.name for path in folder.iterdir()) == [
        "manifest.json",
        "saved_model",
        "tflite",
    ]
    assert sorted(path.name for path in (folder / "saved_model" / "task_head").iterdir()) == ["1"]


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


def test_task_head_signature_is_the_contracts(signatures, models):
    signature = signatures.task_head["serving_default"]
    assert described(signature.structured_input_signature[1]) == {
        "code": ("float32", models.task_head.input_shape)
    }
    outputs = ("float32", (None, len(NAMES)))
    assert described(signature.structured_outputs) == {"logits": outputs, "probability": outputs}


@pytest.mark.parametrize("count", [1, 2, 5])
def test_reloaded_models_equal_keras_at_any_batch_size(signatures, models, count):
    images = pictures(count)
    code = models.encoder(images.astype(np.float32) / 255, training=False)
    logits = models.task_head(code, training=False)
    loaded = signatures.encoder["serving_default"](image=tf.constant(images))["code"]
    outputs = signatures.task_head["serving_default"](code=loaded)
    assert np.abs(loaded - code).max() < 1e-5
    assert np.abs(outputs["logits"] - logits).max() < 1e-5
    assert np.abs(outputs["probability"] - 1 / (1 + np.exp(-logits))).max() < 1e-5


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
    prepared = [data.preprocess(data.decode_image(file), SIZE) for file in files]
    by_hand = models.encoder(data.to_float(tf.stack(prepared)), training=False)
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


def test_encoder_artefact_holds_each_encoder_variable_once_and_nothing_else(exported, models):
    found = artefact_values(exported.encoder_dir)
    assert sorted_bytes(found) == sorted_bytes(models.encoder.variables)
    foreign = sorted_bytes([*models.decoder.variables, *models.task_head.variables])
    assert not set(sorted_bytes(found)) & set(foreign)


def test_task_head_artefact_holds_each_head_variable_once_and_nothing_else(exported, models):
    found = artefact_values(exported.task_head_dir)
    assert sorted_bytes(found) == sorted_bytes(models.task_head.variables)
    foreign = sorted_bytes([*models.decoder.variables, *models.encoder.variables])
    assert not set(sorted_bytes(found)) & set(foreign)


def test_attribute_names_are_an_asset_of_the_task_head(exported, signatures):
    path = exported.task_head_dir / "assets" / "attributes.txt"
    assert path.read_text(encoding="utf-8").splitlines() == list(NAMES)
    asset = signatures.models[1].attributes.asset_path.numpy().decode()
    assert os.path.samefile(asset, path)


@pytest.mark.parametrize(("variant", "bound"), [("float32", 1e-5), ("float16", 1e-2)])
def test_tflite_file_has_the_contracts_names_and_keras_codes(exported, models, variant, bound):
    path = exported.manifest_path.parent / tflite.FILES[variant]
    interpreter = Interpreter(model_path=str(path))
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["image"], "outputs": ["code"]}
    }
    images = pictures(4).astype(np.float32) / 255
    codes = models.encoder(images, training=False).numpy()
    runner = interpreter.get_signature_runner()
    outputs = np.concatenate([runner(image=image[None])["code"] for image in images])
    assert interpreter.get_input_details()[0]["shape"].tolist() == [1, SIZE, SIZE, 3]
    assert outputs.shape == codes.shape
    assert np.abs(outputs - codes).max() / codes.std() < bound


def test_parity_is_reported_for_every_artefact_and_within_its_bound(exported):
    assert set(exported.parity) == {
        f"{output}_{batch}"
        for output in ("encode", "encode_bytes", "logits", "probability")
        for batch in ("one", "all")
    } | {"tflite_float32", "tflite_float16"}
    for name, error in exported.parity.items():
        assert 0 <= error <= tflite.BOUNDS.get(name, 1e-5)


def test_manifest_states_the_interface(exported, models):
    manifest = json.loads(exported.manifest_path.read_text())
    shape = models.encoder.output_shape[1:]
    assert manifest["format"] == 1
    assert manifest["version"] == exported.version
    assert manifest["attribute_names"] == list(NAMES)
    assert manifest["image_size"] == SIZE
    assert manifest["preprocessing"]["resize"]["size"] == [SIZE, SIZE]
    assert manifest["code"] == {
        "shape": list(shape),
        "dtype": "float32",
        "bytes": 4 * math.prod(shape),
    }
    assert manifest["parity"] == exported.parity
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
    models, tmp_path, fast_tflite
):
    first = run_export(models, tmp_path)
    before = contents(first.encoder_dir)
    (tmp_path / "saved_model" / "task_head" / "7").mkdir()
    second = run_export(models, tmp_path)
    assert (first.version, second.version) == (1, 8)
    assert second.encoder_dir.name == second.task_head_dir.name == "8"
    assert contents(first.encoder_dir) == before
    assert json.loads(second.manifest_path.read_text())["version"] == 8


PUBLISHED = ("saved_model/encoder/2", "saved_model/task_head/2", "tflite/a.tflite", "manifest.json")


@pytest.mark.parametrize("target", PUBLISHED)
@pytest.mark.parametrize("is_first", [False, True])
def test_publishing_that_fails_anywhere_puts_everything_back(
    tmp_path, monkeypatch, target, is_first
):
    built, replaced, export_dir = (tmp_path / name for name in ("built", "replaced", "export"))
    replaced.mkdir()
    for folder, text in ((built, "new"), (export_dir, "old")):
        for path in PUBLISHED:
            version_file = "1/saved_model.pb" if folder == export_dir else "2/saved_model.pb"
            file = folder / (path.replace("/2", "/" + version_file))
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
    if is_first:
        shutil.rmtree(export_dir)
        export_dir.mkdir()
    before = contents(export_dir)
    fail_once_at(monkeypatch, export_dir / target)
    with pytest.raises(OSError, match="injected"):
        publishing.publish(
            [pathlib.Path(path) for path in PUBLISHED],
            built=built,
            replaced=replaced,
            export_dir=export_dir,
        )
    assert contents(export_dir) == before


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
    models, tmp_path, fast_tflite, monkeypatch
):
    run_export(models, tmp_path)
    before = contents(tmp_path)
    monkeypatch.setattr(tflite, "convert_and_check", lambda *_: (b"newer", 0.0))
    fail_once_at(monkeypatch, tmp_path / "manifest.json")
    with pytest.raises(OSError, match="injected"):
        run_export(models, tmp_path)
    assert contents(tmp_path) == before


def test_first_export_that_fails_at_its_last_step_leaves_no_folder(
    models, tmp_path, fast_tflite, monkeypatch
):
    fail_once_at(monkeypatch, tmp_path / "export" / "manifest.json")
    with pytest.raises(OSError, match="injected"):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


def test_failed_conversion_leaves_the_previous_export(models, tmp_path, fast_tflite, monkeypatch):
    run_export(models, tmp_path)
    before = contents(tmp_path)

    def interrupted(*_):
        raise KeyboardInterrupt("injected")

    monkeypatch.setattr(tflite, "convert_and_check", interrupted)
    with pytest.raises(KeyboardInterrupt, match="injected"):
        run_export(models, tmp_path)
    assert contents(tmp_path) == before


def test_leftovers_of_a_killed_export_are_removed(models, tmp_path, fast_tflite):
    leftover = tmp_path / publishing.UNFINISHED / "built" / "saved_model" / "encoder" / "9"
    leftover.mkdir(parents=True)
    assert run_export(models, tmp_path).version == 1
    assert not (tmp_path / publishing.UNFINISHED).exists()


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
    save, other = getattr(export, saver), getattr(build_models(seed=1), player)
    monkeypatch.setattr(export, saver, lambda _, *rest: save(other, *rest))
    with pytest.raises(export.ExportError, match=message):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


def test_encode_bytes_that_prepares_otherwise_is_refused(
    models, tmp_path, fast_tflite, monkeypatch
):
    decode = data.decode_image
    monkeypatch.setattr(export.data, "decode_image", lambda one: decode(one)[::-1])
    with pytest.raises(export.ExportError, match="encode_bytes: differs"):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


def test_codes_that_are_not_numbers_are_refused(tmp_path, fast_tflite):
    models = build_models()
    models.encoder.get_layer("bottleneck").bias.assign(np.full(4, np.nan, np.float32))
    with pytest.raises(export.ExportError, match="by nan"):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


def other_model(output_name="code", channels=4, fill=None):
    """An encoder's stand-in with another output."""
    image = keras.Input((SIZE, SIZE, 3), batch_size=1, name="image")
    code = layers.Conv2D(channels, 3, 2, padding="same", name="conv")(image)
    model = keras.Model(image, {output_name: code})
    if fill is not None:
        model.get_layer("conv").bias.assign(np.full(channels, fill, np.float32))
    return tf.lite.TFLiteConverter.from_keras_model(model).convert()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (lambda: b"tiny", "4 bytes can't hold"),
        (lambda: bytes(100_000), "interpreter refuses"),
        (lambda: other_model(fill=np.nan), "differ .* by nan"),
        (lambda: other_model(channels=5), "input and output are"),
        (lambda: other_model(output_name="output_0"), "input and output are"),
        (other_model, "differ .* standard deviations"),
    ],
    ids=["tiny", "garbage", "nan", "shape", "name", "other weights"],
)
def test_bad_tflite_file_is_refused_and_not_left_behind(
    models, tmp_path, monkeypatch, content, message
):
    made = content()
    monkeypatch.setattr(tflite, "convert", lambda *_: made)
    codes = models.encoder(data.to_float(pictures()), training=False).numpy()
    with pytest.raises(export.ExportError, match=message):
        tflite.write_files(models.encoder, pictures(), codes, tmp_path)
    assert contents(tmp_path) == {}


def test_refused_tflite_file_takes_the_whole_export_back(models, tmp_path, monkeypatch):
    monkeypatch.setattr(tflite, "convert", lambda *_: b"tiny")
    with pytest.raises(export.ExportError, match="can't hold"):
        run_export(models, tmp_path / "export")
    assert contents(tmp_path) == {}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_size": 32}, "encoder's input is .*expected"),
        ({"attribute_names": NAMES[:2]}, "task head's output is .*expected"),
        ({"attribute_names": ("a", "b", "a")}, "must differ"),
        ({"attribute_names": ("a", "b", "c\nd")}, "one line each"),
        ({"samples": pictures(0)}, "samples is empty"),
        ({"samples": pictures().astype(np.float32)}, "type of samples is float32, expected uint8"),
        ({"samples": pictures(2, 8)}, "image of samples is .*expected"),
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
