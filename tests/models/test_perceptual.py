"""Claims about the frozen networks.

The references in data/ come from PyTorch 2.13.0 with efficientnet-lite-pytorch 0.1.0
(make_frozen_references.py); their inputs are random blocks of colour.
"""

import json
import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from commands import run_afresh
from PIL import Image, ImageFilter

from arl_tf.models.pretrained import perceptual

DATA = pathlib.Path(__file__).parents[1] / "fixtures"
LITE_SIZES = (64, 49)
POSITION_STEP = {"block1": 6, "block3": 3}


def _reference(name):
    with np.load(DATA / f"{name}_reference.npz") as stored:
        return dict(stored)


def _images(count, size, seed=0):
    return np.random.default_rng(seed).random((count, size, size, 3), "float32")


def _compare_with_pytorch(network, layers, reference, size):
    image = reference[f"image_{size}"][None].astype("float32") / 255
    for layer, feature_map in zip(layers, network(image), strict=True):
        expected = reference[f"{layer}_{size}"]
        expected = expected / np.linalg.norm(expected, axis=-1, keepdims=True)
        step = POSITION_STEP.get(layer, 1)
        np.testing.assert_allclose(feature_map[0, ::step, ::step], expected, atol=2e-5)


@pytest.mark.parametrize("size", LITE_SIZES)
def test_efficientnet_lite0_equals_pytorch_in_all_depths(size):
    layers = ["block1", "block3", "block5", "block11", "block16"]
    network = perceptual.perceptual_network("efficientnet_lite0", size, layers)
    _compare_with_pytorch(network, layers, _reference("efficientnet_lite0"), size)


@pytest.mark.parametrize("size", LITE_SIZES)
def test_efficientnet_lite1_equals_pytorch_in_the_similarity_layers(size):
    layers = ["block3", "block5", "block8", "block12"]
    network = perceptual.feature_similarity_network(size)
    _compare_with_pytorch(network, layers, _reference("efficientnet_lite1"), size)


@pytest.mark.parametrize("size", [16, 64])
def test_default_feature_maps_have_unit_channels_everywhere(size):
    for feature_map in perceptual.perceptual_network("efficientnet_lite0", size)(_images(2, size)):
        np.testing.assert_allclose(np.linalg.norm(feature_map, axis=-1), 1.0, atol=1e-5)


def test_lite0_is_built_no_deeper_than_asked():
    shallow = perceptual.perceptual_network("efficientnet_lite0", 32)
    deep = perceptual.perceptual_network("efficientnet_lite0", 32, ["block11"])
    assert shallow.count_params() < deep.count_params() / 5


def test_layers_come_in_the_order_asked():
    network = perceptual.perceptual_network("efficientnet_lite0", 32, ["block5", "block1"])
    assert [x.shape[-1] for x in network.output] == [40, 16]


def test_the_gradient_of_unit_length_is_finite_at_zero():
    feature_map = tf.zeros((1, 2, 2, 8))
    with tf.GradientTape() as tape:
        tape.watch(feature_map)
        total = tf.reduce_sum(perceptual._unit_channels(feature_map))
    assert np.isfinite(tape.gradient(total, feature_map)).all()


@pytest.mark.slow
def test_g_of_another_device_has_its_weights_there_and_is_built_once_for_each():
    done = run_afresh("tests.helpers.processes.features_on_devices")
    assert done.returncode == 0, done.stderr[-3000:]
    (first, one), (second, other), (third, again) = json.loads(done.stdout.splitlines()[-1])
    assert (first, second, third) == ([0], [1], [0])
    assert again == one != other


