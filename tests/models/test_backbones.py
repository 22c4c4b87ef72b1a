"""Backbones: published weights give what the frozen network gives, and wrong ones are refused."""

import keras
import numpy as np
import pytest

from arl_tf.models import backbones, efficientnet_lite
from arl_tf.models.pretrained import perceptual

pytestmark = pytest.mark.slow

SIZE = 32


@pytest.fixture(scope="module")
def lite0():
    return backbones.build_backbone("efficientnet_lite0", SIZE, "imagenet")


def test_published_lite0_computes_what_its_folded_form_does(lite0):
    images = np.random.default_rng(0).random((2, SIZE, SIZE, 3), np.float32)
    folded = perceptual.perceptual_network("efficientnet_lite0", SIZE, ["block5", "block11"])
    own = keras.Model(lite0.input, [lite0.get_layer(f"block{n}_add").output for n in (5, 11)])
    for found, expected in zip(own(images, training=False), folded(images), strict=True):
        # The folded form has channels of length 1.
        found = np.asarray(found)
        length = np.sqrt(np.square(found).sum(axis=-1, keepdims=True) + 1e-6)
        np.testing.assert_allclose(found / length, np.asarray(expected), atol=2e-4)


def test_weights_of_lite0_can_be_trained(lite0):
    trainable = {variable.path for variable in lite0.trainable_variables}
    assert any("bn1/gamma" in path for path in trainable)
    assert any("conv_stem/kernel" in path for path in trainable)


def test_random_weights_are_not_the_published_ones(lite0):
    kernels = [
        np.asarray(network.get_layer("conv_stem").kernel)
        for network in (lite0, backbones.build_backbone("efficientnet_lite0", SIZE))
    ]
    assert np.abs(kernels[0] - kernels[1]).max() > 0.1


def test_layer_that_the_weights_lack_is_named():
    network = efficientnet_lite.efficientnet_lite0(SIZE, 0.9)
    with pytest.raises(ValueError, match="no layer conv_stem; expected those of EfficientNet"):
        efficientnet_lite.load_state(network, {"_fc.weight": np.zeros((2, 2))})


def test_weights_of_another_shape_are_refused():
    network = efficientnet_lite.efficientnet_lite0(SIZE, 0.9)
    with pytest.raises(ValueError, match=r"conv_stem.*\(3, 3, 3, 8\).*expected.*\(3, 3, 3, 32\)"):
        efficientnet_lite.load_state(network, {"_conv_stem.weight": np.zeros((8, 3, 3, 3))})


@pytest.mark.parametrize("name", ["small", "resnet18"])
def test_backbone_without_published_weights_says_so(name):
    with pytest.raises(ValueError, match=f"{name} has no published weights.*efficientnet_lite0"):
        backbones.build_backbone(name, SIZE, "imagenet")


@pytest.mark.parametrize("name", sorted(backbones.PRETRAINED))
def test_file_that_holds_no_weights_is_refused_by_name(name, tmp_path):
    damaged = tmp_path / "weights.h5"
    damaged.write_bytes(b"not weights")
    with pytest.raises(ValueError, match=r"weights\.h5.*expected 'imagenet'|weights\.h5.*Expected"):
        backbones.build_backbone(name, SIZE, str(damaged))


# Keras writes weight files in a way that NumPy 2 warns of.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_published_resnet50_reads_rgb_by_a_kernel_turned_round(tmp_path):
    path = str(tmp_path / "resnet50.weights.h5")
    plain = keras.applications.ResNet50(
        include_top=False, weights=None, input_shape=(SIZE, SIZE, 3)
    )
    plain.save_weights(path)
    own = backbones.build_backbone("resnet50", SIZE, path)
    image = np.random.default_rng(0).random((1, SIZE, SIZE, 3), np.float32)
    # What keras.applications.resnet50.preprocess_input does.
    blue_first = 255 * image[..., ::-1] - np.array([103.939, 116.779, 123.68], np.float32)
    expected = np.asarray(plain(blue_first, training=False)).mean(axis=(1, 2))
    found = np.asarray(own(image, training=False))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-3)
