"""arl_tf.audit on plain functions: what it finds, what it writes, what it refuses."""

import json

import keras
import numpy as np
import onnx_examples
import pytest
import tensorflow as tf

import arl_tf
from arl_tf.api import audit_inputs, auditing
from arl_tf.attacks import inversion
from arl_tf.auditing import noise_knowledge

PUBLIC, TARGET = 80, 24
QUICK = {
    "attacker_width": 4,
    "attacker_depth": 0,
    "attacker_steps": 8,
    "bootstrap_samples": 100,
    "drawn_faces": True,
}


def pixels(images):
    """A code that is a small picture: nothing protects it."""
    return images[:, ::4, ::4].astype(np.float32) / 255


def nothing(images):
    """A code that tells nothing."""
    return np.zeros((len(images), 3), np.float32)


@pytest.fixture(scope="module")
def faces():
    return arl_tf.datasets.faces(PUBLIC + TARGET, 32, seed=3)


def audited(faces, encode, **changes):
    arguments = {
        "public_identities": faces.identities[:PUBLIC],
        "target_identities": faces.identities[PUBLIC:],
        **QUICK,
        **changes,
    }
    return arl_tf.audit(encode, faces.images[:PUBLIC], faces.images[PUBLIC:], **arguments)


@pytest.fixture(scope="module")
def open_code(faces):
    labels = faces.attributes
    return audited(faces, pixels, public_labels=labels[:PUBLIC], target_labels=labels[PUBLIC:])


def test_a_code_of_pixels_gives_the_picture_away_and_a_task_head_is_fitted(open_code, faces):
    assert open_code.measures["ssim"]["value"] > 0.5
    assert open_code.measures["ssim"]["attack"] in ("linear", "fused")
    assert open_code.content["codes"]["shape"] == [8, 8, 3]
    assert len(open_code.content["utility"]["attributes"]) == faces.attributes.shape[1]
    assert open_code.content["measured_on"]["images"] == TARGET
    count = len(open_code.content["attacks"]) + len(open_code.content["floor_attacks"])
    assert f"worst of {count} attackers" in open_code.summary()


def test_a_code_that_tells_nothing_leaks_nothing_beside_the_open_one(open_code, faces):
    silent = audited(faces, nothing, reference=open_code)
    assert silent.content["leakage"]["ssim"]["value"] < 0.2
    assert silent.measures["ssim"]["value"] < open_code.measures["ssim"]["value"]
    network = silent.content["identity_attacks"]["networks"]["drawn_faces"]["worst"]
    of_open = open_code.content["identity_attacks"]["networks"]["drawn_faces"]["worst"]
    assert network["code"]["cosine"]["value"] < of_open["code"]["cosine"]["value"]
    assert network["unprotected"]["cosine"]["value"] > network["code"]["cosine"]["value"]


def test_the_report_is_written_and_shown_in_notebooks(open_code, tmp_path):
    page = open_code.save(tmp_path / "report")
    assert page.name == "report.html" and page.stat().st_size > 10_000
    saved = json.loads((tmp_path / "report" / "report.json").read_text())
    assert saved["worst"] == open_code.measures
    shown = open_code._repr_html_()
    assert "<table>" in shown and "attack: linear" in shown


def test_a_result_prints_as_one_line(open_code):
    worst = open_code.measures["face_similarity"]
    shown = repr(open_code)
    assert shown.startswith("AuditResult(level='quick', face_similarity=")
    assert worst["attack"] in shown and f"{worst['value']:.3f}" in shown
    assert len(shown) < 120 and "\n" not in shown


@pytest.mark.slow
def test_a_keras_model_is_audited_with_gradients_for_white_box_attackers(faces, monkeypatch):
    # One of the search's five weights of smoothness is tried: what it finds is not asked here.
    monkeypatch.setattr(inversion, "TOTAL_VARIATION_WEIGHTS", (1.0,))
    image = keras.Input((32, 32, 3))
    model = keras.Model(image, keras.layers.AveragePooling2D(8)(image))
    result = audited(
        faces,
        lambda images: model.predict(images / np.float32(255), verbose=0),
        differentiable=lambda images: model(images, training=False),
        attackers="linear,optimisation_linear",
    )
    knowledge = {attack["name"]: attack["knowledge"] for attack in result.content["attacks"]}
    assert knowledge == {"linear": "black-box", "optimisation_linear": "white-box"}