BUILDERS = {
    "perceptual": lambda size: perceptual.perceptual_network("efficientnet_lite0", size),
    "similarity": perceptual.feature_similarity_network,
}


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_gradients_reach_every_pixel_it_looks_at(name):
    image = tf.Variable(_images(2, 32))
    network = BUILDERS[name](32)
    with tf.GradientTape() as tape:
        # Squares alone would sum to a constant: the channels have unit length.
        total = tf.add_n([tf.reduce_sum(x[..., 0]) for x in keras.tree.flatten(network(image))])
    gradient = tape.gradient(total, image).numpy()
    assert np.isfinite(gradient).all()
    assert (gradient[:, 14:24, 10:20] != 0).mean() > 0.99


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_networks_have_nothing_to_train_and_ignore_the_training_flag(name):
    network = BUILDERS[name](32)
    image = _images(2, 32)
    assert network.trainable_variables == []
    trained, evaluated = network(image, training=True), network(image, training=False)
    for a, b in zip(keras.tree.flatten(trained), keras.tree.flatten(evaluated), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_building_a_network_leaves_the_random_state_alone(name):
    keras.utils.set_random_seed(7)
    expected = keras.random.uniform((4,)).numpy()
    keras.utils.set_random_seed(7)
    BUILDERS[name](32)
    np.testing.assert_array_equal(keras.random.uniform((4,)).numpy(), expected)


def test_an_unknown_network_is_refused_with_the_choices():
    with pytest.raises(ValueError, match=r"'alexnet'.*efficientnet_lite0.*vgg16"):
        perceptual.perceptual_network("alexnet", 64)


@pytest.mark.parametrize("layers", [["block17"], ["block1", "relu1_2"], []])
def test_unknown_layers_are_refused_with_the_choices(layers):
    with pytest.raises(ValueError, match=r"layers of efficientnet_lite0.*'block16'"):
        perceptual.perceptual_network("efficientnet_lite0", 64, layers)


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_an_image_without_pixels_is_refused(name):
    with pytest.raises(ValueError, match="image_size must be >= 1 pixel, got 0"):
        BUILDERS[name](0)


KERAS_NETWORKS = {
    "vgg16": ("VGG16", "block3_conv3"),
    "vgg19": ("VGG19", "block3_conv3"),
    "resnet50": ("ResNet50", "conv3_block4_out"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(KERAS_NETWORKS))
def test_keras_networks_see_their_own_preprocessing(name, monkeypatch):
    """With random weights, because tests download nothing."""
    application, deepest = KERAS_NETWORKS[name]
    original = getattr(keras.applications, application)
    backbones = []

    def build(**settings):
        backbones.append(original(**(settings | {"weights": None})))
        return backbones[0]

    monkeypatch.setattr(keras.applications, application, build)
    image = _images(1, 32)
    feature_maps = perceptual.perceptual_network(name, 32)(image)
    backbone = backbones[0]
    preprocess = getattr(keras.applications, name).preprocess_input
    layer = keras.Model(backbone.input, backbone.get_layer(deepest).output)
    expected = layer(preprocess(image * 255), training=False).numpy()
    expected /= np.sqrt(np.square(expected).sum(-1, keepdims=True) + 1e-6)
    assert len(feature_maps) == 3
    np.testing.assert_allclose(feature_maps[-1], expected, atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(KERAS_NETWORKS))
def test_every_layer_offered_of_a_keras_network_exists(name):
    backbone = getattr(keras.applications, KERAS_NETWORKS[name][0])(
        include_top=False, weights=None, input_shape=(32, 32, 3)
    )
    existing = {layer.name for layer in backbone.layers}
    offered = perceptual.PERCEPTUAL_NETWORKS[name].layers
    assert {perceptual._keras_layer_name(layer) for layer in offered} <= existing


def test_weights_that_cannot_be_fetched_say_so_with_the_remedy(monkeypatch):
    def fail(**_):
        raise ConnectionError("URL fetch failure")

    monkeypatch.setattr(keras.applications, "VGG16", fail)
    with pytest.raises(ValueError, match=r"could not be fetched.*use efficientnet_lite0"):
        perceptual.perceptual_network("vgg16", 64)


def test_keras_networks_refuse_images_below_their_minimum():
    with pytest.raises(ValueError, match="at least 32 pixels, got 16"):
        perceptual.perceptual_network("resnet50", 16)


def test_feature_similarity_is_one_for_the_same_image_and_never_more():
    network = perceptual.feature_similarity_network(48)
    features, others = network(_images(4, 48)), network(_images(4, 48, seed=1))
    np.testing.assert_allclose(perceptual.feature_similarity(features, features), 1.0, atol=1e-5)
    assert (np.abs(perceptual.feature_similarity(features, others)) < 1.0).all()


def test_feature_similarity_is_the_mean_cosine_over_positions_then_layers():
    a = [np.array([[[[1.0, 0.0], [0.0, 1.0]]]]), np.array([[[[0.6, 0.8]]]])]
    b = [np.array([[[[1.0, 0.0], [0.0, -1.0]]]]), np.array([[[[0.8, 0.6]]]])]
    np.testing.assert_allclose(perceptual.feature_similarity(a, b), [(0.0 + 0.96) / 2], atol=1e-6)


def test_feature_similarity_refuses_lists_of_different_length():
    with pytest.raises(ValueError, match="got 2 and 1 maps"):
        perceptual.feature_similarity([np.ones((1, 1, 1, 1))] * 2, [np.ones((1, 1, 1, 1))])


def _photos(folder, names, size=64):
    """Centre squares, resized with antialiasing: float32 [N, size, size, 3] in [0, 1]."""
    images = []
    for name in names:
        with Image.open(folder / name) as photo:
            side = min(photo.size)
            left, top = (photo.width - side) // 2, (photo.height - side) // 2
            square = photo.convert("RGB").crop((left, top, left + side, top + side))
        images.append(np.asarray(square.resize((size, size), Image.Resampling.BILINEAR)))
    return np.stack(images).astype("float32") / 255


def _one_photo_of_each_person(folder):
    """The first file of every identity, in the file's order."""
    files = {}
    for line in (folder / "identity_CelebA.txt").read_text().splitlines():
        name, identity = line.split()
        files.setdefault(identity, name)
    return list(files.values())


@pytest.mark.slow
def test_feature_similarity_of_photos_orders_degradations(celeba_folder):
    names = _one_photo_of_each_person(celeba_folder)[:64]
    images = _photos(celeba_folder / "img_align_celeba", names)
    noise = np.random.default_rng(0).standard_normal(images.shape)

    def blurred(radius):
        photos = [Image.fromarray(np.uint8(image * 255 + 0.5)) for image in images]
        photos = [photo.filter(ImageFilter.GaussianBlur(radius)) for photo in photos]
        return np.stack([np.asarray(photo) for photo in photos]).astype("float32") / 255

    network = perceptual.feature_similarity_network(64)
    features = network.predict(images, verbose=0)

    def similarity(degraded):
        other = network.predict(np.asarray(degraded, "float32"), verbose=0)
        return np.asarray(perceptual.feature_similarity(features, other))

    blurs = [similarity(blurred(radius)).mean() for radius in (1, 2, 4)]
    noises = [similarity(np.clip(images + s * noise, 0, 1)).mean() for s in (0.05, 0.1, 0.2)]
    other_person = similarity(np.roll(images, 1, axis=0)).mean()
    mean_face = similarity(np.broadcast_to(images.mean(axis=0), images.shape)).mean()
    grey = similarity(np.full_like(images, 0.5)).mean()
    assert 1.0 > blurs[0] > blurs[1] > blurs[2] > mean_face > grey
    assert 1.0 > noises[0] > noises[1] > noises[2] > other_person > grey
    assert blurs[2] > other_person