@pytest.mark.parametrize("flat", [False, True])
def test_attackers_are_told_the_noise_that_the_caller_knows(faces, monkeypatch, flat):
    draw = np.random.default_rng(0)

    def encode(images):
        codes = pixels(images)
        codes += 0.2 * draw.standard_normal(codes.shape, np.float32)
        # Attackers see codes in other shapes than a grid as vectors.
        return codes.reshape(len(codes), 2, -1) if flat else codes

    seen = []
    deviation_of = noise_knowledge.deviation_of

    def spied(variance, codes):
        seen.append((variance, codes.shape[1:]))
        return deviation_of(variance, codes)

    monkeypatch.setattr(noise_knowledge, "deviation_of", spied)
    result = audited(faces, encode, attackers="linear,wiener", noise=0.2)
    for variance, shape in seen:
        assert variance.shape == shape == ((192,) if flat else (8, 8, 3))
        np.testing.assert_allclose(variance, 0.04)
    assert seen
    assert any(
        "were told how much Gaussian noise" in text for text in result.content["assumptions"]
    )


def test_a_saved_model_is_audited_behind_a_function(faces, tmp_path):
    module = tf.Module()
    signature = tf.function(
        lambda image: {"code": tf.cast(image[:, ::8, ::8], tf.float32)},
        input_signature=[tf.TensorSpec((None, 32, 32, 3), tf.uint8, "image")],
    )
    tf.saved_model.save(module, str(tmp_path / "model"), {"serving_default": signature})
    loaded = tf.saved_model.load(str(tmp_path / "model")).signatures["serving_default"]
    result = audited(
        faces,
        lambda images: loaded(image=tf.constant(images))["code"].numpy(),
        attackers="linear",
    )
    assert result.content["codes"]["shape"] == [4, 4, 3]


def test_a_torch_model_is_audited_behind_a_function(faces):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    pool = torch.nn.AvgPool2d(8)

    def encode(images):
        with torch.no_grad():
            return pool(torch.from_numpy(images).permute(0, 3, 1, 2).float()).numpy()

    # Channels first: no square grid of ours, so attackers see a vector.
    result = audited(faces, encode, attackers="linear")
    assert result.content["codes"]["shape"] == [3, 4, 4]


def test_an_onnx_model_is_audited_behind_a_function(faces, open_code, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    onnx_examples.save_pooling(tmp_path / "encoder.onnx", size=32, side=8)
    session = onnxruntime.InferenceSession(tmp_path / "encoder.onnx")

    def encode(images):
        image = images.transpose(0, 3, 1, 2).astype(np.float32)
        return session.run(None, {"image": image})[0].transpose(0, 2, 3, 1)

    means = faces.images[:3].reshape(3, 4, 8, 4, 8, 3).mean((2, 4))
    np.testing.assert_allclose(encode(faces.images[:3]), means, rtol=1e-5)
    result = audited(faces, encode, attackers="linear")
    assert result.content["codes"]["shape"] == [4, 4, 3]
    # It gives away less than four times as many values do, and more than nothing.
    found = result.measures["ssim"]["value"]
    assert 0.1 < found < open_code.measures["ssim"]["value"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"public": np.zeros((80, 32, 32, 3), np.float32)}, r"uint8 .*got float32 \[80, 32"),
        ({"public": np.zeros((80, 33, 33, 3), np.uint8)}, "multiple of 32, got 33"),
        ({"target": np.zeros((24, 64, 64, 3), np.uint8)}, "differ in size"),
        ({"target": np.zeros((3, 32, 32, 3), np.uint8)}, "at least 8"),
        ({"target_identities": np.zeros(24, int)}, "1 people are both public and target"),
        ({"public_identities": np.zeros(79, int)}, r"must be \[80\]"),
        ({"public_labels": np.zeros((80, 1))}, "Give both"),
        (
            {"public_labels": np.zeros(80), "target_labels": np.zeros((24, 1))},
            r"labels\[:, None\]",
        ),
        (
            {"public_labels": np.zeros((80, 3)), "target_labels": np.zeros((24, 2))},
            "of the same attributes, got 3 and 2 columns",
        ),
        ({"level": "fast"}, "quick, standard, full; got 'fast'"),
        ({"encode": lambda images: np.full((len(images), 2), np.nan)}, "not finite"),
        ({"encode": lambda images: np.zeros(len(images))}, r"codes \[N, \.\.\.\]"),
        ({"noise": 1.0}, "encode gave the same codes of the same images again"),
        ({"noise": -1.0}, r"a finite number >= 0, .* shape of a code, \[8, 8, 3\]; got -1.0"),
        ({"noise": float("nan")}, "a finite number >= 0"),
        ({"noise": np.ones((8, 8))}, r"shape of a code, \[8, 8, 3\]; got \[8, 8\]"),
        ({"noise": "much"}, "got 'much'"),
        ({"seed": -1}, "seed must be a whole number >= 0; got -1"),
        ({"seed": 1.5}, "seed must be a whole number >= 0; got 1.5"),
        ({"seed": None}, "seed must be a whole number >= 0; got None"),
        ({"bootstrap_samples": 3}, "^bootstrap_samples must be >= 100"),
        ({"encode": lambda images: {"code": images}}, "encode gave a dict with code"),
        ({"task_output": lambda codes: np.zeros(len(codes))}, r"task_output must give logits"),
        ({"task_output": lambda codes: np.zeros((3, 2))}, r"task_output must give logits"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_was_expected(faces, changes, message):
    given = {
        "encode": pixels,
        "public": faces.images[:PUBLIC],
        "target": faces.images[PUBLIC:],
        **QUICK,
        **changes,
    }
    if "public_identities" not in changes:
        given["public_identities"] = faces.identities[:PUBLIC]
    with pytest.raises(ValueError, match=message):
        arl_tf.audit(**given)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encode": None}, "encode must be a function .* got NoneType"),
        ({"encode": "export/saved_model"}, "encode must be a function .* got str"),
        ({"task_output": np.zeros(3)}, "task_output must be a function .* got ndarray"),
        ({"reference": {"attacks": []}}, "reference must be what arl_tf.audit returned; got dict"),
    ],
)
def test_what_is_no_function_or_result_is_refused_by_its_type(faces, changes, message):
    given = {"encode": pixels, "public": faces.images[:PUBLIC], "target": faces.images[PUBLIC:]}
    with pytest.raises(TypeError, match=message):
        arl_tf.audit(**{**given, **QUICK, **changes})


def test_attackers_are_named_in_a_list_as_in_a_text():
    named = {"attackers": ["linear", "retrieval"]}
    found = auditing.settings_of("quick", 0, named)
    assert found == auditing.settings_of("quick", 0, {"attackers": "linear,retrieval"})
    assert found.attacker_names == ("linear", "retrieval")


OTHERS = {
    "attackers": "linear",
    "bootstrap_samples": 200,
    "attacker_width": 8,
    "attacker_depth": 3,
    "attacker_steps": 7,
    "attacker_batch_size": 5,
    "attacker_learning_rate": 0.5,
    "attacker_queries": 9,
}


def test_every_keyword_that_is_taken_changes_what_the_audit_does():
    plain = auditing.settings_of("standard", 0, {})
    for name, value in OTHERS.items():
        assert auditing.settings_of("standard", 0, {name: value}) != plain, name
    with pytest.raises(TypeError) as raised:
        auditing.settings_of("standard", 0, {"attacker_dataset": "faces"})
    assert f"it takes {', '.join(sorted(OTHERS))}." in str(raised.value)


def test_an_unknown_setting_is_refused_by_name(faces):
    with pytest.raises(TypeError, match="takes no attacker_speed"):
        audited(faces, pixels, attacker_speed=3)


def test_a_reference_of_other_images_is_refused(open_code, faces):
    others = arl_tf.datasets.faces(PUBLIC + TARGET, 32, seed=4)
    with pytest.raises(ValueError, match="other target images"):
        audited(others, nothing, reference=open_code)


def test_labels_of_classes_and_numbers_are_checked_as_their_kind_says():
    classes, ages = np.eye(3)[[0, 1, 2]], np.array([[20.5], [30], [40]])
    joined = audit_inputs.joined_labels(classes, classes, 3, 3, "single_label")
    assert joined.dtype == np.uint8 and joined.shape == (6, 3)
    assert audit_inputs.joined_labels(ages, ages, 3, 3, "regression").dtype == np.float32
    for labels, kind, words in (
        (np.ones((3, 3)), "single_label", "0 or 1, with one 1 a row"),
        (ages, "multi_label", "must be 0 or 1"),
        (ages * np.nan, "regression", "finite numbers"),
        (ages * 1e38, "regression", "within float32's range"),
        (classes, "ranking", "task_kind must be one of multi_label, single_label, regression"),
    ):
        with pytest.raises(ValueError, match=words):
            audit_inputs.joined_labels(labels, labels, 3, 3, kind)
